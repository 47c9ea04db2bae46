"""Alternating minimisation: exact halves on every layout, ridge, and singular rows."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from ground_truth import completion, count, planned, sensing
from lowrank_cases import ASYMMETRIC, dense_sensing, entries, hankel, masked, running_sums
from lowrank_dense import dense, random_pair, step_gap

import wellposed as wp
from wellposed.lowrank import alternating
from wellposed.lowrank.alternating import conjugate_gradients, solve_each
from wellposed.lowrank.setting import Factors
from wellposed.rng import Stream

RIDGE = 0.3


def left_of(d, right, ridge, transposed=False):
    """The ridge regression of all measurements on one factor, as one dense system."""
    table = d.table.transpose(0, 2, 1) if transposed else d.table
    n, r = table.shape[1], right.shape[1]
    design = np.einsum("kij,jr->kir", table, right).reshape(len(d.y), n * r)
    matrix = design.T @ design + ridge * np.eye(n * r)
    return np.linalg.solve(matrix, design.T @ d.y).reshape(n, r)


def halves(ridge):
    def step(d, left, right):
        left = left_of(d, right, ridge)
        return left, left_of(d, left, ridge, transposed=True)

    return step


def jacobi(d, left, right):
    return left_of(d, right, RIDGE), left_of(d, left, RIDGE, transposed=True)


def ridged(case, ridge=RIDGE):
    return case._replace(prior=wp.LowRank(case.prior.rank, ridge=ridge))


@pytest.mark.parametrize("make", ASYMMETRIC)
def test_both_halves_solve_their_least_squares_problem(make):
    case = ridged(make())
    assert step_gap(wp.AlternatingMinimization(), case, halves(RIDGE)) < 1e-10
    for wrong in (jacobi, halves(2 * RIDGE)):
        assert step_gap(wp.AlternatingMinimization(), case, wrong) > 1e-3


@pytest.mark.parametrize("make", [masked, dense_sensing, running_sums])
def test_without_a_ridge_too(make):
    assert step_gap(wp.AlternatingMinimization(), make(), halves(0.0)) < 1e-10


def test_chunks_change_nothing(monkeypatch):
    case = ridged(entries(40, 30, 2, 0.09))
    pair = random_pair(case)
    plan, state = planned(wp.AlternatingMinimization(), case)
    state = state._replace(left=pair.left, right=pair.right)
    whole = wp.AlternatingMinimization().step(plan, state)
    monkeypatch.setattr(alternating, "CHUNK", 7 * 4)
    parts = wp.AlternatingMinimization().step(plan, state)
    assert torch.allclose(whole.left, parts.left, rtol=0, atol=1e-14)
    assert torch.allclose(whole.right, parts.right, rtol=0, atol=1e-14)


def test_rows_with_too_few_cells_take_the_shortest_solution():
    mask = torch.ones(6, 5, dtype=torch.bool)
    mask[0] = False
    mask[1, 1:] = False
    table = Stream(0).normal((6, 5), "table")
    operator = wp.operators.Entries.from_mask(mask)
    case = masked()._replace(problem=wp.Problem(table[mask], operator), prior=wp.LowRank(2))
    pair = random_pair(case)
    plan, state = planned(wp.AlternatingMinimization(), case)
    new = wp.AlternatingMinimization().step(plan, state._replace(left=pair.left, right=pair.right))
    assert torch.equal(new.left[0], torch.zeros(2, dtype=torch.float64))
    expected = pair.right[0] * table[1, 0] / pair.right[0].square().sum()
    assert torch.allclose(new.left[1], expected, rtol=1e-10)


def test_mixed_singular_and_regular_systems():
    stream = Stream(1)
    factors = stream.normal((5, 3, 3), "f")
    factors[2] = 0
    factors[4, 0] = factors[4, 1]
    grams = factors.mT @ factors
    target = (grams @ stream.normal((5, 3, 1), "x"))[:, :, 0]
    expected = (torch.linalg.pinv(grams, rtol=1e-12) @ target[:, :, None])[:, :, 0]
    assert torch.allclose(solve_each(grams, target), expected, atol=1e-8)
    grams[1, 0, 0] = torch.nan
    assert bool(solve_each(grams, target).isnan().all())


def objective(case, state):
    off = case.problem.operator.on_factors(state.left, state.right) - case.problem.y
    size = state.left.square().sum() + state.right.square().sum()
    return float(off.square().sum() + case.prior.ridge * size)


@pytest.mark.parametrize("make", [masked, running_sums])
def test_the_objective_never_rises(make):
    case = ridged(make(noise=wp.noise.Gaussian(0.05)), 0.02)
    plan, state = planned(wp.AlternatingMinimization(), case)
    seen = [objective(case, state)]
    for _ in range(15):
        state = wp.AlternatingMinimization().step(plan, state)
        seen.append(objective(case, state))
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(seen))
    assert seen[-1] < 0.9 * seen[0]


def test_hankel_lifts_are_fitted_with_their_structure():
    case = hankel()
    found = wp.recover(case.problem, case.prior, wp.AlternatingMinimization(), tol=1e-10)
    truth = case.truth.left @ case.truth.right.mT
    assert found.status.ok
    assert float((found.signal - truth).norm() / truth.norm()) < 1e-7


def test_counts_are_small_and_free_of_the_condition_number():
    for make in (
        lambda kappa: completion(200, 5, kappa, 0.35, 0),
        lambda kappa: sensing(20, 2, kappa, 600, 0),
    ):
        steps = [count(wp.AlternatingMinimization(), make(k), 1e-6, 30) for k in (1.0, 20.0)]
        assert abs(steps[0] - steps[1]) <= 1
        assert max(steps) <= 12


def test_conjugate_gradients_solve_and_stop():
    matrix = Stream(2).normal((8, 8), "m")
    matrix = matrix @ matrix.mT + torch.eye(8, dtype=torch.float64)
    target = Stream(2).normal((8, 3), "t")
    eye = torch.eye(3, dtype=torch.float64)
    found = conjugate_gradients(lambda x: matrix @ x, eye, 0.0, target)
    assert torch.allclose(matrix @ found, target, atol=1e-9)
    zero = torch.zeros_like(target)
    assert torch.equal(conjugate_gradients(lambda x: matrix @ x, eye, 0.0, zero), zero)


def test_symmetric_priors_are_refused():
    case = dense_sensing(symmetric=True)
    with pytest.raises(wp.WellposedError, match="needs symmetric=False"):
        wp.recover(case.problem, case.prior, wp.AlternatingMinimization())


def test_dense_reference_is_right():
    """The reference itself, against numpy's own least squares."""
    d = dense(masked())
    pair = random_pair(masked())
    design = np.einsum("kij,jr->kir", d.table, pair.right.numpy()).reshape(len(d.y), -1)
    by_numpy = np.linalg.lstsq(design, d.y)[0].reshape(pair.left.shape)
    assert np.allclose(by_numpy, left_of(d, pair.right.numpy(), 0.0), atol=1e-10)
    assert isinstance(pair, Factors)
