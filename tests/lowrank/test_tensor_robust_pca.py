"""Tensor robust PCA: one step, thresholds from the data, missing entries, fixed modes."""

import numpy as np
import pytest
import torch
from tensor_cases import Case, coordinates, planned, run, steps_to, truth
from test_tensor_scaled_gd import formed, unfolded
from torch.utils.flop_counter import FlopCounterMode

import wellposed as wp
from wellposed.lowrank.tensor_robust_pca import Scheduled
from wellposed.multilinear import Tucker, dense, mode_product
from wellposed.rng import Stream


def corrupted(n, r, kappa, share, seed, seen=1.0) -> Case:
    """Corruptions uniform between plus and minus the mean size of the tensor's entries."""
    tensor, stream = truth(n, r, kappa, seed), Stream(seed)
    full = dense(tensor)
    where = stream.uniform(full.shape, "where") < share
    y = full + where * (2 * stream.uniform(full.shape, "size") - 1) * full.abs().mean()
    prior = wp.LowTuckerPlusSparse((r, r, r))
    if seen == 1.0:
        return Case(wp.Problem(y, wp.operators.Identity(tuple(full.shape))), prior, tensor)
    mask = stream.uniform(full.shape, "seen") < seen
    return Case(wp.Problem(y[mask], wp.operators.TensorEntries.from_mask(mask)), prior, tensor)


def oracle(case, ratio=0.9):
    top = float(dense(case.truth).abs().max())
    return wp.TensorRobustPCA(threshold=Scheduled(top, top, ratio))


def reference(y, core, factors, size, zeta):
    """Soft threshold, then the paper's update with Kronecker products."""
    off = y - formed(core, factors)
    sparse = np.sign(off) * np.maximum(np.abs(off) - zeta, 0)
    z = formed(core, factors) + sparse - y
    new = []
    for k, u in enumerate(factors):
        others = [v for j, v in enumerate(factors) if j != k]
        b = np.kron(*others) @ unfolded(core, k).T
        new.append(u - size * unfolded(z, k) @ b @ np.linalg.inv(b.T @ b))
    slope = formed(z, [np.linalg.inv(u.T @ u) @ u.T for u in factors])
    return [core - size * slope, *new]


def test_one_step_is_that_of_the_formulas():
    case = corrupted(9, 2, 3, 0.1, 1)
    method = wp.TensorRobustPCA(step_size=0.25, threshold=Scheduled(0.5, 0.02, 0.8))
    plan, state = planned(method, case)
    start = coordinates(Tucker(state.core, state.factors))
    state = state._replace(core=start.core, factors=start.factors)
    new = method.step(plan, state)
    numpy = [u.numpy() for u in start.factors]

    def gap(zeta):
        want = reference(case.problem.y.numpy(), start.core.numpy(), numpy, 0.25, zeta)
        pairs = zip([new.core, *new.factors], want, strict=True)
        return max(np.linalg.norm(a.numpy() - b) / np.linalg.norm(b) for a, b in pairs)

    assert gap(0.02) < 1e-10
    assert gap(0.016) > 1e-4  # the threshold of the step after
    sparse = method.finish(plan, new).sparse.numpy()
    off = case.problem.y.numpy() - formed(new.core.numpy(), [u.numpy() for u in new.factors])
    assert np.allclose(sparse, np.sign(off) * np.maximum(np.abs(off) - 0.02, 0))


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_thresholds_from_the_data_do_as_well_as_those_from_the_truth(share):
    for kappa in (1, 20):
        case = corrupted(40, 4, kappa, share, 31)
        for method in (wp.TensorRobustPCA(), oracle(case)):
            count = steps_to(run(case, method, 250, 1e-11).trace.error, 1e-10)
            assert count is not None
            assert count < 230
    fixed = run(case, oracle(case, ratio=1.0), 100)
    assert fixed.trace.error[-1] > 1e-3


def test_gross_corruptions_do_not_need_another_schedule():
    case = corrupted(30, 2, 5, 0.1, 5)
    where = Stream(6).uniform(case.problem.y.shape, "w") < 0.05
    gross = wp.Problem(case.problem.y + 1e3 * where, case.problem.operator)
    found = run(case._replace(problem=gross), wp.TensorRobustPCA(), 250)
    assert found.trace.error[-1] < 1e-9
    assert float((found.sparse[where] - 1e3).abs().max()) < 1.0


@pytest.mark.parametrize("seen", [0.5, 0.05])
def test_entries_may_be_missing_besides(seen):
    size = {0.5: 30, 0.05: 60}[seen]
    case = corrupted(size, 2, 5, 0.1, 7, seen)
    found = run(case, wp.TensorRobustPCA(), 250, 1e-10)
    assert found.trace.error[-1] < 1e-8
    assert found.sparse.shape == found.signal.shape


