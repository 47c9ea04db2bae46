"""``wellposed recover``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def recover(
    file: Path,
    /,
    *,
    operator: str,
    noise: str | None = None,
    prior: str = "photo",
    method: Literal["dpnp", "dpnp-ddpm", "dps", "lgd-mc"] = "dpnp",
    draws: int = 16,
    simulate: bool = False,
    size: int | None = None,
    budget: int | None = None,
    calibrate: int = 0,
    form: Literal["png", "jpeg", "tiff", "npy"] = "png",
    out: Path | None = None,
    seed: int = 0,
    checkpoint_seconds: float = 30.0,
) -> int:
    """Recover a picture from a measurement, with draws that show how sure it is.

    Parameters
    ----------
    file
        The measurement (PNG, JPEG, TIFF, .npy); with --simulate, the clean picture.
    operator
        denoise, inpaint:mask.png (white is seen), inpaint:0.7 (share missing), superresolve:4,
        blur:gaussian:2, blur:motion:9:30, blur:kernel.npy, phase:4 (random code), phase:4:code.npy
        (for measured magnitudes; --simulate leaves both files), onebit:0.4.
    noise
        gaussian:0.05 or laplace:0.05, where black is 0 and white is 1; none for onebit. Left out:
        gaussian:0.05, and none for onebit.
    prior
        What pictures look like: photo, fashion, or a trained prior's file or folder.
    method
        How to draw.
    draws
        How many pictures.
    simulate
        Measure the picture first, and compare with it afterwards.
    size
        With --simulate: crop the picture in the middle to so many pixels a side.
    budget
        Denoiser evaluations for each draw; left out: the method's own number.
    calibrate
        Test the uncertainty by so many simulated measurements (at least 20; 0: none).
    form
        Of the picture written.
    out
        Folder of the run; left out: the next one under runs/.
    seed
        Seed of all random choices.
    checkpoint_seconds
        Time between checkpoints.
    """
    from wellposed.cli.done import tell
    from wellposed.cli.output import say, watched
    from wellposed.jobs.pictures import RecoverJob
    from wellposed.jobs.recover import recover as carry_out

    if noise is None:
        noise = "none" if operator.startswith("onebit") else "gaussian:0.05"
    job = RecoverJob(
        str(file), operator, noise, prior, method, draws, simulate, size, budget, calibrate, form,
        seed,
    )  # fmt: skip
    done = carry_out(
        job, out, progress=watched(), checkpoint_seconds=checkpoint_seconds, announce=say
    )
    return tell(done)
