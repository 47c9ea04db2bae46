"""Robust PCA: exact separation, missing entries, dense noise, and what the thresholds keep."""

from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from ground_truth import planned, truth
from torch import Tensor

import wellposed as wp
from wellposed.lowrank.robust_pca import (
    Hard,
    Soft,
    keep_largest,
    relative_decrease,
    spent_on_one_line,
    spread,
)
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.rng import Stream

RANK, SHARE = 3, 0.05
PRIOR = wp.LowRankPlusSparse(RANK, 0.08)
THRESHOLDS = [Hard(), Soft()]
by_threshold = pytest.mark.parametrize("threshold", THRESHOLDS, ids=["hard", "soft"])


class Mixed(NamedTuple):
    problem: wp.Problem
    low: Factors
    sparse: Tensor  # [n1, n2], zero where not observed
    clean: Tensor


def corrupted(kappa=5.0, observed=1.0, sigma=0.0, n=150, seed=0) -> Mixed:
    """A low-rank matrix with 5 % of the cells off by up to its mean size."""
    low, stream = truth(n, n - 10, RANK, kappa, seed), Stream(seed, 3)
    clean = low.left @ low.right.mT
    size = clean.abs().mean()
    hit = stream.uniform(clean.shape, "where") < SHARE
    sparse = hit * size * (2 * stream.uniform(clean.shape, "how much") - 1)
    y = clean + sparse + sigma * size * stream.normal(clean.shape, "noise")
    if observed == 1:
        return Mixed(wp.Problem(y, wp.operators.Identity(tuple(y.shape))), low, sparse, clean)
    mask = stream.uniform(clean.shape, "mask") < observed
    problem = wp.Problem(y[mask], wp.operators.Entries.from_mask(mask))
    return Mixed(problem, low, sparse * mask, clean)


def solved(mixed: Mixed, threshold, **more):
    method = wp.RobustPCA(threshold=threshold)
    return wp.recover(mixed.problem, PRIOR, method, truth=mixed.low, **({"tol": 1e-10} | more))


def support_score(found: Tensor, sparse: Tensor) -> float:
    """F1 of the cells above a twentieth of the largest corruption."""
    limit = 0.05 * float(sparse.abs().max())
    a, b = found.abs() > limit, sparse.abs() > limit
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


@by_threshold
@pytest.mark.parametrize("observed", [1.0, 0.6])
@pytest.mark.parametrize("kappa", [1.0, 20.0])
def test_background_and_corruptions_are_separated_exactly(threshold, observed, kappa):
    mixed = corrupted(kappa, observed)
    found = solved(mixed, threshold)
    assert found.status is wp.Status.CONVERGED
    assert found.trace.error[-1] < 1e-8
    assert support_score(found.sparse, mixed.sparse) >= 0.99
    assert float((found.sparse - mixed.sparse).norm() / mixed.sparse.norm()) < 1e-6


def test_least_squares_would_not_do():
    mixed = corrupted()
    fit = wp.recover(mixed.problem, wp.LowRank(RANK), wp.ScaledGD())
    assert relative_error(Factors(fit.left, fit.right), mixed.low) > 0.02


def test_a_share_that_is_too_small_leaves_a_bias():
    mixed = corrupted()
    few = wp.recover(
        mixed.problem, wp.LowRankPlusSparse(RANK, 0.01), wp.RobustPCA(threshold=Hard(1.0)),
        truth=mixed.low,
    )  # fmt: skip
    assert few.trace.error[-1] > 1e-2


def test_counts_do_not_depend_on_the_condition_number():
    steps = []
    for kappa in (1.0, 20.0):
        error = solved(corrupted(kappa), Soft(), steps=100).trace.error
        steps.append(int((error > 1e-6).sum()) + 1)
    assert max(steps) <= 1.1 * min(steps)


@by_threshold
def test_dense_noise_costs_in_proportion(threshold):
    off = [solved(corrupted(sigma=s), threshold, tol=1e-6).trace.error[-1] for s in (1e-3, 1e-2)]
    assert 5 < off[1] / off[0] < 20
    assert off[1] < 1e-2


