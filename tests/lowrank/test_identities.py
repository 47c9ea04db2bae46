"""ScaledGD's exact identities: closed forms, invariance, quasi-Newton, and who breaks them."""

from itertools import pairwise

import pytest
import torch
from ground_truth import aligned_distance, completion, planned, truth

import wellposed as wp
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.rng import Stream
from wellposed.task import Task

STREAM = Stream(21)
STEP = 0.3


def full_observation(matrix, rank, method, pair):
    """Plan for the fully observed matrix, and a state that holds the given pair."""
    problem = wp.Problem(matrix, wp.operators.Identity(tuple(matrix.shape)))
    plan = method.prepare(Task(problem, wp.LowRank(rank), dtype=matrix.dtype))
    state = method.init(plan, STREAM)._replace(left=pair.left, right=pair.right)
    return plan, state


def stepped(method, plan, state, count=1):
    for _ in range(count):
        state = method.step(plan, state)
    return Factors(state.left, state.right)


def diagonal_pair(values):
    root = torch.tensor(values, dtype=torch.float64).sqrt().diag()
    return Factors(root, root.clone())


def test_the_rank_two_example_follows_its_scalar_recursions():
    # Balanced diagonal factors: GD multiplies sqrt(s) by 1 - eta (s - s*), ScaledGD by
    # 1 - eta (1 - s*/s).
    target, values = torch.tensor([10.0, 0.5], dtype=torch.float64), [12.0, 0.2]
    scaled, gd = wp.ScaledGD(step_size=STEP), wp.GradientDescent(step_size=STEP)
    plan, state = full_observation(target.diag(), 2, scaled, diagonal_pair(values))
    plan_gd, state_gd = full_observation(target.diag(), 2, gd, diagonal_pair(values))
    eta = STEP / 10.0  # GD's step is relative to the largest singular value
    s = torch.tensor(values, dtype=torch.float64)
    s_gd = s.clone()
    for _ in range(20):
        state, state_gd = scaled.step(plan, state), gd.step(plan_gd, state_gd)
        s = s * (1 - STEP * (1 - target / s)) ** 2
        s_gd = s_gd * (1 - eta * (s_gd - target)) ** 2
        assert torch.allclose(state.left, s.sqrt().diag(), rtol=0, atol=1e-12)
        assert torch.allclose(state_gd.left, s_gd.sqrt().diag(), rtol=0, atol=1e-12)
    assert abs(float(s[1] - target[1])) < 0.01
    assert abs(float(s_gd[1] - target[1])) > 0.1


@pytest.mark.parametrize(("method", "invariant"), [("scaled", True), ("gd", False)])
def test_products_do_not_depend_on_the_basis_of_the_factors(method, invariant):
    case = completion(40, 3, 5.0, 0.5, 4)
    method = wp.ScaledGD() if method == "scaled" else wp.GradientDescent()
    plan, state = planned(method, case)
    q = torch.linalg.qr(STREAM.normal((3, 3), "q"))[0] * torch.tensor([10.0, 1.0, 0.1]).double()
    other = state._replace(left=state.left @ q, right=state.right @ torch.linalg.inv(q).mT)
    one, two = stepped(method, plan, state, 10), stepped(method, plan, other, 10)
    difference = float((one.left @ one.right.mT - two.left @ two.right.mT).norm())
    assert difference < 1e-8 if invariant else not difference < 1e-2


def test_a_step_is_newtons_with_the_block_diagonal_hessian():
    n, r = 6, 2
    matrix = truth(n, n, r, 3.0, 1)
    target = matrix.left @ matrix.right.mT
    pair = Factors(STREAM.normal((n, r), "l"), STREAM.normal((n, r), "r"))

    def loss(left, right):
        return 0.5 * (left @ right.mT - target).square().sum()

    def block(which):
        def alone(flat):
            parts = list(pair)
            parts[which] = flat.reshape(n, r)
            return loss(*parts)

        flat = pair[which].flatten()
        hessian = torch.autograd.functional.hessian(alone, flat)
        slope = torch.autograd.functional.jacobian(alone, flat)
        return pair[which] - STEP * torch.linalg.solve(hessian, slope).reshape(n, r)

    method = wp.ScaledGD(step_size=STEP)
    found = stepped(method, *full_observation(target, r, method, pair))
    for which in (0, 1):
        assert torch.allclose(found[which], block(which), rtol=0, atol=1e-10)


def test_unbalanced_factors_cost_gradient_descent_its_step():
    # Factors sqrt(K M), sqrt(M / K): GD's step must shrink like 1 / K, ScaledGD's need not.
    target = torch.tensor([[2.0]], dtype=torch.float64)

    def steps(method, balance):
        start = torch.tensor([[1.5]], dtype=torch.float64)
        pair = Factors((start * balance).sqrt(), (start / balance).sqrt())
        plan, state = full_observation(target, 1, method, pair)
        for count in range(200):
            if abs(float(state.left * state.right.mT - target)) < 1e-6:
                return count
            state = method.step(plan, state)
        return None

    assert steps(wp.ScaledGD(), 100.0) == steps(wp.ScaledGD(), 1.0)
    assert steps(wp.GradientDescent(0.4), 1.0) is not None
    assert steps(wp.GradientDescent(0.4), 100.0) is None
    assert steps(wp.GradientDescent(0.4 / 100), 100.0) is not None


@pytest.mark.parametrize("kappa", [1.0, 5.0])
def test_the_aligned_distance_contracts_at_every_step(kappa):
    case = completion(120, 2, kappa, 0.6, 3)
    method = wp.ScaledGD()
    plan, state = planned(method, case)
    seen = []
    for _ in range(12):
        seen.append(aligned_distance(Factors(state.left, state.right), case.truth))
        state = method.step(plan, state)
    assert all(b < 0.85 * a for a, b in pairwise(seen))


@pytest.mark.parametrize("scale_y", [1.0, 1e3])
@pytest.mark.parametrize("scale_a", [1.0, 1e-2])
@pytest.mark.parametrize(
    "method", [wp.ScaledGD(), wp.GradientDescent(), wp.ScaledGDLambda()], ids=lambda m: str(m)[:12]
)
def test_units_of_measurements_and_operator_do_not_matter(method, scale_y, scale_a):
    matrix = truth(12, 10, 2, 3.0, 2)
    matrices = STREAM.normal((400, 12, 10), "a") / 20
    y = torch.einsum("kij,ir,jr->k", matrices, *matrix)

    def iterate(y, matrices):
        problem = wp.Problem(y, wp.operators.DenseSensing(matrices))
        plan = method.prepare(Task(problem, wp.LowRank(2), dtype=y.dtype))
        state = method.init(plan, STREAM)
        for _ in range(5):
            state = method.step(plan, state)
        return state.left @ state.right.mT

    plain = iterate(y, matrices)
    scaled = iterate(scale_y * y, scale_a * matrices) * scale_a / scale_y
    assert (scaled - plain).norm() < 1e-9 * plain.norm()
    assert relative_error(Factors(plain, torch.eye(10).double()), matrix) < 0.5
