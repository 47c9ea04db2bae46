"""Parallel-beam tomography: exact strip integrals of images made of square pixels.

Model      y_{a,k} = integral of the image over the strip  k - D/2 <= s <= k + 1 - D/2  of the
           detector, where s = u cos a + v sin a, u to the right and v upwards from the middle of
           the image, all in pixels: at 0 degrees sums of columns, at 90 sums of rows from below.
Rows       a pixel's shadow is a trapezoid: the convolution of boxes of widths |cos a|, |sin a|.
           With half widths  flat = ||cos| - |sin|| / 2  and  wide = (|cos| + |sin|) / 2  its
           share below t is  1/2 + t / max(|cos|, |sin|)         for |t| <= flat,
                             1 - (wide - t)^2 / (2 |cos sin|)    for flat < t < wide,
           and the mirror image below. A pixel meets at most three strips.
Cost       one sparse matrix, built once: about 2.3 numbers for each pixel and angle.
Fails      nothing is known about few or limited angles beyond what was measured: that is the
           prior's part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.operators.base import Shape
from wellposed.operators.entries import SparseMatrix
from wellposed.operators.generic import checked_shape, sparse_matrix
from wellposed.operators.image import ImageOperator, real_array

Array = NDArray[np.floating]

AT_ONCE = 1 << 22  # numbers in one block of angles while the matrix is built


@dataclass(frozen=True, eq=False)
class Radon(ImageOperator):
    """Project images along parallel rays.

    Parameters
    ----------
    angles
        Directions of the detector in degrees, [A]; any, in any order. 180 of them from 0 to 179
        are a full scan; fewer a sparse one; a part of the half circle a limited one.
    shape
        Shape of one signal, [..., H, W].
    detectors
        Number of strips, one pixel wide, around the middle; by default as many as see the
        whole image from every side.

    Raises
    ------
    InputError
        No angle, an angle that is not finite, or a shape that is not that of an image.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> scan = wp.operators.Radon([0.0, 90.0], (2, 2), detectors=2)
    >>> scan(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).round(decimals=4).tolist()
    [[4.0, 6.0], [7.0, 3.0]]
    """

    angles: Tensor
    shape: Shape
    detectors: int | None = None

    def __post_init__(self) -> None:
        shape = checked_shape(self.shape, "shape")
        require(len(shape) >= 2, f"shape is {list(shape)}, expected that of an image, [..., H, W]")
        object.__setattr__(self, "angles", real_array(self.angles, "angles", (1,)))
        object.__setattr__(self, "shape", shape)
        if self.detectors is None:
            across = math.ceil(math.hypot(*shape[-2:]))
            object.__setattr__(self, "detectors", across + (across + shape[-1]) % 2)
        whole(self.detectors, "detectors")

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """[..., angles, detectors]."""
        return (*self.shape[:-2], len(self.angles), int(self.detectors or 0))

    @cached_property
    def _matrix(self) -> SparseMatrix:
        table = strip_matrix(self.angles, self.shape[-2:], self.shape_out[-1])
        matrix = sparse_matrix(table)
        return SparseMatrix(matrix.pattern, matrix.values.to(self.angles.device), matrix.shape)

    @cached_property
    def _single(self) -> SparseMatrix:
        return SparseMatrix(self._matrix.pattern, self._matrix.values.float(), self._matrix.shape)

    def _like(self, x: Tensor) -> SparseMatrix:
        return self._single if x.dtype == torch.float32 else self._matrix

    def forward(self, x: Tensor) -> Tensor:
        """Project each image in the batch."""
        columns = x.reshape(-1, math.prod(self.shape[-2:])).mT.contiguous()
        return (self._like(x) @ columns).mT.reshape(-1, *self.shape_out)

    def backward(self, y: Tensor) -> Tensor:
        """Smear each measurement back over the image."""
        columns = y.reshape(-1, math.prod(self.shape_out[-2:])).mT.contiguous()
        return (self._like(y).T @ columns).mT.reshape(-1, *self.shape)


def strip_matrix(angles: Tensor, sides: Shape, detectors: int) -> sparse.csr_array:
    """Return the areas in which pixels meet strips, [A detectors, H W], float64."""
    height, width = sides
    u = (np.arange(width) - (width - 1) / 2)[None]
    v = ((height - 1) / 2 - np.arange(height))[:, None]
    radians = np.deg2rad(angles.cpu().numpy())
    step = max(1, AT_ONCE // (3 * height * width))
    blocks = [_strips(radians[i : i + step], u, v, detectors) for i in range(0, len(radians), step)]
    return sparse.csr_array(sparse.vstack(blocks))


def _strips(radians: Array, u: Array, v: Array, detectors: int) -> sparse.csr_array:
    """Return the rows of some angles."""
    cos, sin = (f(radians)[:, None, None] for f in (np.cos, np.sin))
    centre = (u * cos + v * sin).reshape(len(radians), -1, 1)  # [a, pixels, 1]
    cos, sin = np.abs(cos), np.abs(sin)
    first = np.floor(centre - (cos + sin) / 2 + detectors / 2 + 1e-12)
    strip = first + np.arange(3)  # [a, pixels, 3]
    low = strip - detectors / 2 - centre
    area = _share(low + 1, cos, sin) - _share(low, cos, sin)
    row = np.arange(len(radians))[:, None, None] * detectors + strip
    col = np.broadcast_to(np.arange(u.size * v.size)[:, None], area.shape)
    seen = (strip >= 0) & (strip < detectors) & (area > 1e-14)
    shape = (len(radians) * detectors, u.size * v.size)
    places = (row[seen].astype(np.int64), col[seen])
    return sparse.coo_array((area[seen], places), shape=shape).tocsr()


def _share(t: Array, cos: Array, sin: Array) -> Array:
    """Return the share of a pixel's shadow below t."""
    flat, wide = np.abs(cos - sin) / 2, (cos + sin) / 2
    distance = np.minimum(np.abs(t), wide)
    corner = (wide - distance) ** 2 / np.maximum(2 * cos * sin, 1e-300)
    beyond = np.where(distance <= flat, 0.5 - distance / np.maximum(cos, sin), corner)
    share: Array = np.where(t >= 0, 1 - beyond, beyond)
    return share
