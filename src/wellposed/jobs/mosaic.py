"""Images laid out as one PNG, the gaps transparent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellposed.files import atomic_write
from wellposed.jobs.previews import laid_out

WIDTH = 1200  # pixels: small images are enlarged by a whole factor towards it
CHANNELS = (1, 3)


def is_image(shape: Sequence[int]) -> bool:
    """Tell whether signals of a shape [C, H, W] are grey or colour images.

    Examples
    --------
    >>> is_image((1, 32, 32)), is_image((2,)), is_image((5, 8, 8))
    (True, False, False)
    """
    return len(shape) == 3 and shape[0] in CHANNELS and min(shape[1:]) > 1


def write_mosaic(path: Path, images: NDArray[np.float32]) -> None:
    """Write images [rows, columns, C, H, W] as a PNG; black is -1, white 1, NaN transparent."""
    from PIL import Image

    pixels = mosaic(images)
    atomic_write(path, lambda file: Image.fromarray(pixels).save(file, "PNG"))


def mosaic(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return images [rows, columns, C, H, W] as one picture with transparency, [H', W', 4].

    Examples
    --------
    >>> mosaic(np.zeros((1, 2, 1, 600, 600), np.float32)).shape
    (600, 1206, 4)
    """
    columns, wide = images.shape[1], images.shape[-1]
    times = max(1, WIDTH // (columns * wide))
    tiles = [[_pixels(image, times) for image in row] for row in images]
    known = np.asarray(np.isfinite(images).all((2, 3, 4)))
    hidden = [
        [np.full_like(tile, 0 if kept else 255) for tile, kept in zip(row, keep, strict=True)]
        for row, keep in zip(tiles, known, strict=True)
    ]
    opaque = 255 - laid_out(hidden)[..., :1]  # a gap is white there
    return np.concatenate([laid_out(tiles), opaque], -1)


def _pixels(image: NDArray[np.float32], times: int) -> NDArray[np.uint8]:
    shades = np.nan_to_num(image).clip(-1, 1) * 127.5 + 127.5
    colours = np.broadcast_to(shades, (3, *image.shape[1:])).transpose(1, 2, 0)
    pixels: NDArray[np.uint8] = np.round(colours).astype(np.uint8)
    return pixels.repeat(times, 0).repeat(times, 1)
