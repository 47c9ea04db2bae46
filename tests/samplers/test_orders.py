"""Every deterministic sampler converges at its declared order to the exact probability flow.

The reference is scipy's eighth-order solver. Chain methods get the same chain by its levels.
The last test is the negative control: solvers that are almost right fail the same measurement.
"""

from dataclasses import dataclass, replace
from functools import cache, partial

import pytest
import torch
from sampler_cases import bumps, draw, exact_flow, noise, rms, slope

from wellposed.priors import Gaussian
from wellposed.samplers import accelerated_ode
from wellposed.samplers.accelerated_ode import AcceleratedODE, AcceleratedODEReuse
from wellposed.samplers.accelerated_ode_exact import AcceleratedODEExact
from wellposed.samplers.chain_score import look
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.dpm_solver import DPMSolverPP2M
from wellposed.samplers.heun import Heun
from wellposed.samplers.pf_euler import PFEuler
from wellposed.samplers.pieces import Moved
from wellposed.schedules.grids import log_uniform

METHODS = [
    PFEuler(), DDIM(), AcceleratedODE(), AcceleratedODEReuse(), AcceleratedODEExact(), Heun(),
    DPMSolverPP2M(),
]  # fmt: skip
HIGH, LOW = 20.0, 0.1
STEPS = (80, 160, 320, 640)
TOLERANCE = 0.15


@cache
def start():
    return noise(100, 1, HIGH)


@cache
def mixture_end():
    return exact_flow(bumps(), start(), HIGH, LOW)


def error(prior, method, steps, end):
    grid = log_uniform(steps + 1, HIGH, LOW)
    drawn = draw(prior, replace(method, steps=steps), len(end), sigmas=grid, start=start())
    return rms(drawn.x - end)


def measured(method, prior, end):
    return slope(STEPS, [error(prior, method, steps, end) for steps in STEPS])


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_declared_order_on_a_mixture(method):
    assert measured(method, bumps(), mixture_end()) == pytest.approx(-method.order, abs=TOLERANCE)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_declared_order_on_a_gaussian(method):
    mean, variance = 0.4, 0.5
    stretch = ((variance + LOW**2) / (variance + HIGH**2)) ** 0.5
    end = mean + stretch * (start() - mean)  # the flow in closed form
    prior = Gaussian([mean], variance)
    assert measured(method, prior, end) == pytest.approx(-method.order, abs=TOLERANCE)


def _without_the_factor(prior, chain, t, y):
    """AcceleratedODE's step without sqrt(alpha_{t+1}) in its correction."""
    x0, score = look(prior, chain, y, t)
    beta, up = chain.beta[t], chain.beta[t + 1]
    above = look(prior, chain, (1 - up) ** 0.5 * (y - up / 2 * score), t + 1).score
    return Moved(
        (y + beta / 2 * score + beta**2 / (4 * up) * (score - above)) / (1 - beta) ** 0.5, x0
    )


@dataclass(frozen=True)
class Midway(DPMSolverPP2M):
    """DPM-Solver++(2M) that extrapolates by a whole step, not by half of one."""

    def prepare(self, task):
        plan = super().prepare(task)
        return plan._replace(ahead=tuple(2 * w - 1 for w in plan.ahead))


def test_almost_right_solvers_fail_the_measurement(monkeypatch):
    assert measured(Midway(), bumps(), mixture_end()) > -2 + 2 * TOLERANCE
    monkeypatch.setattr(accelerated_ode, "_move", _without_the_factor)
    assert measured(AcceleratedODE(), bumps(), mixture_end()) > -1.1


def test_the_gap_between_ddim_and_the_euler_step_is_quadratic_in_beta():
    prior, levels = bumps(), [1.0, 0.5, 0.25, 0.125]
    gaps, betas = [], []
    for h in levels:
        sigmas = torch.tensor([1.0, (1 - 0.1 * h) ** 0.5], dtype=torch.float64)
        one = partial(draw, prior, n=50, start=noise(50, 1, 1.2), sigmas=sigmas)
        gaps.append(rms(one(method=DDIM(1)).x - one(method=PFEuler(1)).x))
        betas.append(0.1 * h / 2)  # beta_1 = (sigma_1^2 - sigma_0^2) / (1 + sigma_1^2)
    assert slope(betas, gaps) == pytest.approx(2, abs=0.05)
