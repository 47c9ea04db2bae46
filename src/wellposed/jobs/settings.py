"""Rank, ridge and offsets of a table's model, by hold-out on the cells that it may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from wellposed.jobs.folder import Bench
from wellposed.jobs.requests import CompleteJob
from wellposed.lowrank.count_scaled_gd import CountScaledGD
from wellposed.priors.lowrank import LowRank
from wellposed.problem import Problem
from wellposed.progress import Progress
from wellposed.rng import Stream
from wellposed.selection import Choice, choose


class Tried(NamedTuple):
    """A candidate model and its root mean square error on the validation cells."""

    rank: int
    ridge: float
    biases: bool
    error: float


@dataclass(frozen=True)
class Settings:
    """What is fitted."""

    rank: int
    ridge: float
    biases: bool
    tried: tuple[Tried, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def prior(self) -> LowRank:
        """The prior with these settings."""
        return LowRank(self.rank, ridge=self.ridge, biases=self.biases)


def settle(bench: Bench, job: CompleteJob, problem: Problem, method: Any) -> Settings:
    """Choose what the job leaves open; what it gives is kept.

    All candidates are judged on the same cells, with offsets or without, so their errors can be
    compared; offsets are kept when the best model that has them is better.

    Parameters
    ----------
    bench
        Where choices are kept for the next time.
    job
        What was asked.
    problem
        The cells that the model may see: never those that judge it in the end.
    method
        The method asked for, or None.
    """
    open_ridge = job.ridge is None and method is None
    if job.rank is not None and job.biases is not None and not open_ridge:
        return Settings(job.rank, job.ridge or 0.0, job.biases)
    sides = (True, False) if job.biases is None else (job.biases,)
    found = {side: _choose(bench, job, problem, method, side) for side in sides}
    side = min(sides, key=lambda s: found[s].best.error)
    best = found[side].best
    tried = tuple(Tried(c.rank, c.ridge, s, c.error) for s in sides for c in found[s].tried)
    return Settings(best.rank, best.ridge, side, tried, found[side].doubts)


def _choose(bench: Bench, job: CompleteJob, problem: Problem, method: Any, biases: bool) -> Choice:
    # A method that is named is tried with the given ridge only; a ridge of zero that was asked
    # for must not be searched either.
    if method is None and job.ridge == 0:
        method = CountScaledGD()
    prior = LowRank(job.rank, ridge=job.ridge or 0.0, biases=biases)

    def compute() -> Choice:
        with Progress(job.steps, shown=bench.limits.progress) as bar:
            return choose(problem, prior, method, Stream(job.seed), bar.candidate)

    found: Choice = bench.once(f"choice-{'with' if biases else 'without'}-biases", compute)
    return found
