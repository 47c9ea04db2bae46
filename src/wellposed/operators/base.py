"""What every forward model promises.

An operator maps a batch [B, *shape_in] to [B, *shape_out]. A linear one has an adjoint with
<A x, y> = <x, A* y> (real part, for complex measurements) and a mean gain g: A* A is g times
the identity on average, so step sizes relative to g do not depend on the units of A.

Operators on matrices can also act on a factored signal L R^T without forming it:

    misfit(L, R, y) = (Z, ||A(L R^T) - y||),   Z = A*(A(L R^T) - y) as an implicit matrix,

which is all that the low-rank methods ask for.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor

from wellposed.checks import require, shaped
from wellposed.linalg import ImplicitMatrix

Shape = tuple[int, ...]


class Misfit(NamedTuple):
    """How far a factored signal is from the measurements."""

    gradient: Any  # implicit matrix [n1, n2]: A*(A(L R^T) - y)
    norm: Tensor  # 0-d: ||A(L R^T) - y||


class Operator(ABC):
    """A forward model with known shapes and nothing random inside."""

    shape_in: Shape
    shape_out: Shape
    linear: bool = False

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Map [B, *shape_in] to [B, *shape_out]."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map [B, *shape_in] to [B, *shape_out], or one signal to one measurement."""
        return _batched(self.forward, x, self.shape_in, "the signal")


class LinearOperator(Operator):
    """A forward model with an adjoint."""

    linear = True

    @abstractmethod
    def backward(self, y: Tensor) -> Tensor:
        """Map [B, *shape_out] to [B, *shape_in] by the adjoint."""

    @property
    @abstractmethod
    def gain(self) -> float:
        """Mean of ||A x||^2 / ||x||^2 over directions x: squared Frobenius norm / dim in."""

    def adjoint(self, y: Tensor) -> Tensor:
        """Map [B, *shape_out] to [B, *shape_in], or one measurement to one signal."""
        return _batched(self.backward, y, self.shape_out, "the measurement")


class MatrixOperator(LinearOperator):
    """A linear operator on matrices [n1, n2] that can act on factors."""

    @abstractmethod
    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return A(L R^T), shape_out, for L [n1, r] and R [n2, r]."""

    @abstractmethod
    def adjoint_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return A*(y) as an implicit matrix [n1, n2]."""

    def misfit(self, left: Tensor, right: Tensor, y: Tensor) -> Misfit:
        """Return the gradient matrix Z and the norm of the residual."""
        residual = self.on_factors(left, right) - y
        return Misfit(self.adjoint_matrix(residual), residual.norm())

    def start_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return an implicit matrix whose mean over designs is proportional to the signal."""
        return self.adjoint_matrix(y)

    def canonical(self, y: Tensor) -> tuple[MatrixOperator, Tensor]:
        """Return the same measurements in the layout that is fastest to iterate on."""
        return self, y


def _batched(function: Any, x: Tensor, shape: Shape, name: str) -> Tensor:
    if x.ndim == len(shape):
        shaped(x, name, shape)
        return function(x[None])[0]  # type: ignore[no-any-return]
    shaped(x, name, (None, *shape))
    return function(x)  # type: ignore[no-any-return]


def need_linear(operator: Operator, who: str) -> None:
    """Require a linear operator, naming who needs it."""
    require(
        operator.linear,
        f"{type(operator).__name__} is not linear",
        f"{who} needs an adjoint",
    )


def numel(shape: Shape) -> int:
    """Return the number of elements of a shape."""
    return math.prod(shape)
