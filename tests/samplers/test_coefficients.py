"""Tables of the samplers against quadrature and against the flows that they solve exactly."""

from itertools import pairwise
from math import expm1, log

import pytest
import torch
from sampler_cases import bumps, draw, exact_flow, noise, rms
from scipy.integrate import quad

from wellposed.priors import Denoiser, Gaussian
from wellposed.samplers.accelerated_ode import AcceleratedODE, AcceleratedODEReuse
from wellposed.samplers.accelerated_ode_exact import AcceleratedODEExact
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.dpm_solver import DPMSolverPP2M
from wellposed.samplers.heun import Heun
from wellposed.samplers.levels import default_levels
from wellposed.samplers.pf_euler import PFEuler
from wellposed.schedules import Chain
from wellposed.schedules.grids import log_uniform
from wellposed.task import Task

LEVELS = [9.0, 4.0, 1.5, 0.4, 0.1]


def test_the_exact_form_integrates_the_line_through_two_scores():
    prior, chain = Gaussian([0.3], 0.7), Chain.from_sigmas(LEVELS)
    plan = AcceleratedODEExact(4).prepare(
        Task(prior=prior, sigmas=torch.tensor(LEVELS, dtype=torch.float64))
    )
    for t, (keep, drift, slope) in zip(chain.steps, plan.table, strict=True):
        low, high, above = (chain.alpha_bar[k] for k in (t, t - 1, t + 1))
        assert keep == pytest.approx((high / low) ** 0.5, rel=1e-12)
        frozen = quad(lambda u: u**-1.5, low, high, epsabs=0, epsrel=1e-12)[0]
        line = quad(lambda u: u**-1.5 * (u - low) / (low - above), low, high, epsrel=1e-12)[0]  # noqa: B023
        assert drift == pytest.approx(high**0.5 / 2 * frozen, rel=1e-10)
        assert slope == pytest.approx(high**0.5 / 2 * line, rel=1e-9)


def by_hand(chain, step):
    """Run a scalar step on N(0.3, 0.7) data along a chain; s(t) is the score there."""
    y, kept = 1.1, None

    def score(x, t):
        bar = chain.alpha_bar[t]
        return (0.3 * bar**0.5 - x) / (0.7 * bar + 1 - bar)

    for t in chain.steps:
        y, kept = step(y, t, chain.beta[t], chain.beta[t + 1], score, kept)
    return y / chain.alpha_bar[0] ** 0.5


def euler(y, t, beta, up, score, kept):
    return (y + beta / 2 * score(y, t)) / (1 - beta) ** 0.5, None


def corrected(y, beta, up, s, above):
    bend = beta**2 / (4 * up) * (s - (1 - up) ** 0.5 * above)
    return (y + beta / 2 * s + bend) / (1 - beta) ** 0.5


def analysed(y, t, beta, up, score, kept):
    s = score(y, t)
    above = score((1 - up) ** 0.5 * (y - up / 2 * s), t + 1)
    return corrected(y, beta, up, s, above), None


def reusing(y, t, beta, up, score, kept):
    s = score(y, t)
    return (euler(y, t, beta, up, score, None)[0] if kept is None
            else corrected(y, beta, up, s, kept)), s  # fmt: skip


@pytest.mark.parametrize(
    ("method", "step"),
    [(PFEuler(4), euler), (AcceleratedODE(4), analysed), (AcceleratedODEReuse(4), reusing)],
    ids=lambda case: getattr(case, "__name__", type(case).__name__),
)
def test_steps_of_unequal_length_are_those_of_the_talks(method, step):
    chain = Chain.from_sigmas(LEVELS)
    z = torch.full((1, 1), 1.1 / chain.a[4], dtype=torch.float64)
    x = draw(Gaussian([0.3], 0.7), method, 1, start=z, sigmas=LEVELS).x
    assert float(x) == pytest.approx(by_hand(chain, step), rel=1e-12)


