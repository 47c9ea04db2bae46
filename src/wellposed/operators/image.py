"""What linear operators on images and signals share: the shape of the signal, gain and norm."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from wellposed.checks import as_tensor, finite, require
from wellposed.operators.base import LinearOperator, Shape, kind_of, numel
from wellposed.operators.dense import measured_gain


class ImageOperator(LinearOperator):
    """A linear operator on signals [..., H, W] or [..., L] of any real floating type."""

    shape: Shape
    complex_values: ClassVar[bool | None] = False

    @property
    def shape_in(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    @cached_property
    def gain(self) -> float:
        """Squared Frobenius norm / dim in: from the spectrum, else measured."""
        spectral = self.spectral()
        if spectral is None:
            return measured_gain(self, *kind_of(self))
        return float(spectral.weights.sum()) / numel(self.shape_in)


def real_array(value: Any, name: str, ndims: tuple[int, ...]) -> Tensor:
    """Require a finite real array with one of these numbers of axes; return it in float64."""
    array = as_tensor(value, name)
    require(
        array.ndim in ndims and array.numel() > 0,
        f"{name} has shape {list(array.shape)}, expected "
        f"{' or '.join(str(n) for n in ndims)} axes, none of them empty",
    )
    require(not array.is_complex(), f"{name} holds {array.dtype} values, expected real ones")
    finite(array, name)
    return array.double().contiguous()


def boolean_mask(value: Any, name: str = "mask") -> Tensor:
    """Require a mask of booleans, or of zeros and ones, that lets something through."""
    mask = as_tensor(value, name, floating=False)
    require(
        mask.ndim > 0 and bool(((mask == 0) | (mask == 1)).all()),
        f"{name} holds other values than 0 and 1",
        "a mask says of each element whether it is seen",
        "True where it is seen, such as values > 0",
    )
    require(
        bool(mask.any()),
        f"{name} is empty: no element is seen",
        "there is nothing to fit",
        "True for some element",
    )
    return mask.bool()


def trailing(shape: Shape, sides: tuple[int, ...], name: str) -> None:
    """Require that a signal's last sides are those of something that acts on them."""
    require(
        len(shape) >= len(sides) and shape[len(shape) - len(sides) :] == sides,
        f"{name} has sides {list(sides)}, the signal {list(shape)}",
        f"{name} acts on the last {len(sides)} axes of the signal",
        f"give it the sides {list(shape[-len(sides) :])}, or say shape=",
    )
