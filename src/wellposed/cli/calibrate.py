"""``wellposed calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def calibrate(
    *,
    operator: str,
    noise: str | None = None,
    prior: str = "photo",
    method: Literal["dpnp", "dpnp-ddpm", "dps", "lgd-mc"] = "dpnp",
    size: int | None = None,
    repeats: int = 40,
    draws: int = 9,
    budget: int | None = None,
    truths: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> int:
    """Test whether a method's uncertainty holds for a forward model, a noise and a prior.

    Signals are drawn from the prior, measured, and recovered; an exact method cannot be told from
    the truth. Exit code 3 if a test fails.

    Parameters
    ----------
    operator
        denoise, inpaint:mask.png (white is seen), inpaint:0.7 (share missing), superresolve:4,
        blur:gaussian:2, blur:motion:9:30, blur:kernel.npy, phase:4, onebit:0.4.
    noise
        gaussian:0.05 or laplace:0.05, where black is 0 and white is 1; none for onebit. Left out:
        gaussian:0.05, and none for onebit.
    prior
        What pictures look like: photo, fashion, or a trained prior's file or folder.
    method
        How to draw.
    size
        Side of the signals in pixels; left out: the prior's own.
    repeats
        Number of trials, at least 20.
    draws
        Draws a trial, at least 4.
    budget
        Denoiser evaluations for each draw; left out: the method's own number.
    truths
        Pictures to take as signals (a folder or an array) instead of draws from the prior.
    out
        Folder of the run; left out: the next one under runs/.
    seed
        Seed of all random choices.
    """
    from wellposed.cli.done import tell
    from wellposed.cli.output import say, watched
    from wellposed.jobs.calibrate import calibrate as carry_out
    from wellposed.jobs.pictures import CalibrateJob

    if noise is None:
        noise = "none" if operator.startswith("onebit") else "gaussian:0.05"
    truth = None if truths is None else str(truths)
    job = CalibrateJob(
        operator, noise, prior, method, size, repeats, draws, budget, truth, seed
    )  # fmt: skip
    return tell(carry_out(job, out, progress=watched(), announce=say))
