"""Over-parametrised gradient descent: the rates of the paper, and the one step that mends them."""

import numpy as np
import pytest
import torch
from ground_truth import errors, planned, sensing
from lowrank_cases import ASYMMETRIC, SYMMETRIC, dense_sensing, masked
from lowrank_dense import gradient, random_pair, step_gap

import wellposed as wp
from wellposed.lowrank.overparametrized import rebalanced
from wellposed.rng import Stream

PLAIN = wp.OverparametrizedGD(0.4, rebalance_at=None)
UNIT = torch.tensor(2.0, dtype=torch.float64)


def formula(d, left, right):
    z = gradient(d, left, right)
    return left - 0.4 / 2 * z @ right, right - 0.4 / 2 * z.T @ left


def one_factor(d, left, right):
    z = gradient(d, left, right)
    new = left - 0.4 / 2 * (z + z.T) / 2 @ left
    return new, new


def gauss_seidel(d, left, right):
    new = formula(d, left, right)[0]
    return new, formula(d, new, right)[1]


@pytest.mark.parametrize("make", ASYMMETRIC)
def test_one_step_is_the_formula(make):
    assert step_gap(PLAIN, make(), formula, unit=UNIT) < 1e-10
    assert step_gap(PLAIN, make(), gauss_seidel, unit=UNIT) > 1e-4


@pytest.mark.parametrize("make", SYMMETRIC)
def test_one_symmetric_step_is_the_formula(make):
    assert step_gap(PLAIN, make(), one_factor, unit=UNIT) < 1e-10


def test_rebalancing_keeps_the_product_and_levels_the_singular_values():
    pair = random_pair(masked())
    new = rebalanced(pair, torch.tensor(0.7, dtype=torch.float64))
    before, after = (f.left @ f.right.mT for f in (pair, new))
    assert torch.allclose(before, after, rtol=0, atol=1e-12)
    assert torch.allclose(torch.linalg.svdvals(new.left), torch.full((2,), 0.7).double())


def test_the_one_step_is_made_once_when_the_residual_is_small():
    case = sensing(20, 2, 1.5, 1200, 0, rank=4)
    method = wp.OverparametrizedGD(rebalance_at=0.3)
    plan, state = planned(method, case)
    seen = []
    for _ in range(60):
        new = method.step(plan, state)
        if new.rebalanced and not state.rebalanced:
            seen.append(float(new.residual))
            change = new.left @ new.right.mT - state.left @ state.right.mT
            assert float(change.norm()) < 1e-12
        elif not new.rebalanced:
            assert float(new.residual) > 0.3
        state = new
    assert len(seen) == 1
    assert seen[0] <= 0.3


def symmetric(rank):
    return sensing(20, 2, 1.5, 10 * 20 * 4, 0, symmetric=True, rank=rank)


def test_the_symmetric_rate_is_sublinear_beyond_the_rank_and_linear_at_it():
    steps = (200, 400, 800, 1600)
    seen = errors(wp.OverparametrizedGD(alpha=0.3, rebalance_at=None), symmetric(4), 1600)
    slope = np.polyfit(np.log(steps), np.log([seen[t] ** 2 for t in steps]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.3)
    exact = errors(wp.OverparametrizedGD(alpha=0.3, rebalance_at=None), symmetric(2), 400, 1e-13)
    assert exact[-1] <= 1e-13


def late_rate(alpha, rebalance_at):
    """Digits a step over the second half of the way to 1e-8."""
    method = wp.OverparametrizedGD(alpha=alpha, rebalance_at=rebalance_at)
    seen = np.log10(errors(method, sensing(20, 2, 1.5, 1200, 0, rank=4), 4000, 1e-8))
    half = next(i for i, e in enumerate(seen) if e < -4)
    return (seen[half] - seen[-1]) / (len(seen) - 1 - half)


def test_the_asymmetric_rate_is_that_of_alpha_squared_until_the_one_step():
    small, large = late_rate(0.3, None), late_rate(0.6, None)
    assert large / small == pytest.approx(4, rel=0.25)
    mended = [late_rate(alpha, 0.05) for alpha in (0.3, 0.6)]
    assert mended[1] / mended[0] == pytest.approx(1, rel=0.1)
    assert min(mended) > 5 * small


def test_a_small_start_is_not_taken_for_convergence():
    case = sensing(20, 2, 1.5, 1600, 0, rank=4)
    found = wp.recover(
        case.problem, case.prior, wp.OverparametrizedGD(alpha=1e-4), truth=case.truth
    )
    assert found.status is wp.Status.CONVERGED
    assert found.trace.residual[:5].min() > 1 - 1e-6
    assert found.trace.error[-1] < 1e-5


def test_symmetric_signals_cannot_be_rebalanced():
    case = dense_sensing(symmetric=True)
    with pytest.raises(wp.WellposedError, match="rebalance_at=None"):
        wp.recover(case.problem, case.prior, wp.OverparametrizedGD())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"alpha": 0.0}, "alpha is"),
        ({"imbalance": 2.0}, "imbalance is"),
        ({"rebalance_at": 1.0}, "rebalance_at is"),
        ({"beta": 0.3}, "expected less than 2"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(wp.WellposedError, match=message):
        wp.OverparametrizedGD(**fields)


def test_the_start_is_small_and_imbalanced():
    case = sensing(60, 2, 1.5, 1600, 0, rank=4)
    plan, state = planned(wp.OverparametrizedGD(alpha=0.2, imbalance=0.5), case)
    size = 0.2 * float(state.unit) ** 0.5 * 4**0.5  # of a factor with 60 x 4 entries
    assert float(state.left.norm()) == pytest.approx(size, rel=0.15)
    assert float(state.right.norm()) == pytest.approx(0.5 * size, rel=0.15)
    assert float(state.unit) == pytest.approx(1.0, rel=0.6)
    assert torch.equal(state.left, wp.OverparametrizedGD(alpha=0.2).init(plan, Stream(0)).left)
