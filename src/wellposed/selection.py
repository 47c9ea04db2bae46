"""Rank and ridge by hold-out, above the driver.

A tenth of the measurements is set aside; every candidate is fitted to the rest and judged by
its error on that tenth. Ridges are searched at a middle rank, ranks then upwards until the
error has risen twice, and so on in turns until nothing changes; the smallest rank within a
fifth of a per cent of the best is taken. The ridge is searched on a scale that has the units of
the data: the expected largest singular value of noise on this pattern,
std(y) (sqrt(m / n1) + sqrt(m / n2)) / 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from wellposed.checks import require
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


class Choice(NamedTuple):
    """The best candidate, and all that were tried."""

    best: Candidate
    tried: tuple[Candidate, ...]


def hold_out(problem: Problem, share: float, stream: Stream) -> Split:
    """Set aside a random share of the observed cells.

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
    count = operator.rows.numel()
    aside = round(share * count)
    require(
        0 < aside < count,
        f"{count} observed cells are too few to hold out {share:.0%}",
        remedy="give the rank: LowRank(rank)",
    )
    order = stream.permutation(count, "hold-out").to(operator.rows.device)
    judge, kept = order[:aside], order[aside:].sort().values
    rows, cols, y = operator.rows, operator.cols, problem.y
    fit = Problem(y[kept], Entries(rows[kept], cols[kept], operator.shape), problem.noise)
    return Split(fit, rows[judge].long(), cols[judge].long(), y[judge])


def choose(
    problem: Problem,
    prior: LowRank,
    method: Method | None,
    stream: Stream,
    watch: Callable[[Candidate], None] | None = None,
) -> Choice:
    """Choose the rank (when the prior has none) and the ridge (when it is zero) by hold-out.

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
        Randomness of the split and of the starts.
    watch
        Called with each candidate.
    """
    split = hold_out(problem, SHARE, stream)
    judge = _Judge(split, prior, method or CountScaledGD(), stream, watch)
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
    return Choice(judge.best(), tuple(judge.tried))


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
    ) -> None:
        self.prior, self.method, self.stream, self.watch = prior, method, stream, watch
        biases, operator = split_biases(split, prior, method), split.fit.operator
        if isinstance(operator, Entries):
            offsets = biases.at(operator.rows.long(), operator.cols.long())
        rest = replace(split.fit, y=split.fit.y - offsets)
        self.task = Task(rest, prior, dtype=rest.y.dtype, device=rest.y.device)
        self.target = split.y - biases.at(split.rows, split.cols)
        self.cells = split.rows, split.cols
        self.tried: list[Candidate] = []

    def __call__(self, rank: int, ridge: float) -> Candidate:
        for known in self.tried:
            if (known.rank, known.ridge) == (rank, ridge):
                return known
        joint = self.prior.biases and getattr(self.method, "fits_biases", False)
        prior = replace(self.prior, rank=rank, ridge=ridge, biases=joint)
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
        problem = self.task.problem
        y = problem.y if problem is not None else self.target
        n1, n2 = problem.operator.shape_in if problem is not None else (1, 1)
        unit = float(y.std()) * ((y.numel() / n1) ** 0.5 + (y.numel() / n2) ** 0.5) / 2
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
