"""The stages of completing a cube: set aside, choose ranks, fit and judge, fit to all, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from wellposed.io import Cube, write_array, write_arrays
from wellposed.jobs.catalogue import method_named
from wellposed.jobs.folder import Bench, Done, Limits, carry_out
from wellposed.jobs.judging import score
from wellposed.jobs.requests import CompleteCubeJob
from wellposed.lowrank.tensor_scaled_gd import TensorScaledGD
from wellposed.operators.tensor_entries import TensorEntries
from wellposed.priors.tucker import LowTucker
from wellposed.problem import Problem
from wellposed.result_tensor import TensorRecovery
from wellposed.rng import Stream
from wellposed.selection_tensor import choose_ranks, hold_out_cells

SWEEPS = 5  # of fitting the offsets of each mode


def complete_values(
    job: CompleteCubeJob, cube: Cube, out: str | Path | None, progress: bool, seconds: float
) -> Done:
    """Complete a cube that was read and checked; see ``jobs.complete_cube``."""
    method = TensorScaledGD() if job.method is None else method_named(job.method)
    limits = Limits(job.steps, job.tol, job.seed, progress, seconds)
    return carry_out(job, out, limits, lambda bench: _work(bench, job, cube, method))


def _work(bench: Bench, job: CompleteCubeJob, cube: Cube, method: Any) -> dict[str, Any]:
    values = torch.from_numpy(cube.values)
    seen = ~values.isnan()
    known = Problem(values[seen], TensorEntries.from_mask(seen))
    ranks, tried, scores = _judged(bench, job, known, method)
    recovery: TensorRecovery = bench.fit("fit", known, LowTucker(ranks), method)
    empty = [known.operator.empty(k).tolist() for k in range(values.ndim)]  # type: ignore[attr-defined]
    completed = filled(values, recovery, empty)
    write_array(bench.folder / "completed.npy", completed.numpy())
    factors = {f"factor_{k}": u.numpy() for k, u in enumerate(recovery.factors)}
    write_arrays(bench.folder / "factors.npz", {"core": recovery.core.numpy(), **factors})
    write_arrays(bench.folder / "slices.npz", slices(values, completed))
    return {
        "job": job.kind,
        "status": recovery.status.value,
        "status_text": recovery.status.text,
        "cube": {"name": Path(job.cube).name, "shape": list(cube.shape), "observed": cube.observed},
        "settings": {
            "ranks": list(ranks),
            "method": type(recovery.method).__name__,
            "steps": recovery.steps,
            "spectra": [s.tolist() for s in recovery.mode_spectra],
            "tried": tried,
        },
        "scores": scores,
        "warnings": doubts(empty, scores, cube.shape),
    }


def _judged(
    bench: Bench, job: CompleteCubeJob, known: Problem, method: Any
) -> tuple[tuple[int, ...], list[dict[str, Any]], dict[str, Any]]:
    """Choose ranks that were left open, and score them unless nothing is to be set aside."""
    fit, aside = known, None
    if job.holdout > 0:
        fit, aside = hold_out_cells(known, job.holdout, Stream(job.seed, 1))
    ranks, tried = job.ranks, []
    if ranks is None:
        choice = bench.once("ranks", lambda: choose_ranks(fit, method, Stream(job.seed)))
        ranks, tried = choice.best.ranks, [c._asdict() for c in choice.tried]
    if aside is None:
        return ranks, tried, {}
    recovery: TensorRecovery = bench.fit("judged", fit, LowTucker(ranks), method)
    cells = aside.operator.indices  # type: ignore[attr-defined]
    guesses = {
        "model": recovery.predict(cells),
        "offsets": offsets(fit, cells),
        "mean": torch.full_like(aside.y, float(fit.y.mean())),
    }
    scores: dict[str, Any] = {n: score(v, aside.y)._asdict() for n, v in guesses.items()}
    about = {"cells": aside.y.numel(), "share": job.holdout, "status": recovery.status.value}
    relative = float((guesses["model"] - aside.y).norm() / aside.y.norm())
    return ranks, tried, about | scores | {"relative": relative}


def offsets(fit: Problem, cells: Tensor) -> Tensor:
    """Predict cells by the mean and an offset for each position of each mode."""
    indices, y = fit.operator.indices, fit.y  # type: ignore[attr-defined]
    shape = fit.operator.shape_in
    mean = y.mean()
    found = [y.new_zeros(n) for n in shape]
    rest = y - mean
    for _ in range(SWEEPS):
        for k, n in enumerate(shape):
            at = indices[:, k]
            count = torch.bincount(at, minlength=n).clamp_min(1)
            change = torch.bincount(at, rest, n).to(y) / count
            found[k] += change
            rest = rest - change[at]
    return mean + torch.stack([f[cells[:, k]] for k, f in enumerate(found)]).sum(0)


def filled(values: Tensor, recovery: TensorRecovery, empty: list[list[int]]) -> Tensor:
    """Return the observed values with predictions in the gaps, NaN in slices without any."""
    out = torch.where(values.isnan(), recovery.signal, values)
    for k, places in enumerate(empty):
        out.index_fill_(k, torch.tensor(places, dtype=torch.int64), torch.nan)
    return out


def slices(values: Tensor, completed: Tensor) -> dict[str, NDArray[Any]]:
    """Return the middle slice of each pair of the first three modes, before and after."""
    found = {}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        at = tuple(slice(None) if k in (a, b) else n // 2 for k, n in enumerate(values.shape))
        found[f"observed_{a}{b}"] = values[at].numpy()
        found[f"completed_{a}{b}"] = completed[at].numpy()
    return found


def doubts(empty: list[list[int]], scores: dict[str, Any], shape: tuple[int, ...]) -> list[str]:
    """Say what a reader should know before trusting the predictions."""
    found = [
        f"{len(places):,} of the {n:,} slices of mode {k} have no observed cell; they stay empty, "
        f"since nothing is known of them: {', '.join(map(str, places[:10]))}"
        f"{', ...' if len(places) > 10 else ''}."
        for k, (places, n) in enumerate(zip(empty, shape, strict=True))
        if places
    ]
    if scores and scores["model"]["rmse"] >= scores["offsets"]["rmse"]:
        found.append(
            "On the cells that were set aside the low-rank model is no better than an offset for "
            "each position: this array may not be low-rank, or too few cells are observed."
        )
    return found
