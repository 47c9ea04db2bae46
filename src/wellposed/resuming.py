"""The verb ``resume``: go on with a run of any kind from its folder alone."""

from __future__ import annotations

from pathlib import Path

from wellposed import inference, recovery, sampling
from wellposed.draws import Draws
from wellposed.result import Recovery
from wellposed.store import RunFolder
from wellposed.uncertainty import Posterior


def resume(folder: str | Path, *, progress: bool = False) -> Recovery | Posterior | Draws:
    """Go on with an interrupted run from its folder alone, to the same result.

    Parameters
    ----------
    folder
        What was given as ``out`` to ``recover`` or ``sample``.
    progress
        Show a progress bar.

    Returns
    -------
    Recovery, Posterior or Draws
        What the interrupted call would have returned.

    Raises
    ------
    StoreError
        The folder is no run, or what was asked could not be stored (a user's function).
    """
    kind = RunFolder(Path(folder)).manifest().get("kind")
    if kind == "sample":
        return sampling.resume(folder, progress=progress)
    if kind == "posterior":
        return inference.resume(folder, progress=progress)
    found: Recovery | Draws = recovery.resume(folder, progress=progress)
    return found
