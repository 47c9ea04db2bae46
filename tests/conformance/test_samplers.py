"""One battery over every sampler and every kind of prior: what a method promises.

A sampler takes part by a line in ``CASES``; a test sees to it that all have one.
"""

import dataclasses

import pytest
import torch
from chain_cases import (
    BLOCK,
    CALLS,
    COUNTING,
    MIXTURE,
    SHAPE,
    check_a_step_is_pure,
    check_the_file_opens_as_it_should,
    installed,
    numbers,
    same,
    wiener,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import wellposed as wp
from wellposed import samplers
from wellposed.priors import Denoiser, Empirical, Gaussian, GaussianMixture
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.schedules.grids import log_uniform
from wellposed.store import load_tree, save_tree
from wellposed.task import Method, Task

STEPS = 20  # the theory schedule needs 17

CASES = {
    "ULA": (wp.ULA(STEPS, 0.02, sigma=0.2),),
    "MALA": (wp.MALA(STEPS, 0.02, sigma=0.2),),
    "AnnealedLangevin": (wp.AnnealedLangevin(STEPS, moves=2),),
    "DDPM": tuple(wp.DDPM(STEPS, variance) for variance in ("beta", "scaled", "posterior")),
    "PFEuler": (wp.PFEuler(STEPS),),
    "DDIM": (wp.DDIM(STEPS), wp.DDIM(STEPS, eta=0.7)),
    "AcceleratedODE": (wp.AcceleratedODE(STEPS),),
    "AcceleratedODEReuse": (wp.AcceleratedODEReuse(STEPS),),
    "AcceleratedODEExact": (wp.AcceleratedODEExact(STEPS),),
    "AcceleratedSDE": (wp.AcceleratedSDE(STEPS),),
    "ExponentialOU": (wp.ExponentialOU(STEPS),),
    "Heun": (wp.Heun(STEPS), wp.Heun(STEPS, churn=5.0, churn_low=0.1, churn_high=10.0)),
    "DPMSolverPP2M": (wp.DPMSolverPP2M(STEPS),),
}
METHODS = [method for group in CASES.values() for method in group]
LANGEVIN = (wp.ULA, wp.MALA)
DETERMINISTIC = (
    wp.PFEuler(STEPS), wp.DDIM(STEPS), wp.AcceleratedODE(STEPS), wp.AcceleratedODEReuse(STEPS),
    wp.AcceleratedODEExact(STEPS), wp.Heun(STEPS), wp.DPMSolverPP2M(STEPS),
)  # fmt: skip
ENCODERS = (wp.DDIM(STEPS), wp.Heun(STEPS), wp.DPMSolverPP2M(STEPS))


PRIORS = {
    "gaussian": Gaussian(numbers(*SHAPE), 0.5),
    "dense gaussian": Gaussian(
        numbers(*SHAPE), torch.cov(numbers(32, 80, key="cov")) + 0.1 * torch.eye(32)
    ),
    "mixture": MIXTURE,
    "empirical": Empirical(numbers(10, *SHAPE)),
    "network": Denoiser(wiener, SHAPE, sigma_min=0.01, sigma_max=200.0),
}

every_method = pytest.mark.parametrize("method", METHODS, ids=str)
every_pair = pytest.mark.parametrize(
    ("method", "prior"),
    [
        pytest.param(method, prior, id=f"{method}-{name}")
        for method in METHODS
        for name, prior in PRIORS.items()
        if not (isinstance(method, wp.MALA) and name == "network")  # it needs a density
    ],
)
walkers = [method for method in METHODS if not isinstance(method, LANGEVIN)]


def grid(method):
    return None if isinstance(method, LANGEVIN) else log_uniform(STEPS + 1, 40.0, 0.1)


def draw(method, prior=PRIORS["mixture"], n=3, **more):
    return wp.sample(prior, method, n=n, **({"sigmas": grid(method)} | more))


def begin(method, prior=PRIORS["mixture"]):
    plan = method.prepare(Task(prior=prior, count=5, sigmas=grid(method)))
    return plan, method.init(plan, Stream(4))


# ---------------------------------------------------------------- protocol


def test_every_sampler_takes_part_and_has_a_public_name():
    found = installed(samplers, "evaluations_per_step")
    assert set(found) == set(CASES)
    assert all(getattr(wp, name) is cls for name, cls in found.items())


@every_method
def test_a_method_is_a_frozen_dataclass_with_the_four_functions(method):
    assert isinstance(method, Method)
    assert dataclasses.is_dataclass(method)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.steps = 3
    assert type(method)(**{f.name: getattr(method, f.name) for f in dataclasses.fields(method)})
    assert isinstance(type(method)(), Method)  # every field has a default
    assert method.order in (None, 1, 2)
    assert method.evaluations_per_step >= 1
    assert method.reference
    assert method.needs


@every_method
def test_the_file_of_a_method_opens_with_what_a_reader_needs(method):
    check_the_file_opens_as_it_should(method)


@every_method
def test_plans_are_repeatable_and_states_are_named_tuples(method):
    plan, state = begin(method)
    again, other = begin(method)
    assert plan.steps == again.steps == STEPS
    assert plan.path == again.path
    assert hasattr(state, "_fields")
    assert same(state, other)


@every_method
def test_a_step_leaves_the_old_state_alone_and_can_be_made_twice(method):
    check_a_step_is_pure(method, begin)


@every_method
def test_evaluations_are_those_that_are_made(method):
    CALLS.clear()
    draws = draw(method, COUNTING)
    extra = 1 if isinstance(method, wp.MALA) else 0  # at the start
    assert draws.evaluations == len(CALLS) == method.evaluations_per_step * STEPS + extra
    if not isinstance(method, LANGEVIN):
        CALLS.clear()
        closed = draw(method, COUNTING, sigmas=[*grid(method)[:-1].tolist(), 0.0])
        assert closed.evaluations == len(CALLS)


# ---------------------------------------------------------------- promises of the driver


@every_pair
def test_every_pair_completes(method, prior):
    views = []
    draws = draw(method, prior, callback=views.append)
    assert draws.status is wp.Status.COMPLETE
    assert draws.x.shape == (3, *SHAPE)
    assert bool(torch.isfinite(draws.x).all())
    assert [view.step for view in views] == list(range(1, STEPS + 1))
    assert all(view.x0.shape == draws.x.shape for view in views)


@every_method
@settings(max_examples=3, deadline=None, derandomize=True)
@given(step=st.integers(0, STEPS - 1))
def test_a_stored_state_goes_on_to_the_same_bits(method, tmp_path_factory, step):
    plan, state = begin(method)
    for _ in range(step):
        state = method.step(plan, state)
    path = tmp_path_factory.mktemp("state") / "state.safetensors"
    save_tree(path, state)
    stored, plan_again = load_tree(path), begin(method)[0]
    for _ in range(STEPS - step):
        state, stored = method.step(plan, state), method.step(plan_again, stored)
    assert same(state, stored)
    view = method.read(plan, state)
    assert view.done
    assert torch.equal(view.value, method.read(plan_again, stored).value)


@every_method
def test_interrupted_draws_go_on_to_the_same_bits(method, tmp_path):
    stop_at = int(Stream(METHODS.index(method)).permutation(STEPS, "step")[0]) + 1

    def stop(view):
        if view.step == stop_at:
            raise KeyboardInterrupt

    part = draw(method, out=tmp_path, callback=stop)
    assert part.status is wp.Status.INTERRUPTED
    assert torch.equal(wp.resume(tmp_path).x, draw(method).x)


@every_pair
def test_draws_do_not_depend_on_how_many_are_asked_for(method, prior):
    many = draw(method, prior, BLOCK + 2, seed=6).x
    assert torch.equal(draw(method, prior, 2, seed=6).x, many[:2])
    assert torch.equal(draw(method, prior, BLOCK + 1, seed=6).x, many[: BLOCK + 1])


@every_method
def test_seeds_and_chains_differ(method):
    x = draw(method, n=3, seed=1).x
    assert torch.equal(x, draw(method, n=3, seed=1).x)
    assert not torch.equal(x, draw(method, n=3, seed=2).x)
    assert not torch.equal(x[0], x[1])


@every_method
def test_a_chain_is_the_same_alone_and_in_company(method):
    start = 3 * numbers(4, *SHAPE, key="start")
    together = draw(method, n=4, start=start).x
    other = torch.cat([start[:1], 0.1 * start[1:]])
    assert torch.equal(draw(method, n=4, start=other).x[0], together[0])


# ---------------------------------------------------------------- types


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_device_are_those_asked_for(method, dtype):
    x = draw(method, dtype=dtype, device=torch.device("cpu")).x
    assert x.dtype is dtype
    assert x.device == torch.device("cpu")
    assert bool(torch.isfinite(x).all())


@pytest.mark.parametrize("method", DETERMINISTIC, ids=str)
def test_single_precision_agrees_with_double(method):
    start = 40 * numbers(5, *SHAPE, key="start")
    exact = draw(method, n=5, start=start).x
    rough = draw(method, n=5, start=start, dtype=torch.float32).x
    assert float((rough - exact).abs().max()) < 1e-3


# ---------------------------------------------------------------- bad input

FIELDS = {
    "steps": (0, -1, 2.5, True),
    "step_size": (0.0, -0.1, float("nan"), float("inf")),
    "sigma": (-0.1, float("inf")),
    "moves": (0, 1.5),
    "eta": (-0.1, 1.1),
    "horizon": (0.0, float("inf")),
    "variance": ("gamma", 1),
    "churn": (-1.0, float("nan")),
    "churn_low": (-1.0,),
    "churn_high": (-1.0, float("nan")),
    "churn_noise": (-1.0,),
}


@every_method
def test_every_field_is_checked(method):
    for field in dataclasses.fields(method):
        for bad in FIELDS[field.name]:
            with pytest.raises(wp.WellposedError, match=field.name):
                dataclasses.replace(method, **{field.name: bad})


@every_method
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": numbers(3, 5)}, r"start has shape \[3, 5\]"),
        ({"start": numbers(2, *SHAPE)}, "start has shape"),
        ({"start": torch.full(SHAPE, torch.nan)}, "NaN"),
        ({"sigmas": [1.0, 0.5]}, "expected 21|stays at one noise level"),
        ({"sigmas": [-1.0, -2.0]}, "expected >= 0"),
        ({"sigmas": [1.0, 2.0, 0.5]}, "neither"),
        ({"device": "nowhere"}, "device"),
        ({"prior": wp.LowRank(2)}, "diffusion prior"),
    ],
)
def test_bad_requests_are_named(method, arguments, message):
    arguments = {"prior": PRIORS["mixture"], "n": 3} | arguments
    with pytest.raises(wp.WellposedError, match=message):
        wp.sample(method=method, **arguments)


