"""Complete an array of three or more modes: read and check it, then hand it to the stages.

Nothing heavy is loaded before the array is read: a bad one is refused without waiting.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wellposed.errors import InputError
from wellposed.io import Cube, read_cube
from wellposed.jobs.bounds import rank_fits
from wellposed.jobs.requests import CompleteCubeJob

if TYPE_CHECKING:
    from wellposed.jobs.folder import Done


def complete_cube(
    job: CompleteCubeJob,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
) -> Done:
    """Complete an array with a Tucker model, judged on cells that it never saw.

    The folder then holds ``completed.npy`` (observed values as they were), ``factors.npz`` (core
    and a factor a mode), ``slices.npz``, ``summary.json`` and ``report.html``. Slices without any
    observed cell stay NaN: nothing is known of them.

    Parameters
    ----------
    job
        What to do.
    out, progress, checkpoint_seconds
        As for ``jobs.complete``.

    Raises
    ------
    FileError, InputError, CapabilityError
        The array, or what was asked of it, is not sound; nothing is left behind.
    StoreError
        The folder belongs to another job.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> a, b, c = np.arange(1.0, 9), np.arange(1.0, 8), np.arange(1.0, 7)
    >>> cube = a[:, None, None] * b[:, None] * c
    >>> np.save(folder / "cube.npy", np.where(np.arange(336).reshape(cube.shape) % 5, cube, np.nan))
    >>> job = CompleteCubeJob(str(folder / "cube.npy"), ranks=(1, 1, 1), tol=1e-9)
    >>> done = complete_cube(job, folder / "run")
    >>> done.status, bool(np.allclose(np.load(folder / "run" / "completed.npy"), cube))
    ('converged', True)
    """
    cube = read_cube(job.cube, variable=job.variable)
    _check(job, cube)
    from wellposed.jobs.cube_completion import complete_values  # loads torch

    return complete_values(job, cube, out, progress, checkpoint_seconds)


def _check(job: CompleteCubeJob, cube: Cube) -> None:
    if job.ranks is not None and len(job.ranks) != len(cube.shape):
        raise InputError(
            f"there are {len(job.ranks)} ranks {job.ranks} for an array of shape {cube.shape}",
            "each mode has a rank of its own",
            "leave the ranks out: they are then chosen by hold-out",
        )
    for k, (rank, side) in enumerate(zip(job.ranks or (), cube.shape, strict=False)):
        rank_fits(
            rank,
            side,
            f"the array has the shape {cube.shape}",
            "lower it, or leave the ranks out: they are then chosen by hold-out",
            f"the rank of mode {k}",
        )
