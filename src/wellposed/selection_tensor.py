"""Multilinear ranks by hold-out, above the driver.

A tenth of the observed cells is set aside; every candidate is fitted to the rest and judged by
its root mean square error on that tenth. All ranks climb a ladder together while the error
falls; then each mode goes up while it wins and down while it costs less than a per cent, in turns
until nothing changes. A candidate starts from its neighbour's fit, widened by the
next directions of its own spectral start. Of the candidates within a per cent of the best, the
one with fewest numbers is taken.

Where missing cells lie together, what is set aside has the shape of the gaps (``gaps``), in
several splits, averaged in squares, while pieces are few; candidates are widened by directions of
what their neighbour leaves over (``growth``); and the best one is compared with what takes no
model at all (``baselines``). While it does not halve that error, the ranks of single unfoldings
are tried too, all other modes whole, since pixels may share nothing but a spectrum (up to a
million cells); and, where no method was named, all of this with damped steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from wellposed.baselines import UNJUDGED, outdone, plain
from wellposed.errors import CapabilityError
from wellposed.gaps import Split, split
from wellposed.growth import LADDER, grown, short_fit, start_from
from wellposed.lowrank.tensor_scaled_gd import TensorScaledGD
from wellposed.multilinear import Tucker, at
from wellposed.operators.tensor_entries import TensorEntries
from wellposed.priors.tucker import LowTucker
from wellposed.problem import Problem
from wellposed.rng import Stream
from wellposed.run import Status
from wellposed.selection import LARGEST, SHARE
from wellposed.task import Method, Task

ROUNDS = 3
SPLITS = 3  # at the most, where pieces are set aside
PIECES = 10  # that tell enough
FAR = 0.5  # of the error without a model
NEGLIGIBLE = 1e-3  # likewise: fits are not finer
DAMPED = TensorScaledGD(damping=0.3)  # bears directions that a gap leaves open
PARSIMONY = 1.01


class RankCandidate(NamedTuple):
    """Ranks and their root mean square error on the held-out cells."""

    ranks: tuple[int, ...]
    error: float


class RankChoice(NamedTuple):
    """The best candidate, all that were tried, the method if it was open, and doubts."""

    best: RankCandidate
    tried: tuple[RankCandidate, ...]
    method: TensorScaledGD | None = None
    doubts: tuple[str, ...] = ()


class Part(NamedTuple):
    """What is fitted, what judges, and how it was set aside."""

    fit: Problem
    judge: Problem
    split: Split


def hold_out_cells(problem: Problem, share: float, stream: Stream) -> Part:
    """Set aside a share of the observed cells, by chance or in the shape of the gaps.

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
    found = split(operator, share, stream, "hold-out", "give the ranks: LowTucker(ranks)")
    fit, judge = (
        Problem(y[p], TensorEntries(operator.indices[p], operator.shape), problem.noise)
        for p in (found.kept, found.judge)
    )
    return Part(fit, judge, found)


def choose_ranks(
    problem: Problem,
    method: Method | None,
    stream: Stream,
    watch: Callable[[Any], None] | None = None,
) -> RankChoice:
    """Choose the ranks of a tensor by hold-out.

    Parameters
    ----------
    problem
        Observed entries.
    method
        Fits the candidates; None means ``TensorScaledGD``, damped where gaps need it.
    stream
        Randomness of the split.
    watch
        Called with each candidate.
    """
    parts, own = _parts(problem, stream), method or TensorScaledGD()
    if not parts[0].split.alike:
        judge = _search(_Judge(parts, own, stream, watch))
        unjudged = () if parts[0].split.gaps is None else (UNJUDGED,)
        return RankChoice(judge.smallest(), tuple(judge.tried), doubts=unjudged)
    other = plain([(part.fit, part.judge) for part in parts])
    floor = NEGLIGIBLE * other.error
    judge = _search(_Judge(parts, own, stream, watch, floor))
    if judge.smallest().error > FAR * other.error:
        more = [] if method else [_search(_Judge(parts, DAMPED, stream, watch, floor))]
        judge = min(map(_unfold, [judge, *more]), key=lambda j: j.smallest().error)
    damped = DAMPED if judge.method is DAMPED else None
    doubts = outdone(judge.smallest().error, other)
    return RankChoice(judge.smallest(), tuple(judge.tried), damped, doubts)


