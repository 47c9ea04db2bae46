"""One battery over every posterior method: what a method promises.

A method takes part by a line in ``CASES``; a test sees to it that all have one.
"""

import dataclasses
import math

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
    wiener,
)

import wellposed as wp
from wellposed import errors, generation, posterior, shards
from wellposed.posterior import AngleODE, ChainOU
from wellposed.priors import Denoiser, Gaussian
from wellposed.rng import Stream
from wellposed.task import Method, Task

STEPS = 12

CASES = {
    "DPnP": (
        wp.DPnP(STEPS, tail=8, denoiser_steps=3),
        wp.DPnP(STEPS, "published", denoiser="ddpm", denoiser_steps=3, tail=0,
                readout="mean"),
        wp.DPnP(STEPS, "diminishing", denoiser=ChainOU(stride=100, ratio=3.0), proximal="mala",
                moves=2),
        wp.DPnP(STEPS, denoiser=AngleODE(2, 1), proximal="slice", moves=2),
    ),
    "DPnPSMC": (
        wp.DPnPSMC(STEPS, start_steps=5, denoiser_steps=3, moves=2),
        wp.DPnPSMC(STEPS, particles=7, start_steps=5, denoiser=AngleODE(2), proximal="slice",
                   moves=2),
    ),
    "DPS": (wp.DPS(STEPS), wp.DPS(STEPS, 0.3, "log", unit=0.7)),
    "LGDMC": (wp.LGDMC(STEPS, 2, 0.05), wp.LGDMC(STEPS, 2, 0.5, 0.1, "norm", "log")),
}  # fmt: skip
METHODS = [method for group in CASES.values() for method in group]
every_method = pytest.mark.parametrize("method", METHODS, ids=str)


PRIORS = {
    "gaussian": Gaussian(numbers(*SHAPE), 0.5),
    "mixture": MIXTURE,
    "network": Denoiser(wiener, SHAPE, sigma_min=0.01, sigma_max=200.0),
}


def pieces(x):
    return x.reshape(-1, 16, 2).square().sum(2)


def problems():
    mask = numbers(*SHAPE, key="mask") > 0
    signs = torch.where(numbers(*SHAPE, key="signs") > 0, 1.0, -1.0).double()
    identity, white = wp.operators.Identity(SHAPE), wp.noise.Gaussian(0.5)
    yield "mask", wp.Problem(numbers(int(mask.sum())), wp.operators.Mask(mask), white)
    yield "bits", wp.Problem(signs, identity, wp.noise.OneBit(0.5))
    yield "tails", wp.Problem(numbers(*SHAPE), identity, wp.noise.Laplace(0.5))
    bent = wp.operators.from_callable(pieces, SHAPE)
    yield "bent", wp.Problem(numbers(16).abs(), bent, white)
    box = wp.noise.BlackBox(lambda y, mean: -(y - mean).square().flatten(1).sum(1))
    yield "box", wp.Problem(numbers(*SHAPE), identity, box)


PROBLEMS = dict(problems())


def able(method, problem):
    """Whether a method can work with a problem, by its own words."""
    try:
        method.prepare(Task(problem, PRIORS["mixture"], count=2))
    except errors.CapabilityError as error:
        return not any(name in str(error) for name in ("these can", "wp.DPnP"))  # it says who can
    return True


every_pair = pytest.mark.parametrize(
    ("method", "name"),
    [
        pytest.param(method, name, id=f"{method}-{name}")
        for method in METHODS
        for name, problem in PROBLEMS.items()
        if able(method, problem)
    ],
)


def draw(method, prior=PRIORS["mixture"], draws=3, name=None, **more):
    name = name or next(name for name, problem in PROBLEMS.items() if able(method, problem))
    return wp.recover(PROBLEMS[name], prior, method, draws=draws, **more)


def begin(method):
    problem = next(problem for problem in PROBLEMS.values() if able(method, problem))
    plan = method.prepare(Task(problem, PRIORS["mixture"], count=5))
    return plan, method.init(plan, Stream(4))


def independent(method):
    return not hasattr(method, "population")


# ---------------------------------------------------------------- protocol


def test_every_method_takes_part_and_has_a_public_name():
    classes = installed(posterior, "read")
    found = {name: cls for name, cls in classes.items() if dataclasses.is_dataclass(cls)}
    assert set(found) == set(CASES)
    assert all(getattr(wp, name) is cls for name, cls in found.items())


