"""Linear measurements of a whole matrix.

Dense      y_i = <A_i, M>,       A_i [n1, n2]:  one matrix-vector product with the m x n1 n2
           table of all A_i; forming L R^T is cheap beside it.
Rank one   y_i = a_i^T M a_i,    a_i [n]:  ((A L) * (A R)) summed over columns, and
           A* z = A^T diag(z) A, never formed; 4 m n r flops for either.
Gain       sum of ||A_i||_F^2 / (n1 n2), so sensing matrices of any scale will do.

Quadratic measurements are far from isotropic: for Gaussian vectors of variance s^2
(1/m) A* A M = s^4 (2 M + tr(M) I), so a step has to shrink like 1 / (r + 2) to be safe on the
trace. The trace sits in one equation, the mean of y. ``RankOneSensing.misfit`` gives that
equation the weight w = 2 / n, which leaves s^4 (2 M + (2/n) tr(M) I) and loses nothing:

    residual  C (A(M) - y),  C = I - (1 - sqrt(w)) 1 1^T / m,  gradient  A* C^2 (A(M) - y),

and its gain is the mean over symmetric directions, the only ones that are seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require
from wellposed.linalg import Callback, ImplicitMatrix
from wellposed.operators.base import MatrixOperator, Misfit
from wellposed.operators.dense import DenseProducts, alike


@dataclass(frozen=True, eq=False)
class DenseSensing(DenseProducts):
    """Inner products with m given matrices.

    Parameters
    ----------
    matrices
        A_i, [m, n1, n2], real, of any scale; kept without a copy when contiguous.

    Raises
    ------
    InputError
        Not three-dimensional, complex, empty, not finite, or all zero.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> sensing = wp.operators.DenseSensing(torch.ones(4, 2, 3))
    >>> sensing(torch.eye(2, 3)).tolist(), sensing.gain
    ([2.0, 2.0, 2.0, 2.0], 4.0)
    """

    matrices: Tensor

    def __post_init__(self) -> None:
        numbers = real_numbers(self.matrices, "matrices", ("m", "n1", "n2"))
        object.__setattr__(self, "matrices", numbers)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the sensing matrices, and of signals and measurements."""
        return self.matrices.dtype

    @property
    def shape_in(self) -> tuple[int, ...]:  # type: ignore[override]
        """(n1, n2)."""
        return tuple(self.matrices.shape[1:])

    @property
    def shape_out(self) -> tuple[int]:  # type: ignore[override]
        """(m,)."""
        return (self.matrices.shape[0],)

    @cached_property
    def gain(self) -> float:
        """Sum of the squared Frobenius norms / (n1 n2)."""
        n1, n2 = self.shape_in
        return float(self.matrices.double().square().sum()) / (n1 * n2)

    @property
    def _flat(self) -> Tensor:
        return self.matrices.flatten(1)  # [m, n1 n2], a view

    def forward(self, x: Tensor) -> Tensor:
        """Take the inner products with each matrix in the batch."""
        alike(x, "the signal", self.matrices)
        return x.flatten(1) @ self._flat.mT

    def backward(self, y: Tensor) -> Tensor:
        """Return sum_i y_i A_i for each measurement in the batch."""
        alike(y, "the measurement", self.matrices)
        return (y @ self._flat).reshape(-1, *self.shape_in)

    def canonical(self, y: Tensor) -> tuple[MatrixOperator, Tensor]:
        """Bring the sensing matrices to the dtype and device of y."""
        return DenseSensing(self.matrices.to(y)), y


