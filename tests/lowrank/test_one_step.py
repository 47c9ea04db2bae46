"""One step of every method against an independent dense computation; wrong ones are rejected."""

import pytest
import torch

import wellposed as wp
from wellposed.lowrank.biases import SHRINKAGE
from wellposed.lowrank.robust_pca import Hard, Soft
from wellposed.lowrank.scaled_gd_lambda import FixedDamping, ResidualDamping
from wellposed.lowrank.setting import Factors
from wellposed.lowrank.step_rules import Geometric, Polyak
from wellposed.rng import Stream
from wellposed.task import Task

STREAM = Stream(31)
N1, N2, R = 9, 7, 2


def pair():
    return Factors(STREAM.normal((N1, R), "left"), STREAM.normal((N2, R), "right"))


def entries(share=0.6):
    mask = STREAM.uniform((N1, N2), "mask") < share
    return wp.operators.Entries.from_mask(mask), mask


def dense_gradient(matrices, y, left, right):
    """Sum of residual times sensing matrix, written out."""
    residual = torch.einsum("kij,ir,jr->k", matrices, left, right) - y
    return torch.einsum("k,kij->ij", residual, matrices), residual


def cells_as_matrices(mask):
    where = mask.nonzero()
    out = torch.zeros(len(where), N1, N2, dtype=torch.float64)
    out[torch.arange(len(where)), where[:, 0], where[:, 1]] = 1
    return out


def setting(kind):
    """An operator, its measurements, and its sensing matrices written out."""
    if kind == "sensing":
        matrices = STREAM.normal((80, N1, N2), "sensing")
        operator = wp.operators.DenseSensing(matrices)
    else:
        operator, mask = entries()
        matrices = cells_as_matrices(mask)
    return operator, STREAM.normal((len(matrices),), "y"), matrices


def one_step(method, operator, y, prior=None):
    """The method's own step from a given pair."""
    prior = prior or wp.LowRank(R)
    plan = method.prepare(Task(wp.Problem(y, operator), prior, dtype=y.dtype))
    start = method.init(plan, STREAM)
    left, right = pair()
    state = method.step(plan, start._replace(left=left, right=right))
    return Factors(state.left, state.right), start


def close(a, b):
    return all(torch.allclose(x, y, rtol=0, atol=1e-10) for x, y in zip(a, b, strict=True))


def scaled(z, step, left, right, damping=0.0):
    eye = damping * torch.eye(R, dtype=torch.float64)
    return Factors(
        left - step * z @ right @ torch.linalg.inv(right.mT @ right + eye),
        right - step * z.mT @ left @ torch.linalg.inv(left.mT @ left + eye),
    )


@pytest.mark.parametrize("kind", ["sensing", "entries"])
def test_scaled_gd(kind):
    operator, y, matrices = setting(kind)
    found, _ = one_step(wp.ScaledGD(0.4), operator, y)
    z, _ = dense_gradient(matrices, y, *pair())
    gain = float(matrices.square().sum()) / (N1 * N2)
    expected = scaled(z, 0.4 / gain, *pair())
    assert close(found, expected)
    left, right = pair()
    late = scaled(z, 0.4 / gain, expected.left, right)  # Gauss-Seidel: left has moved already
    plain = Factors(left - 0.4 / gain * z @ right, right - 0.4 / gain * z.mT @ left)
    no_gain = scaled(z, 0.4, left, right)
    for wrong in (Factors(expected.left, late.right), plain, no_gain):
        assert not close(found, wrong)


@pytest.mark.parametrize("kind", ["sensing", "entries"])
@pytest.mark.parametrize("balancing", [0.0, 0.5])
def test_gradient_descent(kind, balancing):
    operator, y, matrices = setting(kind)
    method = wp.GradientDescent(0.4, balancing)
    found, start = one_step(method, operator, y)
    gain = float(matrices.square().sum()) / (N1 * N2)
    size = 0.4 / torch.linalg.matrix_norm(start.left @ start.right.mT, 2)
    left, right = (x.clone().requires_grad_() for x in pair())
    residual = torch.einsum("kij,ir,jr->k", matrices, left, right) - y
    imbalance = left.mT @ left - right.mT @ right
    loss = 0.5 * residual.square().sum() / gain + balancing / 4 * imbalance.square().sum()
    loss.backward()
    expected = Factors(left.detach() - size * left.grad, right.detach() - size * right.grad)
    assert close(found, expected)
    flipped = Factors(left.detach() + size * left.grad, expected.right)
    assert not close(found, flipped)


