"""Pictures made of pixels: heat maps of tables, and files taken into the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
LARGEST = (480, 480)  # pixels of a heat map: larger tables are averaged in blocks
_KINDS = {".png": "image/png", ".gif": "image/gif"}


def heat_map(table: Floats, low: float, high: float) -> str:
    """Return a table as a picture address; NaN cells are transparent.

    Parameters
    ----------
    table
        [n1, n2].
    low, high
        Values at the ends of the colour scale.

    Examples
    --------
    >>> heat_map(np.array([[0.0, 1.0]]), 0, 1)[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    small = averaged(table, LARGEST)
    span = (high - low) or 1.0
    colours = mpl.colormaps["viridis"](np.nan_to_num((small - low) / span).clip(0, 1), bytes=True)
    colours[np.isnan(small), 3] = 0
    high, wide = (max(1, most // n) for n, most in zip(small.shape, LARGEST, strict=True))
    out = io.BytesIO()
    Image.fromarray(colours.repeat(high, 0).repeat(wide, 1)).save(out, "PNG")
    return address("image/png", out.getvalue())


def shown(values: Floats) -> str:
    """Return a picture [H, W] or [H, W, 3], 0 black to 1 white, as an address.

    Small ones are enlarged by a whole factor, so that pixels stay pixels.

    Examples
    --------
    >>> shown(np.zeros((2, 2)))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    times = max(1, LARGEST[0] // max(values.shape[:2]))
    pixels = np.round(np.clip(np.nan_to_num(values, nan=0.5), 0, 1) * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels.repeat(times, 0).repeat(times, 1)).save(out, "PNG")
    return address("image/png", out.getvalue())


def averaged(table: Floats, largest: tuple[int, int]) -> Floats:
    """Average blocks of a table, leaving NaN out, until it fits.

    Examples
    --------
    >>> averaged(np.array([[1.0, 3.0], [np.nan, np.nan]]), (2, 1)).tolist()
    [[2.0], [nan]]
    """
    rows, cols = (-(-n // most) for n, most in zip(table.shape, largest, strict=True))
    if rows == cols == 1:
        return table
    high, wide = (-(-n // k) for n, k in zip(table.shape, (rows, cols), strict=True))
    padded = np.full((high * rows, wide * cols), np.nan)
    padded[: table.shape[0], : table.shape[1]] = table
    cells = padded.reshape(high, rows, wide, cols)
    count = (~np.isnan(cells)).sum((1, 3))
    total = np.nansum(cells, (1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def picture(path: Path) -> str:
    """Return a PNG or GIF file as a picture address."""
    return address(_KINDS[path.suffix], path.read_bytes())


def address(kind: str, data: bytes) -> str:
    """Return data as an address that needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
