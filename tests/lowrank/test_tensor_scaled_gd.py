"""Tucker ScaledGD: one step against explicit Kronecker products, invariance, counts of steps."""

import numpy as np
import pytest
import torch
from tensor_cases import completion, coordinates, planned, regression, run, steps_to, truth

import wellposed as wp
from wellposed.lowrank.tensor_scaled_gd import relative_motion
from wellposed.multilinear import Tucker, dense, relative_error
from wellposed.rng import Stream
from wellposed.run import Status

LARGE, SMALL = "vwxyz", "abcde"
KAPPAS = (1, 2, 5, 10)


def unfolded(x, k):
    return np.moveaxis(x, k, 0).reshape(x.shape[k], -1)


def formed(core, factors):
    pairs = ",".join(a + b for a, b in zip(LARGE, SMALL[: core.ndim], strict=False))
    return np.einsum(f"{SMALL[: core.ndim]},{pairs}->{LARGE[: core.ndim]}", core, *factors)


def reference_step(case, core, factors, size, gain, core_gram=True):
    """The paper's update, with Kronecker products, inverses and a dense table of A."""
    operator, y = case.problem.operator, case.problem.y.numpy()
    table = operator.forward(
        torch.eye(int(np.prod(operator.shape_in))).double().reshape(-1, *operator.shape_in)
    ).numpy()
    z = (table @ (table.T @ formed(core, factors).ravel() - y)).reshape(operator.shape_in) / gain
    new = []
    for k, u in enumerate(factors):
        wide = np.ones((1, 1))
        for j, other in enumerate(factors):
            if j != k:
                wide = np.kron(wide, other)
        b = wide @ unfolded(core, k).T
        new.append(u - size * unfolded(z, k) @ b @ np.linalg.inv(b.T @ b))
    inverse = [np.linalg.inv(u.T @ u) if core_gram else np.eye(u.shape[1]) for u in factors]
    slope = formed(z, [i @ u.T for i, u in zip(inverse, factors, strict=True)])
    return core - size * slope, new


def gap(method, case, seed=1, **wrong):
    plan, state = planned(method, case)
    start = coordinates(Tucker(state.core, state.factors), seed)
    new = method.step(plan, state._replace(core=start.core, factors=start.factors))
    core, factors = reference_step(
        case, start.core.numpy(), [u.numpy() for u in start.factors], method.step_size,
        case.problem.operator.gain, **wrong,
    )  # fmt: skip
    pairs = zip([new.core, *new.factors], [core, *factors], strict=True)
    return max(np.linalg.norm(a.numpy() - b) / np.linalg.norm(b) for a, b in pairs)


CASES = {
    "entries, sparse": completion(9, 2, 3, 0.1, 1),
    "entries, dense": completion(7, 2, 3, 0.5, 2),
    "entries, order 4": completion(5, 2, 3, 0.3, 3, order=4),
    "entries, order 5": completion(4, 2, 3, 0.1, 4, order=5),
    "regression": regression(5, 2, 3, 150, 5),
}


@pytest.mark.parametrize("name", CASES)
def test_one_step_is_that_of_the_formulas(name):
    assert gap(wp.TensorScaledGD(), CASES[name]) < 1e-10
    assert gap(wp.TensorScaledGD(), CASES[name], core_gram=False) > 1e-3  # a wrong core step


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_iterates_do_not_depend_on_how_the_tensor_is_written(damping):
    case = completion(12, 3, 5, 0.3, 6)

    def ends(method, seed):
        plan, state = planned(method, case)
        start = Tucker(state.core, state.factors)
        start = start if seed is None else coordinates(start, seed)
        state = state._replace(core=start.core, factors=start.factors)
        for _ in range(10):
            state = method.step(plan, state)
        return dense(Tucker(state.core, state.factors))

    one, two = (ends(wp.TensorScaledGD(damping=damping), seed) for seed in (None, 3))
    assert float((one - two).norm()) < 1e-8 * float(one.norm())
    one, two = (ends(wp.TensorGradientDescent(0.01), seed) for seed in (None, 3))
    assert not float((one - two).norm()) < 1e-2 * float(one.norm())  # also if it has diverged


