"""Input checks: every public argument passes through here once, at the edge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.errors import InputError, WellposedError


def require(
    condition: bool,
    what: str,
    why: str = "",
    remedy: str = "",
    *,
    error: type[WellposedError] = InputError,
) -> None:
    """Raise ``error(what, why, remedy)`` unless the condition holds."""
    if not condition:
        raise error(what, why, remedy)


def within(
    value: Any,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
    why: str = "",
    remedy: str = "",
) -> None:
    """Require a finite number (not a bool) in an interval, closed unless said otherwise."""
    real = isinstance(value, Real) or (isinstance(value, Tensor) and value.ndim == 0)
    inside = real and not isinstance(value, bool) and math.isfinite(value)
    inside = inside and (value > low if open_low else value >= low)
    inside = inside and (value < high if open_high else value <= high)
    interval = f"{'(' if open_low or low == -math.inf else '['}{low:g}, "
    interval += f"{high:g}{')' if open_high or high == math.inf else ']'}"
    require(inside, f"{name} is {value!r}, expected a number in {interval}", why, remedy)


def whole(value: Any, name: str, low: int = 1, why: str = "", remedy: str = "") -> None:
    """Require an integer (not a bool) that is at least ``low``."""
    integral = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    require(
        integral and value >= low,
        f"{name} is {value!r}, expected a whole number >= {low}",
        why,
        remedy,
    )


def shaped(value: Tensor, name: str, shape: Sequence[int | None]) -> None:
    """Require a shape; ``None`` stands for any length."""
    fits = value.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(value.shape, shape, strict=False)
    )
    wanted = "[" + ", ".join("*" if n is None else str(n) for n in shape) + "]"
    require(fits, f"{name} has shape {list(value.shape)}, expected {wanted}")


def finite(value: Tensor, name: str, remedy: str = "") -> None:
    """Require that no element is NaN or infinite; the error names the first bad one."""
    if not (value.is_floating_point() or value.is_complex()):
        return
    # A sum is finite unless an element is not (or it overflows): one pass, no mask in memory.
    if bool(torch.isfinite(value.sum())):
        return
    bad = ~torch.isfinite(value)
    count = int(bad.sum())
    if count == 0:
        return
    first = tuple(int(i) for i in bad.nonzero()[0])
    raise InputError(
        f"{name} has {count} NaN or infinite value(s), the first at index {first}",
        "one such value spreads over the whole estimate",
        remedy or "remove them, or mark missing entries by leaving them out of the operator",
    )


def as_tensor(value: Any, name: str, *, floating: bool = True) -> Tensor:
    """Turn numpy, torch, lists or numbers into a tensor; whole numbers become float64."""
    if isinstance(value, Tensor):
        tensor = value.detach()
    else:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} cannot be read as an array: {error}") from None
        require(
            array.dtype.kind in "fiubc",
            f"{name} holds {array.dtype} values, expected numbers",
            remedy="convert it to a numeric array first",
        )
        if array.dtype.kind == "u" and array.dtype.itemsize > 1:
            array = array.astype(np.int64)
        if array.dtype == np.float16 or (array.dtype.itemsize > 8 and array.dtype.kind == "f"):
            array = array.astype(np.float64)
        shape = array.shape  # ascontiguousarray makes a number an array of one element
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
        array = array.reshape(shape)
        if not array.flags.writeable or any(s < 0 for s in array.strides):
            array = array.copy()
        tensor = torch.from_numpy(array)
    if floating and not (tensor.is_floating_point() or tensor.is_complex()):
        tensor = tensor.to(torch.float64)
    return tensor


def as_indices(value: Any, name: str, size: int) -> Tensor:
    """Turn a list of positions into an int64 tensor and check that all lie in ``[0, size)``."""
    tensor = as_tensor(value, name, floating=False)
    require(tensor.ndim == 1, f"{name} has shape {list(tensor.shape)}, expected one dimension")
    if tensor.is_floating_point():
        require(
            bool((tensor == tensor.round()).all()),
            f"{name} holds numbers with a fraction, expected whole positions",
        )
    require(
        tensor.dtype != torch.bool,
        f"{name} holds booleans, expected positions",
        remedy=f"pass {name}.nonzero() of the mask",
    )
    if tensor.numel():
        low, high = int(tensor.min()), int(tensor.max())
        require(
            low >= 0 and high < size,
            f"{name} runs from {low} to {high}, expected 0 to {size - 1}",
            "positions count from zero and stay inside the shape",
            "check the shape, or subtract one from one-based ids",
        )
    return tensor if tensor.dtype == torch.int32 else tensor.to(torch.int64)
