"""The stages of completing a cube: set aside, choose ranks, fit and judge, fit to all, write."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from wellposed.baselines import UNJUDGED, Plain, offsets, outdone, plain, untold
from wellposed.gaps import together, unseen
from wellposed.io import Cube, write_array, write_arrays
from wellposed.jobs.catalogue import method_named
from wellposed.jobs.folder import Bench, Done, Limits, carry_out
from wellposed.jobs.judging import score
from wellposed.jobs.requests import CompleteCubeJob
from wellposed.operators.tensor_entries import TensorEntries
from wellposed.priors.tucker import LowTucker
from wellposed.problem import Problem
from wellposed.result_tensor import TensorRecovery
from wellposed.rng import Stream
from wellposed.selection_tensor import RankCandidate, RankChoice, choose_ranks, hold_out_cells


def complete_values(
    job: CompleteCubeJob, cube: Cube, out: str | Path | None, progress: bool, seconds: float
) -> Done:
    """Complete a cube that was read and checked; see ``jobs.complete_cube``."""
    method = None if job.method is None else method_named(job.method)
    limits = Limits(job.steps, job.tol, job.seed, progress, seconds)
    return carry_out(job, out, limits, lambda bench: _work(bench, job, cube, method))


def _work(bench: Bench, job: CompleteCubeJob, cube: Cube, method: Any) -> dict[str, Any]:
    values = torch.from_numpy(cube.values)
    seen = ~values.isnan()
    known = Problem(values[seen], TensorEntries.from_mask(seen))
    choice, scores = _judged(bench, job, known, method)
    ranks, method = choice.best.ranks, method or choice.method
    recovery: TensorRecovery = bench.fit("fit", known, LowTucker(ranks), method)
    completed = filled(values, recovery, unseen(known.operator))  # type: ignore[arg-type]
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
            "tried": [c._asdict() for c in choice.tried],
        },
        "scores": scores,
        "warnings": doubts(known.operator, choice, scores, cube.observed),
    }


def _judged(
    bench: Bench, job: CompleteCubeJob, known: Problem, method: Any
) -> tuple[RankChoice, dict[str, Any]]:
    """Choose ranks that were left open, and score them unless nothing is to be set aside."""
    fit, part = known, None
    if job.holdout > 0:
        part = hold_out_cells(known, job.holdout, Stream(job.seed, 1))
        fit = part.fit
    if job.ranks is None:
        choice = bench.once("ranks", lambda: choose_ranks(fit, method, Stream(job.seed)))
    else:
        choice = RankChoice(RankCandidate(job.ranks, math.nan), ())
    if part is None:
        return choice, {}
    prior, judge = LowTucker(choice.best.ranks), part.judge
    recovery: TensorRecovery = bench.fit("judged", fit, prior, method or choice.method)
    cells = judge.operator.indices  # type: ignore[attr-defined]
    guesses = {
        "model": recovery.predict(cells),
        "offsets": offsets(fit, cells),
        "mean": torch.full_like(judge.y, float(fit.y.mean())),
    }
    scores: dict[str, Any] = {n: score(v, judge.y)._asdict() for n, v in guesses.items()}
    about = {
        "cells": judge.y.numel(),
        "share": job.holdout,
        "alike": part.split.alike,
        "status": recovery.status.value,
        "relative": float((guesses["model"] - judge.y).norm() / judge.y.norm()),
    }
    return choice, about | scores | {"plain": plain([(fit, judge)])._asdict()}


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


def doubts(cells: object, choice: RankChoice, scores: dict[str, Any], observed: float) -> list[str]:
    """Say what a reader should know before trusting the predictions."""
    found = list(untold(cells, "they stay empty, since nothing is known of them"))
    if observed == 1:
        found.append(
            "No cell is missing: completed.npy is the array as it was. What the model makes of it "
            "is in factors.npz."
        )
    if choice.doubts:
        return [*found, *choice.doubts]
    if scores and scores["alike"]:
        return [*found, *outdone(scores["model"]["rmse"], Plain(**scores["plain"]))]
    gaps = together(cells)
    if gaps is not None and scores:
        found.append(UNJUDGED)
    elif gaps is not None:
        found.append(
            f"Missing cells lie together: next to one along mode {gaps.mode} another is missing in "
            f"{gaps.share:.0%} of the cases, by chance in {gaps.chance:.1%}. Nothing was set aside "
            "to tell how good the model is there."
        )
    if scores and scores["model"]["rmse"] >= scores["offsets"]["rmse"]:
        found.append(
            "On the cells that were set aside the low-rank model is no better than an offset for "
            "each position: this array may not be low-rank, or too few cells are observed."
        )
    return found
