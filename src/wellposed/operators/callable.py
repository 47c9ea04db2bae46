"""A user's own function as an operator.

Forward    the function, a batch in and a batch out; it must be built from torch operations if
           a gradient or an adjoint is wanted.
Adjoint    of a linear function f: the derivative of <f(x), y> in x, by autograd.
Checks     at construction, on fixed random signals: the function maps a batch item by item,
           f(a x + b y) = a f(x) + b f(y), and <f(x), y> = <x, f* y>.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import InputError
from wellposed.operators.base import LinearOperator, Operator, Shape
from wellposed.operators.dense import DenseProducts, measured_gain
from wellposed.operators.generic import checked_shape
from wellposed.operators.tensor import DenseTensorProducts
from wellposed.rng import Stream

SLACK = 1e4  # roundings by which a linear function may miss its identities


@dataclass(frozen=True, eq=False)
class Function(Operator):
    """A function of a batch of signals."""

    function: Callable[[Tensor], Tensor]
    shape_in: Shape
    shape_out: Shape
    dtype: torch.dtype
    device: torch.device
    differentiable: bool = True

    def forward(self, x: Tensor) -> Tensor:
        """Call the function."""
        return self.function(x)


class LinearFunction(Function, LinearOperator):
    """A linear function; its adjoint is its derivative."""

    def backward(self, y: Tensor) -> Tensor:
        """Return the gradient of <f(x), y>, which for linear f does not depend on x."""
        x = torch.zeros(
            (y.shape[0], *self.shape_in), dtype=self.dtype, device=y.device, requires_grad=True
        )
        with torch.enable_grad():
            image = self.function(x)
        back: Tensor = torch.autograd.grad(image, x, y)[0]
        return back

    @cached_property
    def gain(self) -> float:
        """Squared Frobenius norm / dim in, measured (``measured_gain``)."""
        return measured_gain(self, self.dtype, self.device)


class MatrixFunction(DenseProducts, LinearFunction):
    """A linear function of matrices; L R^T is formed."""


class TensorFunction(DenseTensorProducts, LinearFunction):
    """A linear function of tensors; T is formed."""


def from_callable(
    function: Callable[[Tensor], Tensor],
    shape_in: Shape,
    linear: bool = False,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Function:
    """Wrap a torch function of a batch of signals as an operator.

    Parameters
    ----------
    function
        Maps [B, *shape_in] to [B, *shape_out], item by item.
    shape_in
        Shape of one signal.
    linear
        Promise that the function is linear, which is tested; the operator then has an adjoint,
        and on two or more sides acts on factors.
    dtype, device
        Where signals live.

    Raises
    ------
    InputError
        The function fails on a trial batch, does not return a batch of tensors, mixes items,
        or, though called linear, is not linear or has no adjoint.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> sums = wp.operators.from_callable(lambda x: x.cumsum(-1), (3,), linear=True)
    >>> sums.adjoint(torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)).tolist()
    [2.0, 2.0, 1.0]
    """
    shape = checked_shape(shape_in, "shape_in")
    where = torch.device(device)
    x = Stream(0).normal((2, *shape), "trial", dtype=dtype, device=where)
    image = _trial(function, x)
    kind = Function
    if linear:
        _check_linear(function, x, image)
        kind = {1: LinearFunction, 2: MatrixFunction}.get(len(shape), TensorFunction)
    smooth = linear or _has_gradient(function, x)
    operator = kind(function, shape, tuple(image.shape[1:]), dtype, where, smooth)
    if isinstance(operator, LinearFunction):
        _check_adjoint(operator, x, image)
    return operator


def _trial(function: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """Call the function once on two signals and once on one of them."""
    require(callable(function), f"function is a {type(function).__name__}, expected a callable")
    try:
        image, alone = function(x), function(x[:1])
    except Exception as error:
        raise InputError(
            f"the function failed on a trial batch of shape {list(x.shape)}: {error}",
            remedy="let it map [B, *shape_in] to [B, *shape_out]",
        ) from error
    if not (isinstance(image, Tensor) and image.ndim >= 1 and image.shape[0] == x.shape[0]):
        raise InputError(
            f"the function returned {_describe(image)} for a batch of shape {list(x.shape)}, "
            "expected a tensor with one item for each signal",
            remedy="let it map [B, *shape_in] to [B, *shape_out]",
        )
    size = torch.linalg.vector_norm(image[:1])
    require(
        alone.shape == image[:1].shape and _close(alone, image[:1], size),
        "the function returns something else for a signal alone than for it in a batch",
        "an operator treats the items of a batch one by one",
    )
    return image


def _has_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether autograd sees the function."""
    try:
        with torch.enable_grad():
            return function(x.clone().requires_grad_()).requires_grad
    except RuntimeError:  # such as: can't call numpy() on a tensor that requires grad
        return False


def _check_linear(function: Callable[[Tensor], Tensor], x: Tensor, image: Tensor) -> None:
    a, b = 0.75, -1.5
    expected = a * image[:1] + b * image[1:]
    got = function(a * x[:1] + b * x[1:])
    size = torch.linalg.vector_norm(image)
    off = float(torch.linalg.vector_norm(got - expected) / size.clamp_min(_tiny(size)))
    require(
        _close(got, expected, size),
        f"the function is not linear: f(a x + b y) misses a f(x) + b f(y) by {off:.1e} "
        f"of the size of f, expected rounding ({SLACK * _eps(x):.0e})",
        "its derivative would not be an adjoint",
        "leave out constants and nonlinear terms, or pass linear=False",
    )


def _check_adjoint(operator: LinearFunction, x: Tensor, image: Tensor) -> None:
    y = Stream(0).normal((*image.shape, 2), "trial measurement", dtype=x.dtype, device=x.device)
    v = torch.view_as_complex(y) if image.is_complex() else y[..., 0]
    try:
        back = operator.backward(v.to(image.dtype))
    except RuntimeError as error:
        raise InputError(
            f"the function has no adjoint by autograd: {error}",
            "its output does not depend on its input through torch operations",
            "write it in torch, without detach, numpy or no_grad",
        ) from error
    left, right = (image * v.conj()).sum().real, (x * back).sum()
    size = torch.linalg.vector_norm(image) * torch.linalg.vector_norm(v)
    off = float((left - right).abs() / size.clamp_min(_tiny(size)))
    require(
        _close(left, right, size),
        f"<f(x), y> and <x, f* y> differ by {off:.1e} of ||f(x)|| ||y||, "
        f"expected rounding ({SLACK * _eps(x):.0e}): autograd does not see all of the function",
        "the adjoint would be wrong",
        "write it in torch, without detach, numpy or no_grad",
    )


def _close(a: Tensor, b: Tensor, size: Tensor) -> bool:
    return bool(torch.linalg.vector_norm(a - b) <= SLACK * _eps(a) * size)


def _eps(value: Tensor) -> float:
    return float(torch.finfo(value.dtype).eps)


def _tiny(value: Tensor) -> float:
    return float(torch.finfo(value.dtype).tiny)


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return f"a {type(value).__name__}"
