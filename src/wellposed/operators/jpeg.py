"""JPEG compression: a smooth surrogate, or the codec itself.

Model      8-bit levels of x in [-1, 1]; luminance and colour differences (ITU-T T.871); cosine
           transform C of blocks of 8 x 8 pixels (edges repeated to whole blocks);
           c' = q round(c / q) with the tables q of ITU-T T.81, annex K, scaled by the quality
           as the Independent JPEG Group does; and back. No colour subsampling (4:4:4).
Surrogate  round(u) is replaced by u - sin(2 pi u) / (2 pi): smooth, increasing, exact at whole
           and half numbers, at most 0.16 from u and 0.5 from round(u); levels are not clipped.
Codec      Pillow's; no gradient: for methods that need the likelihood only.
Cost       surrogate: a few thin products a block; codec: about 10 us for 1000 pixels, on one
           thread, image by image.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.operators.base import Operator, Shape
from wellposed.operators.blur import beyond
from wellposed.operators.generic import checked_shape

BLOCK = 8
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)


@dataclass(frozen=True)
class JPEG(Operator):
    """Compress and decompress images.

    Parameters
    ----------
    quality
        1 (coarse) to 100 (fine), as in Pillow.
    shape
        Shape of one signal: (H, W) or (1, H, W) grey, (3, H, W) colour; range [-1, 1].
    codec
        Whether to run the codec itself, which has no gradient, instead of the surrogate.

    Raises
    ------
    InputError
        A quality out of range, or a shape that is not that of a grey or colour image.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> jpeg = wp.operators.JPEG(50, (3, 16, 16))
    >>> jpeg(torch.zeros(3, 16, 16)).abs().max() < 0.01, jpeg.differentiable
    (tensor(True), True)
    """

    quality: int
    shape: Shape
    codec: bool = False
    complex_values: ClassVar[bool | None] = False

    def __post_init__(self) -> None:
        whole(self.quality, "quality")
        require(self.quality <= 100, f"quality is {self.quality}, expected 1 to 100")
        shape = checked_shape(self.shape, "shape")
        require(
            len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3)),
            f"shape is {list(shape)}, expected (H, W), (1, H, W) or (3, H, W)",
            "JPEG stores grey or colour images",
        )
        object.__setattr__(self, "shape", shape)

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether this is the surrogate."""
        return not self.codec

    @property
    def shape_in(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    def forward(self, x: Tensor) -> Tensor:
        """Compress and decompress each image in the batch."""
        images = x.reshape(len(x), -1, *self.shape[-2:])
        if self.codec:
            return torch.stack([self._through_codec(image) for image in images]).reshape(x.shape)
        levels = (images + 1) * 127.5
        color = levels.new_tensor(TO_YCC)
        if levels.shape[1] == 3:
            levels = torch.einsum("ij,bjhw->bihw", color, levels)
            decoded = self._quantize(levels - self._middle.to(x)) + self._middle.to(x)
            decoded = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(color), decoded)
        else:
            decoded = self._quantize(levels - 128) + 128
        return (decoded / 127.5 - 1).reshape(x.shape)

    @cached_property
    def _middle(self) -> Tensor:
        """What is subtracted: 128 from the luminance; colour differences are around zero."""
        return torch.tensor([128.0, 0.0, 0.0]).reshape(3, 1, 1)

    def _quantize(self, planes: Tensor) -> Tensor:
        """Round the coefficients of planes [B, C, H, W] around zero."""
        height, width = self.shape[-2:]
        for axis in (-2, -1):
            side = planes.shape[axis]
            places = beyond(side, 0, -side % BLOCK, "replicate", planes.device)
            planes = planes.index_select(axis, places)
        batch, channels, tall, wide = planes.shape
        blocks = planes.reshape(batch, channels, tall // BLOCK, BLOCK, wide // BLOCK, BLOCK)
        blocks = blocks.transpose(3, 4)
        cosine, table = cosine_matrix().to(planes), self._tables[:channels, None, None].to(planes)
        coefficients = table * smooth_round(cosine @ blocks @ cosine.mT / table)
        blocks = (cosine.mT @ coefficients @ cosine).transpose(3, 4)
        return blocks.reshape(planes.shape)[..., :height, :width]

    @cached_property
    def _tables(self) -> Tensor:
        """Steps of the quantizer, [3, 8, 8]."""
        scale = 5000 // self.quality if self.quality < 50 else 200 - 2 * self.quality
        base = torch.tensor([LUMINANCE, CHROMINANCE, CHROMINANCE])
        return ((base * scale + 50) // 100).clamp(1, 255).double()

    def _through_codec(self, image: Tensor) -> Tensor:
        levels = ((image + 1) * 127.5).clamp(0, 255).round().to(torch.uint8).cpu().numpy()
        picture = Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=self.quality, subsampling=0)
        file.seek(0)
        with Image.open(file) as opened:
            back = np.asarray(opened, dtype=np.float64)
        back = back[None] if back.ndim == 2 else back.transpose(2, 0, 1)
        return torch.from_numpy(back / 127.5 - 1).to(image)


def smooth_round(u: Tensor) -> Tensor:
    """Return u - sin(2 pi u) / (2 pi)."""
    return u - torch.sin(2 * math.pi * u) / (2 * math.pi)


def cosine_matrix() -> Tensor:
    """Return the orthonormal cosine transform of 8 numbers (DCT-II), [8, 8], float64."""
    k = torch.arange(BLOCK, dtype=torch.float64)
    table = torch.cos(math.pi / BLOCK * (k + 0.5) * k[:, None]) * math.sqrt(2 / BLOCK)
    table[0] /= math.sqrt(2)
    return table