@every_method
def test_a_method_is_a_frozen_dataclass_with_the_four_functions(method):
    assert isinstance(method, Method)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.steps = 3
    assert isinstance(type(method)(), Method)  # every field has a default
    assert method.reference
    assert method.needs
    check_the_file_opens_as_it_should(method)


@every_method
def test_a_step_leaves_the_old_state_alone_and_can_be_made_twice(method):
    check_a_step_is_pure(method, begin)


@every_method
def test_evaluations_are_those_that_are_made(method):
    CALLS.clear()
    assert draw(method, COUNTING).evaluations.denoiser == len(CALLS) > 0


# ---------------------------------------------------------------- promises of the driver


@every_pair
@pytest.mark.parametrize("prior", PRIORS)
def test_every_combination_completes(method, name, prior):
    found = draw(method, PRIORS[prior], name=name)
    assert found.status is wp.Status.COMPLETE
    assert found.draws.shape == (3, *SHAPE)
    assert bool(torch.isfinite(found.draws).all())


@every_pair
def test_interrupted_draws_go_on_to_the_same_bits(method, name, tmp_path):
    whole = draw(method, name=name)
    steps = STEPS - 2 if independent(method) else 3  # its own choice, at least three
    stop_at = int(Stream(len(str(method))).permutation(steps, "step")[0]) + 1

    def stop(view):
        if view.step == stop_at:
            raise KeyboardInterrupt

    part = draw(method, name=name, out=tmp_path, callback=stop)
    assert part.status is wp.Status.INTERRUPTED
    again = draw(method, name=name, out=tmp_path)  # by the same call: a function has no file
    assert torch.equal(again.draws, whole.draws)
    assert again.evaluations == whole.evaluations
    assert again.log_evidence == whole.log_evidence
    assert torch.equal(draw(method, name=name, out=tmp_path).draws, whole.draws)


@every_method
def test_a_folder_alone_is_enough(method, tmp_path):
    def stop(view):
        raise KeyboardInterrupt

    draw(method, out=tmp_path, callback=stop)
    assert torch.equal(wp.resume(tmp_path).draws, draw(method).draws)


@pytest.mark.parametrize("method", [m for m in METHODS if independent(m)], ids=str)
def test_draws_do_not_depend_on_how_many_are_asked_for(method):
    many = draw(method, draws=BLOCK + 2, seed=6).draws
    assert torch.equal(draw(method, draws=2, seed=6).draws, many[:2])
    assert torch.equal(draw(method, draws=BLOCK + 1, seed=6).draws, many[: BLOCK + 1])


@every_method
def test_seeds_and_chains_differ(method):
    x = draw(method, seed=1).draws
    assert torch.equal(x, draw(method, seed=1).draws)
    assert not torch.equal(x, draw(method, seed=2).draws)
    assert not torch.equal(x[0], x[1])


@pytest.mark.parametrize("method", [METHODS[0]], ids=str)
def test_draws_that_do_not_fit_into_memory_stay_on_disk(method, tmp_path, monkeypatch):
    count = 3 * BLOCK + 5
    whole = draw(method, draws=count)
    monkeypatch.setattr(generation, "HELD", 100)
    monkeypatch.setattr(shards, "NUMBERS", BLOCK * math.prod(SHAPE))
    with pytest.raises(wp.WellposedError, match="pass out="):
        draw(method, draws=count)

    def stop(view):
        if view.first == 2 * BLOCK:
            raise KeyboardInterrupt

    draw(method, draws=count, out=tmp_path, callback=stop)
    found = draw(method, draws=count, out=tmp_path)
    assert len(found) == count
    assert torch.equal(torch.cat(list(found.draws)), whole.draws)
    assert torch.allclose(found.mean, whole.mean)
    assert torch.allclose(found.std, whole.std)
    for a, b in zip(found.interval(0.8), whole.interval(0.8), strict=True):
        assert torch.equal(a, b)
    again = draw(method, draws=count, out=tmp_path)
    assert torch.equal(torch.cat(list(again.draws)), whole.draws)


# ---------------------------------------------------------------- types


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_follows_the_measurement(method, dtype):
    problem = next(problem for problem in PROBLEMS.values() if able(method, problem))
    problem = dataclasses.replace(problem, y=problem.y.to(dtype))
    x = wp.recover(problem, PRIORS["mixture"], method, draws=2).draws
    assert x.dtype is dtype
    assert bool(torch.isfinite(x).all())