@pytest.mark.parametrize("damping", [ResidualDamping(0.2), FixedDamping(0.3)])
def test_scaled_gd_lambda(damping):
    operator, y, matrices = setting("sensing")
    found, start = one_step(wp.ScaledGDLambda(0.4, damping), operator, y)
    z, residual = dense_gradient(matrices, y, *pair())
    gain = float(matrices.square().sum()) / (N1 * N2)
    if isinstance(damping, ResidualDamping):
        level = 0.2 * float(residual.norm()) / gain**0.5
    else:
        spectral = torch.einsum("k,kij->ij", y, matrices) / gain
        level = 0.3 * float(torch.linalg.matrix_norm(spectral, 2))
        assert float(start.damping) == pytest.approx(level, rel=1e-9)
    assert close(found, scaled(z, 0.4 / gain, *pair(), damping=level))
    assert not close(found, scaled(z, 0.4 / gain, *pair()))


def test_symmetric_steps_keep_one_factor():
    vectors = STREAM.normal((120, N1), "vectors")
    matrices = torch.einsum("ki,kj->kij", vectors, vectors)
    operator, y = wp.operators.DenseSensing(matrices), STREAM.normal((120,), "y")
    prior = wp.LowRank(R, symmetric=True)
    left = STREAM.normal((N1, R), "left")
    for method in (wp.ScaledGD(0.4), wp.ScaledGDLambda(0.4)):
        plan = method.prepare(Task(wp.Problem(y, operator), prior, dtype=y.dtype))
        start = method.init(plan, STREAM)
        assert start.left is start.right
        state = method.step(plan, start._replace(left=left, right=left))
        assert state.left is state.right
        z, residual = dense_gradient(matrices, y, left, left)
        gain = float(matrices.square().sum()) / N1**2
        level = 0.0
        if isinstance(method, wp.ScaledGDLambda):
            level = 0.1 * float(residual.norm()) / gain**0.5
        gram = left.mT @ left + level * torch.eye(R, dtype=torch.float64)
        expected = left - 0.4 / gain * z @ left @ torch.linalg.inv(gram)
        assert torch.allclose(state.left, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_count_scaled_gd(ridge):
    operator, mask = entries()
    y = STREAM.normal(operator.shape_out, "y")
    method = wp.CountScaledGD(0.4)
    prior = wp.LowRank(R, ridge=ridge)
    plan = method.prepare(Task(wp.Problem(y, operator), prior, dtype=y.dtype))
    left, right = pair()
    state = method.step(plan, method.init(plan, STREAM)._replace(left=left, right=right))
    z = torch.zeros(N1, N2, dtype=torch.float64)
    z[mask] = (left @ right.mT)[mask] - y

    def rows(z, own, other, counts, total):
        slope = z @ other + ridge * own
        gram = other.mT @ other
        eye = torch.eye(R, dtype=torch.float64)
        solved = [
            slope[i] @ torch.linalg.inv(counts[i] / total * gram + ridge * eye)
            for i in range(len(own))
        ]
        return own - 0.4 * torch.stack(solved)

    expected = Factors(
        rows(z, left, right, mask.sum(1).double(), N2),
        rows(z.mT, right, left, mask.sum(0).double(), N1),
    )
    assert close(Factors(state.left, state.right), expected)
    even = rows(z, left, right, torch.full((N1,), float(mask.sum()) / N1).double(), N2)
    assert not torch.allclose(state.left, even, atol=1e-6)


def test_count_scaled_gd_takes_back_a_step_that_ascends():
    operator, _ = entries()
    y = STREAM.normal(operator.shape_out, "y")
    method = wp.CountScaledGD()
    plan = method.prepare(Task(wp.Problem(y, operator), wp.LowRank(R), dtype=y.dtype))
    good = method.step(plan, method.init(plan, STREAM))
    bad = good._replace(left=100 * good.left)
    back = method.step(plan, bad)
    assert not back.accepted
    assert float(back.step_size) == pytest.approx(float(bad.step_size) / 2)
    assert torch.equal(back.base_left, good.base_left)
    halved = good.base_left - back.step_size * good.to_left
    assert torch.equal(back.left, halved)


def trimmed_by_hand(x, share):
    """Keep the largest entries of each row and of each column, by sorting."""
    n1, n2 = x.shape
    size, keep = x.abs(), torch.ones_like(x, dtype=torch.bool)
    for i in range(n1):
        keep[i] &= size[i] >= size[i].sort(descending=True).values[int(share * n2) - 1]
    for j in range(n2):
        keep[:, j] &= size[:, j] >= size[:, j].sort(descending=True).values[int(share * n1) - 1]
    return x * keep


@pytest.mark.parametrize("threshold", [Hard(), Soft(first=0.8)], ids=["hard", "soft"])
def test_robust_pca(threshold):
    y = STREAM.normal((N1, N2), "dense")
    y[2, 3] = y[5, 1] = 40.0
    method = wp.RobustPCA(0.4, threshold)
    prior = wp.LowRankPlusSparse(R, 0.2)
    found, start = one_step(method, wp.operators.Identity((N1, N2)), y, prior)
    left, right = pair()
    off = left @ right.mT - y
    if isinstance(threshold, Hard):
        sparse = trimmed_by_hand(-off, 0.4)
    else:
        middle = off.abs().flatten().sort().values[(off.numel() - 1) // 2]
        zeta = max(float(start.zeta) * 0.8, 3 * 1.4826 * float(middle))
        sparse = -off.sign() * (off.abs() - zeta).clamp_min(0)
    assert close(found, scaled(off + sparse, 0.4, left, right))
    assert not close(found, scaled(off, 0.4, left, right))


@pytest.mark.parametrize("scaling", [True, False])
@pytest.mark.parametrize("rule", [Polyak(optimum=3.0), Geometric()], ids=["polyak", "geometric"])
def test_subgradients(scaling, rule):
    operator, y, matrices = setting("sensing")
    method = wp.ScaledSubgradient(rule) if scaling else wp.Subgradient(rule)
    plan = method.prepare(Task(wp.Problem(y, operator), wp.LowRank(R), dtype=y.dtype))
    start = method.init(plan, STREAM)
    left, right = pair()
    state = method.step(plan, start._replace(left=left, right=right))
    off = torch.einsum("kij,ir,jr->k", matrices, left, right) - y
    z = torch.einsum("k,kij->ij", off.sign(), matrices)
    slopes = Factors(z @ right, z.mT @ left)
    moves = slopes
    if scaling:
        moves = Factors(
            slopes.left @ torch.linalg.inv(right.mT @ right),
            slopes.right @ torch.linalg.inv(left.mT @ left),
        )
    squared = float((slopes.left * moves.left).sum() + (slopes.right * moves.right).sum())
    got = (left - state.left), (right - state.right)
    size = float((got[0] * moves.left).sum() / moves.left.square().sum())
    assert torch.allclose(got[0], size * moves.left, rtol=0, atol=1e-10)
    assert torch.allclose(got[1], size * moves.right, rtol=0, atol=1e-10)
    if isinstance(rule, Polyak):
        assert size == pytest.approx((float(off.abs().sum()) - 3.0) / squared, rel=1e-9)
    else:
        assert size > 0


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_alternating_minimization(ridge):
    operator, mask = entries(0.9)
    y = STREAM.normal(operator.shape_out, "y")
    found, _ = one_step(wp.AlternatingMinimization(), operator, y, wp.LowRank(R, ridge=ridge))
    table = torch.zeros(N1, N2, dtype=torch.float64)
    table[mask] = y

    def fit(other, mask, table):
        rows = []
        for seen, values in zip(mask, table, strict=True):
            a = other[seen]
            gram = a.mT @ a + ridge * torch.eye(R, dtype=torch.float64)
            rows.append(torch.linalg.solve(gram, a.mT @ values[seen]))
        return torch.stack(rows)

    left = fit(pair().right, mask, table)
    right = fit(left, mask.mT, table.mT)
    assert close(found, Factors(left, right))
    assert not torch.allclose(found.right, fit(pair().left, mask.mT, table.mT), atol=1e-6)


def test_count_scaled_gd_finds_a_stationary_point_of_factors_and_offsets_together():
    stream = Stream(33)
    mask = stream.uniform((40, 30), "mask") < 0.6
    y = 5 + stream.normal((40, 1), "r") + stream.normal((1, 30), "c")
    y = (y + stream.normal((40, 2), "a") @ stream.normal((2, 30), "b"))[mask]
    y = y + 0.3 * stream.normal(y.shape, "noise")
    problem = wp.Problem(y, wp.operators.Entries.from_mask(mask))
    prior = wp.LowRank(2, ridge=1.0, biases=True)

    def slope(fit):
        b = fit.biases
        parts = [x.clone().requires_grad_() for x in (fit.left, fit.right, b.rows, b.cols)]
        left, right, rows, cols = parts
        off = (left @ right.mT + b.mean + rows[:, None] + cols)[mask] - y
        penalty = left.square().sum() + right.square().sum()
        penalty = penalty + SHRINKAGE * (rows.square().sum() + cols.square().sum())
        (0.5 * off.square().sum() + 0.5 * penalty).backward()
        return [float(x.grad.norm()) for x in parts]

    joint = wp.recover(problem, prior, wp.CountScaledGD(), tol=1e-10, steps=2000)
    assert max(slope(joint)) < 1e-4
    apart = wp.recover(problem, prior, wp.AlternatingMinimization(), tol=1e-10, steps=2000)
    assert max(slope(apart)[2:]) > 0.1
