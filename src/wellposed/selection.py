"""Rank and ridge by hold-out, above the driver.

A tenth of the measurements is set aside; every candidate is fitted to the rest and judged by
its error on that tenth. Ridges are searched at a middle rank, ranks then upwards until the
error has risen twice, and so on in turns until nothing changes; the smallest rank within a
fifth of a per cent of the best is taken. The ridge is searched on a scale that has the units of
the data: the expected largest singular value of noise on this pattern,
std(y) (sqrt(m / n1) + sqrt(m / n2)) / 2.

Where missing cells lie together, what is set aside has the shape of the gaps (``gaps``), and the
best candidate is compared with what takes no model at all (``baselines``).

A table of more than a million cells is thinned first: a random part of its rows and the same
share of its columns, with all their cells, so that the density stays as it is. What is chosen
there holds for the whole, ridges by the ratio of the two norms of noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed import gaps
from wellposed.baselines import UNJUDGED, outdone, plain
from wellposed.errors import CapabilityError
from wellposed.lowrank.biases import Biases, fit_biases, no_biases
from wellposed.lowrank.count_scaled_gd import CountScaledGD
from wellposed.lowrank.setting import Factors
from wellposed.operators.entries import Entries, predict_cells
from wellposed.priors.lowrank import LowRank
from wellposed.problem import Problem
from wellposed.rng import Stream
from wellposed.run import Driver, Status
from wellposed.task import Method, Task

SHARE = 0.1
LARGEST = 1_000_000  # cells that candidates are fitted to
RANKS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
RIDGES = (0.0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 1.4, 2.0)
MIDDLE = 5
ROUNDS = 3
STEPS = 200
TOLERANCE = 2e-5
PARSIMONY = 1.002


class Candidate(NamedTuple):
    """A setting and its error on the held-out cells: root mean square, or median size."""

    rank: int
    ridge: float
    error: float


class Split(NamedTuple):
    """A problem on the cells that are fitted, and the cells that judge."""

    fit: Problem
    rows: Tensor
    cols: Tensor
    y: Tensor
    how: gaps.Split


class Choice(NamedTuple):
    """The best candidate, all that were tried, and what speaks against it."""

    best: Candidate
    tried: tuple[Candidate, ...]
    doubts: tuple[str, ...] = ()


def hold_out(problem: Problem, share: float, stream: Stream) -> Split:
    """Set aside a share of the observed cells, by chance or in the shape of the gaps.

    Raises
    ------
    CapabilityError
        The measurements are not cells of a matrix.
    """
    operator = problem.operator
    if not isinstance(operator, Entries):
        raise CapabilityError(
            f"the rank cannot be chosen by hold-out from {type(operator).__name__}",
            "hold-out needs measurements that can be left out one by one: Entries",
            "give the rank: LowRank(rank)",
        )
    how = gaps.split(operator, share, stream, "hold-out", "give the rank: LowRank(rank)")
    kept, judge = how.kept, how.judge
    rows, cols, y = operator.rows, operator.cols, problem.y
    fit = Problem(y[kept], Entries(rows[kept], cols[kept], operator.shape), problem.noise)
    return Split(fit, rows[judge].long(), cols[judge].long(), y[judge], how)


def choose(
    problem: Problem,
    prior: LowRank,
    method: Method | None,
    stream: Stream,
    watch: Callable[[Candidate], None] | None = None,
) -> Choice:
    """Choose the rank (when the prior has none) and the ridge (when it is zero) by hold-out.

    Ridges are those of the whole problem, also where only a part of it is looked at.

    Parameters
    ----------
    problem
        Observed entries.
    prior
        Its rank, when given, is kept; its ridge, when positive, is kept.
    method
        Fits the candidates; None means ``CountScaledGD``. A method that knows no ridge is
        tried without one.
    stream
        Randomness of the part, of the split and of the starts.
    watch
        Called with each candidate.
    """
    part = thinned(problem, stream, LARGEST)
    split, ratio = hold_out(part, SHARE, stream), noise_norm(part) / noise_norm(problem)
    judge = _Judge(split, prior, method or CountScaledGD(), stream, watch, ratio)
    largest = min(split.fit.operator.shape_in)
    ranks = [r for r in RANKS if r <= largest] if prior.rank is None else [prior.rank]
    ridges = [prior.ridge] if prior.ridge > 0 or method is not None else judge.ridges()
    rank = prior.rank or min(MIDDLE, largest)
    ridge = min((judge(rank, ridge) for ridge in ridges), key=lambda c: c.error).ridge
    for _ in range(ROUNDS):
        _climb(judge, ranks, ridge)
        rank, before = judge.best().rank, ridge
        ridge = _descend(judge, rank, ridges, ridge)
        if ridge == before:
            break
    return Choice(judge.best(), tuple(judge.tried), _doubts(split, judge.best()))


def _doubts(split: Split, best: Candidate) -> tuple[str, ...]:
    """Say where the best candidate tells nothing of the gaps, or is no better than means."""
    if split.how.gaps is None:
        return ()
    if not split.how.alike:
        return (UNJUDGED,)
    shape = split.fit.operator.shape_in
    judge = Problem(split.y, Entries(split.rows, split.cols, (shape[0], shape[1])))
    return outdone(best.error, plain([(split.fit, judge)]))


def thinned(problem: Problem, stream: Stream, largest: int) -> Problem:
    """Return the part in random rows and columns that holds about ``largest`` cells.

    Problems that are not larger, or not cells, come back as they are.
    """
    operator = problem.operator
    if not isinstance(operator, Entries) or problem.y.numel() <= largest:
        return problem
    share = (largest / problem.y.numel()) ** 0.5
    device = operator.rows.device
    places = [
        _places(n, share, stream, purpose).to(device)
        for n, purpose in zip(
            operator.shape, ("rows of the part", "columns of the part"), strict=True
        )
    ]
    rows, cols = places[0][operator.rows.long()], places[1][operator.cols.long()]
    kept = (rows >= 0) & (cols >= 0)
    shape = int(places[0].max()) + 1, int(places[1].max()) + 1
    return Problem(problem.y[kept], Entries(rows[kept], cols[kept], shape), problem.noise)


def _places(n: int, share: float, stream: Stream, purpose: str) -> Tensor:
    """Return where each of n lines goes in the part, [n]; -1 for those that are left out."""
    kept = stream.permutation(n, purpose)[: max(1, round(share * n))].sort().values
    places = torch.full((n,), -1, dtype=torch.int64)
    places[kept] = torch.arange(kept.numel())
    return places


def noise_norm(problem: Problem) -> float:
    """Return (sqrt(m / n1) + sqrt(m / n2)) / 2: what unit noise on this pattern has as norm."""
    count, (n1, n2) = problem.y.numel(), problem.operator.shape_in
    return float((count / n1) ** 0.5 + (count / n2) ** 0.5) / 2


def split_biases(split: Split, prior: LowRank, method: Method) -> Biases:
    """Fit the offsets on the cells that are fitted, if the prior has them and nobody else does."""
    operator = split.fit.operator
    if prior.biases and isinstance(operator, Entries) and not getattr(method, "fits_biases", False):
        return fit_biases(operator, split.fit.y)
    return no_biases((operator.shape_in[0], operator.shape_in[1]), split.fit.y)


class _Judge:
    """Fits a candidate and measures it on the held-out cells, remembering all."""

    def __init__(
        self,
        split: Split,
        prior: LowRank,
        method: Method,
        stream: Stream,
        watch: Callable[[Candidate], None] | None,
        ratio: float,
    ) -> None:
        self.prior, self.method, self.stream, self.watch = prior, method, stream, watch
        self.ratio = ratio  # of the noise's norm on the part to that on the whole
        biases, operator = split_biases(split, prior, method), split.fit.operator
        if isinstance(operator, Entries):
            offsets = biases.at(operator.rows.long(), operator.cols.long())
        self.rest = rest = replace(split.fit, y=split.fit.y - offsets)
        self.task = Task(rest, prior, dtype=rest.y.dtype, device=rest.y.device)
        self.target = split.y - biases.at(split.rows, split.cols)
        self.cells = split.rows, split.cols
        self.tried: list[Candidate] = []

    def __call__(self, rank: int, ridge: float) -> Candidate:
        for known in self.tried:
            if (known.rank, known.ridge) == (rank, ridge):
                return known
        joint = self.prior.biases and getattr(self.method, "fits_biases", False)
        prior = replace(self.prior, rank=rank, ridge=ridge * self.ratio, biases=joint)
        plan = self.method.prepare(replace(self.task, prior=prior))
        driver = Driver(STEPS, TOLERANCE)
        outcome = driver.run(self.method, plan, self.method.init(plan, self.stream))
        if outcome.status is Status.INTERRUPTED:
            raise KeyboardInterrupt  # a half-fitted candidate must not judge
        factors: Factors = outcome.reading.value
        off = predict_cells(factors.left, factors.right, *self.cells) - self.target
        error = self._size(off)
        candidate = Candidate(rank, ridge, error if error == error else float("inf"))
        self.tried.append(candidate)
        if self.watch is not None:
            self.watch(candidate)
        return candidate

    def _size(self, off: Tensor) -> float:
        """Root mean square; the median size where gross errors would drown all differences."""
        noise = None if self.task.problem is None else self.task.problem.noise
        if noise is not None and noise.heavy_tailed:
            return float(off.abs().median())
        return float(off.square().mean().sqrt())

    def ridges(self) -> list[float]:
        """Return ridges in the units of the data."""
        unit = float(self.rest.y.std()) * noise_norm(self.rest) / self.ratio
        return [round(unit * factor, 9) for factor in RIDGES]

    def best(self) -> Candidate:
        """Return the smallest rank whose error is within a fifth of a per cent of the best."""
        least = min(c.error for c in self.tried)
        good = [c for c in self.tried if c.error <= least * PARSIMONY]
        return min(good, key=lambda c: (c.rank, c.error))


def _climb(judge: _Judge, ranks: list[int], ridge: float) -> None:
    """Try ranks upwards until the error has risen twice in a row."""
    risen, least = 0, float("inf")
    for rank in ranks:
        error = judge(rank, ridge).error
        risen = risen + 1 if error >= least else 0
        least = min(least, error)
        if risen == 2:
            return


def _descend(judge: _Judge, rank: int, ridges: list[float], ridge: float) -> float:
    """Walk along the ridges while the error falls."""
    at = ridges.index(ridge)
    for direction in (-1, 1):
        while 0 <= at + direction < len(ridges):
            if judge(rank, ridges[at + direction]).error >= judge(rank, ridges[at]).error:
                break
            at += direction
    return ridges[at]
