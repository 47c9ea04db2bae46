"""Rescaling y, A or both changes no iterate of any method, once scaled back.

Scales are even powers of two: they round nothing, also under a square root. Otherwise a residual
that is zero up to rounding, as a start may have, could change its sign and the subgradient.
"""

import pytest
import torch
from ground_truth import Case, truth

import wellposed as wp
from wellposed.lowrank.robust_pca import Hard, Soft
from wellposed.lowrank.scaled_gd_lambda import FixedDamping, SmallRandom
from wellposed.lowrank.step_rules import Geometric, Polyak
from wellposed.rng import Stream
from wellposed.task import Task

MATRICES = Stream(0).normal((400, 12, 10), "a") / 20
MATRIX = truth(12, 10, 2, 3.0, 2)
MASK = Stream(0).uniform((12, 10), "mask") < 0.7
GROSS = 5.0 * (Stream(0).uniform((12, 10), "gross") < 0.08)
DENSE = MATRIX.left @ MATRIX.right.mT + GROSS


def sensing(scale_y, scale_a, rank):
    y = scale_y * torch.einsum("kij,ir,jr->k", MATRICES, *MATRIX)
    operator = wp.operators.DenseSensing(scale_a * MATRICES)
    return Case(wp.Problem(y, operator), wp.LowRank(rank), MATRIX, y)


def entries(scale_y, scale_a, rank):
    """Cells have no scale: only y changes."""
    operator = wp.operators.Entries.from_mask(MASK)
    y = scale_y / scale_a * (DENSE - GROSS)[MASK]
    return Case(wp.Problem(y, operator), wp.LowRank(rank), MATRIX, y)


def stack(scale_y, scale_a, rank):
    y = scale_y / scale_a * DENSE
    problem = wp.Problem(y, wp.operators.Identity((12, 10)))
    return Case(problem, wp.LowRankPlusSparse(rank, 0.1), MATRIX, y)


def product(method, case: Case, steps: int = 5):
    plan = method.prepare(Task(case.problem, case.prior, dtype=torch.float64))
    state = method.init(plan, Stream(3))
    for _ in range(steps):
        state = method.step(plan, state)
    reading = method.read(plan, state)
    change = 0.0 if reading.change is None else reading.change
    return reading.value.left @ reading.value.right.mT, change


CASES = [
    (wp.ScaledGD(), sensing, 2),
    (wp.ScaledGD(projection=2.0), entries, 2),
    (wp.GradientDescent(balancing=0.5), sensing, 2),
    (wp.CountScaledGD(), entries, 2),
    (wp.AlternatingMinimization(), sensing, 2),
    (wp.AlternatingMinimization(), entries, 2),
    (wp.Subgradient(), sensing, 2),
    (wp.ScaledSubgradient(), sensing, 2),
    (wp.ScaledSubgradient(), entries, 2),
    (wp.ScaledSubgradient(Geometric()), sensing, 2),
    (wp.Subgradient(Geometric()), sensing, 2),
    (wp.ScaledGDLambda(), sensing, 4),
    (wp.ScaledGDLambda(0.3, FixedDamping(0.2), SmallRandom(1e-2)), sensing, 4),
    (wp.OverparametrizedGD(rebalance_at=0.9), sensing, 4),
    (wp.RobustPCA(), stack, 2),
    (wp.RobustPCA(threshold=Hard()), stack, 2),
]
IDS = [f"{type(m).__name__}-{make.__name__}-{k}" for k, (m, make, _) in enumerate(CASES)]


def gap(method, make, rank, scale_y, scale_a):
    plain, change = product(method, make(1.0, 1.0, rank))
    other, again = product(method, make(scale_y, scale_a, rank))
    scaled_back = other * scale_a / scale_y
    return max(float((scaled_back - plain).norm() / plain.norm()), abs(again - change))


@pytest.mark.parametrize(("method", "make", "rank"), CASES, ids=IDS)
@pytest.mark.parametrize(
    ("scale_y", "scale_a"), [(2.0**10, 1.0), (1.0, 2.0**-6), (2.0**-8, 2.0**8)]
)
def test_units_do_not_matter(method, make, rank, scale_y, scale_a):
    assert gap(method, make, rank, scale_y, scale_a) < 1e-8


@pytest.mark.parametrize(
    ("method", "make"),
    [
        (wp.ScaledSubgradient(Polyak(optimum=0.5)), sensing),  # f* is given in units of y
        (wp.RobustPCA(threshold=Soft(first=0.5)), stack),
    ],
)
def test_what_has_units_is_found_out(method, make):
    assert gap(method, make, 2, 1e3, 1.0) > 1e-3
