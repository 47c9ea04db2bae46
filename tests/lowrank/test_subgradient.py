"""Subgradient methods: start, steps, gross errors, dense noise."""

import statistics

import pytest
import torch
from ground_truth import completion, count, errors, planned, quadratic, sensing
from lowrank_cases import ASYMMETRIC, SYMMETRIC, hankel, masked
from lowrank_dense import Dense, back, inverse, residual, step_gap

import wellposed as wp
from wellposed.lowrank import step_rules
from wellposed.lowrank.init import spectral_start
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.lowrank.step_rules import Geometric, Polyak
from wellposed.lowrank.subgradient import truncated_start
from wellposed.rng import Stream

METHODS = [wp.Subgradient, wp.ScaledSubgradient]
OPTIMUM = 0.1


def formula(scaled, squared=False, optimum=OPTIMUM, symmetric=False):
    def step(d: Dense, left, right):
        off = residual(d, left, right)
        z = back(d, off if squared else abs(off) / off)
        if symmetric:
            z = (z + z.T) / 2
        slopes = z @ right, z.T @ left
        moves = slopes
        if scaled:
            moves = slopes[0] @ inverse(right.T @ right), slopes[1] @ inverse(left.T @ left)
        power = sum(float((s * m).sum()) for s, m in zip(slopes, moves, strict=True))
        size = (float(abs(off).sum()) - optimum) / power
        return left - size * moves[0], right - size * moves[1]

    return step


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", ASYMMETRIC)
def test_one_step_is_the_formula_on_every_layout(method, make):
    scaled, case = method is wp.ScaledSubgradient, make()
    assert step_gap(method(Polyak(OPTIMUM)), case, formula(scaled)) < 1e-10
    for wrong in (formula(not scaled), formula(scaled, optimum=0), formula(scaled, squared=True)):
        assert step_gap(method(Polyak(OPTIMUM)), case, wrong) > 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_one_symmetric_step_is_the_formula(method):
    scaled, case = method is wp.ScaledSubgradient, SYMMETRIC[1]()
    expected = formula(scaled, symmetric=True)
    assert step_gap(method(Polyak(OPTIMUM)), case, expected) < 1e-10
    halved = formula(scaled, symmetric=True, optimum=OPTIMUM + 1)
    assert step_gap(method(Polyak(OPTIMUM)), case, halved) > 1e-3


def subspace_error(pair, truth):
    """Sine of the largest angle between the column spaces."""
    a, b = (torch.linalg.qr(f.left)[0] for f in (pair, truth))
    return float(torch.linalg.matrix_norm(b - a @ (a.mT @ b), 2))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda noise: sensing(30, 2, 2.0, 1500, 0, noise=noise),
        lambda noise: quadratic(30, 2, 2.0, 1500, 0, noise=noise),
        lambda noise: completion(200, 2, 2.0, 0.3, 0, noise=noise),
    ],
    ids=["sensing", "quadratic", "entries"],
)
def test_the_truncated_start_survives_gross_errors(make, told):
    case = make(wp.noise.SparseOutliers(0.2, size=100.0))
    plan, _ = planned(wp.ScaledSubgradient(), case)
    robust = truncated_start(plan if told else plan._replace(fraction=None), Stream(0))
    plain = spectral_start(plan.setting, Stream(0))
    assert relative_error(robust, case.truth) < 1 < 10 < relative_error(plain, case.truth)
    assert subspace_error(robust, case.truth) < 0.75 * subspace_error(plain, case.truth)


def test_the_start_without_gross_errors_is_the_spectral_one():
    case = masked(noise=wp.noise.SparseOutliers(0.0))
    plan, state = planned(wp.ScaledSubgradient(), case)
    assert torch.equal(state.left, spectral_start(plan.setting, Stream(0)).left)


def counts(cases, rule):
    """Median steps over the seeds, for each condition number."""
    return [
        statistics.median(count(wp.ScaledSubgradient(rule(c)), c, 1e-6, 600) for c in seeds)
        for seeds in cases
    ]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3])
def test_the_estimated_optimum_is_as_good_as_the_true_one(share):
    noise = wp.noise.SparseOutliers(share)
    cases = [
        [quadratic(40, 3, kappa, 8 * 40 * 3, seed, noise=noise) for seed in range(3)]
        for kappa in (1.0, 20.0)
    ]
    known = counts(cases, lambda case: Polyak(float(case.errors.abs().sum())))
    estimated = counts(cases, lambda case: Polyak())
    assert max(known) <= 1.25 * min(known)
    assert max(estimated) <= 1.25 * min(estimated)
    assert max(estimated) <= 1.4 * max(known)


def test_geometric_steps_converge_too():
    case = quadratic(60, 3, 20.0, 8 * 60 * 3, 0, noise=wp.noise.SparseOutliers(0.2))
    assert count(wp.ScaledSubgradient(Geometric()), case, 1e-6, 300) > 0
    too_fast = errors(wp.ScaledSubgradient(Geometric(ratio=0.8)), case, 200)
    assert min(too_fast) > 1e-3


class GrossAndDense(wp.noise.SparseOutliers):
    """Gross errors in a share of the measurements, dense noise of one per mille in all."""

    def simulate(self, mean, stream):
        sigma = 1e-3 * mean.square().mean().sqrt()
        return super().simulate(mean + sigma * stream.normal(mean.shape, "dense"), stream)


def test_dense_noise_does_not_keep_the_steps_long(monkeypatch):
    case = quadratic(60, 3, 5.0, 8 * 60 * 3, 0, noise=GrossAndDense(0.2))
    found = wp.recover(case.problem, case.prior, wp.ScaledSubgradient(), truth=case.truth)
    assert found.status is wp.Status.CONVERGED
    assert found.trace.error[-1] < 1.5e-3
    monkeypatch.setattr(step_rules, "PATIENCE", 10**9)
    unguarded = wp.recover(case.problem, case.prior, wp.ScaledSubgradient(), truth=case.truth)
    assert unguarded.status is wp.Status.MAX_STEPS
    assert unguarded.trace.error[-20:].max() > 1.2 * found.trace.error[-1]


def test_gross_errors_ruin_least_squares_and_are_the_default_rule():
    case = sensing(30, 2, 5.0, 960, 0, noise=wp.noise.SparseOutliers(0.1))
    found = wp.recover(case.problem, case.prior)
    assert isinstance(found.method, wp.ScaledSubgradient)
    assert relative_error(Factors(found.left, found.right), case.truth) < 1e-4
    squares = wp.recover(case.problem, case.prior, wp.ScaledGD())
    assert relative_error(Factors(squares.left, squares.right), case.truth) > 1


def test_the_residual_is_that_of_the_majority():
    case = sensing(30, 2, 5.0, 960, 0, noise=wp.noise.SparseOutliers(0.1))
    found = wp.recover(case.problem, case.prior)
    assert found.trace.residual[-1] < 1e-4
    off = case.problem.operator.on_factors(found.left, found.right) - case.problem.y
    assert float(off.norm() / case.problem.y.norm()) > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_hankel_lifts_are_refused_by_name(method):
    with pytest.raises(wp.WellposedError, match="use ScaledGD"):
        planned(method(), hankel())


def test_heavy_tails_on_a_hankel_lift_fall_back():
    case = hankel(noise=wp.noise.Laplace(0.001))
    assert isinstance(wp.recover(case.problem, case.prior, steps=2).method, wp.ScaledGD)
