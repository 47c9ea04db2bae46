"""The verb ``sample``: a prior and a method become draws."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, whole, within
from wellposed.codec import NotStorableError
from wellposed.defaults import default_method
from wellposed.draws import Draws
from wellposed.errors import CapabilityError, InputError, StoreError
from wellposed.generation import HELD, Callback, Generation, Request
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.schedules.grids import from_list
from wellposed.shards import Shelf, StoredDraws, shard_rows
from wellposed.store import RunFolder, fingerprint, load_tree, save_tree


def sample(
    prior: Any,
    method: Any = None,
    *,
    n: int,
    seed: int = 0,
    sigmas: Any = None,
    start: Any = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    trace: bool = False,
    callback: Callback | None = None,
    out: str | Path | None = None,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
) -> Draws:
    """Draw signals from a diffusion prior.

    Chains run in fixed blocks whose noise is keyed by seed and block, so the first n of N draws
    are the same numbers.

    Parameters
    ----------
    prior
        A denoiser: ``GaussianMixture``, ``Denoiser(function, shape)``, ...
    method
        Sampler; None takes the default of ``wellposed methods``.
    n
        Number of draws, >= 1.
    seed
        Seed of the noise, >= 0.
    sigmas
        Noise levels that override the method's own grid: steps + 1 of them, strictly
        descending, >= 0. Ascending levels encode given signals into noise (deterministic
        samplers).
    start
        z at the first noise level in the variance-exploding frame, [n, *shape], or one signal
        for all chains; None draws noise. A numpy array makes the draws a numpy array.
    dtype, device
        Of the draws; by default those of the prior, else of ``start``, else float32 on the CPU.
    trace
        Whether to record time and noise level of each step.
    callback
        Called with a ``View`` (step, sigma, x, the estimate of x0) after each step of each
        block. One that raises KeyboardInterrupt ends the run with status "interrupted".
    out
        Run folder. The same call with the same folder goes on where the last one stopped, to
        the same draws bit for bit.
    progress, checkpoint_seconds
        Whether to show a bar; time between checkpoints, >= 0.

    Raises
    ------
    CapabilityError
        The method cannot work with this prior.
    InputError
        A value out of range, or levels or a start that do not fit.
    StoreError, FileError
        The folder holds another run, or cannot be written.

    Examples
    --------
    >>> import wellposed as wp
    >>> prior = wp.GaussianMixture([0.3, 0.7], [[-2.0], [2.0]], 0.25)
    >>> draws = wp.sample(prior, wp.DPMSolverPP2M(20), n=1000, seed=1)
    >>> draws.x.shape, draws.evaluations, round(float((draws.x > 0).double().mean()), 1)
    (torch.Size([1000, 1]), 20, 0.7)
    """
    _check(prior, method, n, seed)
    given = None if start is None else _start(start, n, prior.shape)
    request = Request(
        prior, default_method(None, prior) if method is None else method, n, seed,
        None if sigmas is None else from_list(sigmas), given,
        _dtype(dtype, prior, given), _device(device, prior, given), trace,
        as_numpy=start is not None and not isinstance(start, Tensor),
    )  # fmt: skip
    within(checkpoint_seconds, "checkpoint_seconds", 0)
    folder = None if out is None else RunFolder(Path(out), checkpoint_seconds)
    return _given(answer(request, folder, callback, progress=progress), request, folder)


def resume(folder: str | Path, *, progress: bool = False) -> Draws:
    """Go on with interrupted draws from their folder alone, to the same draws.

    Parameters
    ----------
    folder
        What was given as ``out`` to ``sample``.
    progress
        Show a progress bar.

    Raises
    ------
    StoreError
        The folder is no run, or its prior could not be stored (a user's function).
    """
    store = RunFolder(Path(folder))
    request: Request = store.request("prior", "wp.sample")
    return _given(answer(request, store, progress=progress), request, store)


def answer(
    request: Request,
    folder: RunFolder | None,
    callback: Callback | None = None,
    *,
    progress: bool = False,
) -> Draws:
    """Make the draws of a request, or read them from the folder of the finished run."""
    x = room(request, folder)
    shelf = None if folder is None else Shelf(folder, x, request.size, request.n)
    draws = None if shelf is None else _claim(shelf, request)
    if draws is None:
        with torch.no_grad():
            draws = Generation(request, x, shelf, callback).run(progress=progress)
        if shelf is not None:
            _keep(shelf, draws)
    return draws


def room(request: Request, folder: RunFolder | None) -> Tensor:
    """Return room for all draws, or for a shard where they do not fit into memory.

    Raises
    ------
    InputError
        They do not fit, and there is no folder to keep them in.
    """
    if request.held:
        return request.empty()
    require(
        folder is not None,
        f"{request.n} draws of {math.prod(request.prior.shape)} numbers do not fit into memory",
        f"more than {HELD} numbers are kept on disk only",
        "pass out=folder; the mean and the standard deviation are computed on the way",
    )
    return request.empty(shard_rows(request.size, request.prior.shape))


def _claim(shelf: Shelf, request: Request) -> Draws | None:
    """Open the folder for this request; return the draws if the run there is finished."""
    kind = "sample" if request.problem is None else "posterior"
    folder, about = shelf.folder, {"kind": kind, "seed": request.seed}
    try:
        key = fingerprint(request)
    except NotStorableError as error:
        about["unstored"] = str(error)
        key = "unstored/" + fingerprint([_print(part) for part in vars(request).values()])
    manifest = folder.open(key, about)
    result = folder.path / "result.safetensors"
    if result.exists() and manifest["status"] not in ("running", "interrupted"):
        damaged = folder.damaged()
        require(
            not damaged,
            f"{folder.path}: {', '.join(damaged)} changed since the run",
            remedy="restore the file, or run again in a new folder",
            error=StoreError,
        )
        kept = load_tree(result)
        finished: Draws = kept["draws"]
        if not request.held:
            return finished
        shelf.load_rows(kept["rows"])
        return replace(finished, x=shelf.x[: kept["rows"]])
    if "unstored" not in about and not (folder.path / "problem.safetensors").exists():
        save_tree(folder.path / "problem.safetensors", request)
    return None


def _print(part: Any) -> str:
    """Return the fingerprint of what can be stored; a user's function has none."""
    try:
        return fingerprint(part)
    except NotStorableError:
        return ""


def _keep(shelf: Shelf, draws: Draws) -> None:
    """Write the end of a run."""
    status = draws.status.value
    if status != "interrupted":
        shelf.close(len(draws))
    tree = {"rows": len(draws), "draws": replace(draws, x=None)}
    save_tree(shelf.folder.path / "result.safetensors", tree)
    shelf.folder.finish(status, status == "interrupted")


def _given(draws: Draws, request: Request, folder: RunFolder | None) -> Draws:
    """Return the draws in the kind of array that was given, or where they are on disk."""
    if draws.x is None and folder is not None:
        return replace(draws, x=StoredDraws(folder.path, len(draws)))
    return replace(draws, x=draws.x.cpu().numpy()) if request.as_numpy else draws


def _check(prior: Any, method: Any, n: int, seed: int) -> None:
    require(
        isinstance(prior, DiffusionPrior),
        f"prior is a {type(prior).__name__}, expected a diffusion prior",
        "draws come from a denoiser",
        "wp.GaussianMixture(...), or wp.Denoiser(function, shape)",
        error=CapabilityError,
    )
    parts = ("prepare", "init", "step", "read", "evaluations_per_step")
    is_sampler = not isinstance(method, type) and all(hasattr(method, part) for part in parts)
    require(
        method is None or is_sampler,
        f"method is {method!r}, expected a sampler such as wp.DPMSolverPP2M(steps=20)",
        "it makes no draws",
        "take a sampler, or none for the default",
        error=CapabilityError,
    )
    whole(n, "n")
    whole(seed, "seed", 0)


def _start(start: Any, n: int, shape: tuple[int, ...]) -> Tensor:
    given = as_tensor(start, "start")
    require(
        tuple(given.shape) in (shape, (n, *shape)) and given.is_floating_point(),
        f"start has shape {list(given.shape)} and holds {given.dtype} values, expected "
        f"{[n, *shape]} (one z for each draw) or {list(shape)}, real numbers",
    )
    finite(given, "start", "replace them")
    return given.expand(n, *shape)


def _dtype(dtype: torch.dtype | None, prior: Any, start: Tensor | None) -> torch.dtype:
    if dtype is None:
        other = torch.float32 if start is None else start.dtype
        dtype = getattr(prior, "dtype", other)
    require(
        dtype in (torch.float32, torch.float64),
        f"dtype is {dtype!r}, expected torch.float32 or torch.float64",
        "step tables and noise are not accurate in fewer bits",
        "let the network inside the denoiser work in fewer bits, if it wants to",
    )
    checked: torch.dtype = dtype
    return checked


def _device(device: Any, prior: Any, start: Tensor | None) -> torch.device:
    if device is None:
        device = getattr(prior, "device", "cpu" if start is None else start.device)
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(
            f"device is {device!r}, which cannot be used: {error}",
            remedy="device='cpu', or a device that this torch was built for",
        ) from None