@dataclass(frozen=True, eq=False)
class RankOneSensing(MatrixOperator):
    """Quadratic sensing: y_i = a_i^T M a_i.

    Only the symmetric part of M is seen. ``misfit`` and ``gain`` weigh the mean of y by 2 / n
    (see the head of this file), so that the usual step sizes suit; ``forward``, ``adjoint`` and
    the products are those of the plain measurements.

    Parameters
    ----------
    vectors
        a_i, [m, n], real, of any scale.

    Raises
    ------
    InputError
        Not two-dimensional, complex, empty, not finite, or all zero.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> sensing = wp.operators.RankOneSensing([[1.0, 0.0], [1.0, 1.0]])
    >>> sensing(torch.tensor([[1.0, 2.0], [2.0, 5.0]], dtype=torch.float64)).tolist()
    [1.0, 10.0]
    """

    vectors: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", real_numbers(self.vectors, "vectors", ("m", "n")))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the sensing vectors, and of signals and measurements."""
        return self.vectors.dtype

    @property
    def shape_in(self) -> tuple[int, int]:  # type: ignore[override]
        """(n, n)."""
        return (self.vectors.shape[1], self.vectors.shape[1])

    @property
    def shape_out(self) -> tuple[int]:  # type: ignore[override]
        """(m,)."""
        return (self.vectors.shape[0],)

    @property
    def mean_weight(self) -> float:
        """Weight w of the mean equation in the misfit, in (0, 1]."""
        return min(1.0, 2 / self.shape_in[0])

    @cached_property
    def gain(self) -> float:
        """Mean of ||C A(M)||^2 / ||M||^2 over symmetric M: squared norms / (n (n + 1) / 2)."""
        n, m = self.shape_in[0], self.shape_out[0]
        power = float(self.vectors.double().square().sum(1).square().sum())
        mean_power = _gram_power(self.vectors) / m  # m ||S||_F^2, S the mean of a_i a_i^T
        return (power - (1 - self.mean_weight) * mean_power) / (n * (n + 1) / 2)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate the m quadratic forms of each matrix in the batch."""
        alike(x, "the signal", self.vectors)
        return ((self.vectors @ x) * self.vectors).sum(-1)

    def backward(self, y: Tensor) -> Tensor:
        """Return sum_i y_i a_i a_i^T for each measurement in the batch."""
        alike(y, "the measurement", self.vectors)
        return self.vectors.mT @ (y[:, :, None] * self.vectors)

    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the products (a_i^T L) (a_i^T R)^T, [m]."""
        return ((self.vectors @ left) * (self.vectors @ right)).sum(1)

    def adjoint_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return A^T diag(y) A, known through its products."""

        def times(thin: Tensor) -> Tensor:
            return self.vectors.mT @ (y[:, None] * (self.vectors @ thin))

        return Callback(torch.Size(self.shape_in), y.dtype, y.device, times, times)

    def misfit(self, left: Tensor, right: Tensor, y: Tensor) -> Misfit:
        """Return A* C^2 (A(L R^T) - y) and ||C (A(L R^T) - y)||."""
        off = self.on_factors(left, right) - y
        mean, weight = off.mean(), self.mean_weight
        norm = (off - (1 - weight**0.5) * mean).norm()
        return Misfit(self.adjoint_matrix(off - (1 - weight) * mean), norm)

    def start_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return gain times an estimate of M that is unbiased, as m grows, for Gaussian vectors.

        With second moment s^2, E y_i a_i a_i^T = s^4 (2 M + tr(M) I) and E y_i = s^2 tr(M):
        centring y removes the trace part, and 2 s^4 m remains to be divided out.
        """
        moment = float(self.vectors.double().square().mean())
        scale = self.gain / (2 * moment**2 * y.numel())
        return self.adjoint_matrix((y - y.mean()) * scale)

    def canonical(self, y: Tensor) -> tuple[MatrixOperator, Tensor]:
        """Bring the sensing vectors to the dtype and device of y."""
        return RankOneSensing(self.vectors.to(y)), y


def _gram_power(vectors: Tensor, columns: int = 256) -> float:
    """Return ||A^T A||_F^2 for A [m, n], some columns at a time."""
    table = vectors.double()
    parts = (table[:, i : i + columns] for i in range(0, table.shape[1], columns))
    return sum(float((table.mT @ part).square().sum()) for part in parts)


def real_numbers(value: Any, name: str, axes: tuple[str, ...]) -> Tensor:
    """Require a real, finite, non-zero array with these axes."""
    numbers = as_tensor(value, name)
    wanted = f"[{', '.join(axes)}]"
    require(
        numbers.ndim == len(axes) and numbers.numel() > 0,
        f"{name} has shape {list(numbers.shape)}, expected {wanted}, none of them zero",
    )
    require(
        not numbers.is_complex(),
        f"{name} holds {numbers.dtype} values, expected real ones",
        "signals and factors are real",
        "stack real and imaginary parts as separate measurements",
    )
    finite(numbers, name)
    require(
        bool(numbers.any()),
        f"{name} holds only zeros, expected at least one other number",
        "such an operator measures nothing",
    )
    return numbers.contiguous()
