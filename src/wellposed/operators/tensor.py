"""Operators on tensors [n_1, ..., n_N], N >= 3, that can act on a Tucker form.

    on_tucker(T)         A(T)
    residual(T, y)       A(T) - y
    slopes(e, T, modes)  derivatives of <A*(e), T> by core and factors
    mode_basis(y, k, r)  leading r directions of mode k, from an estimate of M_k(T) M_k(T)^T

which is all that the low-rank tensor methods ask for. ``still`` names modes whose factor is the
identity, so that products with it may be left out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require
from wellposed.multilinear import Slopes, Tucker, dense, leading_vectors, slopes, unfold
from wellposed.operators.base import LinearOperator
from wellposed.operators.dense import alike


class TensorOperator(LinearOperator):
    """A linear operator on tensors that can act on core and factors."""

    @abstractmethod
    def on_tucker(self, tucker: Tucker) -> Tensor:
        """Return A(T), shape_out."""

    @abstractmethod
    def slopes(
        self, residual: Tensor, tucker: Tucker, modes: Collection[int], still: Collection[int] = ()
    ) -> Slopes:
        """Return the derivatives of <A*(residual), T> by the core and the factors of ``modes``."""

    @abstractmethod
    def mode_basis(self, y: Tensor, mode: int, rank: int) -> Tensor:
        """Return orthonormal leading directions of mode ``mode`` of the signal, [n, rank]."""

    def residual(self, tucker: Tucker, y: Tensor, still: Collection[int] = ()) -> Tensor:
        """Return A(T) - y, shape_out, new in memory."""
        return self.on_tucker(tucker) - y

    def canonical(self, y: Tensor) -> tuple[TensorOperator, Tensor]:
        """Return the same measurements in the layout that is fastest to iterate on."""
        return self, y


class DenseTensorProducts(TensorOperator):
    """A linear operator on tensors that forms the dense tensor."""

    def on_tucker(self, tucker: Tucker) -> Tensor:
        """Return A(T), shape_out."""
        return self.forward(dense(tucker)[None])[0]

    def slopes(
        self, residual: Tensor, tucker: Tucker, modes: Collection[int], still: Collection[int] = ()
    ) -> Slopes:
        """Return the derivatives of <A*(residual), T> by the core and the factors of ``modes``."""
        return slopes(self.backward(residual[None])[0], tucker, modes, done=still)

    def mode_basis(self, y: Tensor, mode: int, rank: int) -> Tensor:
        """Return the leading left singular vectors of the unfolding of A*(y)."""
        flat = unfold(self.backward(y[None])[0], mode)
        return leading_vectors(flat @ flat.mT, rank)


@dataclass(frozen=True, eq=False)
class TensorSensing(DenseTensorProducts):
    """Inner products with m given tensors: linear regression on a tensor.

    Parameters
    ----------
    tensors
        A_i, [m, n_1, ..., n_N] with N >= 3, real, of any scale.

    Raises
    ------
    InputError
        Fewer than four dimensions, complex, empty, not finite, or all zero.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> sensing = wp.operators.TensorSensing(torch.ones(2, 2, 3, 2))
    >>> sensing(torch.ones(2, 3, 2)).tolist(), sensing.gain
    ([12.0, 12.0], 2.0)
    """

    tensors: Tensor

    def __post_init__(self) -> None:
        numbers = as_tensor(self.tensors, "tensors")
        require(
            numbers.ndim >= 4 and numbers.numel() > 0 and not numbers.is_complex(),
            f"tensors has shape {list(numbers.shape)} of {numbers.dtype}, "
            "expected real [m, n1, n2, n3, ...]",
            remedy="for matrices take DenseSensing",
        )
        finite(numbers, "tensors")
        require(bool(numbers.any()), "all sensing tensors are zero", "nothing is measured")
        object.__setattr__(self, "tensors", numbers.contiguous())

    @property
    def dtype(self) -> torch.dtype:
        """Type of the sensing tensors, and of signals and measurements."""
        return self.tensors.dtype

    @property
    def shape_in(self) -> tuple[int, ...]:  # type: ignore[override]
        """(n_1, ..., n_N)."""
        return tuple(self.tensors.shape[1:])

    @property
    def shape_out(self) -> tuple[int, ...]:  # type: ignore[override]
        """(m,)."""
        return (self.tensors.shape[0],)

    @cached_property
    def gain(self) -> float:
        """Sum of the squared norms / number of cells."""
        return float(self._table.double().square().sum()) / self._table.shape[1]

    @property
    def _table(self) -> Tensor:
        return self.tensors.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the inner products of each signal."""
        alike(x, "the signal", self.tensors)
        return x.flatten(1) @ self._table.mT

    def backward(self, y: Tensor) -> Tensor:
        """Return the sum of y_i A_i of each measurement."""
        alike(y, "the measurement", self.tensors)
        return (y @ self._table).reshape(-1, *self.shape_in)
