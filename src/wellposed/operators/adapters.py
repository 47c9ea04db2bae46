"""Forward models of other packages.

scipy     anything with ``matmat`` and ``rmatmat`` on columns; runs in numpy, and autograd passes
          through it by its adjoint.
pylops    the same, with the shapes that its operators know (extra "pylops").
deepinv   a physics without its noise, by its function A; it is written in torch, so its adjoint
          is the derivative of A (extra "deepinv").
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import MissingExtraError
from wellposed.operators.base import LinearOperator, Operator, Shape, numel
from wellposed.operators.callable import from_callable
from wellposed.operators.dense import measured_gain
from wellposed.operators.generic import checked_shape
from wellposed.rng import Stream

SLACK = 1e4  # roundings by which <A u, v> and <u, A* v> may differ


@dataclass(frozen=True, eq=False)
class Columns(LinearOperator):
    """A linear operator of numpy that multiplies columns from both sides."""

    operator: Any
    shape_in: Shape
    shape_out: Shape

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each signal in the batch."""
        y: Tensor = _Product.apply(x, self.operator.matmat, self.operator.rmatmat)  # type: ignore[no-untyped-call]
        return y.reshape(-1, *self.shape_out)

    def backward(self, y: Tensor) -> Tensor:
        """Return Re(A^H y) for each measurement in the batch."""
        x: Tensor = _Product.apply(y, self.operator.rmatmat, self.operator.matmat)  # type: ignore[no-untyped-call]
        return (x.real if x.is_complex() else x).reshape(-1, *self.shape_in)

    @cached_property
    def gain(self) -> float:
        """Squared Frobenius norm / dim in, measured (``measured_gain``)."""
        return measured_gain(self, torch.float64, torch.device("cpu"))


class _Product(torch.autograd.Function):
    """Columns times a matrix of numpy; the gradient is a product with its adjoint."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, times: Any, adjoint_times: Any) -> Tensor:
        """Multiply [B, ...], flattened to columns, and return rows."""
        ctx.times, ctx.shape, ctx.real = adjoint_times, x.shape, not x.is_complex()
        with np.errstate(all="ignore"):
            product = np.asarray(times(x.detach().flatten(1).cpu().numpy().T))
        rows = torch.from_numpy(np.ascontiguousarray(product.T))
        dtype = x.dtype.to_complex() if rows.is_complex() else x.dtype
        return rows.to(x.device, dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Multiply by the adjoint."""
        with np.errstate(all="ignore"):
            product = np.asarray(ctx.times(gradients[0].cpu().numpy().T))
        rows = torch.from_numpy(np.ascontiguousarray(product.T)).to(gradients[0].device)
        rows = rows.real if ctx.real and rows.is_complex() else rows
        dtype = gradients[0].dtype
        return rows.to(dtype.to_real() if ctx.real else dtype).reshape(ctx.shape), None, None


def from_scipy(
    operator: Any, shape_in: Shape | None = None, shape_out: Shape | None = None
) -> Columns:
    """Wrap a linear operator of ``scipy.sparse.linalg``, real or complex.

    Parameters
    ----------
    operator
        Has ``shape`` (m, n), ``matmat`` and ``rmatmat``.
    shape_in, shape_out
        Shapes of one signal (n elements) and one measurement (m elements); by default vectors.

    Raises
    ------
    InputError
        No such operator, shapes with other numbers of elements, or an ``rmatmat`` that is not
        the adjoint of ``matmat``.

    Examples
    --------
    >>> import numpy as np, torch, wellposed as wp
    >>> from scipy.sparse.linalg import aslinearoperator
    >>> sums = wp.operators.from_scipy(aslinearoperator(np.ones((1, 4))), (2, 2))
    >>> sums(torch.ones(2, 2)).tolist(), sums.adjoint(torch.ones(1)).tolist()
    ([4.0], [[1.0, 1.0], [1.0, 1.0]])
    """
    require(
        all(hasattr(operator, name) for name in ("shape", "matmat", "rmatmat")),
        f"operator is a {type(operator).__name__}, expected a linear operator of scipy",
        remedy="scipy.sparse.linalg.aslinearoperator, or operators.Matrix for a matrix",
    )
    m, n = (int(side) for side in operator.shape)
    sides = [(shape_in or (n,), n, "shape_in"), (shape_out or (m,), m, "shape_out")]
    shapes = [checked_shape(shape, name) for shape, _, name in sides]
    for shape, (_, size, name) in zip(shapes, sides, strict=True):
        require(
            numel(shape) == size,
            f"{name} {list(shape)} has {numel(shape)} elements, the operator {size}",
        )
    wrapped = Columns(operator, *shapes)
    _check_adjoint(wrapped)
    return wrapped


def from_pylops(operator: Any) -> Columns:
    """Wrap an operator of pylops, with its own shapes ``dims`` and ``dimsd``.

    Raises
    ------
    MissingExtraError
        pylops is not installed.
    InputError
        Not an operator of pylops.
    """
    pylops = _extra("pylops", "its operators")
    require(
        isinstance(operator, pylops.LinearOperator),
        f"operator is a {type(operator).__name__}, expected an operator of pylops",
    )
    return from_scipy(operator, tuple(operator.dims), tuple(operator.dimsd))


def from_deepinv(
    physics: Any,
    shape_in: Shape,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Operator:
    """Wrap a physics of deepinv, without its noise.

    Parameters
    ----------
    physics
        Any; a ``LinearPhysics`` becomes a linear operator.
    shape_in
        Shape of one signal, such as (C, H, W).
    dtype, device
        Where its signals live.

    Raises
    ------
    MissingExtraError
        deepinv is not installed.
    InputError
        Not a physics, or one that ``from_callable`` refuses.
    """
    deepinv = _extra("deepinv", "its physics")
    require(
        isinstance(physics, deepinv.physics.Physics),
        f"physics is a {type(physics).__name__}, expected a physics of deepinv",
    )
    linear = isinstance(physics, deepinv.physics.LinearPhysics)
    return from_callable(physics.A, shape_in, linear, dtype=dtype, device=device)


def _extra(name: str, purpose: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(name, name, purpose) from error


def _check_adjoint(operator: Columns) -> None:
    stream = Stream(0)
    u = stream.normal((1, *operator.shape_in), "trial")
    image = operator.forward(u)
    v = torch.view_as_complex(stream.normal((*image.shape, 2), "trial measurement"))
    v = v if image.is_complex() else v.real
    off = float(((image * v.conj()).sum().real - (u * operator.backward(v)).sum()).abs())
    size = float(image.norm() * v.norm())
    single = np.dtype(getattr(operator.operator, "dtype", None) or float).itemsize <= 4
    bound = SLACK * float(np.finfo(np.float32 if single else float).eps)
    require(
        off <= bound * size,
        f"<A u, v> and <u, A* v> differ by {off / max(size, 1e-300):.1e} of |A u| |v|, "
        f"expected at most {bound:.0e}",
        "its rmatmat is not the adjoint of its matmat",
    )
