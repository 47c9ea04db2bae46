"""``wellposed report``."""

from __future__ import annotations

from pathlib import Path


def report(folder: Path, /) -> int:
    """Check the files of a run by their hashes, and build its report again.

    Parameters
    ----------
    folder
        Folder of the run.
    """
    from wellposed.cli import DONE
    from wellposed.cli.output import say
    from wellposed.jobs.again import rebuild

    path = rebuild(folder)
    say("All files are as the run left them.", "green")
    say(f"Report: {path}", "bold")
    return DONE
