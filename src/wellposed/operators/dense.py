"""What operators share that act on dense signals.

``DenseProducts`` lets a linear operator on matrices [n1, n2] act on factors by forming L R^T:
right where L R^T is small beside the operator itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.operators.base import LinearOperator, MatrixOperator, numel
from wellposed.rng import Stream

EXACT_GAIN = 1024  # unit vectors that are tried one by one before the gain is estimated
PROBES = 64
AT_ONCE = 1 << 22  # numbers in one batch of probes


class DenseProducts(MatrixOperator):
    """A linear operator on matrices that forms the product of the factors."""

    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return A(L R^T), shape_out, for L [n1, r] and R [n2, r]."""
        return self.forward((left @ right.mT)[None])[0]

    def adjoint_matrix(self, y: Tensor) -> Tensor:
        """Return A*(y) as a dense matrix [n1, n2]."""
        return self.backward(y[None])[0]


def alike(value: Tensor, name: str, numbers: Tensor) -> None:
    """Require the dtype and device of the operator's own numbers."""
    require(
        value.dtype == numbers.dtype and value.device == numbers.device,
        f"{name} is {value.dtype} on {value.device}, "
        f"expected {numbers.dtype} on {numbers.device}, as the operator's own numbers",
        remedy="convert one of the two with .to(...)",
    )


def measured_gain(operator: LinearOperator, dtype: torch.dtype, device: torch.device) -> float:
    """Return ||A||_F^2 / dim in.

    Exact, from unit vectors, up to ``EXACT_GAIN`` dimensions; beyond that the mean of
    ||A x||^2 / dim in over ``PROBES`` fixed sign patterns x (rank one on matrices, so that
    nothing dense is formed), with relative standard error at most sqrt(8 / PROBES), and far
    less for operators without one dominant direction.
    """
    size = numel(operator.shape_in)
    if size > EXACT_GAIN:
        streams = (Stream(0, item) for item in range(PROBES))
        return sum(_power(_probe(operator, s, dtype, device)) for s in streams) / PROBES / size
    units = torch.eye(size, dtype=dtype, device=device).reshape(size, *operator.shape_in)
    step = max(1, AT_ONCE // max(size, numel(operator.shape_out)))
    return sum(_power(operator.forward(units[i : i + step])) for i in range(0, size, step)) / size


def _probe(
    operator: LinearOperator, stream: Stream, dtype: torch.dtype, device: torch.device
) -> Tensor:
    def signs(shape: tuple[int, ...], purpose: str) -> Tensor:
        return stream.normal(shape, purpose).sign().to(device, dtype)

    if isinstance(operator, MatrixOperator):
        n1, n2 = operator.shape_in
        return operator.on_factors(signs((n1, 1), "left"), signs((n2, 1), "right"))
    return operator.forward(signs((1, *operator.shape_in), "signal"))


def _power(value: Tensor) -> float:
    return float(value.abs().double().square().sum())
