"""Multilinear ranks by hold-out, above the driver.

A tenth of the observed cells is set aside; every candidate is fitted to the rest and judged by
its root mean square error on that tenth. All ranks climb a ladder together while the error
falls; then each mode goes up while it wins and down while it costs less than a per cent, in turns
until nothing changes. A candidate starts from its neighbour's fit, widened by the
next directions of its own spectral start. Of the candidates within a per cent of the best, the
one with fewest numbers is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.multilinear import Tucker, at, expand
from wellposed.operators.tensor_entries import TensorEntries
from wellposed.priors.tucker import LowTucker
from wellposed.problem import Problem
from wellposed.rng import Stream
from wellposed.run import Driver, Status
from wellposed.selection import SHARE
from wellposed.task import Method, Task

LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
ROUNDS = 3
PARSIMONY = 1.01
STEPS = 40  # with few, a wider candidate would win by going on with its neighbour's fit
TOLERANCE = 1e-5


class RankCandidate(NamedTuple):
    """Ranks and their root mean square error on the held-out cells."""

    ranks: tuple[int, ...]
    error: float


class RankChoice(NamedTuple):
    """The best candidate, and all that were tried."""

    best: RankCandidate
    tried: tuple[RankCandidate, ...]


def hold_out_cells(problem: Problem, share: float, stream: Stream) -> tuple[Problem, Problem]:
    """Set aside a random share of the observed cells: what is fitted, and what judges.

    Raises
    ------
    CapabilityError
        The measurements are not cells of a tensor.
    """
    operator, y = problem.operator, problem.y
    if not isinstance(operator, TensorEntries):
        raise CapabilityError(
            f"the ranks cannot be chosen by hold-out from {type(operator).__name__}",
            "hold-out needs measurements that can be left out one by one: TensorEntries",
            "give the ranks: LowTucker(ranks)",
        )
    count = y.numel()
    aside = round(share * count)
    require(
        0 < aside < count,
        f"{count} observed cells are too few to hold out {share:.0%}",
        remedy="give the ranks: LowTucker(ranks)",
    )
    order = stream.permutation(count, "hold-out").to(operator.indices.device)
    parts = order[aside:].sort().values, order[:aside]
    kept, judge = (
        Problem(y[p], TensorEntries(operator.indices[p], operator.shape), problem.noise)
        for p in parts
    )
    return kept, judge


def choose_ranks(
    problem: Problem,
    method: Method,
    stream: Stream,
    watch: Callable[[Any], None] | None = None,
) -> RankChoice:
    """Choose the ranks of a tensor by hold-out.

    Parameters
    ----------
    problem
        Observed entries.
    method
        Fits the candidates.
    stream
        Randomness of the split.
    watch
        Called with each candidate.
    """
    judge = _Judge(*hold_out_cells(problem, SHARE, stream), method, stream, watch)
    best = judge((1,) * len(judge.sides))
    while (trial := judge(judge.moved(best.ranks, range(len(judge.sides)), 1))).error < best.error:
        best = trial
    for _ in range(ROUNDS):
        before = best.ranks
        for mode in range(len(judge.sides)):
            best = _along(judge, best, mode)
        if best.ranks == before:
            break
    return RankChoice(judge.smallest(), tuple(judge.tried))


class _Judge:
    """Fits a candidate and measures it on the held-out cells, remembering all."""

    def __init__(
        self,
        fit: Problem,
        judge: Problem,
        method: Method,
        stream: Stream,
        watch: Callable[[Any], None] | None,
    ) -> None:
        self.method, self.stream, self.watch = method, stream, watch
        self.task = Task(fit, dtype=fit.y.dtype, device=fit.y.device)
        self.cells, self.target = judge.operator.indices, judge.y  # type: ignore[attr-defined]
        self.sides = tuple(fit.operator.shape_in)
        self.tried: list[RankCandidate] = []
        self.fits: dict[tuple[int, ...], Tucker] = {}

    def __call__(self, ranks: tuple[int, ...]) -> RankCandidate:
        for known in self.tried:
            if known.ranks == ranks:
                return known
        plan = self.method.prepare(replace(self.task, prior=LowTucker(ranks)))
        state = self.method.init(plan, self.stream)
        near = self._nearest(ranks)
        if near is not None:
            wide = widened(near, Tucker(state.core, state.factors))
            state = state._replace(core=wide.core, factors=wide.factors)
        outcome = Driver(STEPS, TOLERANCE).run(self.method, plan, state)
        if outcome.status is Status.INTERRUPTED:
            raise KeyboardInterrupt  # a half-fitted candidate must not judge
        fit = Tucker(*outcome.reading.value)
        off: Tensor = at(fit, self.cells) - self.target
        error = float(off.square().mean().sqrt())
        sound = error == error and outcome.status is not Status.DIVERGED
        candidate = RankCandidate(ranks, error if sound else float("inf"))
        if sound:
            self.fits[ranks] = fit
        self.tried.append(candidate)
        if self.watch is not None:
            self.watch(candidate)
        return candidate

    def smallest(self) -> RankCandidate:
        """Return the candidate with fewest numbers within a per cent of the best."""
        least = min(c.error for c in self.tried)
        good = [c for c in self.tried if c.error <= least * PARSIMONY]
        return min(good, key=lambda c: self._numbers(c.ranks))

    def _numbers(self, ranks: tuple[int, ...]) -> int:
        factors = sum(n * r for n, r in zip(self.sides, ranks, strict=True))
        return factors + math.prod(ranks)

    def moved(self, ranks: tuple[int, ...], modes: Any, rungs: int) -> tuple[int, ...]:
        """Return the ranks with some modes moved along the ladder, within their sides."""
        new = list(ranks)
        for k in modes:
            rung = [r for r in LADDER if r <= ranks[k]][-1]
            place = LADDER.index(rung) + rungs
            new[k] = min(LADDER[min(max(place, 0), len(LADDER) - 1)], self.sides[k])
        return tuple(new)

    def _nearest(self, ranks: tuple[int, ...]) -> Tucker | None:
        """The largest fit that is nowhere wider."""
        inside = [r for r in self.fits if all(a <= b for a, b in zip(r, ranks, strict=True))]
        return self.fits[max(inside, key=sum)] if inside else None


def _along(judge: _Judge, best: RankCandidate, mode: int) -> RankCandidate:
    """Walk one mode up while the error falls, else down while it hardly rises."""
    start = best.ranks
    while (trial := judge(judge.moved(best.ranks, (mode,), 1))).error * PARSIMONY < best.error:
        best = trial
    if best.ranks != start:
        return best
    while best.ranks[mode] > 1:
        trial = judge(judge.moved(best.ranks, (mode,), -1))
        if trial.error > best.error * PARSIMONY:
            break
        best = trial
    return best


def widened(fit: Tucker, start: Tucker) -> Tucker:
    """Return a fit with further columns: the part of a wider start that it does not span."""
    factors, core = [], start.core.new_zeros(start.core.shape)
    turns = []
    for narrow, wide in zip(fit.factors, start.factors, strict=True):
        basis, turn = torch.linalg.qr(narrow)
        rest = wide - basis @ (basis.mT @ wide)
        extra = torch.linalg.svd(rest, full_matrices=False)[0]
        factors.append(torch.cat([basis, extra[:, : wide.shape[1] - narrow.shape[1]]], 1))
        turns.append(turn)
    core[tuple(slice(0, r) for r in fit.ranks)] = expand(fit.core, turns)
    return Tucker(core, tuple(factors))
