"""Shrink an image: the same short matrix along rows and along columns.

Model      Y = R_h X R_w^T for each channel: A = R_h (x) R_w.
Rows       of the antialiased resize by a factor f: y_i is the mean of x_j with weights
           h((j + 1/2 - f (i + 1/2)) / f), over the pixels inside the image, summing to one.
             box      h(t) = 1 on |t| <= 1/2
             bicubic  h(t) = Keys' cubic with a = -1/2, on |t| < 2
           (the convention of Pillow, and of torch's interpolate with antialias=True).
Adjoint    X = R_h^T Y R_w, exact: the same matrices.
Spectral   with R = U S V^T for each axis, A* A is diagonal in V_h (x) V_w, with weights
           s_h^2 s_w^2.
Cost       two thin matrix products a channel; two small singular value decompositions, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.operators.base import Shape
from wellposed.operators.generic import checked_shape
from wellposed.operators.image import ImageOperator
from wellposed.operators.spectral import Spectral, product_basis


def box(t: Tensor) -> Tensor:
    """1 on |t| <= 1/2."""
    return (t.abs() <= 0.5).to(t)


def bicubic(t: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -1/2 (Keys, IEEE Trans. ASSP 1981)."""
    t = t.abs()
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t <= 1, near, torch.where(t < 2, far, 0))


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {"bicubic": bicubic, "box": box}


@dataclass(frozen=True, eq=False)
class Downsample(ImageOperator):
    """Shrink images by a whole factor, with antialiasing.

    Parameters
    ----------
    factor
        How many pixels become one along each side, >= 1; divides both sides.
    shape
        Shape of one signal, [..., H, W].
    kernel
        "bicubic", or "box" for means over blocks of pixels.

    Raises
    ------
    InputError
        A factor that does not divide a side, or another kernel.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> half = wp.operators.Downsample(2, (2, 4), "box")
    >>> half(torch.arange(8.0).reshape(2, 4)).tolist()
    [[2.5, 4.5]]
    """

    factor: int
    shape: Shape
    kernel: str = "bicubic"

    def __post_init__(self) -> None:
        whole(self.factor, "factor")
        shape = checked_shape(self.shape, "shape")
        require(len(shape) >= 2, f"shape is {list(shape)}, expected that of an image, [..., H, W]")
        for side in shape[-2:]:
            require(
                side % self.factor == 0,
                f"factor {self.factor} does not divide a side of {side} pixels",
                "each pixel of the small image stands for a block of the large one",
                "crop the image",
            )
        require(
            self.kernel in KERNELS,
            f"kernel is {self.kernel!r}, expected one of {', '.join(KERNELS)}",
        )
        object.__setattr__(self, "shape", shape)

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """[..., H / factor, W / factor]."""
        *lead, height, width = self.shape
        return (*lead, height // self.factor, width // self.factor)

    @cached_property
    def _rows(self) -> Tensor:
        return resize_matrix(self.shape[-2], self.factor, self.kernel)

    @cached_property
    def _cols(self) -> Tensor:
        return resize_matrix(self.shape[-1], self.factor, self.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Shrink each image in the batch."""
        rows, cols = self._rows.to(x), self._cols.to(x)
        return rows @ x @ cols.mT

    def backward(self, y: Tensor) -> Tensor:
        """Spread each small image in the batch by the same weights."""
        rows, cols = self._rows.to(y), self._cols.to(y)
        return rows.mT @ y @ cols

    def _diagonalise(self) -> Spectral | None:
        """Return the products of the singular vectors of both sides."""
        return product_basis(self._rows, self._cols, self.shape)


def resize_matrix(side: int, factor: int, kernel: str) -> Tensor:
    """Return the matrix of the antialiased resize of a line, [side / factor, side], float64."""
    place = (torch.arange(side, dtype=torch.float64) + 0.5) / factor
    centre = torch.arange(side // factor, dtype=torch.float64) + 0.5
    weights = KERNELS[kernel](place - centre[:, None])
    return weights / weights.sum(1, keepdim=True)
