"""Pictures of a separated stack: a strip for a glance, an animation to watch.

From top to bottom (in the animation: from left to right) the frame, its background, and its
foreground before a pale ghost of the background.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wellposed.files import atomic_write

if TYPE_CHECKING:
    from PIL import Image

STRIP = 5  # frames in the strip
MOMENTS = 120  # frames of the animation, at most
SIDE = 240  # pixels: pictures are enlarged towards this width, and shrunk to twice of it
GAP = 6  # pixels between pictures
MILLISECONDS = 100  # a frame of the animation
Frames = NDArray[np.floating]
Pixels = NDArray[np.uint8]


class Layered(NamedTuple):
    """What is drawn: frames, backgrounds and masks, [T, H, W] or [T, H, W, 3]."""

    frames: Frames
    background: Frames
    mask: NDArray[np.bool_]


def write_previews(folder: Path, layers: Layered) -> None:
    """Write preview.png and preview.gif; NaN is drawn in mid-grey."""
    span = limits(layers.frames)
    columns = [panels(layers, k, span) for k in busiest(layers.mask, STRIP)]
    _save(folder / "preview.png", [_picture(laid_out(list(zip(*columns, strict=True))))])
    stride = -(-len(layers.frames) // MOMENTS)
    times = range(0, len(layers.frames), stride)
    moving = (_picture(laid_out([panels(layers, k, span)])) for k in times)
    _save(folder / "preview.gif", [_few_colours(picture) for picture in moving])


def busiest(mask: NDArray[np.bool_], count: int) -> list[int]:
    """Return the frame with most foreground in each of ``count`` equal parts of the time.

    Examples
    --------
    >>> moving = np.zeros((6, 2, 2), bool)
    >>> moving[[1, 5], 0] = True
    >>> busiest(moving, 2)
    [1, 5]
    """
    share = moving(mask).mean((1, 2))
    edges = np.linspace(0, len(mask), min(count, len(mask)) + 1).astype(int)
    return [int(a + share[a:b].argmax()) for a, b in itertools.pairwise(edges)]


def moving(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels [T, H, W] are foreground: those with any colour that is.

    Examples
    --------
    >>> moving(np.array([[[[False, True, False]]]])).tolist()
    [[[True]]]
    """
    return mask if mask.ndim == 3 else np.any(mask, -1)


def limits(frames: Frames) -> tuple[float, float]:
    """Return what is drawn black and white: 0 and 1, unless the frames go beyond."""
    low, high = float(np.nanmin(frames)), float(np.nanmax(frames))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def panels(layers: Layered, at: int, span: tuple[float, float]) -> list[Pixels]:
    """Return frame, background and foreground of one moment as pixels [H, W, 3]."""
    told, behind = _shades(layers.frames[at], span), _shades(layers.background[at], span)
    moving = _colour(layers.mask[at]).any(-1, keepdims=True)
    before = np.where(moving, told, 0.86 + 0.12 * behind)
    return [_sized(part) for part in (told, behind, before)]


def laid_out(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    """Lay rows of equal pictures out as one picture, with gaps.

    Examples
    --------
    >>> one = np.zeros((10, 20, 3), np.uint8)
    >>> laid_out([[one, one], [one, one]]).shape
    (26, 46, 3)
    """
    return _joined([_joined(row, 1) for row in rows], 0)


def _shades(values: Frames, span: tuple[float, float]) -> Frames:
    low, high = span
    scaled = (values - low) / ((high - low) or 1.0)
    shades: Frames = _colour(np.nan_to_num(scaled, nan=0.5).clip(0, 1))
    return shades


def _colour(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.ndim == 3 else np.repeat(values[..., None], 3, -1)


def _sized(part: Frames) -> Pixels:
    """Enlarge a picture by a whole factor, or shrink it by averaging squares."""
    high, wide, _ = part.shape
    factor = -(-wide // (2 * SIDE))
    if factor > 1 and high >= factor:
        part = part[: high // factor * factor, : wide // factor * factor]
        part = part.reshape(high // factor, factor, wide // factor, factor, 3).mean((1, 3))
    pixels = np.round(255 * part).astype(np.uint8)
    times = max(1, SIDE // wide)
    return pixels.repeat(times, 0).repeat(times, 1)


def _joined(pictures: Sequence[Pixels], axis: int) -> Pixels:
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate(list(_between(pictures, gap)), axis)


def _between(pictures: Sequence[Pixels], gap: Pixels) -> Iterator[Pixels]:
    for k, picture in enumerate(pictures):
        if k:
            yield gap
        yield picture


def _picture(pixels: Pixels) -> Image.Image:
    from PIL import Image

    grey = bool((pixels == pixels[..., :1]).all())
    return Image.fromarray(pixels[..., 0] if grey else pixels)


def _few_colours(picture: Image.Image) -> Image.Image:
    """Return a picture with a palette; Pillow's own choice of colours is ten times slower."""
    from PIL import Image

    if picture.mode == "L":
        return picture
    return picture.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _save(path: Path, pictures: list[Image.Image]) -> None:
    first, rest = pictures[0], pictures[1:]
    moving = {"save_all": True, "append_images": rest, "duration": MILLISECONDS, "loop": 0}
    options: dict[str, Any] = moving if path.suffix == ".gif" else {}
    kind = path.suffix[1:].upper()
    atomic_write(path, lambda file: first.save(file, kind, **options))