def _search(judge: _Judge) -> _Judge:
    """Climb with all ranks, then walk along each."""
    modes = range(len(judge.sides))
    best = judge((1,) * len(modes))
    while (trial := judge(judge.moved(best.ranks, modes, 1))).error < best.error:
        best = trial
    for _ in range(ROUNDS):
        before = best.ranks
        for mode in modes:
            best = _along(judge, best, mode)
        if best.ranks == before:
            break
    return judge


def _parts(problem: Problem, stream: Stream) -> list[Part]:
    """Split by chance once; in the shape of the gaps until there are pieces enough."""
    parts = [hold_out_cells(problem, SHARE, stream)]
    for place in range(1, SPLITS if parts[0].split.alike else 1):
        if sum(part.split.pieces for part in parts) >= PIECES:
            break
        more = hold_out_cells(problem, SHARE, stream.at(block=place))
        parts += [more] if more.split.alike else []
    return parts


def _unfold(judge: _Judge) -> _Judge:
    """Try the ranks of each mode upwards, with those of all others whole, while the error falls.

    Of many cells this takes too long, and is left out.
    """
    for mode, side in enumerate(judge.sides if judge.cells <= LARGEST else ()):
        least = math.inf
        for rank in (r for r in LADDER if r <= side):
            ranks = tuple(rank if k == mode else n for k, n in enumerate(judge.sides))
            if judge.numbers(ranks) > judge.cells / 4 or (error := judge(ranks).error) >= least:
                break
            least = error
    return judge


class _Judge:
    """Fits a candidate and measures it on the held-out cells, remembering all."""

    def __init__(
        self,
        parts: Sequence[Part],
        method: Method,
        stream: Stream,
        watch: Callable[[Any], None] | None,
        floor: float = 0.0,
    ) -> None:
        self.parts, self.method, self.stream, self.watch = parts, method, stream, watch
        self.floor = floor  # smaller errors are none
        self.sides = tuple(parts[0].fit.operator.shape_in)
        self.cells = parts[0].fit.y.numel()
        self.tried: list[RankCandidate] = []
        self.fits: list[dict[tuple[int, ...], Tucker]] = [{} for _ in parts]

    def __call__(self, ranks: tuple[int, ...]) -> RankCandidate:
        for known in self.tried:
            if known.ranks == ranks:
                return known
        sizes = [self._error(place, ranks) for place in range(len(self.parts))]
        total = math.fsum(size * size for size in sizes) / len(sizes)
        error = sizes[0] if len(sizes) == 1 else math.sqrt(total)
        candidate = RankCandidate(ranks, max(error, self.floor))
        self.tried.append(candidate)
        if self.watch is not None:
            self.watch(candidate)
        return candidate

    def _error(self, place: int, ranks: tuple[int, ...]) -> float:
        """Fit ranks to a part, and return their error on the cells that judge it."""
        fit, judge, found = self.parts[place]
        task = Task(fit, LowTucker(ranks), dtype=fit.y.dtype, device=fit.y.device)
        plan, near = self.method.prepare(task), self._nearest(place, ranks)
        if found.alike:
            state = grown(near, self.method, task, plan, self.stream)
        elif near is None:
            state = self.method.init(plan, self.stream)
        else:
            state = start_from(near, self.method, plan, self.stream, rest=False)
        outcome = short_fit(self.method, plan, state)
        tucker = Tucker(*outcome.reading.value)
        off: Tensor = at(tucker, judge.operator.indices) - judge.y  # type: ignore[attr-defined]
        error = float(off.square().mean().sqrt())
        if error != error or outcome.status is Status.DIVERGED:
            return math.inf
        self.fits[place][ranks] = tucker
        return error

    def smallest(self) -> RankCandidate:
        """Return the candidate with fewest numbers within a per cent of the best."""
        least = min(c.error for c in self.tried)
        good = [c for c in self.tried if c.error <= least * PARSIMONY]
        return min(good, key=lambda c: self.numbers(c.ranks))

    def numbers(self, ranks: tuple[int, ...]) -> int:
        """Return how many numbers a model of these ranks has."""
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

    def _nearest(self, place: int, ranks: tuple[int, ...]) -> Tucker | None:
        """The largest fit to a part that is nowhere wider."""
        fits = self.fits[place]
        inside = [r for r in fits if all(a <= b for a, b in zip(r, ranks, strict=True))]
        return fits[max(inside, key=sum)] if inside else None


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
