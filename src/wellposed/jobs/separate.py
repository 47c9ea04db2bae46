"""Separate a stack of frames: read and check it, then hand it to the stages.

Nothing heavy is loaded before the stack is read: a bad one is refused without waiting.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wellposed.errors import InputError
from wellposed.io import Stack, read_stack
from wellposed.jobs.bounds import rank_fits
from wellposed.jobs.requests import SeparateJob

if TYPE_CHECKING:
    from wellposed.jobs.folder import Done

LARGEST = 200_000_000  # pixel values; a fit holds about six arrays of this size


def separate(
    job: SeparateJob,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
) -> Done:
    """Separate frames into a low-rank background and what moves before it.

    The folder then holds ``separated.npz`` (background, foreground, mask), the previews
    ``preview.png`` and ``preview.gif``, ``summary.json`` and ``report.html``. The foreground is
    the frame minus the background where the two differ by more than the threshold, else zero.
    Pixels that are NaN are missing: the background is estimated there, the foreground is zero.

    Parameters
    ----------
    job
        What to do.
    out, progress, checkpoint_seconds
        As for ``jobs.complete``.

    Raises
    ------
    FileError, InputError
        The stack, or what was asked of it, is not sound; nothing is left behind.
    StoreError
        The folder belongs to another job.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> frames = np.full((12, 8, 10), 0.5) + 0.01 * np.sin(np.arange(960.0)).reshape(12, 8, 10)
    >>> for t in range(12):
    ...     frames[t, 3:5, t % 10] = 1.0
    >>> np.save(folder / "clip.npy", frames)
    >>> done = separate(SeparateJob(str(folder / "clip.npy"), rank=1), folder / "run")
    >>> mask = np.load(folder / "run" / "separated.npz")["mask"]
    >>> done.status, int(mask.sum()), bool(mask[7, 3, 7])
    ('converged', 24, True)
    """
    stack = read_stack(
        job.stack, max_frames=job.max_frames, stride=job.stride, scale=job.scale, grey=job.grey
    )
    _check(job, stack)
    from wellposed.jobs.separation import separate_stack  # loads torch

    return separate_stack(job, stack, out, progress, checkpoint_seconds)


def _check(job: SeparateJob, stack: Stack) -> None:
    count, size = len(stack.frames), stack.frames[0].size
    if count < 3:
        raise InputError(
            f"{job.stack} has {count} frame(s), expected at least 3",
            "what moves is told from what stays by comparing frames",
        )
    if stack.frames.size > LARGEST:
        raise InputError(
            f"{job.stack} holds {stack.frames.size:,} pixel values, the limit is {LARGEST:,}",
            "the separation works on all of them at once, in memory",
            "shrink the frames (--scale 2), drop the colour (--grey), or take fewer frames "
            "(--stride 2, --max-frames 200)",
        )
    rank_fits(
        job.rank,
        min(count, size),
        f"there are {count} frames of {size} pixel values",
        "1 suits a camera that stands still; leave the rank out to have it chosen",
    )
