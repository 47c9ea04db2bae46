"""Unrolled robust PCA: layers are the method's own steps, and tuning carries over."""

import numpy as np
import pytest
import torch
from tensor_cases import planned, run
from test_tensor_robust_pca import corrupted

import wellposed as wp
from wellposed.lowrank.tensor_robust_pca import Scheduled
from wellposed.lowrank.tuning import (
    LayerNumbers,
    SharedNumbers,
    Stack,
    frozen,
    loss_of,
    tune,
    tune_by_layers,
)
from wellposed.multilinear import dense
from wellposed.rng import Stream
from wellposed.store import load_tree, save_tree

RAW = {"start": 3.4, "first": 3.4, "ratio": 0.69, "step_size": 0.744}  # the paper's first values


def error(net, case):
    return run(case, net).trace.error[-1]


def test_layers_are_steps_of_tensor_robust_pca():
    case = corrupted(12, 2, 3, 0.1, 1)
    net = frozen(SharedNumbers(10, 3.0, 2.5, 0.7, 0.4).method())
    plan, state = planned(net, case)
    unit = float(plan.unit)
    method = wp.TensorRobustPCA(0.4, Scheduled(3.0 * unit, 2.5 * unit, 0.7))
    inner, plain = planned(method, case)
    for _ in range(10):
        state, plain = net.step(plan, state), method.step(inner, plain)
        gap = (dense(net.read(plan, state).value) - dense(method.read(inner, plain).value)).norm()
        assert float(gap) < 1e-12
    assert net.read(plan, state).done


def test_layers_on_matrices_are_scaled_steps_on_the_clipped_residual():
    stream = Stream(2)
    low = stream.normal((12, 2), "a") @ stream.normal((2, 10), "b")
    y = low + 3.0 * (stream.uniform(low.shape, "w") < 0.1)
    problem = wp.Problem(y, wp.operators.Identity(low.shape))
    net = wp.UnrolledRobustPCA(4.0, (0.5,), (0.3,))
    plan = net.prepare(wp_task(problem))
    state = net.init(plan, stream)
    left, right = state.value
    zeta = 0.5 * float(plan.unit)
    z = (left @ right.T - y).clamp(-zeta, zeta)
    new = net.step(plan, state).value
    assert torch.allclose(new.left, left - 0.3 * z @ right @ torch.linalg.inv(right.T @ right))
    assert torch.allclose(new.right, right - 0.3 * z.T @ left @ torch.linalg.inv(left.T @ left))
    wrong = left - 0.3 * z @ right  # the unscaled step
    assert not torch.allclose(new.left, wrong)


def wp_task(problem):
    from wellposed.task import Task

    return Task(problem, wp.LowRankPlusSparse(2), dtype=problem.y.dtype)


def test_tuning_on_one_stack_carries_over_to_others():
    known, other = corrupted(16, 2, 5, 0.1, 41), corrupted(16, 2, 5, 0.1, 42)
    raw = frozen(SharedNumbers(10, **RAW).method())
    for truth in (None, dense(known.truth)):
        net = tune(SharedNumbers(10, **RAW), [Stack(known.problem, known.prior, truth)], 25)
        assert error(net, other) < error(raw, other) / 5
    kept = tune(SharedNumbers(10, **RAW), [Stack(known.problem, known.prior)], 0)
    assert error(kept, other) == pytest.approx(error(raw, other))  # no steps change nothing


def test_gradients_are_those_of_differences():
    case = corrupted(10, 2, 3, 0.1, 43)
    numbers = SharedNumbers(4)
    stack = Stack(case.problem, case.prior, dense(case.truth))
    loss_of(numbers.method(), stack).backward()
    for k in range(4):
        values = []
        for change in (1e-5, -1e-5):
            with torch.no_grad():
                numbers.raw[k] += change
                values.append(float(loss_of(numbers.method(), stack)))
                numbers.raw[k] -= change
        slope = (values[0] - values[1]) / 2e-5
        assert float(numbers.raw.grad[k]) == pytest.approx(slope, rel=1e-3, abs=1e-9)


def test_matrices_are_tuned_layer_by_layer():
    def matrix(seed):
        stream = Stream(seed)
        low = stream.normal((30, 2), "a") @ stream.normal((2, 25), "b")
        where = stream.uniform(low.shape, "w") < 0.1
        y = low + where * (2 * stream.uniform(low.shape, "s") - 1) * low.abs().mean()
        return wp.Problem(y, wp.operators.Identity(low.shape)), low

    prior = wp.LowRankPlusSparse(2)
    stacks = [Stack(problem, prior, low) for problem, low in map(matrix, (72101, 72102, 72103))]
    raw = frozen(LayerNumbers(4).method())
    net = tune_by_layers(LayerNumbers(4), stacks, 12, 0.3)
    held_out = [matrix(seed) for seed in range(72111, 72117)]

    def errors(method):
        found = (wp.recover(problem, prior, method).signal - low for problem, low in held_out)
        return np.array([float(off.norm()) for off in found])

    assert np.log(errors(net) / errors(raw)).mean() < np.log(0.64)
    assert len(set(net.step_sizes)) > 1


def test_tuned_numbers_come_back_from_a_file(tmp_path):
    case = corrupted(12, 2, 3, 0.1, 5)
    net = frozen(SharedNumbers(6, **RAW).method())
    save_tree(tmp_path / "net.safetensors", net)
    again = load_tree(tmp_path / "net.safetensors")
    assert torch.equal(run(case, net).signal, run(case, again).signal)


@pytest.mark.parametrize(
    "bad", [((4.0, (1.0,), (0.5, 0.5))), ((4.0, (), ())), ((-1.0, (1.0,), (0.5,))),
            ((4.0, (0.0,), (0.5,))), ((4.0, (1.0,), (1.5,)))],
)  # fmt: skip
def test_bad_numbers_are_refused(bad):
    with pytest.raises(wp.WellposedError):
        wp.UnrolledRobustPCA(*bad)


def test_sparse_layouts_are_not_tuned_on():
    case = corrupted(30, 2, 3, 0.1, 6, seen=0.05)
    with pytest.raises(wp.WellposedError, match="tuning was given the layout FibreEntries"):
        loss_of(SharedNumbers(2).method(), Stack(case.problem, case.prior))
