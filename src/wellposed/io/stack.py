"""A stack of frames of equal size: a video, a folder of pictures, or an array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.source import Limits, allow

Frame = NDArray[Any]  # [H, W] or [H, W, C], uint8 or floating


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames of equal size.

    Parameters
    ----------
    frames
        [T, H, W] grey or [T, H, W, C] colour; uint8 in 0..255, or floating as in the file,
        where NaN is a missing pixel.
    names
        What the frames are called: file names, or their number in the video, from 0.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "clip.npy"
    >>> np.save(path, np.zeros((5, 4, 6), np.uint8))
    >>> from wellposed.io import read_stack
    >>> stack = read_stack(path, stride=2)
    >>> stack.frames.shape, stack.names
    ((3, 4, 6), ('0', '2', '4'))
    """

    frames: Frame
    names: tuple[str, ...]

    @property
    def grey(self) -> bool:
        """Whether the frames have no colour axis."""
        return self.frames.ndim == 3


class Pick(NamedTuple):
    """Which frames, and how much of each."""

    max_frames: int | None
    stride: int
    scale: int
    grey: bool

    def of(self, names: Iterable[Any]) -> Iterator[Any]:
        """Take every stride-th item, at most max_frames."""
        stop = None if self.max_frames is None else self.max_frames * self.stride
        return islice(names, 0, stop, self.stride)


def collect(path: Path, frames: Iterable[tuple[str, Frame]], pick: Pick, limits: Limits) -> Stack:
    """Stack named frames, reduced as asked; sizes must agree and stay within the limit."""
    kept: list[Frame] = []
    names: list[str] = []
    for name, frame in frames:
        frame = reduce(to_grey(frame) if pick.grey else frame, pick.scale)
        if not frame.size:
            raise FileError(
                f"{path}, {name}: nothing is left of it at 1/{pick.scale} size",
                remedy="a smaller --scale",
            )
        if kept and (frame.shape, frame.dtype) != (kept[0].shape, kept[0].dtype):
            raise FileError(
                f"{path}: {name} is {_told(frame)}, but {names[0]} is {_told(kept[0])}",
                "frames are columns of one matrix, so they have one size and kind",
                "leave it out, crop it, or convert all to grey",
            )
        allow(path, frame.nbytes * (len(kept) + 1), limits, "its frames take")
        kept.append(frame)
        names.append(name)
    if not kept:
        raise FileError(
            f"{path} holds no frames",
            "there is nothing to separate",
            "choose frames that are there",
        )
    return Stack(np.stack(kept), tuple(names))


def to_grey(frame: Frame) -> Frame:
    """Weigh red, green and blue as ITU-R BT.601 does: 0.299, 0.587, 0.114."""
    if frame.ndim == 2:
        return frame
    grey = frame[..., :3] @ np.array([0.299, 0.587, 0.114])
    return _like(grey, frame.dtype)


def reduce(frame: Frame, factor: int) -> Frame:
    """Average squares of factor x factor pixels; what does not fill a square is cut off."""
    if factor == 1:
        return frame
    high, wide = frame.shape[0] // factor, frame.shape[1] // factor
    cut = frame[: high * factor, : wide * factor]
    cells = cut.reshape(high, factor, wide, factor, *frame.shape[2:])
    return _like(cells.mean((1, 3), dtype=np.float64), frame.dtype)


def _like(values: NDArray[np.float64], dtype: np.dtype[Any]) -> Frame:
    return (values + 0.5).astype(np.uint8) if dtype == np.uint8 else values.astype(dtype)


def _told(frame: Frame) -> str:
    kind = "grey" if frame.ndim == 2 else f"of {frame.shape[2]} channels"
    return f"{frame.shape[1]} x {frame.shape[0]} pixels, {kind}, {frame.dtype}"
