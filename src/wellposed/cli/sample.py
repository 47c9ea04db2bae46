"""``wellposed sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def sample(
    prior: str,
    /,
    *,
    n: Annotated[int, Parameter(name=["-n", "--n"])] = 64,
    method: str | None = None,
    steps: int | None = None,
    size: int | None = None,
    half: bool = False,
    out: Path | None = None,
    seed: int = 0,
    checkpoint_seconds: float = 30.0,
) -> int:
    """Draw signals from a prior, without any measurement.

    Parameters
    ----------
    prior
        A name (fashion, photo), the file or folder that train or convert wrote, or a folder that
        diffusers saved.
    n
        Number of draws.
    method
        A sampler's name, see: wellposed methods.
    steps
        Its number of steps; left out: its own default.
    size
        Height and width of an image in pixels, where the prior takes several.
    half
        Compute the network in bfloat16: faster where the processor has it.
    out
        Folder of the run; left out: the next one under runs/.
    seed
        Seed of the noise; the first draws do not depend on n.
    checkpoint_seconds
        Time between checkpoints.
    """
    from wellposed.cli.done import tell
    from wellposed.cli.output import watched
    from wellposed.jobs.requests import SampleJob
    from wellposed.jobs.sample import sample as carry_out

    job = SampleJob(prior, n, method, steps, size, half, seed)
    done = carry_out(job, out, progress=watched(), checkpoint_seconds=checkpoint_seconds)
    return tell(done)
