"""``wellposed resume``."""

from __future__ import annotations

from pathlib import Path


def resume(folder: Path, /, *, checkpoint_seconds: float = 30.0) -> int:
    """Go on with an interrupted run, to the same result.

    Parameters
    ----------
    folder
        Folder of the run.
    checkpoint_seconds
        Time between checkpoints.
    """
    from wellposed.cli.done import tell
    from wellposed.cli.output import watched
    from wellposed.jobs.again import resume as carry_out

    return tell(carry_out(folder, progress=watched(), checkpoint_seconds=checkpoint_seconds))
