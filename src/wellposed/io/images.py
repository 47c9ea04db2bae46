"""Pictures through Pillow: single ones, and files with many pages (TIFF, GIF)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from wellposed.errors import FileError
from wellposed.files import file_error
from wellposed.io.source import Limits, decoding, head_of
from wellposed.io.stack import Frame, Pick

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".pgm", ".ppm", ".pbm"}
)
MAGIC = (
    b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"GIF8", b"RIFF",
    b"P1", b"P2", b"P3", b"P4", b"P5", b"P6",
)  # fmt: skip
# Formats that Pillow decodes by itself; others start foreign programs or are rarely tested.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "PPM")
_DEEP = {"I;16": np.float32, "I;16B": np.float32, "I;16L": np.float32, "I": np.float64}


def folder_frames(folder: Path, pick: Pick, limits: Limits) -> Iterator[tuple[str, Frame]]:
    """Yield the pictures of a folder in natural order (2 before 10), one page each."""
    try:
        items = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise file_error(folder, "read", error) from error
    pictures = sorted((f for f in items if not f.name.startswith(".")), key=natural)
    if not pictures:
        raise FileError(
            f"{folder} holds no pictures",
            f"names end in {' '.join(sorted(SUFFIXES))}",
            "give the folder of the frames, a video, or an array",
        )
    for path in pick.of(pictures):
        head_of(path, limits)
        yield path.name, next(iter(pages(path, Pick(1, 1, 1, False), limits)))[1]


def pages(path: Path, pick: Pick, limits: Limits) -> Iterator[tuple[str, Frame]]:
    """Yield the pages of one picture file, named by their number."""
    from PIL import Image

    with decoding(path, "a picture"), _guarded(limits):
        im = Image.open(path, formats=_FORMATS)
    with im:
        with decoding(path, "a picture"), _guarded(limits):
            count = getattr(im, "n_frames", 1)
        for k in pick.of(range(count)):
            with decoding(path, "a picture"), _guarded(limits):
                frame = _page(path, im, k, limits)
            yield str(k), frame


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Order names as people do: numbers in them by value.

    Examples
    --------
    >>> sorted(["f10.png", "f2.png"], key=lambda name: natural(Path(name)))
    ['f2.png', 'f10.png']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    key = [(int(p), "") if p[0] in "0123456789" else (-1, p.lower()) for p in parts]
    return key, path.name


def _page(path: Path, im: Any, k: int, limits: Limits) -> Frame:
    im.seek(k)
    count = im.width * im.height
    if count > limits.pixels:
        raise FileError(
            f"{path} has {im.width} x {im.height} pixels, the limit is {limits.pixels:,}",
            "a small file can unfold to any size",
            f"if you trust the file, raise the limit: Limits(pixels={count})",
        )
    return _frame(im)


def _frame(im: Any) -> Frame:
    """Keep 8-bit grey and colour as they are, deeper grey as floating; drop transparency."""
    if im.mode in _DEEP:
        return np.asarray(im).astype(_DEEP[im.mode])
    if im.mode == "F":
        return np.array(im, np.float32)
    return np.array(im.convert("L" if im.mode in ("1", "L", "LA") else "RGB"), np.uint8)


@contextmanager
def _guarded(limits: Limits) -> Iterator[None]:
    """Make Pillow refuse what it only warns of, at our limit; its other warnings are noise."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = limits.pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
