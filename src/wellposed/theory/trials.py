"""Single runs of pilots: synthetic problems of given sizes, each measured with one seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.errors import undoubted
from wellposed.lowrank.gradient_descent import GradientDescent
from wellposed.lowrank.robust_pca import Hard, RobustPCA
from wellposed.lowrank.scaled_gd import ScaledGD
from wellposed.lowrank.scaled_gd_lambda import FixedDamping, ScaledGDLambda, SmallRandom
from wellposed.lowrank.scaled_subgradient import ScaledSubgradient
from wellposed.noise import SparseOutliers
from wellposed.operators.entries import Entries
from wellposed.operators.generic import Identity
from wellposed.operators.sensing import DenseSensing
from wellposed.priors.lowrank import LowRank, LowRankPlusSparse
from wellposed.problem import Problem
from wellposed.recovery import recover
from wellposed.rng import Stream
from wellposed.theory.planner import Sizes

SUCCESS = 1e-3  # relative error that counts as recovered
HALVINGS = 6  # of the interval in which a threshold is looked for
OVERSAMPLING = 5.0  # measurements per degree of freedom in the trials that count steps


def matrix_of(sizes: Sizes, stream: Stream, *, symmetric: bool = False) -> Tensor:
    """Return a random matrix: singular values from 1 down to 1 / kappa, [n1, n2]."""
    left = torch.linalg.qr(stream.normal((sizes.n1, sizes.rank), "left"))[0]
    right = (
        left if symmetric else torch.linalg.qr(stream.normal((sizes.n2, sizes.rank), "right"))[0]
    )
    values = torch.linspace(1, 1 / sizes.kappa, sizes.rank, dtype=left.dtype)
    matrix: Tensor = left * values @ right.mT
    return matrix


class Trial(NamedTuple):
    """A problem whose truth is known, and how it is to be solved."""

    sizes: Sizes
    problem: Problem
    truth: Tensor
    prior: LowRank
    method: Any


def count_steps(trial: Trial, most: int, tol: float = 0.01) -> float:
    """Count the steps until the error is epsilon sigma_r; tol is relative to that."""
    aim = trial.sizes.epsilon / trial.sizes.kappa / float(trial.truth.norm())
    found = recover(
        trial.problem, trial.prior, trial.method, steps=most, tol=aim * tol, truth=trial.truth
    )
    reached = (found.trace.error <= aim).nonzero()[0]
    return float(found.trace.step[reached[0]]) if len(reached) else math.inf


def gaussian_sensing(sizes: Sizes, stream: Stream, times: float = OVERSAMPLING) -> DenseSensing:
    """Draw Gaussian measurements, some times as many as degrees of freedom."""
    free = (sizes.n1 + sizes.n2 - sizes.rank) * sizes.rank
    count = math.ceil(times * free)
    return DenseSensing(stream.normal((count, sizes.n1, sizes.n2), "measurements"))


def gd_steps(sizes: Sizes, stream: Stream, most: int) -> float:
    """Count the steps of gradient descent."""
    truth, sensing = matrix_of(sizes, stream), gaussian_sensing(sizes, stream)
    problem, method = Problem(sensing(truth), sensing), GradientDescent(balancing=0.5)
    return count_steps(Trial(sizes, problem, truth, LowRank(sizes.rank), method), most)


def scaled_steps(sizes: Sizes, stream: Stream, most: int) -> float:
    """Count the steps of ScaledGD."""
    truth, sensing = matrix_of(sizes, stream), gaussian_sensing(sizes, stream)
    problem, method = Problem(sensing(truth), sensing), ScaledGD(step_size=sizes.step_size)
    return count_steps(Trial(sizes, problem, truth, LowRank(sizes.rank), method), most)


def robust_steps(sizes: Sizes, stream: Stream, most: int) -> float:
    """Count the steps of the scaled subgradient method with gross errors."""
    truth, sensing = matrix_of(sizes, stream), gaussian_sensing(sizes, stream)
    noise = SparseOutliers(sizes.outliers)
    problem = Problem(noise.simulate(sensing(truth), stream), sensing, noise)
    return count_steps(Trial(sizes, problem, truth, LowRank(sizes.rank), ScaledSubgradient()), most)


def damped_steps(sizes: Sizes, stream: Stream, most: int) -> float:
    """Count steps with twice the rank, from a small random start, as in the theorem."""
    square = replace(sizes, n1=sizes.smaller, n2=sizes.smaller)
    truth = matrix_of(square, stream, symmetric=True)
    columns = min(2 * square.rank, square.n1)
    sensing = gaussian_sensing(replace(square, rank=columns, mu=1.0), stream, 2 * OVERSAMPLING)
    problem, prior = Problem(sensing(truth), sensing), LowRank(columns, symmetric=True)
    method = ScaledGDLambda(damping=FixedDamping(1 / sizes.kappa), start=SmallRandom())
    # Before it has grown, a small start hardly moves the residual: that must not end the run.
    return count_steps(Trial(square, problem, truth, prior, method), most, tol=1e-9)


def entries_needed(sizes: Sizes, stream: Stream, _: int) -> float:
    """Find the share of entries from which on ScaledGD recovers."""
    truth = matrix_of(sizes, stream)
    order = stream.uniform(truth.shape, "entries")

    def works(share: float) -> bool:
        mask = order < share
        if not bool(mask.any()):
            return False
        problem = Problem(truth[mask], Entries.from_mask(mask))
        return recovered(problem, LowRank(sizes.rank), ScaledGD(), truth)

    return threshold(works, 0.0, 1.0)


def errors_borne(sizes: Sizes, stream: Stream, _: int) -> float:
    """Find the share of gross errors up to which robust PCA recovers."""
    truth = matrix_of(sizes, stream)
    order = stream.uniform(truth.shape, "places")
    gross = truth.abs().mean() * (2 * stream.uniform(truth.shape, "values") - 1)

    def fails(share: float) -> bool:
        problem = Problem(truth + torch.where(order < share, gross, 0.0), Identity(truth.shape))
        prior = LowRankPlusSparse(sizes.rank, min(1.2 * share, 0.49))
        return not recovered(problem, prior, RobustPCA(threshold=Hard()), truth)

    return threshold(fails, 0.0, 0.5)


def recovered(problem: Problem, prior: Any, method: Any, truth: Tensor) -> bool:
    """Tell whether a method finds the truth."""
    with undoubted():  # with too few measurements rows stay empty
        found = recover(problem, prior, method, steps=200, truth=truth)
    error = found.trace.error
    return bool(len(error)) and bool(error[-1] <= SUCCESS)


def threshold(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Halve the interval in which a condition begins to hold; inf if it does not at its end."""
    if not holds(high - (high - low) / 2**HALVINGS / 2):
        return math.inf
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return (low + high) / 2
