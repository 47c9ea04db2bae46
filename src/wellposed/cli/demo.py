"""``wellposed demo``."""

from __future__ import annotations

from pathlib import Path


def demo(*, out: Path | None = None, seed: int = 0) -> int:
    """Complete a real table and separate a real clip; both come with the package.

    Parameters
    ----------
    out
        Folder of the run; left out: the next one under runs/.
    seed
        Seed of all random choices.
    """
    from wellposed.cli.done import tell
    from wellposed.cli.output import watched
    from wellposed.jobs.demo import demo as carry_out
    from wellposed.jobs.requests import DemoJob

    return tell(carry_out(DemoJob(seed), out, progress=watched()))
