"""The propagated law of a shipped sampler against independent ways to the same law."""

import math
from collections import deque

import numpy as np
import pytest
import torch
from theory_cases import drawn_mixtures, two_modes

from wellposed.errors import CapabilityError
from wellposed.samplers.accelerated_ode import AcceleratedODEReuse
from wellposed.samplers.accelerated_sde import AcceleratedSDE
from wellposed.samplers.annealed_langevin import AnnealedLangevin
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.heun import Heun
from wellposed.samplers.langevin import MALA, ULA
from wellposed.samplers.ou import ExponentialOU
from wellposed.schedules import Chain
from wellposed.schedules.grids import log_uniform
from wellposed.task import Task
from wellposed.theory.densities import GridLaw
from wellposed.theory.line import LineMixture
from wellposed.theory.propagate import densities_along, exact_law, level_law
from wellposed.theory.rates import log_snr_levels

LEVELS = log_uniform(31, 20.0, 0.1)


@pytest.mark.parametrize("method", [DDPM(30, "scaled"), AcceleratedSDE(30), ExponentialOU(30)])
def test_gaussian_data_stay_gaussian(method):
    """Mean and variance by the recursion of an affine step, by hand."""
    mean, var = 0.4, 0.3
    chain = Chain.from_sigmas(LEVELS)
    m = chain.a[30] * mean
    v = chain.a[30] ** 2 * var + chain.b[30] ** 2
    for t in chain.steps:
        beta, alpha = chain.beta[t], chain.alpha[t]
        centre = chain.a[t] * mean
        width = chain.a[t] ** 2 * var + chain.b[t] ** 2
        before, gain, after = 0.0, (1 - beta / width) / alpha**0.5, beta / alpha
        pull = beta / alpha**0.5 / width
        if isinstance(method, AcceleratedSDE):
            before, after = beta / 2, beta / (2 * alpha)
        if isinstance(method, ExponentialOU):
            grown = alpha**-0.5
            gain, pull = grown - 2 * (grown - 1) / width, 2 * (grown - 1) / width
        m, v = gain * m + pull * centre, gain**2 * (v + before) + after
    arrived = exact_law(method, LineMixture.normal(mean, var**0.5), sigmas=LEVELS)
    assert isinstance(arrived.law, GridLaw)
    assert arrived.law.distances(LineMixture.normal(m, v**0.5)).tv < 1e-9
    assert arrived.distances().tv > 1e-3  # the step is not exact, and this is seen


def test_ddim_with_full_noise_is_ddpm_with_the_posterior_variance():
    law, levels = two_modes(), log_uniform(41, 30.0, 0.05)
    one = exact_law(DDIM(40, eta=1.0), law, sigmas=levels).distances()
    other = exact_law(DDPM(40, "posterior"), law, sigmas=levels).distances()
    assert one.tv == pytest.approx(other.tv, rel=1e-7)
    assert one.kl == pytest.approx(other.kl, rel=1e-7)
    plain = exact_law(DDPM(40), law, sigmas=levels).distances()
    assert plain.tv != pytest.approx(other.tv, rel=1e-2)


@pytest.mark.parametrize("law", [two_modes(), *drawn_mixtures(1, 3)])
def test_flows_and_densities_agree_on_a_deterministic_sampler(law):
    """The same maps, once by change of variables and once by masses on a grid."""
    # Heun with so little churn that its noise does not matter is walked as a density
    heun = exact_law(Heun(60, churn=1e-12), law, sigmas=log_snr_levels(60), size=4096)
    flow = exact_law(Heun(60), law, sigmas=log_snr_levels(60), size=4096)
    assert isinstance(heun.law, GridLaw)
    assert not isinstance(flow.law, GridLaw)
    for a, b in zip(heun.distances()[:3], flow.distances()[:3], strict=True):
        assert a == pytest.approx(b, rel=2e-4)


def test_size_does_not_matter_once_it_is_enough():
    law = two_modes()
    found = [
        exact_law(method, law, sigmas=log_snr_levels(50), size=size).distances().tv
        for method in (DDPM(50), AcceleratedODEReuse(50))
        for size in (1024, 2048)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert found[2] == pytest.approx(found[3], rel=1e-3)


def test_masses_are_kept():
    for method in (DDPM(100), DDIM(100)):
        arrived = exact_law(method, two_modes(), sigmas=log_snr_levels(100))
        assert abs(arrived.distances().mass) < 1e-10


def test_the_start_is_the_one_asked_for():
    law = LineMixture.normal(0.5, 0.6)
    levels = log_uniform(31, 3.0, 0.1)  # at 3 the noise does not hide the signal
    exact = exact_law(DDIM(30), law, sigmas=levels).distances()
    noise = exact_law(DDIM(30), law, sigmas=levels, from_noise=True).distances()
    other = exact_law(DDIM(30), law, sigmas=levels, start=LineMixture.normal(0, 2.0)).distances()
    assert exact.tv < noise.tv < other.tv


def test_evaluations_are_counted():
    assert exact_law(Heun(10), two_modes(), sigmas=log_uniform(11, 10.0, 0.1)).evaluations == 20


def test_levels_are_in_the_samplers_own_scale():
    plan = DDPM(20).prepare(Task(prior=two_modes().prior))
    law = level_law(two_modes(), plan.path, 0)
    assert law.std == pytest.approx(
        plan.path.scales[0] * math.hypot(two_modes().std, plan.path.levels[0])
    )


def test_mala_is_refused():
    with pytest.raises(CapabilityError, match="random, and no maps and noise"):
        exact_law(MALA(3), two_modes())
    with pytest.raises(CapabilityError, match="no maps and noise"):
        densities_along(MALA(3), two_modes())


def test_langevin_moves_one_gaussian_into_another():
    """ULA on N(0, 1): the variance obeys v' = (1 - eta)^2 v + 2 eta."""
    eta, v = 0.2, 4.0
    walk = densities_along(
        ULA(12, step_size=eta), LineMixture.normal(), start=LineMixture.normal(0.0, v**0.5)
    )
    for law in walk:
        assert law.distances(LineMixture.normal(0, v**0.5)).tv < 1e-5
        v = (1 - eta) ** 2 * v + 2 * eta


def test_walks_from_noise_pass_all_levels():
    laws = deque(densities_along(AnnealedLangevin(30, moves=5), two_modes()))
    assert len(laws) == 31
    assert laws[0].unit > 30 * laws[-1].unit
    assert torch.tensor([law.mass for law in laws]).sub(1).abs().max() < 1e-6
    assert np.isfinite(laws[-1].density).all()
