"""``wellposed demo``."""

from __future__ import annotations

import os
from pathlib import Path


def demo(*, out: Path | None = None, seed: int = 0, budget: int = 96) -> int:
    """Complete a table, separate a clip, recover a photograph; they come with the package.

    Parameters
    ----------
    out
        Folder of the run; left out: the next one under runs/.
    seed
        Seed of all random choices.
    budget
        Denoiser evaluations for each draw of the photograph.
    """
    # The problems are small: several threads would mostly wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from wellposed.cli.done import tell
    from wellposed.cli.output import watched
    from wellposed.jobs.demo import demo as carry_out
    from wellposed.jobs.requests import DemoJob

    return tell(carry_out(DemoJob(seed, budget), out, progress=watched()))
