"""Images laid out as one picture; the gaps are transparent, to suit light pages and dark ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wellposed.files import atomic_write
from wellposed.jobs.previews import Pixels, laid_out

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


def grid(x: NDArray[np.floating], columns: int | None = None) -> Pixels:
    """Lay images out in rows, by default in about a square.

    Parameters
    ----------
    x
        [n, C, H, W], C 1 or 3, -1 black to 1 white.
    columns
        Images of a row.

    Returns
    -------
    ndarray
        Bytes [H', W', 4]: colours and opacity.

    Examples
    --------
    >>> grid(np.zeros((3, 1, 600, 600))).shape
    (1206, 1206, 4)
    """
    columns = columns or math.ceil(math.sqrt(len(x)))
    times = max(1, WIDTH // (columns * x.shape[3]))
    shades = np.round(127.5 * (np.nan_to_num(x).clip(-1, 1) + 1)).astype(np.uint8)
    colours = np.repeat(shades, 3 // x.shape[1], axis=1).transpose(0, 2, 3, 1)
    tiles = [image.repeat(times, 0).repeat(times, 1) for image in colours]
    gaps = [np.zeros_like(tile) for tile in tiles]  # white where nothing is
    blank = [np.full_like(tiles[0], 255)] * (-len(x) % columns)
    picture, empty = (_rows([*cells, *blank], columns) for cells in (tiles, gaps))
    return np.concatenate([picture, 255 - empty[..., :1]], -1)


def write_grid(path: Path, x: NDArray[np.floating], columns: int | None = None) -> None:
    """Write images as one PNG; parameters as in ``grid``."""
    picture = Image.fromarray(grid(x, columns))
    atomic_write(path, lambda file: picture.save(file, "PNG"))


def _rows(cells: Sequence[Pixels], columns: int) -> Pixels:
    return laid_out([cells[k : k + columns] for k in range(0, len(cells), columns)])
