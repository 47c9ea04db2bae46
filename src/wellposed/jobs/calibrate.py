"""Calibrate a sampler for the user's own forward model, noise and prior."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.evaluation.trials import Setting
from wellposed.io import Picture, read_stack
from wellposed.jobs import budget
from wellposed.jobs.folder import Bench, Done, Limits, carry_out
from wellposed.jobs.measuring import simulated
from wellposed.jobs.pictures import CalibrateJob
from wellposed.jobs.specs import parse_noise, parse_operator
from wellposed.jobs.testing import tested
from wellposed.priors.load import load_prior
from wellposed.run import Status


def calibrate(
    job: CalibrateJob,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
    announce: Callable[[str], None] = lambda line: None,
) -> Done:
    """Test whether stated uncertainty holds.

    The folder then holds ``summary.json`` and ``report.html``.

    Parameters
    ----------
    job
        What to do.
    out
        The folder; None makes the next numbered one under ``runs/``. The same job in the same
        folder goes on where it stopped, to the trial's start.
    progress
        Show a progress bar.
    checkpoint_seconds
        Not used: every few trials are kept.
    announce
        Told, before the work begins, what it will take.

    Returns
    -------
    Done
        Status "complete" where nothing failed, else "max_steps" (exit code 3).
    """
    setting = _setting(job)
    probe = setting.problem(torch.zeros(setting.prior.shape), 0)
    count = budget.evaluations(setting.method, probe, setting.prior)
    limits = Limits(0, 0.0, job.seed, progress, checkpoint_seconds)

    def work(bench: Bench) -> dict[str, Any]:
        each = budget.seconds(setting.prior, count * job.draws)
        announce(
            f"{job.repeats} trials of {job.draws} draws of {count} denoiser evaluations: about "
            f"{budget.told(job.repeats * each)} here."
        )
        found = tested(bench, setting, job.repeats)
        return {
            "job": job.kind,
            "status": (Status.COMPLETE if found["ok"] else Status.MAX_STEPS).value,
            "status_text": found["text"][0],
            "settings": {
                "operator": job.operator, "noise": job.noise, "prior": job.prior,
                "method": type(setting.method).__name__, "fields": repr(setting.method),
                "shape": list(setting.prior.shape), "evaluations": count,
                "signals": "pictures of the stack" if job.truths else "draws of the prior",
            },
            "calibration": found,
            "warnings": [],
        }  # fmt: skip

    return carry_out(job, out, limits, work)


def _setting(job: CalibrateJob) -> Setting:
    words = parse_operator(job.operator), parse_noise(job.noise)
    prior: Any = load_prior(job.prior)
    side = job.size or prior.shape[-1]
    blank = Picture(np.zeros((side, side, 3)[: 3 if prior.shape[0] == 3 else 2], np.float32), 8)
    found = simulated(blank, *words, prior, job.seed, side)
    method = budget.named(job.method, job.budget, budget.seeking(found.problem))
    noise = found.problem.noise
    if noise is None:
        raise InputError("the noise is none, expected a law of the errors")
    truths = None if job.truths is None else _truths(job, found.prior.shape)
    return Setting(found.problem.operator, noise, found.prior, method, job.draws, job.seed, truths)


def _truths(job: CalibrateJob, shape: tuple[int, ...]) -> Tensor:
    frames = read_stack(str(job.truths), max_frames=job.repeats, grey=shape[0] == 1).frames
    values = frames.astype(np.float32) / (255 if frames.dtype == np.uint8 else 1)
    values = values[:, None] if values.ndim == 3 else values.transpose(0, 3, 1, 2)
    high, wide = shape[1:]
    if values.shape[1] != shape[0] or values.shape[2] < high or values.shape[3] < wide:
        raise InputError(
            f"{job.truths} has pictures [C, H, W] = {list(values.shape[1:])}, "
            f"expected {list(shape)} or larger ones",
            remedy="give --size a side that the pictures have",
        )
    top, left = (values.shape[2] - high) // 2, (values.shape[3] - wide) // 2
    return 2 * torch.from_numpy(values[:, :, top : top + high, left : left + wide].copy()) - 1
