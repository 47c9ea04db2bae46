"""One battery over operator x likelihood x posterior method: it works, or says which one does."""

import re

import pytest
import torch
from test_measurements import NOISES, OPERATORS, SHAPE, TAKES_COMPLEX, signals

import wellposed as wp
from wellposed.errors import CapabilityError
from wellposed.priors import GaussianMixture
from wellposed.rng import Stream
from wellposed.task import Task

STREAM = Stream(29)
PRIOR = GaussianMixture([0.4, 0.6], 0.4 * STREAM.normal((2, *SHAPE), "means"), 0.05)
STEPS = 3
METHODS = {
    "DPnP": wp.DPnP(STEPS, denoiser_steps=2, tail=1, moves=2),
    "DPnP-DDPM": wp.DPnP(STEPS, denoiser="ddpm", denoiser_steps=2, tail=1, moves=2),
    "DPnP-mala": wp.DPnP(STEPS, denoiser_steps=2, tail=1, proximal="mala", moves=1),
    "DPnP-slice": wp.DPnP(STEPS, denoiser_steps=2, tail=1, proximal="slice", moves=1),
    "DPnPSMC": wp.DPnPSMC(STEPS, particles=3, start_steps=2, denoiser_steps=2, moves=1),
    "DPS": wp.DPS(STEPS),
    "LGDMC": wp.LGDMC(STEPS, 2, 0.05),
}
NEEDS_GRADIENT = ("DPnP-mala", "DPS", "LGDMC")
WHO_CAN = re.compile(r"these can: .*('slice'|wp\.DPnP)")

every_operator = pytest.mark.parametrize("name", OPERATORS)
every_method = pytest.mark.parametrize("kind", METHODS)


def problems(name):
    """Data of one operator under every likelihood that takes them."""
    operator = OPERATORS[name]
    mean = operator.forward(signals(1))[0]
    for law, make in NOISES.items():
        if not mean.is_complex() or law in TAKES_COMPLEX:
            noise = make(operator.shape_out)
            yield wp.Problem(noise.simulate(mean, STREAM), operator, noise)


def walked(method, plan, state):
    """The chains after all steps, [B, *shape]."""
    for _ in range(plan.steps):
        state = method.step(plan, state)
    return method.read(plan, state).value


def in_other_company(state):
    """The same state, with all chains but the first elsewhere."""
    if isinstance(state, torch.Tensor) and state.shape == (3, *SHAPE):
        return torch.cat([state[:1], state[1:].flip(0) + 0.3])
    if hasattr(state, "_fields"):
        return type(state)(*map(in_other_company, state))
    return state


def check_chains(method, problem):
    """Assert that chains are finite, and that the first does not feel the others."""
    plan = method.prepare(Task(problem, PRIOR, count=3))
    state = method.init(plan, Stream(5))
    x, y = (walked(method, plan, s) for s in (state, in_other_company(state)))
    assert bool(torch.isfinite(x).all())
    assert torch.equal(x[0], y[0])
    assert not torch.equal(x[1:], y[1:])


@every_method
@every_operator
def test_every_combination_works_or_names_those_that_do(name, kind):
    method = METHODS[kind]
    for problem in problems(name):
        able = problem.operator.differentiable and problem.noise.differentiable
        if kind in NEEDS_GRADIENT and not able:
            with pytest.raises(CapabilityError, match=WHO_CAN):
                wp.recover(problem, PRIOR, method, draws=2)
        elif kind == "DPnPSMC":  # one population: its particles are meant to interact
            assert bool(torch.isfinite(wp.recover(problem, PRIOR, method, draws=2).draws).all())
        else:
            check_chains(method, problem)


class Coupled(wp.DPS):
    """The wrong variant: chains are pulled towards their mean."""

    def read(self, plan, state):
        reading = super().read(plan, state)
        return reading._replace(value=reading.value + 1e-9 * reading.value.mean(0))


def test_the_battery_rejects_chains_that_feel_each_other():
    problem = next(problems("identity"))
    check_chains(wp.DPS(STEPS), problem)
    with pytest.raises(AssertionError):
        check_chains(Coupled(STEPS), problem)