@every_method
def test_a_measurement_is_refused(method):
    problem = wp.Problem([1.0], wp.operators.Entries([0], [0], SHAPE))
    with pytest.raises(wp.WellposedError, match="was given a measurement"):
        method.prepare(Task(problem, PRIORS["mixture"], sigmas=grid(method)))


@pytest.mark.parametrize("method", walkers, ids=str)
def test_ascending_levels_encode_or_are_refused(method):
    start = PRIORS["mixture"].sample(3)
    sigmas = grid(method).flip(0)
    if method in ENCODERS:
        assert draw(method, sigmas=sigmas, start=start).x.std() > 20
    else:
        with pytest.raises(wp.WellposedError, match="cannot encode"):
            draw(method, sigmas=sigmas, start=start)


@pytest.mark.parametrize("method", [m for m in METHODS if not isinstance(m, wp.MALA)], ids=str)
def test_a_denoiser_of_nan_is_a_status(method):
    broken = Denoiser(lambda z, sigma: z * torch.nan, SHAPE)
    draws = draw(method, broken)
    assert draws.status is wp.Status.DIVERGED
    assert len(draws) == 0
    assert "NaN" in draws.note


@every_method
def test_levels_outside_the_prior_are_refused(method):
    class Narrow(GaussianMixture):
        sigma_min, sigma_max = 0.5, 1.0

    mixture = PRIORS["mixture"]
    narrow = Narrow(mixture.weights, mixture.means, mixture.covariances)
    assert isinstance(narrow, DiffusionPrior)
    with pytest.raises(wp.WellposedError, match=r"the prior covers 1 to 0\.5"):
        draw(method, narrow)
