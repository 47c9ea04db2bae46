"""The response of a display or a camera, and a blur of linear light.

Model      v = (x - low) / (high - low),  y = low + (high - low) v^e.
           Below v = 1e-3 the power goes on along the straight line to black at v = 0 and beyond,
           so that the map is increasing for every x: signals of a sampler leave the range.
Blur       a lens blurs light, an image file stores about its 2.2th root:
           y = Gamma(1 / e) . Blur(k) . Gamma(e).
Fails      the derivative jumps at v = 1e-3, and is large below it for e < 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, where

from wellposed.checks import require, within
from wellposed.operators.base import Operator, Shape
from wellposed.operators.blur import Blur
from wellposed.operators.compose import Compose
from wellposed.operators.generic import checked_shape

STRAIGHT_BELOW = 1e-3  # share of the range


@dataclass(frozen=True)
class Gamma(Operator):
    """Raise each element to a power, within a range.

    Parameters
    ----------
    exponent
        e > 0; above one it darkens, below one it brightens.
    shape
        Shape of one signal.
    low, high
        The range that is kept: what black and white are, low < high.

    Raises
    ------
    InputError
        A number out of range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> wp.operators.Gamma(2.0, (3,))(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [-1.0, -0.5, 1.0]
    """

    exponent: float
    shape: Shape
    low: float = -1.0
    high: float = 1.0
    complex_values: ClassVar[bool | None] = False

    def __post_init__(self) -> None:
        within(self.exponent, "exponent", 0, open_low=True)
        within(self.low, "low")
        within(self.high, "high")
        require(
            self.low < self.high,
            f"the range goes from {self.low} to {self.high}, expected low < high",
        )
        object.__setattr__(self, "shape", checked_shape(self.shape, "shape"))

    @property
    def shape_in(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    def forward(self, x: Tensor) -> Tensor:
        """Map each element."""
        edge, width = STRAIGHT_BELOW, self.high - self.low
        v = (x - self.low) / width
        line = edge ** (self.exponent - 1) * v
        return self.low + width * where(v < edge, line, v.clamp_min(edge) ** self.exponent)


def nonlinear_blur(
    kernel: Any, shape: Shape, boundary: str = "reflect", *, exponent: float = 2.2
) -> Compose:
    """Blur the light that an image stands for, rather than the image.

    Parameters
    ----------
    kernel, shape, boundary
        As in ``Blur``; a kernel with sum one, not negative, keeps the range.
    exponent
        Light is the image's brightness in [0, 1] to this power, > 0; 1 is a plain blur.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> blur = wp.operators.nonlinear_blur([0.5, 0.5], (4,), "circular")
    >>> y = blur(torch.tensor([-1.0, 1.0, 1.0, -1.0]))
    >>> y.round(decimals=2).tolist()  # half of the light is 73 % of the brightness
    [0.46000000834465027, 1.0, 0.46000000834465027, -1.0]
    """
    blur = Blur(kernel, shape, boundary)
    light, image = Gamma(exponent, blur.shape_in), Gamma(1 / exponent, blur.shape_out)
    return Compose(image, Compose(blur, light))
