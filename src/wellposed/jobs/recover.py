"""Recover a picture: read and check it, then hand it to the stages.

Nothing heavy is loaded before the file is read: a bad one is refused without waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wellposed.errors import InputError
from wellposed.io import read_picture
from wellposed.jobs.pictures import RecoverJob
from wellposed.jobs.specs import parse_operator

if TYPE_CHECKING:
    from wellposed.jobs.folder import Done


def recover(
    job: RecoverJob,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
    announce: Callable[[str], None] = lambda line: None,
) -> Done:
    """Draw pictures from the posterior of a measurement.

    The folder then holds ``recovered.npz`` (draws, mean, standard deviation, ends of the 90 %
    interval; 0 black, 1 white), the mean as a picture, ``summary.json`` and ``report.html``;
    of simulated magnitudes ``measured.npy`` and ``code.npy`` as well.

    Parameters
    ----------
    job
        What to do.
    out, progress, checkpoint_seconds
        As for ``jobs.complete``.
    announce
        Told, before the work begins, what it will take.

    Returns
    -------
    Done
        Folder, status and figures.

    Raises
    ------
    FileError, InputError, CapabilityError
        The file, or what was asked of it, is not sound; nothing is left behind.
    StoreError
        The folder belongs to another job.
    """
    spec = parse_operator(job.operator)
    picture = read_picture(job.file, scaled=job.simulate or spec.kind != "phase")
    if spec.path is not None:
        read_picture(spec.path)
    if job.size is not None and not job.simulate:
        raise InputError(
            f"size is {job.size}, but nothing is simulated",
            "a measured picture cannot be cropped: the forward model mixes its pixels",
            "add --simulate, or leave --size out",
        )
    from wellposed.jobs.restoration import restore  # loads torch

    return restore(job, picture, out, progress, checkpoint_seconds, announce)
