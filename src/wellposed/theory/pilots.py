"""Pilots: measure the hidden constant of a theorem on an instance of the user's sizes.

A pilot makes synthetic problems with the user's rank, condition number and share of errors,
and with sizes capped so that it takes seconds. It measures the quantity (the median over three
seeds), divides by the formula at the sizes that were run, and multiplies by the formula at the
sizes that were asked for: the theorem's powers are kept, only the constant is fitted. What comes
out is calibrated on such instances, not guaranteed; real data may be harder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.errors import InputError
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
from wellposed.theory.planner import Kind, Planner, Quantity, Sizes

SEEDS = 3
SUCCESS = 1e-3  # relative error that counts as recovered
HALVINGS = 6  # of the interval in which a threshold is looked for
OVERSAMPLING = 5.0  # measurements per degree of freedom in the pilots that count steps
MULTIPLE = 20  # of kappa log(1/epsilon): more steps than any of the methods should need
LEAST = 1e-8  # accuracy that the pilots go to: rounding must not matter


class Measured(NamedTuple):
    """What a pilot found.

    Attributes
    ----------
    quantity
        Name of what was measured.
    kind
        What the theorem gives for it.
    sizes
        The sizes that were run: those asked for, capped.
    measured
        The median over the seeds.
    constant
        measured / formula(sizes).
    value
        constant * formula(sizes asked for); never beyond what is possible.
    """

    quantity: str
    kind: Kind
    sizes: Sizes
    measured: float
    constant: float
    value: float


@dataclass(frozen=True)
class Pilot:
    """How to measure one quantity of a planner: caps, and a run with one seed."""

    quantity: int  # position in the planner's list
    size: int  # cap of n1 and n2
    rank: int  # cap of the rank
    run: Callable[[Sizes, Stream], float]


def pilot(planner: Planner, sizes: Sizes, seed: int = 0) -> Measured:
    """Measure the constant of a planner.

    Raises
    ------
    InputError
        There is no pilot for it, or no instance reached the accuracy.

    Examples
    --------
    >>> from wellposed.theory.planners_lowrank import planner
    >>> found = pilot(planner("scaledgd-completion"), Sizes(40, 30, rank=1))
    >>> 0.05 < found.measured < 0.6
    True
    """
    chosen = pilot_of(planner)
    quantity = planner.quantities[chosen.quantity]
    small = capped(sizes, chosen.size, chosen.rank)
    runs = [chosen.run(small, Stream(seed, item=k)) for k in range(SEEDS)]
    return _scaled(quantity, sizes, small, float(median(runs)))


def pilot_of(planner: Planner) -> Pilot:
    """Return how a planner's constant is measured.

    Raises
    ------
    InputError
        There is no pilot for it.
    """
    if planner.id not in PILOTS:
        raise InputError(
            f"there is no pilot for {planner.id}",
            "its formula has no constant to fit, or its method needs settings that no pilot knows",
            "pilots exist for " + ", ".join(PILOTS),
        )
    return PILOTS[planner.id]


def capped(sizes: Sizes, size: int, rank: int) -> Sizes:
    """Return sizes that a pilot can run in seconds.

    Examples
    --------
    >>> capped(Sizes(1000, 50, rank=20, kappa=4), 80, 5)
    Sizes(n1=80, n2=50, rank=5, kappa=4, epsilon=1e-06, mu=1.0, outliers=0.1, sigma=0.0, \
off_rank=0.0, step_size=0.5, start=0.1)
    """
    n1, n2 = min(sizes.n1, size), min(sizes.n2, size)
    small = min(sizes.rank, rank, n1, n2)
    mu = min(sizes.mu, min(n1, n2) / small)
    return replace(sizes, n1=n1, n2=n2, rank=small, mu=mu, epsilon=max(sizes.epsilon, LEAST))


def matrix_of(sizes: Sizes, stream: Stream, *, symmetric: bool = False) -> Tensor:
    """Return a random matrix: singular values from 1 down to 1 / kappa, [n1, n2]."""
    left = torch.linalg.qr(stream.normal((sizes.n1, sizes.rank), "left"))[0]
    right = (
        left if symmetric else torch.linalg.qr(stream.normal((sizes.n2, sizes.rank), "right"))[0]
    )
    values = torch.linspace(1, 1 / sizes.kappa, sizes.rank, dtype=left.dtype)
    matrix: Tensor = left * values @ right.mT
    return matrix


def _scaled(quantity: Quantity, asked: Sizes, small: Sizes, measured: float) -> Measured:
    if not math.isfinite(measured):
        raise InputError(
            "the pilot did not reach the accuracy that was asked for",
            f"it ran {small.n1} x {small.n2}, rank {small.rank}, kappa {small.kappa:g}",
            "ask for a smaller kappa, or a larger epsilon",
        )
    formula = quantity.value(small)
    constant = measured / formula if formula else math.nan
    value = min(constant * quantity.value(asked), quantity.most(asked))
    return Measured(quantity.name, quantity.kind, small, measured, constant, value)


def _steps(
    sizes: Sizes, problem: Problem, truth: Tensor, prior: LowRank, method: Any, tol: float = 0.01
) -> float:
    """Count the steps until the error is epsilon sigma_r; tol is relative to that."""
    aim = sizes.epsilon / sizes.kappa / float(truth.norm())
    limit = math.ceil(MULTIPLE * sizes.kappa * sizes.digits)
    found = recover(problem, prior, method, steps=limit, tol=aim * tol, truth=truth)
    reached = (found.trace.error <= aim).nonzero()[0]
    return float(found.trace.step[reached[0]]) if len(reached) else math.inf


def _sensing(sizes: Sizes, stream: Stream, times: float = OVERSAMPLING) -> DenseSensing:
    free = (sizes.n1 + sizes.n2 - sizes.rank) * sizes.rank
    count = math.ceil(times * free)
    return DenseSensing(stream.normal((count, sizes.n1, sizes.n2), "measurements"))


def _gd_steps(sizes: Sizes, stream: Stream) -> float:
    truth, sensing = matrix_of(sizes, stream), _sensing(sizes, stream)
    method = GradientDescent(balancing=0.5)
    return _steps(sizes, Problem(sensing(truth), sensing), truth, LowRank(sizes.rank), method)


def _scaled_steps(sizes: Sizes, stream: Stream) -> float:
    truth, sensing = matrix_of(sizes, stream), _sensing(sizes, stream)
    method = ScaledGD(step_size=sizes.step_size)
    return _steps(sizes, Problem(sensing(truth), sensing), truth, LowRank(sizes.rank), method)


def _robust_steps(sizes: Sizes, stream: Stream) -> float:
    truth, sensing = matrix_of(sizes, stream), _sensing(sizes, stream)
    noise = SparseOutliers(sizes.outliers)
    problem = Problem(noise.simulate(sensing(truth), stream), sensing, noise)
    return _steps(sizes, problem, truth, LowRank(sizes.rank), ScaledSubgradient())


def _damped_steps(sizes: Sizes, stream: Stream) -> float:
    """Count steps with twice the rank, from a small random start, as in the theorem."""
    square = replace(sizes, n1=sizes.smaller, n2=sizes.smaller)
    truth = matrix_of(square, stream, symmetric=True)
    columns = min(2 * square.rank, square.n1)
    sensing = _sensing(replace(square, rank=columns, mu=1.0), stream, 2 * OVERSAMPLING)
    problem, prior = Problem(sensing(truth), sensing), LowRank(columns, symmetric=True)
    method = ScaledGDLambda(damping=FixedDamping(1 / sizes.kappa), start=SmallRandom())
    # Before it has grown, a small start hardly moves the residual: that must not end the run.
    return _steps(square, problem, truth, prior, method, tol=1e-9)


def _entries(sizes: Sizes, stream: Stream) -> float:
    """Find the share of entries from which on ScaledGD recovers."""
    truth = matrix_of(sizes, stream)
    order = stream.uniform(truth.shape, "entries")

    def works(share: float) -> bool:
        mask = order < share
        if not bool(mask.any()):
            return False
        problem = Problem(truth[mask], Entries.from_mask(mask))
        return _recovered(problem, LowRank(sizes.rank), ScaledGD(), truth)

    return _threshold(works, 0.0, 1.0)


def _errors(sizes: Sizes, stream: Stream) -> float:
    """Find the share of gross errors up to which robust PCA recovers."""
    truth = matrix_of(sizes, stream)
    order = stream.uniform(truth.shape, "places")
    gross = truth.abs().mean() * (2 * stream.uniform(truth.shape, "values") - 1)

    def fails(share: float) -> bool:
        problem = Problem(truth + torch.where(order < share, gross, 0.0), Identity(truth.shape))
        prior = LowRankPlusSparse(sizes.rank, min(1.2 * share, 0.49))
        return not _recovered(problem, prior, RobustPCA(threshold=Hard()), truth)

    return _threshold(fails, 0.0, 0.5)


def _recovered(problem: Problem, prior: Any, method: Any, truth: Tensor) -> bool:
    found = recover(problem, prior, method, steps=200, truth=truth)
    error = found.trace.error
    return bool(len(error)) and bool(error[-1] <= SUCCESS)


def _threshold(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Halve the interval in which a condition begins to hold; inf if it does not at its end."""
    if not holds(high - (high - low) / 2**HALVINGS / 2):
        return math.inf
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return (low + high) / 2


PILOTS = {
    "gd-sensing": Pilot(1, 30, 4, _gd_steps),
    "scaledgd-sensing": Pilot(1, 30, 4, _scaled_steps),
    "scaledgd-completion": Pilot(0, 100, 5, _entries),
    "scaledgd-rpca": Pilot(0, 100, 5, _errors),
    "scaledsm": Pilot(0, 30, 4, _robust_steps),
    "scaledgd-lambda": Pilot(1, 24, 3, _damped_steps),
}
