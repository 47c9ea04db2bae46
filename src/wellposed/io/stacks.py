"""Read a stack of frames from a folder, a video, a picture with many pages, or an array."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.arrays import read_npy, read_npz
from wellposed.io.images import MAGIC, folder_frames, pages
from wellposed.io.source import NUMPY, ZIP, Limits, head_of, positive
from wellposed.io.stack import Frame, Pick, Stack, collect
from wellposed.io.variables import holds_variables, read_variable
from wellposed.io.video import is_video, video_frames


def read_stack(
    path: str | Path,
    *,
    max_frames: int | None = None,
    stride: int = 1,
    scale: int = 1,
    grey: bool = False,
    limits: Limits | None = None,
) -> Stack:
    """Read frames of equal size.

    Parameters
    ----------
    path
        A folder of pictures (in natural order of their names), a video, a TIFF or GIF with
        many pages, or an array [T, H, W] or [T, H, W, C], C in {1, 3, 4}: .npy, .npz, or the only
        variable of an HDF5 or NetCDF file.
    max_frames
        Stop after so many frames, >= 1; None takes all.
    stride
        Keep every stride-th frame, >= 1.
    scale
        Average squares of scale x scale pixels, >= 1.
    grey
        Turn colour into grey.
    limits
        Largest picture (64 megapixels by default) and largest stack (2 GiB).

    Returns
    -------
    Stack
        8-bit pictures and videos stay uint8; deeper ones and other arrays become floating.

    Raises
    ------
    FileError
        Missing, unreadable, truncated or oversized; frames of unequal size (the odd one is
        named); infinite pixels. NaN pixels are kept: they are missing.
    MissingExtraError
        A video without the extra ``video``.
    InputError
        An option is out of its range.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "clip.npy"
    >>> np.save(path, np.full((2, 4, 4, 3), 128, np.uint8))
    >>> read_stack(path, scale=2, grey=True).frames.tolist()
    [[[128, 128], [128, 128]], [[128, 128], [128, 128]]]
    """
    path, limits = Path(path), limits or Limits()
    for name, value in (("max_frames", max_frames), ("stride", stride), ("scale", scale)):
        if value is not None:
            positive(value, name)
    pick = Pick(max_frames, stride, scale, grey)
    return collect(path, _frames(path, pick, limits), pick, limits)


def _frames(path: Path, pick: Pick, limits: Limits) -> Iterator[tuple[str, Frame]]:
    if path.is_dir():
        return folder_frames(path, pick, limits)
    head = head_of(path, limits)
    if head.startswith(NUMPY):
        return _slices(path, read_npy(path, limits), pick)
    if head.startswith(ZIP):
        return _slices(path, _stacked(path, read_npz(path, limits)), pick)
    if holds_variables(head):
        return _slices(path, read_variable(path, head, limits), pick)
    if is_video(head):
        return video_frames(path, head, pick, limits)
    if head.startswith(MAGIC):
        return pages(path, pick, limits)
    raise FileError(
        f"{path} is no video, picture or array",
        "its first bytes belong to none of these kinds",
        "give a folder of pictures, a video (avi, mp4, ...), a TIFF or GIF, .npy, .npz or HDF5",
    )


def _stacked(path: Path, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    found = [array for array in arrays.values() if array.ndim in (3, 4)]
    if len(found) == 1:
        return found[0]
    told = ", ".join(f"{name} {list(a.shape)}" for name, a in list(arrays.items())[:8])
    raise FileError(
        f"{path} holds {told}; expected one array of frames",
        "otherwise it is not clear which array is meant",
        "save the frames alone",
    )


def _slices(path: Path, array: NDArray[Any], pick: Pick) -> Iterator[tuple[str, Frame]]:
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3, 4)):
        raise FileError(
            f"{path} holds an array of shape {list(array.shape)}, expected [T, H, W] or "
            f"[T, H, W, C] with 1, 3 or 4 channels"
        )
    if array.ndim == 4:
        array = array[..., 0] if array.shape[3] == 1 else array[..., :3]
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        array = array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    for k in pick.of(range(len(array))):
        if np.isinf(array[k]).any():
            raise FileError(f"{path}: frame {k} has infinite pixels, expected numbers or NaN")
        yield str(k), array[k]