def test_the_fit_with_missing_entries_reads_observed_cells_only():
    mixed = corrupted(observed=0.6)
    found = solved(mixed, Hard())
    hidden = mixed.problem.operator.adjoint(torch.ones_like(mixed.problem.y)) == 0
    assert float(found.sparse[hidden].abs().max()) == 0
    assert float((found.signal - mixed.clean)[hidden].norm() / mixed.clean.norm()) < 1e-8


def test_keep_largest_needs_both_row_and_column():
    x = torch.tensor([[9.0, 8.0, 1.0], [2.0, 7.0, 3.0], [1.0, 1.0, 4.0]])
    kept = keep_largest(x, 1 / 3)
    assert kept.tolist() == [[9.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 4.0]]
    assert torch.equal(keep_largest(x, 1.0), x)
    assert torch.equal(keep_largest(x, 0.2), torch.zeros_like(x))


def test_the_spread_is_robust_and_ignores_what_was_not_observed():
    x = Stream(0).normal((300, 200), "x")
    x[:, :40] = 1e6
    assert float(spread(x)) == pytest.approx(1.0, rel=0.4)
    x[:, 100:] = 0
    x[:, :40] = 0
    assert float(spread(x)) == pytest.approx(1.0, rel=0.05)
    assert float(spread(torch.zeros(3, 3))) == 0


def test_the_soft_threshold_falls_to_the_noise_and_stops_there():
    mixed = corrupted(sigma=1e-2)
    plan, state = planned(wp.RobustPCA(), mixed_case(mixed))
    seen = [float(state.zeta)]
    for _ in range(60):
        state = wp.RobustPCA().step(plan, state)
        seen.append(float(state.zeta))
    falling = [b / a for a, b in pairwise(seen[:10])]
    assert max(falling) < 0.85
    sigma = 1e-2 * float(mixed.clean.abs().mean())
    assert seen[-1] == pytest.approx(3 * sigma, rel=0.15)
    assert float(relative_decrease(torch.tensor(4.0), torch.tensor(3.0))) == 0.25


def gross(n=100, seed=1, multiple=100.0, rank=RANK) -> Mixed:
    """As ``corrupted``, with corruptions of up to a hundred times the mean size."""
    low, stream = truth(n, n, rank, 20.0, seed), Stream(seed, 3)
    clean = low.left @ low.right.mT
    hit = stream.uniform(clean.shape, "where") < SHARE
    size = multiple * clean.abs().mean()
    sparse = hit * size * (2 * stream.uniform(clean.shape, "how much") - 1)
    return Mixed(wp.Problem(clean + sparse, wp.operators.Identity((n, n))), low, sparse, clean)


def test_gross_corruptions_do_not_end_a_run_early():
    found = wp.recover(gross().problem, wp.LowRankPlusSparse(RANK), truth=gross().low)
    assert found.status is wp.Status.CONVERGED
    assert found.trace.error[-1] < 1e-5


def test_a_direction_spent_on_one_line_is_not_convergence():
    mixed = gross(seed=1, multiple=10.0, rank=10)
    found = wp.recover(mixed.problem, wp.LowRankPlusSparse(10), truth=mixed.low, steps=320)
    assert found.trace.error[-1] > 0.05  # it went wrong: n is small, the rank large
    assert found.trace.change[-1] < 1e-6  # and stands still
    assert found.status is wp.Status.MAX_STEPS
    pair = Factors(found.left, found.right)
    assert spent_on_one_line(pair)
    assert not spent_on_one_line(mixed.low)
    assert not spent_on_one_line(Factors(torch.eye(3), torch.eye(3)))


def mixed_case(mixed: Mixed):
    """What ``planned`` asks for."""
    return type("Case", (), {"problem": mixed.problem, "prior": PRIOR})()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hard(0.5), "multiple is"),
        (lambda: Soft(first=0.0), "first is"),
        (lambda: Soft(ratio=1.0), "ratio is"),
        (lambda: wp.RobustPCA(threshold="soft"), "expected Hard"),
        (lambda: solved_without_share(), "has no fraction"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(wp.WellposedError, match=message):
        make()


def solved_without_share():
    prior = wp.LowRankPlusSparse(RANK)
    return wp.recover(corrupted(n=30).problem, prior, wp.RobustPCA(threshold=Hard()))
