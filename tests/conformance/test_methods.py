"""One battery over every low-rank method: protocol, resume, seeds, types, refusals."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

import wellposed as wp
from wellposed.codec import decode, encode
from wellposed.lowrank.robust_pca import Hard
from wellposed.lowrank.scaled_gd_lambda import FixedDamping, SmallRandom
from wellposed.lowrank.setting import Factors
from wellposed.lowrank.step_rules import Geometric
from wellposed.lowrank.tensor_robust_pca import Scheduled
from wellposed.rng import Stream
from wellposed.run import Driver, Status
from wellposed.task import Method, Reading, Task

STREAM = Stream(41)
N1, N2 = 16, 12
LOW = STREAM.normal((N1, 2), "l") @ STREAM.normal((2, N2), "r")
POSITIVE = STREAM.normal((N1, 2), "p") @ STREAM.normal((N1, 2), "p").T
MATRICES = STREAM.normal((300, N1, N2), "a")
SQUARES = STREAM.normal((300, N1, N1), "b")
MASK = STREAM.uniform((N1, N2), "mask") < 0.7
CUBE = torch.einsum("ia,ja,ka->ijk", *(STREAM.normal((n, 2), f"t{n}") for n in (N1, N2, 10)))
SEEN = STREAM.uniform(CUBE.shape, "seen") < 0.5


def table(dtype=torch.float64):
    return wp.Problem(LOW[MASK].to(dtype), wp.operators.Entries.from_mask(MASK))


def sensing(dtype=torch.float64):
    y = torch.einsum("kij,ij->k", MATRICES, LOW)
    return wp.Problem(y.to(dtype), wp.operators.DenseSensing(MATRICES.to(dtype)))


def symmetric(dtype=torch.float64):
    y = torch.einsum("kij,ij->k", SQUARES, POSITIVE)
    return wp.Problem(y.to(dtype), wp.operators.DenseSensing(SQUARES.to(dtype)))


def stack(dtype=torch.float64):
    y = LOW.clone()
    y[3, 4] = y[8, 1] = 30.0
    return wp.Problem(y.to(dtype), wp.operators.Identity((N1, N2)))


def cube(dtype=torch.float64):
    return wp.Problem(CUBE[SEEN].to(dtype), wp.operators.TensorEntries.from_mask(SEEN))


def whole_cube(dtype=torch.float64):
    return wp.Problem(CUBE.to(dtype), wp.operators.Identity(tuple(CUBE.shape)))


TUCKER = wp.LowTucker((2, 2, 2))


def spotted_cube(dtype=torch.float64):
    y = CUBE.clone()
    y[3, 4, 5] = y[8, 1, 2] = 30.0
    return wp.Problem(y.to(dtype), wp.operators.Identity(tuple(CUBE.shape)))


def spotted_cells(dtype=torch.float64):
    y = CUBE[SEEN].clone()
    y[::60] = 30.0
    return wp.Problem(y.to(dtype), wp.operators.TensorEntries.from_mask(SEEN))


RANK, SPARSE = wp.LowRank(2), wp.LowRankPlusSparse(2, 0.1)
CASES = [
    (wp.ScaledGD(), table, RANK),
    (wp.ScaledGD(projection=3.0), table, RANK),
    (wp.ScaledGD(), sensing, RANK),
    (wp.ScaledGD(), symmetric, wp.LowRank(2, symmetric=True)),
    (wp.GradientDescent(), sensing, RANK),
    (wp.GradientDescent(balancing=0.5), table, RANK),
    (wp.CountScaledGD(), table, wp.LowRank(2, ridge=0.1)),
    (wp.AlternatingMinimization(), table, wp.LowRank(2, ridge=0.1)),
    (wp.Subgradient(), sensing, RANK),
    (wp.ScaledSubgradient(), sensing, RANK),
    (wp.ScaledSubgradient(Geometric()), sensing, RANK),
    (wp.ScaledGDLambda(), sensing, wp.LowRank(4)),
    (wp.ScaledGDLambda(0.3, FixedDamping(0.1), SmallRandom()), symmetric,
     wp.LowRank(4, symmetric=True)),
    (wp.OverparametrizedGD(), sensing, wp.LowRank(4)),
    (wp.TensorScaledGD(), cube, TUCKER),
    (wp.TensorScaledGD(damping=0.1, projection=4.0), cube, TUCKER),
    (wp.TensorGradientDescent(), cube, TUCKER),
    (wp.TensorGradientDescent(alternating=True), whole_cube, TUCKER),
    (wp.HOOI(), whole_cube, TUCKER),
    (wp.TensorRobustPCA(), spotted_cube, wp.LowTuckerPlusSparse((2, 2, 2))),
    (wp.TensorRobustPCA(modes=((0,), (1, 2))), spotted_cube, wp.LowTuckerPlusSparse((2, 2, 2))),
    (wp.TensorRobustPCA(threshold=Scheduled(5.0, 5.0)), spotted_cells,
     wp.LowTuckerPlusSparse((2, 2, 2))),
    (wp.UnrolledRobustPCA(), spotted_cube, wp.LowTuckerPlusSparse((2, 2, 2))),
    (wp.UnrolledRobustPCA(), stack, SPARSE),
    (wp.RobustPCA(), stack, SPARSE),
    (wp.RobustPCA(threshold=Hard()), table, SPARSE),
]  # fmt: skip
IDS = [f"{type(m).__name__}-{p.__name__}-{k}" for k, (m, p, _) in enumerate(CASES)]
every = pytest.mark.parametrize(("method", "problem", "prior"), CASES, ids=IDS)


def parts(found):
    """The factors of a matrix, or the factors and the core of a tensor."""
    return [*found.factors, found.core] if hasattr(found, "core") else [found.left, found.right]


def prepared(method, problem, prior):
    task = Task(problem, prior, dtype=problem.y.dtype)
    plan = method.prepare(task)
    return plan, method.init(plan, STREAM)


def equal(a, b):
    one, two = {}, {}
    return encode(a, one) == encode(b, two) and all(
        torch.equal(one[k], two[k]) or one[k].isnan().all() for k in one
    )


def from_disk(state):
    """A state as it comes back from a checkpoint."""
    tensors = {}
    form = encode(state, tensors)
    return decode(form, {k: v.detach().clone().contiguous() for k, v in tensors.items()})


def resumes_exactly(method, plan, state):
    """Whether a run that is stored and read back at every step stays the same, bit for bit."""
    stored = from_disk(state)
    for _ in range(12):
        state, stored = method.step(plan, state), from_disk(method.step(plan, stored))
        if not equal(state, stored):
            return False
    return True


@every
def test_protocol(method, problem, prior):
    assert isinstance(method, Method)
    assert dataclasses.is_dataclass(method)
    assert method.reference
    assert method.needs
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.step_size = 1.0
    plan, state = prepared(method, problem(), prior)
    assert hasattr(state, "_fields")
    for value in (state, method.step(plan, state)):
        reading = method.read(plan, value)
        assert isinstance(reading, Reading)
        first = parts(reading.value)[0]
        assert first.shape[0] == N1
        assert torch.isfinite(first).all()


@every
def test_steps_change_the_state_and_not_the_plan(method, problem, prior):
    plan, state = prepared(method, problem(), prior)
    before = from_disk(state)
    new = method.step(plan, state)
    assert equal(state, before)
    assert not equal(new, state)
    assert equal(method.step(plan, state), new)


@every
def test_a_stored_run_goes_on_bit_for_bit(method, problem, prior):
    assert resumes_exactly(method, *prepared(method, problem(), prior))


class Forgetful:
    """A method that keeps its step size outside the state."""

    def __init__(self):
        self.calls = itertools.count(1)

    def step(self, plan, state):
        return Factors(state.left / next(self.calls), state.right)


def test_hidden_state_is_found_out():
    assert not resumes_exactly(Forgetful(), None, Factors(LOW, LOW))


@every
def test_interruption_at_any_step_changes_nothing(tmp_path, method, problem, prior, monkeypatch):
    whole = wp.recover(problem(), prior, method, steps=30, tol=1e-12)
    record, stop = Driver._record, int(STREAM.uniform((1,), method.reference)[0] * 20) + 1

    def interrupting(self, step, seconds, reading):
        record(self, step, seconds, reading)
        if step == stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Driver, "_record", interrupting)
        part = wp.recover(problem(), prior, method, steps=30, tol=1e-12, out=tmp_path)
    if whole.steps > stop:
        assert part.status is Status.INTERRUPTED
    again = wp.resume(tmp_path)
    assert all(map(torch.equal, parts(again), parts(whole)))
    assert again.status is whole.status


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_are_kept_and_runs_repeat(method, problem, prior, dtype):
    one = wp.recover(problem(dtype), prior, method, steps=15)
    two = wp.recover(problem(dtype), prior, method, steps=15)
    assert parts(one)[0].dtype == dtype
    assert all(map(torch.equal, parts(one), parts(two)))
    array = wp.Problem(problem(dtype).y.numpy(), problem(dtype).operator)
    found = wp.recover(array, prior, method, steps=15)
    assert isinstance(parts(found)[0], np.ndarray)
    assert np.array_equal(parts(found)[0], parts(one)[0].numpy())


@every
def test_the_truth_is_found_in_the_end(method, problem, prior):
    slow = isinstance(method, (wp.OverparametrizedGD, wp.Subgradient, wp.TensorGradientDescent))
    found = wp.recover(problem(), prior, method, steps=3000 if slow else 600, tol=1e-9)
    truth = POSITIVE if problem is symmetric else CUBE if hasattr(found, "core") else LOW
    assert (found.signal - truth).norm() < 0.05 * truth.norm()


def spoiled(value):
    """The same state with NaN in all its numbers."""
    if isinstance(value, torch.Tensor):
        return torch.full_like(value, torch.nan)
    if not isinstance(value, tuple):
        return value
    inner = [spoiled(v) for v in value]
    return type(value)(*inner) if hasattr(value, "_fields") else tuple(inner)


@every
def test_non_finite_states_end_as_diverged_with_the_last_sound_iterate(method, problem, prior):
    plan, state = prepared(method, problem(), prior)
    good = method.step(plan, state)
    bad = spoiled(good)
    outcome = Driver(5, 1e-6).run(method, plan, bad, 1)
    assert outcome.status is Status.DIVERGED


@every
def test_other_priors_and_operators_are_refused_by_name(method, problem, prior):
    name = type(method).__name__
    image = wp.Problem(torch.ones(5), wp.operators.Identity((5,)))
    with pytest.raises(wp.WellposedError, match=rf"{name} was given|no method|Identity"):
        wp.recover(image, prior, method)
    other = SPARSE if isinstance(prior, wp.LowRank) else RANK
    with pytest.raises(wp.WellposedError, match=rf"{name} was given a {type(other).__name__}"):
        wp.recover(problem(), other, method)


STEPPING = [
    wp.ScaledGD, wp.GradientDescent, wp.CountScaledGD, wp.ScaledGDLambda, wp.RobustPCA,
    wp.TensorScaledGD, wp.TensorGradientDescent, wp.TensorRobustPCA,
]  # fmt: skip


@pytest.mark.parametrize("method", STEPPING, ids=lambda m: m.__name__)
@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, float("nan")])
def test_step_sizes_outside_their_range_are_refused(method, value):
    with pytest.raises(wp.WellposedError, match="step_size is"):
        method(step_size=value)


def test_every_method_is_in_the_battery():
    import pkgutil

    import wellposed.lowrank as room

    found = set()
    for _, name, _ in pkgutil.iter_modules(room.__path__, "wellposed.lowrank."):
        module = __import__(name, fromlist=["x"])
        found |= {
            cls
            for cls in vars(module).values()
            if isinstance(cls, type) and cls.__module__ == name and hasattr(cls, "reference")
        }
    assert found == {type(method) for method, _, _ in CASES}