@every_method
def test_numpy_in_numpy_out(method):
    problem = next(problem for problem in PROBLEMS.values() if able(method, problem))
    as_numpy = wp.Problem(problem.y.numpy(), problem.operator, problem.noise)
    found = wp.recover(as_numpy, PRIORS["mixture"], method, draws=2)
    mine = wp.recover(problem, PRIORS["mixture"], method, draws=2)
    assert type(found.draws).__name__ == type(found.mean).__name__ == "ndarray"
    assert all(type(end).__name__ == "ndarray" for end in found.interval())
    assert torch.equal(torch.from_numpy(found.draws), mine.draws)


# ---------------------------------------------------------------- bad input

FIELDS = {
    "steps": (0, -1, 2.5, True), "schedule": ("linear", 3), "eta_max": (0.0, -1.0, float("nan")),
    "eta_min": (0.0, float("inf")), "denoiser": ("heun", 4), "denoiser_steps": (0, 1.5),
    "particles": (1, 2.5), "ess": (0.0, 1.0), "start_steps": (0,),
    "proximal": ("gibbs",), "zeta": (-0.1, float("nan")), "grid": ("cosine", 3),
    "unit": (0.0, -1.0), "n": (0, 1.5), "scale": (-1.0, float("inf")), "temperature": (0.0, -1.0),
    "weight": ("root", 2), "moves": (0, 2.5), "search": (-1, 0.5), "tail": (-1, STEPS, 1.5),
    "readout": ("mode", 1),
}  # fmt: skip


@every_method
def test_every_field_is_checked(method):
    for field in dataclasses.fields(method):
        for bad in FIELDS[field.name]:
            with pytest.raises(wp.WellposedError, match=field.name):
                dataclasses.replace(method, **{field.name: bad})


@every_method
def test_bad_requests_are_named(method):
    problem, prior = PROBLEMS["mask"], PRIORS["mixture"]
    other = Gaussian(numbers(5), 1.0)
    silent = dataclasses.replace(problem, noise=None)
    for arguments, message in (
        ({"draws": 0}, "draws is 0"),
        ({"seed": -1}, "seed"),
        ({"tol": 0.1}, "tol was given with a diffusion prior"),
        ({"prior": other}, "the prior has"),
        ({"problem": silent}, "expected one with a density"),
        ({"problem": 3}, "expected a Problem"),
        ({"method": type(method)}, "expected a posterior sampler"),
    ):
        given = {"problem": problem, "prior": prior, "method": method} | arguments
        with pytest.raises(wp.WellposedError, match=message):
            wp.recover(**given)
    with pytest.raises(wp.WellposedError, match=r"was given no measurement|expected a sampler"):
        wp.sample(prior, method, n=2)


@every_method
def test_a_denoiser_of_nan_is_a_status(method):
    broken = Denoiser(lambda z, sigma: z * torch.nan, SHAPE)
    found = draw(method, broken)
    assert found.status is wp.Status.DIVERGED
    assert len(found) == 0
    assert "NaN" in found.note


def test_samplers_of_the_prior_are_refused():
    with pytest.raises(wp.WellposedError, match="posterior sampler"):
        wp.recover(PROBLEMS["mask"], PRIORS["mixture"], wp.DDIM(5), draws=2)


def test_arguments_of_the_other_family_are_refused():
    problem = wp.Problem(numbers(4, 8), wp.operators.Identity(SHAPE))
    with pytest.raises(wp.WellposedError, match="draws was given with a low-rank prior"):
        wp.recover(problem, wp.LowRank(1), draws=3)


# ---------------------------------------------------------------- what comes back


def test_summaries_tell_how_the_chains_agree():
    found = draw(METHODS[0], draws=20, trace=True)
    assert set(found.mixing) == {
        "log_likelihood", "rms", *(f"projection {k}" for k in range(6))
    }  # fmt: skip
    assert found.r_hat >= 1
    assert found.ess <= 20 * 8
    assert all(error > 0 for error in found.mcse.values())
    assert found.trace.sigma[-1] == found.trace.sigma.min()
    low, high = found.interval(0.5)
    assert bool((low <= high).all())
    assert bool((found.quantile(0.5) <= high).all())
    assert draw(METHODS[1]).mixing == {}
    assert bool(draw(METHODS[0], draws=1).std.isnan().all())


def test_arviz_gets_draws_and_tail():
    tree = draw(METHODS[0], draws=5).to_arviz()
    assert tree["posterior"]["x"].shape == (5, 1, *SHAPE)
    assert tree["tail"]["rms"].shape == (5, 8)
