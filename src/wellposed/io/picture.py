"""One picture in and out, on the scale from 0 (black) to 1 (white)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError, InputError
from wellposed.files import atomic_write
from wellposed.io.arrays import read_npy
from wellposed.io.images import MAGIC, pages
from wellposed.io.source import NUMPY, Limits, decoding, head_of
from wellposed.io.stack import Pick

PIXELS = 4_000_000  # of one picture to work on
FORMATS = ("png", "jpeg", "tiff", "npy")
_DEPTHS = {"I;16": 65535.0, "I;16B": 65535.0, "I;16L": 65535.0, "I": 65535.0, "F": 1.0}
_FARTHEST = (
    2.0  # from 0..1, in units of the range: beyond it a floating picture is on another scale
)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture.

    Parameters
    ----------
    values
        [H, W] grey or [H, W, 3] colour, float32; 0 black, 1 white. Floating files may go beyond.
    bits
        8 or 16 of the file; 32 for a floating one.
    """

    values: NDArray[np.float32]
    bits: int

    @property
    def grey(self) -> bool:
        """Whether there is no colour axis."""
        return self.values.ndim == 2


def read_picture(path: str | Path, limits: Limits | None = None, *, scaled: bool = True) -> Picture:
    """Read a PNG, JPEG, TIFF, BMP, GIF, WebP or PNM (its first page), or a .npy array.

    Parameters
    ----------
    path
        The file. Transparency is dropped. An array is [H, W], [H, W, 1] or [H, W, 3]: uint8,
        uint16, bool, or floating on the scale from 0 to 1.
    limits
        By default four million pixels.
    scaled
        Whether floating numbers have to lie about the scale from 0 to 1.

    Raises
    ------
    FileError
        Missing, damaged, too large, no picture, not finite, or floating on another scale.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "grey.npy"
    >>> np.save(path, np.array([[0, 255]], np.uint8))
    >>> read_picture(path).values.tolist()
    [[0.0, 1.0]]
    """
    path, limits = Path(path), limits or Limits(pixels=PIXELS)
    head = head_of(path, limits)
    if head.startswith(NUMPY):
        return _from_array(path, read_npy(path, limits), limits, scaled)
    if not head.startswith(MAGIC):
        raise FileError(
            f"{path} is no picture or array",
            "its first bytes belong to none of these kinds",
            "give a PNG, JPEG, TIFF or .npy file",
        )
    _, frame = next(iter(pages(path, Pick(1, 1, 1, False), limits)))
    if frame.dtype == np.uint8:
        return Picture((frame / np.float32(255)).astype(np.float32), 8)
    white = _DEPTHS[_mode(path)]
    values = (frame / white).astype(np.float32)
    return Picture(_sound(path, values, scaled), 32 if white == 1 else 16)


def write_picture(path: Path, values: NDArray[Any], bits: int = 8) -> None:
    """Write a picture atomically; what is beyond black and white is clipped, except in .npy.

    Parameters
    ----------
    path
        Ends in .png, .jpeg, .tiff or .npy.
    values
        [H, W] or [H, W, 3], 0 black, 1 white.
    bits
        16 keeps grey PNG and TIFF files deep; colour ones and JPEG have 8.

    Raises
    ------
    InputError
        Another suffix or shape.
    FileError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "deep.png"
    >>> write_picture(path, np.full((4, 4), 1 / 3), bits=16)
    >>> round(float(read_picture(path).values[0, 0]), 5), read_picture(path).bits
    (0.33333, 16)
    """
    kind = path.suffix[1:]
    if kind not in FORMATS or values.ndim not in (2, 3):
        raise InputError(
            f"{path.name} cannot hold an array of shape {list(values.shape)}",
            remedy=f"pictures [H, W] or [H, W, 3]; names end in {', '.join(FORMATS)}",
        )
    if kind == "npy":
        data = np.asarray(values, np.float32)
        atomic_write(path, lambda file: np.save(file, data, allow_pickle=False))
        return
    deep = bits > 8 and values.ndim == 2 and kind != "jpeg"
    white = 65535 if deep else 255
    levels = np.round(np.clip(values, 0, 1) * white).astype(np.uint16 if deep else np.uint8)
    _save(path, levels, kind)


def _save(path: Path, levels: NDArray[Any], kind: str) -> None:
    from PIL import Image

    picture = Image.fromarray(levels)

    def write(file: BinaryIO) -> None:
        picture.save(file, kind.upper(), **({"quality": 95} if kind == "jpeg" else {}))

    atomic_write(path, write)


def _mode(path: Path) -> str:
    from PIL import Image

    with decoding(path, "a picture"), Image.open(path) as picture:
        return str(picture.mode)


def _from_array(path: Path, array: NDArray[Any], limits: Limits, scaled: bool) -> Picture:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise FileError(
            f"{path} holds an array of shape {list(array.shape)}, expected [H, W] or [H, W, 3]",
            "it is neither a grey nor a colour picture",
            "put the axes in this order, and give one picture at a time",
        )
    count = array.shape[0] * array.shape[1]
    if count > limits.pixels:
        raise FileError(
            f"{path} has {array.shape[1]} x {array.shape[0]} pixels, the limit is "
            f"{limits.pixels:,}",
            "every draw holds that many, and every step looks at all of them",
            "crop or shrink it first",
        )
    whites = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(bool): 1.0}
    if array.dtype.kind != "f" and array.dtype not in whites:
        raise FileError(
            f"{path} holds {array.dtype} values, expected uint8, uint16, bool or floating ones",
            "what is black and what is white is not clear",
            "save it as floating numbers from 0 to 1",
        )
    white = whites.get(array.dtype, 1.0)
    bits = {255.0: 8, 65535.0: 16}.get(white, 32)
    return Picture(_sound(path, (array / white).astype(np.float32), scaled), bits)


def _sound(path: Path, values: NDArray[np.float32], scaled: bool) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise FileError(
            f"{path} has NaN or infinite pixels",
            "one such value spreads over the whole picture",
            "write any number there, and say what was seen by a mask: --operator inpaint:mask.png",
        )
    low, high = float(values.min()), float(values.max())
    if scaled and (low < -_FARTHEST or high > 1 + _FARTHEST):
        raise FileError(
            f"{path} has values from {low:g} to {high:g}, expected the scale from 0 to 1",
            "0 is black and 1 is white; noise may lead a little beyond",
            "divide it by its white value",
        )
    return values
