"""Draw from a prior: load it, run the sampler, lay the draws out.

folder/
  samples.npy     the draws, [n, *shape], float32, in the prior's range
  grid.png        images: the first hundred; black is -1, white is 1
  path.png        images: what the denoiser expects of the first draws, level by level
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wellposed.defaults import default_method
from wellposed.draws import Draws, View
from wellposed.files import atomic_write
from wellposed.jobs.catalogue import method_named
from wellposed.jobs.folder import Bench, Done, Limits, carry_out, check_memory
from wellposed.jobs.grids import is_image, write_grid
from wellposed.jobs.requests import SampleJob
from wellposed.priors.checkpoint import read_card
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.load import load_prior, place_of
from wellposed.run import Status
from wellposed.samplers.accelerated_ode import AcceleratedODE
from wellposed.samplers.levels import Levels, default_levels
from wellposed.sampling import sample as draw

SHOWN = 100  # images of the grid
CHAINS, LOOKS = 8, 8  # images whose path is shown, and how often
BEYOND = 1.1  # a pixel value further out is none
PATH_PIXELS = 1 << 16  # of all images whose path is shown


def sample(
    job: SampleJob,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
) -> Done:
    """Draw signals from a prior.

    The folder then holds ``samples.npy``, for images ``grid.png`` and ``path.png``, and
    ``summary.json`` and ``report.html``.

    Parameters
    ----------
    job
        What to do.
    out, progress, checkpoint_seconds
        As for ``jobs.complete``.

    Raises
    ------
    FileError, InputError
        There is no such prior or method, or they do not fit; nothing is left behind.
    StoreError
        The folder belongs to another job.
    """
    prior = _loaded(job)
    sampler = _sampler(job, prior)
    check_memory(job.n, math.prod(prior.shape), "wp.sample")
    limits = Limits(1, 1.0, job.seed, progress, checkpoint_seconds)
    return carry_out(job, out, limits, lambda bench: _work(bench, job, prior, sampler))


class Sampler(NamedTuple):
    """A method, and the noise levels that it walks; None where it stays at one."""

    method: Any
    sigmas: Levels | None


def _loaded(job: SampleJob) -> DiffusionPrior:
    prior = load_prior(job.prior, half=job.half)
    if job.size is None:
        return prior
    return load_prior(job.prior, shape=(prior.shape[0], job.size, job.size), half=job.half)


def _sampler(job: SampleJob, prior: DiffusionPrior) -> Sampler:
    """Every method walks the same levels, inside the prior's range; Langevin stays at its end."""
    name = job.method or type(default_method(None, prior)).__name__
    method = method_named(name, "samplers", steps=job.steps)
    if hasattr(method, "sigma"):
        return Sampler(replace(method, sigma=max(method.sigma, prior.sigma_min)), None)
    if isinstance(method, AcceleratedODE):  # looks one level ahead, which must be covered too
        return Sampler(method, default_levels(prior, method.steps + 1)[1:])
    return Sampler(method, default_levels(prior, method.steps))


def _work(bench: Bench, job: SampleJob, prior: DiffusionPrior, sampler: Sampler) -> dict[str, Any]:
    draws = bench.draw("draw", prior, *sampler, job.n)
    x = draws.x.to("cpu").float().numpy()
    atomic_write(bench.folder / "samples.npy", lambda file: np.save(file, x))
    image = is_image(prior.shape)
    steps: list[int] = []
    if image and len(x):
        write_grid(bench.folder / "grid.png", x[:SHOWN])
    if image and draws.status.ok:
        path = bench.once("path", lambda: _looked(prior, sampler, job, draws))
        images = path["images"].numpy()
        write_grid(bench.folder / "path.png", images.reshape(-1, *prior.shape), images.shape[1])
        steps = list(path["steps"])
    place = place_of(job.prior)
    return {
        "job": job.kind,
        "status": draws.status.value,
        "status_text": draws.note or draws.status.text,
        "prior": {
            "name": Path(job.prior).stem,
            "shape": list(prior.shape),
            "sigma_data": prior.sigma_data,
            "card": read_card(place) if place.is_file() else {},
        },
        "method": _described(sampler),
        "draws": _figures(draws, x),
        "path": steps,
        "warnings": _doubts(x) if image else [],
    }


def _looked(
    prior: DiffusionPrior, sampler: Sampler, job: SampleJob, draws: Draws
) -> dict[str, Any]:
    """Draw the first chains again, and keep what the denoiser expects on the way."""
    chains = max(1, min(CHAINS, job.n, PATH_PIXELS // math.prod(prior.shape[1:])))
    seen: dict[int, list[Tensor]] = {}

    def look(view: View) -> None:
        if view.x0 is not None:
            seen.setdefault(view.step, []).append(view.x0.float().cpu())

    method, sigmas = sampler
    again = draw(prior, method, n=chains, seed=job.seed, sigmas=sigmas, callback=look)
    if again.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    at = sorted(seen)
    steps = sorted({at[round(k)] for k in np.linspace(0, len(at) - 1, LOOKS)}) if at else []
    columns = [torch.cat(seen[step]) for step in steps] + [draws.x[:chains].float().cpu()]
    return {"steps": steps, "images": torch.stack(columns, 1)}


def _described(sampler: Sampler) -> dict[str, Any]:
    method = sampler.method
    return {
        "name": type(method).__name__,
        "settings": repr(method),
        "reference": method.reference,
        "steps": method.steps,
        "sigmas": sampler.sigmas,
    }


def _figures(draws: Draws, x: NDArray[np.float32]) -> dict[str, Any]:
    known = len(x) > 0
    return {
        "count": len(x),
        "evaluations": draws.evaluations,
        "acceptance": draws.acceptance,
        "mean": float(x.mean()) if known else None,
        "std": float(x.std()) if known else None,
        "low": float(x.min()) if known else None,
        "high": float(x.max()) if known else None,
    }


def _doubts(x: NDArray[np.float32]) -> list[str]:
    outside = float((np.abs(x) > BEYOND).mean()) if len(x) else 0.0
    if outside <= 0.01:
        return []
    return [
        f"{outside:.0%} of the pixel values lie outside [-{BEYOND}, {BEYOND}], images end at -1 "
        "and 1: the sampler has not settled. Take more steps, or another method."
    ]
