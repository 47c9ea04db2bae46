"""ScaledGD(lambda): damping, phases, over-stated and exact ranks, noise."""

import numpy as np
import pytest
import torch
from ground_truth import completion, count, errors, planned, sensing
from lowrank_cases import ASYMMETRIC, SYMMETRIC, masked
from lowrank_dense import gradient, inverse, residual, step_gap

import wellposed as wp
from wellposed.lowrank.scaled_gd_lambda import FixedDamping, SmallRandom
from wellposed.lowrank.setting import Factors, relative_error

ETA = 0.4
LAMBDA = torch.tensor(0.6, dtype=torch.float64)


def formula(level=None, factor=0.1, symmetric=False):
    def step(d, left, right):
        damping = level
        if level is None:
            damping = factor * np.linalg.norm(residual(d, left, right)) / d.gain**0.5
        eye, z = damping * np.eye(left.shape[1]), gradient(d, left, right)
        if symmetric:
            z = (z + z.T) / 2
        return (
            left - ETA * z @ right @ inverse(right.T @ right + eye),
            right - ETA * z.T @ left @ inverse(left.T @ left + eye),
        )

    return step


@pytest.mark.parametrize("make", [*ASYMMETRIC, *SYMMETRIC])
def test_one_step_is_the_formula(make):
    case, method = make(), wp.ScaledGDLambda(ETA)
    both = case.prior.symmetric
    assert step_gap(method, case, formula(symmetric=both)) < 1e-10
    for wrong in (formula(factor=0.2, symmetric=both), formula(level=0.0, symmetric=both)):
        assert step_gap(method, case, wrong) > 1e-4


@pytest.mark.parametrize("make", [masked, SYMMETRIC[1]])
def test_one_step_with_fixed_damping_is_the_formula(make):
    case, method = make(), wp.ScaledGDLambda(ETA, FixedDamping(0.1))
    both = case.prior.symmetric
    assert step_gap(method, case, formula(0.6, symmetric=both), damping=LAMBDA) < 1e-10
    assert step_gap(method, case, formula(0.3, symmetric=both), damping=LAMBDA) > 1e-3


def test_fixed_damping_and_start_are_relative_to_the_largest_singular_value():
    case = sensing(40, 2, 2.0, 2400, 0, symmetric=True, rank=4)
    method = wp.ScaledGDLambda(damping=FixedDamping(0.5), start=SmallRandom(1e-3))
    plan, state = planned(method, case)
    start = plan.operator.adjoint_matrix(plan.y)
    largest = float(torch.linalg.matrix_norm(start, 2) / plan.gain)
    assert float(state.damping) == pytest.approx(0.5 * largest, rel=1e-6)
    assert float(state.left.norm()) == pytest.approx(1e-3 * (4 * largest) ** 0.5, rel=0.2)


def overstated(kappa, seed=0, rank=4, noise=None):
    return sensing(30, 2, kappa, 900, seed, symmetric=True, rank=rank, noise=noise)


def test_an_overstated_rank_and_bad_condition_cost_nothing():
    counts = [count(wp.ScaledGDLambda(), overstated(kappa), 1e-12, 200) for kappa in (1, 10, 100)]
    assert max(counts) <= 1.1 * min(counts)
    assert max(counts) <= 150


def phases(method, case, steps):
    """Weakest signal direction, what leans out of the signal, and what lies beyond the rank."""
    plan, state = planned(method, case)
    basis = torch.linalg.qr(case.truth.left)[0]
    seen = []
    for _ in range(steps):
        inside = basis.mT @ state.left
        _, s, vt = torch.linalg.svd(inside)
        outside = (state.left - basis @ inside) @ vt.mT
        parts = (torch.linalg.matrix_norm(o, 2) for o in (outside[:, :2], outside[:, 2:]))
        seen.append([float(s[1]), *(float(p) for p in parts)])
        state = method.step(plan, state)
    return np.array(seen).T


