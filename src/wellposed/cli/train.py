"""``wellposed train``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from wellposed.jobs.requests import TrainJob


def train(
    *data: str,
    out: Path | None = None,
    network: str | None = None,
    steps: int = 10_000,
    minutes: float | None = None,
    batch: int = 64,
    crops: tuple[int, ...] = (64,),
    largest: int = 2400,
    flips: bool | None = None,
    rate: float = 1e-3,
    decay: float = 0.35,
    optimizer: Literal["adamw", "sgd", "muon"] = "adamw",
    level_mean: float = -1.2,
    level_std: float = 1.2,
    sigma_data: float | None = None,
    holdout: int = 12,
    half: bool = False,
    start: str | None = None,
    seed: int = 0,
    checkpoint_seconds: float = 180.0,
) -> int:
    """Train a denoiser on signals or pictures: a prior of your own.

    Parameters
    ----------
    data
        Folder of pictures, .npy, .npz or IDX file of signals, or name of a data set.
    out
        Folder of the prior; left out: the next one under runs/.
    network
        One of unet, unet-wide, dit, mlp; left out: unet for images, mlp for vectors.
    steps
        Length of the training.
    minutes
        Length of the training in minutes instead; measured over the first steps.
    batch
        Signals of a step; of pictures, crops of the first size.
    crops
        Side of the square crops of pictures, in pixels; several take turns.
    largest
        Reduce pictures until their longer side has so many pixels.
    flips
        Mirror half of the images; left out: crops of pictures only.
    rate
        Largest learning rate.
    decay
        Share of the steps over which the rate falls to zero.
    optimizer
        adamw, muon (orthogonalises the steps of hidden weights), or sgd.
    level_mean
        Mean of the logarithm of the noise levels.
    level_std
        Standard deviation of the logarithm of the noise levels.
    sigma_data
        Standard deviation of the signals; left out: measured.
    holdout
        Hold out one in so many signals or pictures.
    half
        Compute in bfloat16: faster where the processor has it.
    start
        Prior to begin from, by name or path; left out: begin anew.
    seed
        Seed of all random choices.
    checkpoint_seconds
        Time between checkpoints.
    """
    from wellposed.jobs.requests import TrainJob

    job = TrainJob(
        data, network, steps, minutes, batch, crops, largest, flips, rate, decay, optimizer,
        level_mean, level_std, sigma_data, holdout, half, start, seed,
    )  # fmt: skip
    return _carried_out(job, out, checkpoint_seconds)


def _carried_out(job: TrainJob, out: Path | None, checkpoint_seconds: float) -> int:
    from wellposed.cli.done import tell
    from wellposed.cli.output import watched
    from wellposed.jobs.train import train as carry_out

    with _processes() as first:
        done = carry_out(
            job, out, progress=first and watched(), checkpoint_seconds=checkpoint_seconds
        )
        return tell(done) if first else 0


@contextmanager
def _processes() -> Iterator[bool]:
    """Join the other processes that torchrun started; yield whether this is the first."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield True
        return
    from torch import distributed

    distributed.init_process_group("gloo")
    try:
        yield distributed.get_rank() == 0
    finally:
        distributed.destroy_process_group()
