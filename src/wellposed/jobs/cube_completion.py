"""The stages of completing a cube: set aside, choose ranks, fit and judge, fit to all, write."""

from __future__ import annotations

import itertools
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
FEW = 30  # missing cells say nothing about how they lie


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
        "warnings": doubts(empty, scores, cube.shape, cube.observed) + gathered(~seen, empty),
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
    """Return a slice of each pair of the three longest modes, before and after."""
    longest = sorted(range(values.ndim), key=lambda k: -values.shape[k])[:3]
    places = [_telling(values.isnan(), k) for k in range(values.ndim)]
    found = {}
    for a, b in itertools.combinations(sorted(longest), 2):
        at = tuple(slice(None) if k in (a, b) else place for k, place in enumerate(places))
        found[f"observed_{a}{b}"] = values[at].numpy()
        found[f"completed_{a}{b}"] = completed[at].numpy()
    return found


def _telling(missing: Tensor, mode: int) -> int:
    """Return the position nearest to the middle of those that miss as much as most with gaps do.

    Positions where all is missing stay empty, so they tell nothing.
    """
    gaps = missing.movedim(mode, 0).flatten(1).double().mean(1)
    some = (gaps > 0) & (gaps < 1)
    good = gaps >= gaps[some].median() if bool(some.any()) else gaps < 1
    places = (good & (gaps < 1)).nonzero()[:, 0]
    middle = missing.shape[mode] // 2
    return int(places[(places - middle).abs().argmin()])


def doubts(
    empty: list[list[int]], scores: dict[str, Any], shape: tuple[int, ...], observed: float
) -> list[str]:
    """Say what a reader should know before trusting the predictions."""
    found = [
        f"{len(places):,} of the {n:,} slices of mode {k} have no observed cell; they stay empty, "
        f"since nothing is known of them: {', '.join(map(str, places[:10]))}"
        f"{', ...' if len(places) > 10 else ''}."
        for k, (places, n) in enumerate(zip(empty, shape, strict=True))
        if places
    ]
    if observed == 1:
        found.append(
            "No cell is missing: completed.npy is the array as it was. What the model makes of it "
            "is in factors.npz."
        )
    if scores and scores["model"]["rmse"] >= scores["offsets"]["rmse"]:
        found.append(
            "On the cells that were set aside the low-rank model is no better than an offset for "
            "each position: this array may not be low-rank, or too few cells are observed."
        )
    return found


def gathered(missing: Tensor, empty: list[list[int]]) -> list[str]:
    """Say where missing cells lie next to each other, which a score by chance does not see.

    Slices without any observed cell are left out: they are named already.
    """
    for k, places in enumerate(empty):
        kept = [i for i in range(missing.shape[k]) if i not in set(places)]
        missing = missing.index_select(k, torch.tensor(kept))
    share = float(missing.double().mean())
    beside = [_beside(missing, k) for k in range(missing.ndim)]
    worst = max(range(len(beside)), key=beside.__getitem__)
    if int(missing.sum()) < FEW or beside[worst] <= (1 + 3 * share) / 4:
        return []
    return [
        f"Missing cells lie together: next to one along mode {worst} another is missing in "
        f"{beside[worst]:.0%} of the cases, by chance in {share:.1%}. The cells that were set "
        "aside have observed neighbours, so they are easier than the gaps, and ranks that suit "
        "them may be too large there. Compare the gaps with what smaller --ranks give."
    ]


def _beside(missing: Tensor, mode: int) -> float:
    """Return how often the next cell along a mode is missing where one is."""
    last = missing.shape[mode] - 1
    first, second = missing.narrow(mode, 0, last), missing.narrow(mode, 1, last)
    return float((first & second).sum() / first.sum().clamp_min(1))
