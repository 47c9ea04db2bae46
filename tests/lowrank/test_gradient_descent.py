"""Gradient descent: balancing, and the analytic gradient on every layout."""

import pytest
import torch
from ground_truth import planned, sensing
from lowrank_cases import ASYMMETRIC, SYMMETRIC, masked
from lowrank_dense import dense, random_pair

import wellposed as wp
from wellposed.linalg import gram


def autograd_step(case, pair, size, balancing):
    """Descend the objective as written in the file's head, differentiated by autograd."""
    d = dense(case)
    table, y = torch.from_numpy(d.table), torch.from_numpy(d.y)
    left = pair.left.clone().requires_grad_()
    right = left if case.prior.symmetric else pair.right.clone().requires_grad_()
    off = torch.einsum("kij,ir,jr->k", table, left, right) - y
    uneven = gram(left) - gram(right)
    loss = 0.5 * off.square().sum() / d.gain + balancing / 4 * uneven.square().sum()
    slopes = torch.autograd.grad(loss / (2 if case.prior.symmetric else 1), [left, right])
    return left.detach() - size * slopes[0], right.detach() - size * slopes[1]


def gap(case, balancing, sign=1.0):
    method, pair = wp.GradientDescent(0.4, balancing), random_pair(case)
    plan, state = planned(method, case)
    new = method.step(plan, state._replace(left=pair.left, right=pair.right))
    expected = autograd_step(case, pair, state.size, sign * balancing)
    return max(
        float((a - b).norm() / b.norm())
        for a, b in zip((new.left, new.right), expected, strict=True)
    )


@pytest.mark.parametrize("make", [*ASYMMETRIC, *SYMMETRIC])
@pytest.mark.parametrize("balancing", [0.0, 0.3])
def test_one_step_descends_the_objective(make, balancing):
    assert gap(make(), balancing) < 1e-10


def test_the_sign_of_the_balancing_term_matters():
    assert gap(masked(), 0.3, sign=-1.0) > 1e-3


def imbalances(method, steps):
    case = sensing(20, 2, 2.0, 1600, 0)
    plan, state = planned(method, case)
    state = state._replace(left=1.5 * state.left, right=state.right / 1.5)
    seen = []
    for _ in range(steps):
        seen.append(float((gram(state.left) - gram(state.right)).norm()))
        state = method.step(plan, state)
    off = state.left @ state.right.mT - case.truth.left @ case.truth.right.mT
    return seen, float(off.norm())


def test_balancing_makes_the_grams_equal_and_its_absence_does_not():
    seen, error = imbalances(wp.GradientDescent(0.3, balancing=0.5), 250)
    assert seen[-1] < 1e-12 * seen[0]
    assert error < 1e-10
    seen, error = imbalances(wp.GradientDescent(0.3), 250)
    assert seen[-1] > 0.5 * seen[0]
    assert error < 1e-5


def test_the_step_is_relative_to_the_largest_singular_value_of_the_start():
    _, state = planned(wp.GradientDescent(0.4), masked())
    largest = torch.linalg.matrix_norm(state.left @ state.right.mT, 2)
    assert float(state.size) == pytest.approx(0.4 / float(largest), rel=1e-10)


@pytest.mark.parametrize("balancing", [-0.1, float("inf")])
def test_bad_weights_are_refused(balancing):
    with pytest.raises(wp.WellposedError, match="balancing is"):
        wp.GradientDescent(balancing=balancing)
