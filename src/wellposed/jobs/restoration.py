"""The stages of recovering a picture: measure, draw, check against the data, calibrate, write."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wellposed.checks import as_tensor
from wellposed.evaluation.images import psnr, ssim
from wellposed.io import Picture, write_arrays, write_picture
from wellposed.jobs import budget
from wellposed.jobs.folder import Bench, Done, Limits, carry_out, check_memory
from wellposed.jobs.measuring import Measurement, measured, simulated
from wellposed.jobs.pictures import RecoverJob
from wellposed.jobs.specs import parse_noise, parse_operator
from wellposed.jobs.verdicts import fit_of, judged, mixing_rows
from wellposed.priors.load import load_prior
from wellposed.uncertainty import Posterior

LEVEL = 0.9  # of the interval that is written and shown


def restore(
    job: RecoverJob,
    picture: Picture,
    out: str | Path | None,
    progress: bool,
    checkpoint_seconds: float,
    announce: Callable[[str], None],
) -> Done:
    """Recover a picture that was read and checked; see ``jobs.recover``."""
    words = parse_operator(job.operator), parse_noise(job.noise)
    prior = load_prior(job.prior)
    if job.simulate:
        found = simulated(picture, *words, prior, job.seed, job.size)
    else:
        found = measured(picture, *words, prior)
    check_memory(job.draws, math.prod(found.prior.shape), "wp.recover")
    method = budget.named(job.method, job.budget, budget.seeking(found.problem))
    count = budget.evaluations(method, found.problem, found.prior)  # or say that it cannot
    limits = Limits(0, 0.0, job.seed, progress, checkpoint_seconds)

    def work(bench: Bench) -> dict[str, Any]:
        duration = budget.told(budget.seconds(found.prior, count * job.draws))
        announce(f"{job.draws} draws of {count} denoiser evaluations each: about {duration} here.")
        return _work(bench, job, picture, found, method)

    return carry_out(job, out, limits, work)


def _work(
    bench: Bench, job: RecoverJob, picture: Picture, found: Measurement, method: Any
) -> dict[str, Any]:
    posterior = bench.infer("draws", found.problem, found.prior, method, job.draws)
    draws = as_tensor(posterior.draws, "draws").float()
    arrays = _arrays(found, draws)
    write_arrays(bench.folder / "recovered.npz", arrays)
    for name, values in found.files.items():
        write_picture(bench.folder / name, values)
    if len(draws):
        write_picture(bench.folder / f"mean.{job.form}", arrays["mean"], picture.bits)
    fit = fit_of(found.problem, draws, job.seed)
    status, text, warnings = judged(posterior, fit, job.draws)
    return {
        "job": job.kind,
        "status": status,
        "status_text": text,
        "picture": _described(job, picture, found),
        "settings": _settings(job, posterior),
        "uncertainty": _uncertainty(arrays),
        "fit": fit,
        "mixing": mixing_rows(posterior),
        "scores": _scores(found, draws, arrays),
        "calibration": _calibration(bench, job, found, method),
        "warnings": warnings,
        "units": {
            "files and command line": "0 black, 1 white",
            "prior and run folders": "-1 black, 1 white",
        },
    }


def _arrays(found: Measurement, draws: Tensor) -> dict[str, NDArray[Any]]:
    pictures = found.picture(draws)
    arrays: dict[str, NDArray[Any]] = {"draws": pictures, "measured": found.shown}
    if found.truth is not None:
        arrays["truth"] = found.picture(found.truth)
    if len(pictures):
        ends = np.quantile(pictures, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2), axis=0)
        spread = pictures.std(0, ddof=1) if len(pictures) > 1 else np.full_like(pictures[0], np.nan)
        low, high = ends.astype(np.float32)
        arrays |= {"mean": pictures.mean(0), "std": spread, "low": low, "high": high}
    return arrays


def _described(job: RecoverJob, picture: Picture, found: Measurement) -> dict[str, Any]:
    high, wide = found.frame
    return {
        "name": Path(job.file).name,
        "height": high,
        "width": wide,
        "grey": picture.grey,
        "bits": picture.bits,
        "simulated": job.simulate,
        "numbers_measured": found.problem.y.numel(),
        "numbers_sought": math.prod(found.problem.operator.shape_in),
    }


def _settings(job: RecoverJob, posterior: Posterior) -> dict[str, Any]:
    return {
        "operator": job.operator,
        "noise": job.noise,
        "prior": job.prior,
        "method": type(posterior.method).__name__,
        "fields": repr(posterior.method),
        "draws": len(posterior),
        "steps": getattr(posterior.method, "steps", None),
        "evaluations": posterior.evaluations._asdict(),
        "acceptance": posterior.acceptance,
        "log_evidence": posterior.log_evidence,
        "independent": posterior.independent,
    }


def _uncertainty(arrays: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    if "std" not in arrays or not np.isfinite(arrays["std"]).all():
        return None
    width = arrays["high"] - arrays["low"]
    return {
        "level": LEVEL,
        "std": float(np.sqrt(np.square(arrays["std"]).mean())),
        "width": float(width.mean()),
        "widest": float(np.quantile(width, 0.99)),
    }


def _scores(
    found: Measurement, draws: Tensor, arrays: dict[str, NDArray[Any]]
) -> dict[str, Any] | None:
    """Compare with the truth of a simulated measurement."""
    if found.truth is None or not len(draws):
        return None
    truth, mean = found.truth, draws.mean(0)
    small = min(truth.shape[-2:]) < 11
    inside = (arrays["truth"] >= arrays["low"]) & (arrays["truth"] <= arrays["high"])
    return {
        "psnr_mean": float(psnr(mean, truth)),
        "psnr_draw": float(psnr(draws, truth.expand_as(draws)).mean()),
        "ssim_mean": None if small else float(ssim(mean, truth)),
        "ssim_draw": None if small else float(ssim(draws, truth.expand_as(draws)).mean()),
        "inside": float(inside.mean()),
        # the share that intervals between such quantiles of n draws hold, if all is exact
        "inside_expected": LEVEL * (len(draws) - 1) / (len(draws) + 1),
    }


def _calibration(
    bench: Bench, job: RecoverJob, found: Measurement, method: Any
) -> dict[str, Any] | None:
    if not job.calibrate:
        return None
    from wellposed.evaluation.trials import Setting
    from wellposed.jobs.testing import tested

    noise = found.problem.noise
    if noise is None:
        return None
    setting = Setting(found.problem.operator, noise, found.prior, method, 9, job.seed)
    return tested(bench, setting, job.calibrate)