def test_2m_with_steps_of_unequal_length_is_the_formula_of_the_paper():
    prior, z = Gaussian([0.3], 0.7), 2.0
    h_last = old = None
    for high, low in pairwise(LEVELS):
        h = log(high / low)
        now = (0.3 * high**2 + 0.7 * z) / (high**2 + 0.7)
        ahead = now if old is None else (1 + h / (2 * h_last)) * now - h / (2 * h_last) * old
        z = low / high * z - expm1(-h) * ahead
        h_last, old = h, now
    start = torch.full((1, 1), 2.0, dtype=torch.float64)
    x = draw(prior, DPMSolverPP2M(4), 1, start=start, sigmas=LEVELS).x
    assert float(x) == pytest.approx(z, rel=1e-12)


def affine_denoiser(offset, rate):
    """D = offset + rate log(sigma), whatever z is: no law has it, every solver can integrate it."""

    def function(z, sigma):
        return (offset + rate * sigma.log())[:, None].expand_as(z)

    return Denoiser(function, (1,))


def end_of_affine(z, offset, rate, high, low):
    """dz / dt = z - D with D = offset + rate t, t = log sigma, in closed form."""

    def special(sigma):
        return offset + rate + rate * log(sigma)

    return special(low) + (z - special(high)) * low / high


@pytest.mark.parametrize("method", [DDIM(4), DPMSolverPP2M(4)], ids=str)
def test_a_constant_denoiser_is_integrated_exactly(method):
    z = noise(6, 1)
    x = draw(affine_denoiser(2.0, 0.0), method, 6, start=z, sigmas=LEVELS).x
    assert rms(x - end_of_affine(z, 2.0, 0.0, 9.0, 0.1)) < 1e-14


def test_2m_is_exact_to_third_order_on_a_denoiser_linear_in_log_sigma():
    """Half a step ahead stands for the weighted mean of the step: it is off by h^3 / 12."""
    z, errors = noise(6, 1), []
    for steps in (10, 20):
        grid = torch.linspace(0, -2, steps + 1, dtype=torch.float64).exp()
        x = draw(affine_denoiser(2.0, 1.5), DPMSolverPP2M(steps), 6, start=z, sigmas=grid).x
        errors.append(rms(x - end_of_affine(z, 2.0, 1.5, 1.0, float(grid[-1]))))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_heun_is_the_trapezoid_rule_and_ends_with_euler():
    prior, z = Gaussian([0.0], 1.0), noise(6, 1)
    x = draw(prior, Heun(2), 6, start=z, sigmas=[2.0, 1.0, 0.0]).x

    def slope(z, s):
        return (z - prior.denoise(z, s)) / s

    first = slope(z, 2.0)
    euler = z - first
    middle = z - (first + slope(euler, 1.0)) / 2
    assert rms(x - (middle - slope(middle, 1.0))) < 1e-15


def test_a_last_step_to_zero_returns_the_denoised_signal():
    prior, z = Gaussian([0.5], 0.3), noise(6, 1)
    for method in (DDIM(2), DPMSolverPP2M(2)):
        views = []
        x = draw(prior, method, 6, start=z, sigmas=[2.0, 0.5, 0.0], callback=views.append).x
        assert rms(x - prior.denoise(views[0].x, 0.5)) < 1e-15
        assert torch.equal(x, views[1].x0)


def test_the_default_grid_scales_with_the_signal_and_stays_inside_the_prior():
    small, large = Gaussian([0.0], 1.0), Gaussian([0.0], 100.0)
    for a, b in zip(default_levels(small, 7), default_levels(large, 7), strict=True):
        assert b == pytest.approx(10 * a, rel=1e-12)
    assert all(a > b for a, b in pairwise(default_levels(small, 7)))
    net = Denoiser(lambda z, sigma: z, (1,), sigma_min=0.1, sigma_max=30.0)
    levels = default_levels(net, 5)
    assert (levels[0], levels[-2], levels[-1]) == (30.0, 0.1, 0.0)
    assert default_levels(net, 1) == (30.0, 0.0)


def test_the_exact_form_is_usable_in_few_steps():
    """Ten steps: less than half the error of the linear coefficients on the same grid."""
    z, grid = noise(100, 1, 20.0), log_uniform(11, 20.0, 0.1)
    end = exact_flow(bumps(), z, 20.0, 0.1)
    errors = [
        rms(draw(bumps(), method, 100, start=z, sigmas=grid).x - end)
        for method in (AcceleratedODEExact(10), AcceleratedODEReuse(10))
    ]
    assert errors[0] < errors[1] / 2
