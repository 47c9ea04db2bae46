"""What every forward model promises.

An operator maps a batch [B, *shape_in] to [B, *shape_out]. A linear one has an adjoint with
<A x, y> = <x, A* y> (real part, for complex measurements) and a mean gain g: A* A is g times
the identity on average, so step sizes relative to g do not depend on the units of A.

Operators on matrices can also act on a factored signal L R^T without forming it:

    misfit(L, R, y) = (Z, ||A(L R^T) - y||),   Z = A*(A(L R^T) - y) as an implicit matrix,

which is all that the low-rank methods ask for. Where a basis is known in which A* A is diagonal,
``spectral`` returns it, and Gaussian steps (``normal.py``) are solved by division.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, shaped
from wellposed.errors import CapabilityError
from wellposed.linalg import Callback, ImplicitMatrix, lanczos_svd
from wellposed.operators.spectral import Spectral, pixel_basis, singular_basis
from wellposed.rng import Stream

Shape = tuple[int, ...]

SMALL_SIGNAL = 512  # elements up to which any linear operator is made a matrix and decomposed


class Misfit(NamedTuple):
    """How far a factored signal is from the measurements."""

    gradient: Any  # implicit matrix [n1, n2]: A*(A(L R^T) - y)
    norm: Tensor  # 0-d: ||A(L R^T) - y||


class Operator(ABC):
    """A forward model with known shapes and nothing random inside.

    What it can do: ``linear`` (has an adjoint), ``differentiable`` (autograd runs through it),
    ``pointwise`` (linear, and each measurement reads a single element of the signal, so that
    A* D A is diagonal for every diagonal D), ``circulant`` (linear, and commutes with circular
    shifts along the axes of its Hartley basis). ``complex_values`` says whether measurements
    are complex, None where only a measurement can tell.
    """

    shape_in: Shape
    shape_out: Shape
    linear: bool = False
    differentiable: bool = True
    pointwise: ClassVar[bool] = False
    circulant: bool = False
    complex_values: ClassVar[bool | None] = None

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Map [B, *shape_in] to [B, *shape_out]."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map [B, *shape_in] to [B, *shape_out], or one signal to one measurement."""
        return _batched(self.forward, x, self.shape_in, "the signal")

    def pullback(self, x: Tensor, v: Tensor) -> Tensor:
        """Return J(x)* v for each item of a batch: the derivative of Re <A(x), v> in x.

        Raises
        ------
        CapabilityError
            The operator is not differentiable.
        """
        require(
            self.differentiable,
            f"{type(self).__name__} is not differentiable",
            "a gradient in the signal was asked for",
            "use a method that needs the likelihood only",
            error=CapabilityError,
        )
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            back: Tensor = torch.autograd.grad(self.forward(at), at, v)[0]
        return back


class LinearOperator(Operator):
    """A forward model with an adjoint."""

    linear = True

    @abstractmethod
    def backward(self, y: Tensor) -> Tensor:
        """Map [B, *shape_out] to [B, *shape_in] by the adjoint."""

    def pullback(self, x: Tensor, v: Tensor) -> Tensor:
        """Return A* v, which does not depend on x."""
        return self.backward(v)

    @property
    @abstractmethod
    def gain(self) -> float:
        """Mean of ||A x||^2 / ||x||^2 over directions x: squared Frobenius norm / dim in."""

    def adjoint(self, y: Tensor) -> Tensor:
        """Map [B, *shape_out] to [B, *shape_in], or one measurement to one signal."""
        return _batched(self.backward, y, self.shape_out, "the measurement")

    def spectral(self) -> Spectral | None:
        """Return an orthogonal basis in which A* A is diagonal, or None where none is known.

        Computed once. Signals of at most ``SMALL_SIGNAL`` elements always have one.
        """
        return self._spectral

    @cached_property
    def norm(self) -> float:
        """Largest singular value: from the spectrum, else to about 1e-4 by Lanczos iteration."""
        spectral = self.spectral()
        if spectral is not None:
            return math.sqrt(float(spectral.weights.max()))
        dtype, device = kind_of(self)
        size = numel(self.shape_in)

        def normal(columns: Tensor) -> Tensor:
            x = columns.mT.reshape(-1, *self.shape_in)
            return self.backward(self.forward(x)).flatten(1).mT

        gram = Callback(torch.Size((size, size)), dtype, device, normal, normal)
        return math.sqrt(float(lanczos_svd(gram, 1, Stream(0), tol=1e-4).s[0]))

    @cached_property
    def row_norm(self) -> float | None:
        """The norm of each row where all are orthogonal and equally long, else None.

        Asked with random measurements r: A A* r = norm^2 r, to about 1e-4.
        """
        dtype, device = kind_of(self)
        kind = dtype.to_complex() if self.complex_values else dtype
        r = Stream(0).normal((1, *self.shape_out), "rows", dtype=kind, device=device)
        back = self.forward(self.backward(r))
        square = float((back.conj() * r).sum().real / r.abs().square().sum())
        off = float((back - square * r).abs().max())
        return math.sqrt(square) if off <= 1e-4 * square else None

    @cached_property
    def _spectral(self) -> Spectral | None:
        return self._diagonalise() or self._decompose()

    def _diagonalise(self) -> Spectral | None:
        """Return the basis that is known from the structure of A."""
        if not self.pointwise:
            return None
        ones = torch.ones(1, *self.shape_in, dtype=torch.float64, device=kind_of(self)[1])
        return pixel_basis(self.backward(self.forward(ones))[0])

    def _decompose(self) -> Spectral | None:
        """Return the singular basis of a small operator."""
        size = numel(self.shape_in)
        if size > SMALL_SIGNAL:
            return None
        dtype, device = kind_of(self)
        units = torch.eye(size, dtype=dtype, device=device).reshape(size, *self.shape_in)
        flat = singular_basis(self.forward(units).flatten(1).mT)
        return flat.reshaped(self.shape_in)


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


def kind_of(operator: Operator) -> tuple[torch.dtype, torch.device]:
    """Return the type of an operator's real signals and where its numbers are.

    Float64 where it takes any type; the device is that of the first tensor inside, or the CPU.
    """
    known: torch.dtype | None = getattr(operator, "dtype", None)
    return (known or torch.float64).to_real(), _device(operator)


def _device(operator: Operator) -> torch.device:
    for part in vars(operator).values():
        if isinstance(part, (Tensor, torch.device)):
            return part.device if isinstance(part, Tensor) else part
        if isinstance(part, Operator) and _device(part).type != "cpu":
            return _device(part)
    return torch.device("cpu")


def numel(shape: Shape) -> int:
    """Return the number of elements of a shape."""
    return math.prod(shape)
