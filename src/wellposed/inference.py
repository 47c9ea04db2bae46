"""Posterior draws: a problem, a diffusion prior and a method go through the driver.

This is what ``wp.recover`` does with a diffusion prior. Blocks of chains, run folders and
interruption are those of ``wp.sample``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from wellposed.checks import require, whole, within
from wellposed.defaults import default_method
from wellposed.errors import CapabilityError
from wellposed.generation import Callback, Request
from wellposed.problem import Problem
from wellposed.sampling import answer
from wellposed.store import RunFolder
from wellposed.task import Method
from wellposed.uncertainty import Posterior

DRAWS = 16


def draw_posterior(
    problem: Problem,
    prior: Any,
    method: Any = None,
    *,
    draws: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool = False,
    trace: bool = False,
    callback: Callback | None = None,
    checkpoint_seconds: float = 30.0,
) -> Posterior:
    """Draw signals from the posterior; see ``recover`` for the parameters.

    Examples
    --------
    >>> import wellposed as wp
    >>> problem = wp.Problem([1.0], wp.operators.Identity((1,)), wp.noise.Gaussian(0.5))
    >>> found = draw_posterior(problem, wp.Gaussian([0.0], 1.0), wp.DPnP(steps=20), draws=500)
    >>> bool(abs(found.mean[0] - 0.8) < 0.1)
    True
    """
    count = DRAWS if draws is None else draws
    whole(count, "draws")
    whole(seed, "seed", 0)
    within(checkpoint_seconds, "checkpoint_seconds", 0)
    method = default_method(problem, prior, count) if method is None else method
    require(
        isinstance(method, Method) and not isinstance(method, type),
        f"method is {method!r}, expected a posterior sampler such as wp.DPnP()",
        error=CapabilityError,
    )
    if steps is not None:
        method = replace(method, steps=steps)
    dtype = problem.y.real.dtype if problem.y.is_complex() else problem.y.dtype
    request = Request(
        prior, method, count, seed, None, None, dtype, problem.y.device, trace,
        bool(problem.as_numpy), problem,
    )  # fmt: skip
    folder = None if out is None else RunFolder(Path(out), checkpoint_seconds)
    return _answer(request, folder, callback, progress=progress)


def resume(folder: str | Path, *, progress: bool = False) -> Posterior:
    """Go on with interrupted draws from their folder alone, to the same draws.

    Parameters
    ----------
    folder
        What was given as ``out`` to ``recover``.
    progress
        Show a progress bar.

    Raises
    ------
    StoreError
        The folder is no run, or what was asked could not be stored (a user's function).
    """
    store = RunFolder(Path(folder))
    request: Request = store.request("problem", "wp.recover")
    return _answer(request, store, None, progress=progress)


def _answer(
    request: Request, folder: RunFolder | None, callback: Callback | None, *, progress: bool
) -> Posterior:
    found = answer(request, folder, callback, progress=progress)
    posterior = Posterior.of(found, request.method, None if folder is None else folder.path)
    if request.as_numpy and isinstance(posterior.draws, torch.Tensor):
        return replace(posterior, draws=posterior.draws.cpu().numpy())
    return posterior