def test_the_three_phases_of_a_small_random_start():
    alpha, case = 1e-8, sensing(30, 2, 5.0, 3600, 0, symmetric=True, rank=4)
    start = SmallRandom(alpha)
    signal, leaning, beyond = phases(wp.ScaledGDLambda(0.3, FixedDamping(0.2), start), case, 150)
    out = int((signal < 0.1).sum())  # growth: geometric, up to the size of the signal
    assert out <= 75
    growth = np.diff(np.log(signal[20 : out - 10]))
    assert growth.min() > 0.15
    assert growth.max() < 0.4
    assert beyond.max() < 100 * alpha  # what lies beyond the rank stays at the start's scale
    assert signal[-1] == pytest.approx((1 / 5) ** 0.5, rel=0.01)
    decay = np.diff(np.log(leaning[100:]))  # then the error decays at a constant rate
    assert decay.max() < -0.1
    assert decay.max() - decay.min() < 0.03
    slow, *_ = phases(wp.OverparametrizedGD(0.3, alpha, rebalance_at=None), case, 150)
    assert slow[-1] < 1e-3


def test_the_exact_rank_converges_from_a_small_random_start():
    method = wp.ScaledGDLambda(0.3, FixedDamping(0.2), SmallRandom(1e-6))
    seen = errors(method, overstated(5.0, rank=2), 400, 1e-10)
    assert seen[-1] <= 1e-10


def test_gradient_descent_is_far_behind_on_the_same_budget():
    case = overstated(20.0)
    steps = count(wp.ScaledGDLambda(), case, 1e-8, 200)
    slow = errors(wp.OverparametrizedGD(alpha=1e-3, rebalance_at=None), case, steps)
    assert slow[-1] >= 1e-2


def final_error(case, method):
    fit = wp.recover(case.problem, case.prior, method, tol=1e-8, steps=600)
    return relative_error(Factors(fit.left, fit.right), case.truth)


def test_the_error_is_proportional_to_the_noise_and_near_the_oracles():
    sigmas, found = (1e-6, 1e-5, 1e-4), []
    for sigma in sigmas:
        noise = wp.noise.Gaussian(sigma)
        oracle = final_error(overstated(20.0, rank=2, noise=noise), wp.ScaledGD())
        found.append(final_error(overstated(20.0, noise=noise), wp.ScaledGDLambda()))
        assert oracle < found[-1] <= 2 * oracle
    slope = np.polyfit(np.log(sigmas), np.log(found), 1)[0]
    assert slope == pytest.approx(1, abs=0.1)


def test_asymmetric_signals_too():
    case = sensing(20, 2, 10.0, 1600, 0, rank=4)
    assert errors(wp.ScaledGDLambda(), case, 200, 1e-12)[-1] <= 1e-12


def test_observed_entries_do_not_forgive_an_overstated_rank():
    """What the head of the file warns of: an isotropic operator is needed."""
    case = completion(100, 3, 2.0, 0.3, 0, rank=6)
    seen = errors(wp.ScaledGDLambda(), case, 150)
    right = errors(wp.ScaledGDLambda(), case._replace(prior=wp.LowRank(3)), 150)
    assert min(seen) > 1e-4 > right[-1]


def test_a_small_start_is_not_taken_for_convergence():
    case = overstated(2.0)
    method = wp.ScaledGDLambda(0.3, FixedDamping(0.5), SmallRandom(1e-6))
    found = wp.recover(case.problem, case.prior, method, truth=case.truth)
    assert found.trace.residual[:5].min() > 1 - 1e-9
    assert found.trace.error[-1] < 1e-4


@pytest.mark.parametrize(
    "bad",
    [
        lambda: FixedDamping(0.0),
        lambda: SmallRandom(-1.0),
        lambda: wp.ScaledGDLambda(damping=0.1),
        lambda: wp.ScaledGDLambda(start="spectral"),
    ],
)
def test_bad_fields_are_refused(bad):
    with pytest.raises(wp.WellposedError, match="expected"):
        bad()