def test_steps_do_not_depend_on_the_condition_number_and_gradient_descent_does():
    cases = [completion(60, 5, kappa, 0.2, 21) for kappa in KAPPAS]
    counts = [steps_to(run(c, wp.TensorScaledGD()).trace.error, 1e-10) for c in cases]
    assert max(counts) <= 1.1 * min(counts)
    assert max(counts) < 100
    plain = run(cases[-1], wp.TensorGradientDescent())
    assert steps_to(plain.trace.error, 1e-3) is None
    assert plain.status is Status.MAX_STEPS
    easy = run(completion(30, 3, 1, 0.3, 22), wp.TensorGradientDescent())
    assert steps_to(easy.trace.error, 1e-8) is not None


def test_alternating_descent_reaches_the_truth_and_falls_at_least_as_fast():
    case = completion(20, 2, 2, 0.4, 8)
    plain, turns = (
        run(case, wp.TensorGradientDescent(alternating=flag), 150) for flag in (False, True)
    )
    assert steps_to(turns.trace.error, 1e-4) <= steps_to(plain.trace.error, 1e-4)


def test_regression_and_a_users_operator_recover():
    case = regression(8, 2, 5, 320, 9)
    assert run(case, wp.TensorScaledGD()).trace.error[-1] < 1e-10
    weights = Stream(2).normal((500, 512), "w")
    operator = wp.operators.from_callable(
        lambda x: x.flatten(1) @ weights.T, (8, 8, 8), linear=True
    )
    y = operator(dense(case.truth))
    found = wp.recover(wp.Problem(y, operator), case.prior, truth=case.truth, tol=1e-12)
    assert isinstance(found, wp.TensorRecovery)
    assert found.trace.error[-1] < 1e-10


def test_units_change_nothing():
    case = completion(12, 2, 3, 0.4, 10)
    small = wp.Problem(1e-6 * case.problem.y, case.problem.operator)
    one = run(case, wp.TensorScaledGD(), 20)
    two = wp.recover(small, case.prior, wp.TensorScaledGD(), steps=20, tol=1e-13)
    assert float((two.signal - 1e-6 * one.signal).norm()) < 1e-14
    assert np.allclose(one.trace.residual, two.trace.residual, rtol=1e-8)


def test_ranks_that_are_too_large_are_borne_with_damping():
    case = completion(30, 2, 5, 0.1, 11)
    wide = case._replace(prior=wp.LowTucker((4, 4, 4)))
    damped, plain = (run(wide, wp.TensorScaledGD(damping=d), 200) for d in (0.3, 0.0))
    assert damped.trace.error[-1] < 1e-3
    assert damped.trace.error[-1] < 0.1 * plain.trace.error[-1]


def decaying(n, r, share, seed):
    """A Gaussian core that decays by ten in each mode: the start cannot see its weak end."""
    stream = Stream(seed)
    scale = torch.logspace(0, -1, r).double()
    core = torch.einsum("abc,a,b,c->abc", stream.normal((r,) * 3, "core"), scale, scale, scale)
    tensor = Tucker(core, truth(n, r, 1, seed).factors)
    mask = stream.uniform((n, n, n), "mask") < share
    problem = wp.Problem(dense(tensor)[mask], wp.operators.TensorEntries.from_mask(mask))
    return problem, tensor


def test_a_start_that_fails_is_a_status_and_damping_is_the_remedy():
    problem, tensor = decaying(80, 3, 0.01, 12)
    prior = wp.LowTucker((3, 3, 3))
    found = wp.recover(problem, prior, wp.TensorScaledGD(), truth=tensor)
    assert found.status is Status.DIVERGED
    assert "damping" in found.status.text
    mended = wp.recover(problem, prior, wp.TensorScaledGD(damping=1.0), truth=tensor, steps=800)
    assert mended.trace.error[-1] < 0.1 * found.trace.error[-1]


