"""Draws of images as one picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wellposed.files import atomic_write
from wellposed.jobs.previews import Pixels, laid_out

SIDE = 96  # pixels: smaller images are enlarged towards this width


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
        Bytes [H', W', 3].

    Examples
    --------
    >>> grid(np.zeros((4, 1, 48, 48))).shape
    (198, 198, 3)
    """
    bytes_ = np.round(127.5 * (np.nan_to_num(x).clip(-1, 1) + 1)).astype(np.uint8)
    colour = np.repeat(bytes_, 3 // x.shape[1], axis=1).transpose(0, 2, 3, 1)
    times = max(1, SIDE // x.shape[3])
    large = colour.repeat(times, 1).repeat(times, 2)
    columns = columns or math.ceil(math.sqrt(len(large)))
    blank = np.full_like(large[0], 255)
    cells = [*large, *[blank] * (-len(large) % columns)]
    return laid_out([cells[k : k + columns] for k in range(0, len(cells), columns)])


def write_grid(path: Path, x: NDArray[np.floating], columns: int | None = None) -> None:
    """Write images as one PNG; parameters as in ``grid``."""
    picture = Image.fromarray(grid(x, columns))
    atomic_write(path, lambda file: picture.save(file, "PNG"))