def test_modes_that_do_not_move_keep_their_start():
    case = corrupted(20, 3, 5, 0.1, 8)
    wide = case._replace(prior=wp.LowTuckerPlusSparse((20, 3, 3)))
    some, every = (run(wide, wp.TensorRobustPCA(modes=m), 150) for m in ((1, 2), None))
    start = planned(wp.TensorRobustPCA(), wide)[1]
    assert torch.equal(some.factors[0], start.factors[0])
    assert not torch.equal(every.factors[0], start.factors[0])
    assert some.trace.error[-1] < 2 * every.trace.error[-1] + 1e-12
    held = run(case, wp.TensorRobustPCA(modes=(1, 2)), 60)  # a short mode that must not stay
    assert held.trace.error[-1] > 1e-3


def test_modes_in_turns_move_one_after_the_other():
    case = corrupted(9, 2, 3, 0.1, 1)
    method = wp.TensorRobustPCA(0.25, Scheduled(0.5, 0.02, 0.8), modes=((2,), (0, 1)))
    plan, state = planned(method, case)
    for turn, zeta in (((2,), 0.02), ((0, 1), 0.016), ((2,), 0.0128)):
        numpy = [u.numpy() for u in state.factors]
        want = reference(case.problem.y.numpy(), state.core.numpy(), numpy, 0.25, zeta)
        new = method.step(plan, state)
        assert np.allclose(new.core, want[0], rtol=0, atol=1e-12)
        for k in range(3):
            moved = np.allclose(new.factors[k], want[k + 1], rtol=0, atol=1e-12)
            assert (moved, torch.equal(new.factors[k], state.factors[k])) == (
                k in turn,
                k not in turn,
            )
        state = new


def full_mode_case(n=20):
    stream, ranks = Stream(9), (n, 2, 2)
    factors = [torch.linalg.qr(stream.normal((n, r), f"{k}"))[0] for k, r in enumerate(ranks)]
    tensor = Tucker(stream.normal(ranks, "core"), tuple(factors))
    full = dense(tensor)
    y = full + (stream.uniform(full.shape, "where") < 0.1) * full.abs().mean()
    prior = wp.LowTuckerPlusSparse(ranks)
    return Case(wp.Problem(y, wp.operators.Identity((n,) * 3)), prior, tensor)


def test_a_fixed_mode_of_full_rank_takes_no_part_in_products():
    case, method = full_mode_case(), wp.TensorRobustPCA(modes=(1, 2))
    plan, state = planned(method, case)
    assert plan.still == (0,)
    turn = torch.linalg.qr(Stream(1).normal((20, 20), "turn"))[0]
    other = Tucker(mode_product(state.core, turn.mT, 0), (turn, *state.factors[1:]))
    other = state._replace(core=other.core, factors=other.factors)

    def after(plan, state):
        for _ in range(5):
            state = method.step(plan, state)
        return dense(Tucker(state.core, state.factors))

    wanted = after(plan._replace(still=()), other)  # the same tensor in another basis
    assert torch.allclose(after(plan, state), wanted, rtol=0, atol=1e-12)
    assert not torch.allclose(after(plan, other), wanted, rtol=0, atol=1e-3)  # no identity there


def test_selective_steps_do_less():
    """The floor on n^3 cells, r columns: 2 n^3 r to form T, as many for each look at E."""
    case, n, r = full_mode_case(60), 60, 2
    counts = []
    for modes in (None, (1, 2), ((1,), (2,))):
        method = wp.TensorRobustPCA(modes=modes)
        plan, state = planned(method, case)
        with FlopCounterMode(display=False) as counter:
            method.step(plan, state)
        counts.append(counter.get_total_flops())
    every, two, turns = counts
    assert every > two > turns
    assert two < 1.15 * 3 * 2 * n**3 * r
    assert turns < 1.15 * 2 * 2 * n**3 * r
    slow, fast = wp.TensorRobustPCA(), wp.TensorRobustPCA(0.6, modes=((1,), (2,)))
    assert run(case, fast, 60).trace.error[-1] <= 2 * run(case, slow, 60).trace.error[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modes": (0, 3)}, "modes is"),
        ({"modes": ((0, 1), (1,))}, "modes is"),
        ({"modes": (1, 1)}, "modes is"),
        ({"threshold": 0.1}, "threshold is"),
        ({"step_size": 2.0}, "step_size is"),
    ],
)
def test_bad_settings_are_refused(change, message):
    case = corrupted(9, 2, 3, 0.1, 1)
    with pytest.raises(wp.WellposedError, match=message):
        wp.recover(case.problem, case.prior, wp.TensorRobustPCA(**change))


def test_bad_schedules_are_refused():
    for bad in ((0.0, 1.0, 0.9), (1.0, -1.0, 0.9), (1.0, 1.0, 1.1), (1.0, 1.0, float("nan"))):
        with pytest.raises(wp.WellposedError):
            Scheduled(*bad)
