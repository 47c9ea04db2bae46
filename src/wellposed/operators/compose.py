"""One operator after another: y = outer(inner(x)).

The adjoint runs backwards, and what the inner operator can do with factors is kept:

    A(L R^T) = outer(inner(L R^T)),   A* y = inner*(outer* y).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.linalg import ImplicitMatrix
from wellposed.operators.base import LinearOperator, MatrixOperator, Operator, Shape, kind_of
from wellposed.operators.dense import measured_gain
from wellposed.operators.spectral import Spectral


@dataclass(frozen=True, eq=False)
class Compose(Operator):
    """Apply one operator after another: linear if both are, on factors if the inner one is.

    Parameters
    ----------
    outer
        The operator applied last.
    inner
        The operator applied first; its measurements are the signals of ``outer``.

    Raises
    ------
    InputError
        The shapes do not meet.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> cells = wp.operators.Entries([0, 1], [0, 1], (2, 2))
    >>> total = wp.operators.Compose(wp.operators.Matrix([[1.0, 1.0]]), cells)
    >>> total(torch.ones(2, 2, dtype=torch.float64)).tolist()
    [2.0]
    """

    outer: Operator
    inner: Operator

    def __new__(cls, outer: Any = None, inner: Any = None) -> Compose:
        """Keep what both operators can do."""
        if not (isinstance(outer, LinearOperator) and isinstance(inner, LinearOperator)):
            return super().__new__(cls)
        return super().__new__(
            MatrixCompose if isinstance(inner, MatrixOperator) else LinearCompose
        )

    def __post_init__(self) -> None:
        for name in ("outer", "inner"):
            given = getattr(self, name)
            require(
                isinstance(given, Operator),
                f"{name} is a {type(given).__name__}, expected an operator",
                remedy="wrap a function by from_callable",
            )
        require(
            tuple(self.inner.shape_out) == tuple(self.outer.shape_in),
            f"the inner operator returns shape {list(self.inner.shape_out)}, "
            f"the outer one takes {list(self.outer.shape_in)}",
            "the measurement of one is the signal of the other",
            "build the outer operator with shape " + str(tuple(self.inner.shape_out)),
        )

    @property
    def dtype(self) -> torch.dtype | None:
        """Type of the numbers inside, None if there are none."""
        inner: torch.dtype | None = getattr(self.inner, "dtype", None)
        outer: torch.dtype | None = getattr(self.outer, "dtype", None)
        return inner or outer

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether autograd runs through both."""
        return self.outer.differentiable and self.inner.differentiable

    @property
    def complex_values(self) -> bool | None:  # type: ignore[override]
        """Whether the outer operator makes complex values, or, being linear, keeps them."""
        made, given = self.outer.complex_values, self.inner.complex_values
        return made or (given if self.outer.linear else made)

    @property
    def shape_in(self) -> Shape:  # type: ignore[override]
        """Shape of the inner operator's signal."""
        return tuple(self.inner.shape_in)

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """Shape of the outer operator's measurement."""
        return tuple(self.outer.shape_out)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the inner operator, then the outer one."""
        return self.outer.forward(self.inner.forward(x))


class LinearCompose(Compose, LinearOperator):
    """Two linear operators, one after the other."""

    outer: LinearOperator
    inner: LinearOperator

    @cached_property
    def gain(self) -> float:
        """Squared Frobenius norm / dim in, measured (``measured_gain``)."""
        return measured_gain(self, *kind_of(self))

    def backward(self, y: Tensor) -> Tensor:
        """Apply the adjoints in reverse order."""
        return self.inner.backward(self.outer.backward(y))

    @property
    def pointwise(self) -> bool:  # type: ignore[override]
        """Whether both operators read single elements."""
        return self.outer.pointwise and self.inner.pointwise

    @property
    def circulant(self) -> bool:  # type: ignore[override]
        """Whether both operators commute with the same circular shifts."""
        outer, inner = self.outer.spectral(), self.inner.spectral()
        both = self.outer.circulant and self.inner.circulant
        return both and outer is not None and inner is not None and outer.basis == inner.basis

    def _diagonalise(self) -> Spectral | None:
        """Keep the basis of A* A = C* (B* B) C, with B the outer operator, where it is known.

        B* B = b I: that of C, with b times its weights. C circulant and B* B diagonal in the
        same basis: the two commute, and the weights are products.
        """
        if self.pointwise:
            return super()._diagonalise()
        outer, inner = self.outer.spectral(), self.inner.spectral()
        if outer is None or inner is None:
            return None
        first = outer.weights.flatten()[0]
        if bool((outer.weights == first).all()):
            return inner.scaled(float(first))
        if self.inner.circulant and outer.basis == inner.basis:
            return inner.scaled(outer.weights)
        return None


class MatrixCompose(LinearCompose, MatrixOperator):
    """A linear operator after an operator on matrices."""

    inner: MatrixOperator

    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return A(L R^T) without forming the product where the inner operator does not."""
        return self.outer.forward(self.inner.on_factors(left, right)[None])[0]

    def adjoint_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return A*(y) as the inner operator keeps it."""
        return self.inner.adjoint_matrix(self.outer.backward(y[None])[0])


def _dtype(operator: Operator) -> torch.dtype | None:
    known: torch.dtype | None = getattr(operator, "dtype", None)
    return known
