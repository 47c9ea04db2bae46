"""ScaledGD on every layout, its projection, and what its readings mean."""

import numpy as np
import pytest
import torch
from ground_truth import completion, errors, planned
from lowrank_cases import ASYMMETRIC, SYMMETRIC, masked
from lowrank_dense import dense, gradient, inverse, random_pair, step_gap

import wellposed as wp
from wellposed.lowrank.scaled_gd import ScaledGD, project_rows
from wellposed.lowrank.setting import product_norm

ETA = 0.4


def jacobi(d, left, right):
    z = gradient(d, left, right)
    return (
        left - ETA * z @ right @ inverse(right.T @ right),
        right - ETA * z.T @ left @ inverse(left.T @ left),
    )


def gauss_seidel(d, left, right):
    left = jacobi(d, left, right)[0]
    return left, jacobi(d, left, right)[1]


def own_gram(d, left, right):
    z = gradient(d, left, right)
    return (
        left - ETA * z @ right @ inverse(left.T @ left),
        right - ETA * z.T @ left @ inverse(right.T @ right),
    )


def one_factor(d, left, right):
    z = gradient(d, left, left)
    new = left - ETA / 2 * (z + z.T) @ left @ inverse(left.T @ left)
    return new, new


def twice_as_far(d, left, right):
    new, _ = one_factor(d, left, right)
    return 2 * new - left, 2 * new - left


@pytest.mark.parametrize("make", ASYMMETRIC)
def test_one_step_is_the_formula_on_every_layout(make):
    assert step_gap(ScaledGD(ETA), make(), jacobi) < 1e-10
    for wrong in (gauss_seidel, own_gram):
        assert step_gap(ScaledGD(ETA), make(), wrong) > 1e-3


@pytest.mark.parametrize("make", SYMMETRIC)
def test_one_symmetric_step_is_the_formula(make):
    assert step_gap(ScaledGD(ETA), make(), one_factor) < 1e-10
    assert step_gap(ScaledGD(ETA), make(), twice_as_far) > 1e-3


def test_the_projection_shortens_long_rows_only():
    pair = random_pair(masked())
    pair.left[0] *= 20
    new = project_rows(pair, 1.5)
    rows, old = (new.left @ pair.right.mT).norm(dim=1), (pair.left @ pair.right.mT).norm(dim=1)
    bound = 1.5 * float(old.square().mean().sqrt())
    assert torch.allclose(rows, old.clamp_max(bound))
    assert float(rows[0]) < float(old[0])
    assert step_gap(ScaledGD(ETA, projection=100.0), masked(), jacobi) < 1e-10  # far away
    assert step_gap(ScaledGD(ETA, projection=1.0), masked(), jacobi) > 1e-3


def test_readings_describe_the_pair_before():
    case = masked()
    pair = random_pair(case)
    plan, state = planned(ScaledGD(ETA), case)
    new = ScaledGD(ETA).step(plan, state._replace(left=pair.left, right=pair.right))
    left, right = (f.numpy() for f in pair)
    z = gradient(dense(case), left, right)
    on_left, on_right = (f @ inverse(f.T @ f) @ f.T for f in (left, right))
    length = np.hypot(np.linalg.norm(z @ on_right), np.linalg.norm(on_left @ z))
    assert float(new.change) == pytest.approx(ETA * length / float(product_norm(pair)), rel=1e-9)
    off = case.problem.operator.on_factors(*pair) - case.problem.y
    assert float(new.residual) == pytest.approx(float(off.norm() / case.problem.y.norm()))


def test_dense_noise_leaves_the_floor_of_the_tangent_space():
    """Least squares keep, of noise with variance v an entry, v / share in each free parameter."""
    floors = []
    for decibels in (40, 60):
        clean = completion(500, 10, 10.0, 0.3, 0).problem.y
        sigma = float(clean.square().mean().sqrt()) * 10 ** (-decibels / 20)
        case = completion(500, 10, 10.0, 0.3, 0, noise=wp.noise.Gaussian(sigma))
        floors.append(errors(ScaledGD(), case, 45)[-1])
    parameters, share = 10 * (2 * 500 - 10), 0.3
    assert floors[0] == pytest.approx(1e-2 * (parameters / share) ** 0.5 / 500, rel=0.15)
    assert floors[0] / floors[1] == pytest.approx(10, rel=0.05)