@pytest.mark.parametrize("seed", [302, 305])
def test_a_saddle_of_lower_rank_is_not_taken_for_the_end(seed):
    """The start's weak directions shrink by 10^4 before one of them grows to its place."""
    case = completion(20, 2, 5, 0.15, seed)
    wide, method = case._replace(prior=wp.LowTucker((4, 4, 4))), wp.TensorScaledGD(damping=1.0)
    found = run(wide, method, 600, 1e-6)
    assert (found.status, found.trace.error[-1] < 3e-3) == (Status.CONVERGED, True)
    still = (found.trace.change < 1e-3) & (found.trace.error > 0.19)
    assert still.sum() > 50  # where steps alone are judged, it seems to have settled
    short = run(wide, method, int(np.flatnonzero(still)[-1]), 1e-6)
    assert (short.status, short.trace.error[-1] > 0.19) == (Status.MAX_STEPS, True)


def test_singular_values_that_move_are_seen_and_rounding_is_not():
    old = torch.tensor([1.0, 1e-3, 1e-15], dtype=torch.float64)
    assert float(relative_motion(old, old * torch.tensor([1.0, 0.9, 1e-3]))) == pytest.approx(
        -np.log(0.9)
    )
    assert float(relative_motion(old[:0], old[:0])) == 0.0


def test_projection_bounds_rows_and_keeps_incoherent_tensors():
    case = completion(20, 2, 2, 0.4, 13)
    free, bound = (run(case, wp.TensorScaledGD(projection=p), 60) for p in (None, 4.0))
    assert torch.allclose(free.signal, bound.signal, atol=1e-9)
    _, state = planned(wp.TensorScaledGD(projection=1.0), case)
    rows = dense(Tucker(state.core, state.factors)).norm(dim=(1, 2))
    raw = dense(Tucker(*planned(wp.TensorScaledGD(), case)[1][:2])).norm(dim=(1, 2))
    assert rows.max() <= raw.square().mean().sqrt() * (1 + 1e-9)
    assert raw.max() > raw.square().mean().sqrt()


def test_what_is_returned():
    case = completion(10, 2, 2, 0.5, 14)
    array = wp.Problem(case.problem.y.numpy(), case.problem.operator)
    found = wp.recover(array, case.prior, truth=case.truth)
    assert isinstance(found.core, np.ndarray)
    assert (found.shape, found.ranks) == ((10, 10, 10), (2, 2, 2))
    assert np.allclose(found.predict([[1, 2, 3], [0, 9, 4]]), found.signal[[1, 0], [2, 9], [3, 4]])
    tucker = Tucker(torch.from_numpy(found.core), tuple(map(torch.from_numpy, found.factors)))
    assert relative_error(tucker, case.truth) == pytest.approx(found.trace.error[-1])
    for k, values in enumerate(found.mode_spectra):
        assert np.allclose(values, np.linalg.svd(unfolded(found.signal, k))[1][:2])
    with pytest.raises(wp.WellposedError, match=r"indices\[:, 1\] runs from 10"):
        found.predict([[0, 10, 0]])


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (wp.LowTucker((2, 2, 2, 2)), "4 ranks"),
        (wp.LowTucker((2, 11, 2)), "rank of mode 1 is 11"),
        (wp.LowRank(2), "LowRank prior"),
    ],
)
def test_priors_that_do_not_fit_are_refused(prior, message):
    case = completion(10, 2, 2, 0.5, 14)
    with pytest.raises(wp.WellposedError, match=message):
        wp.recover(case.problem, prior, wp.TensorScaledGD())


def test_ranks_are_checked_when_they_are_given():
    for ranks in ((2, 2), 3, (2, 0, 1), (2.5, 1, 1)):
        with pytest.raises(wp.WellposedError):
            wp.LowTucker(ranks)
