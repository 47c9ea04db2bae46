"""Denoising posterior samplers against the closed-form posterior of mixtures.

Sampling errors: for 2000 exact draws the ratio of sliced W2 to its floor has mean 0.97 and
standard deviation 0.08 (measured on 40 mixtures). A mean over two mixtures exceeds 1.2 by chance
about once in 10^4. Seeds are fixed.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from posterior_truth import excess, mixture
from scipy.integrate import solve_ivp

import wellposed as wp
from wellposed.posterior.denoising import AngleODE, ChainOU, HeatFlow
from wellposed.priors import Denoiser, Gaussian
from wellposed.rng import Stream
from wellposed.schedules import linear_chain

D, N = 6, 2000
SAMPLERS = {
    "angle": AngleODE(30), "euler": AngleODE(150, 1), "chain": ChainOU(stride=8),
    "heat": HeatFlow(150),
}  # fmt: skip


def noisy(prior, eta, seed):
    x = prior.sample(1, seed=seed)
    return x + eta * Stream(seed).normal(x.shape, "noise")


def mean_excess(sampler, eta, seeds=(1, 2)):
    """Sliced W2 to the exact denoising posterior over its floor, mean over mixtures."""
    ratios = []
    for seed in seeds:
        prior = mixture(D, seed)
        z = noisy(prior, eta, seed)
        problem = wp.Problem(z[0], wp.operators.Identity((D,)), wp.noise.Gaussian(eta))
        ladder = sampler.ladder(prior, eta)
        x = sampler.draw(prior, ladder, z.expand(N, D), Stream(50 + seed), 0)
        ratios.append(excess(prior.posterior(problem), x))
    return sum(ratios) / len(ratios)


@pytest.mark.parametrize("eta", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("name", SAMPLERS)
def test_draws_follow_the_denoising_posterior(name, eta):
    assert mean_excess(SAMPLERS[name], eta) < 1.2


@dataclass(frozen=True)
class Misscaled:
    """A sampler whose noise is off by a factor: what a wrong unit of the noise would do."""

    inner: object
    factor: float

    def ladder(self, prior, eta):
        rungs = self.inner.ladder(prior, eta)
        if isinstance(self.inner, HeatFlow):
            return tuple(rung._replace(std=self.factor * rung.std) for rung in rungs)
        return tuple(rung._replace(reach=self.factor * rung.reach) for rung in rungs)

    def draw(self, *arguments):
        return self.inner.draw(*arguments)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_wrong_scale_of_the_noise_is_seen(name):
    assert mean_excess(Misscaled(SAMPLERS[name], 1.3), 2.0) > 1.5


def test_drawing_as_in_generation_is_seen():
    """Starting the flow of generation at z + eta n, not at z: an easy confusion."""

    @dataclass(frozen=True)
    class Generation(HeatFlow):
        def draw(self, prior, ladder, z, stream, step):
            more = ladder[0].sigma * stream.normal(z.shape, "more", step)
            return super().draw(prior, ladder, z + more, stream, step)

    assert mean_excess(Generation(100), 0.5) > 1.5


# ---------------------------------------------------------------- the flow itself


def exact_flow(prior, z, v, eta):
    """End of du / d theta by scipy's eighth-order method."""

    def slope(theta, flat):
        u, sigma = torch.from_numpy(flat).reshape(z.shape), eta * math.cos(theta)
        return eta * math.cos(theta) * prior.score(z + eta * math.sin(theta) * u, sigma).flatten()

    found = solve_ivp(
        slope, (0, math.pi / 2), v.flatten().numpy(), method="DOP853", rtol=1e-11, atol=1e-12
    )
    return z + eta * torch.from_numpy(found.y[:, -1]).reshape(z.shape)


def errors(make, prior, eta, counts):
    z = noisy(prior, eta, 4).expand(40, D)
    truth = exact_flow(prior, z, Stream(9).normal(z.shape, "denoise", 0), eta)
    found = []
    for count in counts:
        sampler = make(count)
        x = sampler.draw(prior, sampler.ladder(prior, eta), z, Stream(9), 0)
        found.append(float((x - truth).square().mean().sqrt()))
    return found


def order_of(make, counts=(40, 80, 160, 320)):
    slopes = [
        -np.polyfit(np.log(counts), np.log(errors(make, mixture(D, seed), 1.0, counts)), 1)[0]
        for seed in (1, 2, 3)
    ]
    return float(np.mean(slopes))


@pytest.mark.parametrize("order", [1, 2])
def test_the_angle_solver_has_its_declared_order(order):
    assert abs(order_of(lambda steps: AngleODE(steps, order)) - order) < 0.15


def test_a_solver_that_forgets_to_extrapolate_has_another_order():
    @dataclass(frozen=True)
    class Forgetful(AngleODE):
        def ladder(self, prior, eta):
            rungs = super().ladder(prior, eta)
            return tuple(rung._replace(now=rung.now + rung.before, before=0.0) for rung in rungs)

    assert abs(order_of(Forgetful) - 2) > 0.5


def response(ladder, spread):
    """x = a z + b n for the prior N(0, spread^2): return a and b."""
    prior, sampler = Gaussian([0.0], spread**2), AngleODE(len(ladder))
    z = torch.ones(1, 1, dtype=torch.float64)
    one, none = (sampler.draw(prior, ladder, at, Stream(3), 0) for at in (z, 0 * z))
    n = Stream(3).normal(z.shape, "denoise", 0)
    return float(one - none), float(none / n)


def kept(ladder, spread, eta):
    """Variance over spread^2 that sweeps of z = x + eta n and x ~ p(x | z) settle at."""
    a, b = response(ladder, spread)
    return (a**2 * eta**2 + b**2) / (1 - a**2) / spread**2


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("spread", [0.03, 0.3, 1.0, 10.0])
def test_the_mean_is_exact_for_gaussian_priors_at_any_number_of_steps(steps, spread):
    a, _ = response(AngleODE(steps).ladder(Gaussian([0.0], spread**2), 0.5), spread)
    assert a == pytest.approx(spread**2 / (spread**2 + 0.25), rel=1e-10)


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_a_few_steps_keep_the_spread_of_the_prior_through_many_sweeps(steps):
    ladder = AngleODE(steps).ladder(Gaussian([0.0], 1.0), 0.3)
    assert kept(ladder, 1.0, 0.3) == pytest.approx(1, abs=0.01)
    h = math.pi / 2 / steps  # the usual weights lose a tenth of the variance and more
    usual = [rung._replace(now=1.5 * h, before=-0.5 * h) for rung in ladder]
    usual[0] = ladder[0]._replace(now=h)
    assert kept(tuple(usual), 1.0, 0.3) < 0.97
    assert kept(tuple(usual), 1.0, 0.3) < 0.9 or steps > 3


def test_the_last_step_may_be_longer_where_the_denoiser_stops():
    prior = Gaussian([0.0], 1.0)
    narrow = Denoiser(lambda z, s: z / (1 + s[:, None] ** 2), (1,), sigma_min=0.05)
    for sampler in (AngleODE(20), HeatFlow(40), ChainOU()):
        levels = [rung.sigma for rung in sampler.ladder(narrow, 0.4)]
        assert min(levels) > 0.05 * (1 - 1e-9)
        x, y = (
            sampler.draw(p, sampler.ladder(p, 0.4), torch.ones(500, 1).double(), Stream(1), 0)
            for p in (prior, narrow)
        )
        assert float((x - y).abs().mean()) < 0.05


def test_the_chain_form_is_the_papers_update():
    """w' = sqrt(c' / c) w - sqrt(c') (h - h') eps with h = -arctan(eta sqrt(abar / (1 - abar)))."""
    prior, eta = mixture(D, 1), 0.7
    sampler = ChainOU(linear_chain(), stride=8)
    z = noisy(prior, eta, 2).expand(5, D)
    x = sampler.draw(prior, sampler.ladder(prior, eta), z, Stream(3), 0)
    shares = [*sampler._shares(prior, eta), 1.0]
    w = Stream(3).normal(z.shape, "denoise", 0)
    for share, beyond in pairwise(shares):
        c, low = (1 + (eta**2 - 1) * s for s in (share, beyond))
        level = math.sqrt(eta**2 * (1 - share) / c)
        seen = z + eta**2 * math.sqrt(share) * w / c
        eps = (seen - prior.denoise(seen, level)) / level
        h = -math.atan(eta * math.sqrt(share / (1 - share)))
        to = -math.pi / 2 if beyond == 1 else -math.atan(eta * math.sqrt(beyond / (1 - beyond)))
        w = math.sqrt(low / c) * w - math.sqrt(low) * (h - to) * eps
    assert torch.allclose(x, z + w, atol=1e-11)


def test_the_chain_form_meets_the_chains_levels():
    prior, eta, chain = Gaussian([0.0], 1.0), 0.3, linear_chain()
    met = {round(rung.sigma, 9) for rung in ChainOU(chain).ladder(prior, eta)}
    assert {round(s, 9) for s in chain.sigma[1:-1] if s < eta} <= met
    with pytest.raises(wp.WellposedError, match="below every level of the chain"):
        ChainOU(chain).ladder(prior, 0.005)


def test_the_heat_flow_moves_a_gaussian_as_it_should():
    """Mean and variance by the recursion for p = N(0, 1), where D = x / (1 + sigma^2)."""
    prior, steps, eta = Gaussian([0.0], 1.0), 7, 1.5
    mean, variance = 2.0, 0.0
    for k in range(steps, 0, -1):
        sigma, low = eta * k / steps, eta * (k - 1) / steps
        pull = 2 * (sigma - low) if k > 1 else sigma
        factor = 1 - pull * sigma / (1 + sigma**2)
        mean, variance = factor * mean, factor**2 * variance
        variance += sigma**2 - low**2 if k > 1 else 0.0
    sampler = HeatFlow(steps)
    z = torch.full((200_000, 1), 2.0, dtype=torch.float64)
    x = sampler.draw(prior, sampler.ladder(prior, eta), z, Stream(5), 0)
    assert abs(float(x.mean()) - mean) < 5 * (variance / len(x)) ** 0.5
    assert abs(float(x.var()) - variance) < 5 * variance * (2 / len(x)) ** 0.5


# ---------------------------------------------------------------- promises


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_row_does_not_see_the_others(name):
    sampler, prior = SAMPLERS[name], mixture(D, 5)
    ladder = sampler.ladder(prior, 0.5)
    z = Stream(1).normal((4, D), "z")
    together = sampler.draw(prior, ladder, z, Stream(2), 3)
    other = torch.cat([z[:1], 7 * z[1:]])
    assert torch.equal(sampler.draw(prior, ladder, other, Stream(2), 3)[0], together[0])
    assert not torch.equal(sampler.draw(prior, ladder, z, Stream(2), 4), together)


@pytest.mark.parametrize(
    ("sampler", "field", "bad"),
    [
        (AngleODE(), "steps", 0), (AngleODE(), "order", 3), (HeatFlow(), "steps", 1.5),
        (ChainOU(), "stride", 0), (ChainOU(), "ratio", 1.0), (ChainOU(), "least", 0.0),
    ],
)  # fmt: skip
def test_fields_are_checked(sampler, field, bad):
    with pytest.raises(wp.WellposedError, match=field):
        replace(sampler, **{field: bad})


@pytest.mark.parametrize("sampler", [AngleODE(), HeatFlow(), ChainOU()], ids=str)
def test_levels_that_the_denoiser_does_not_cover_are_refused(sampler):
    prior = Denoiser(lambda z, s: z, (1,), sigma_min=0.1, sigma_max=2.0)
    for eta in (0.05, 3.0):
        with pytest.raises(wp.WellposedError, match=r"the prior covers 2 to 0\.1"):
            sampler.ladder(prior, eta)
    with pytest.raises(wp.WellposedError, match="eta is"):
        sampler.ladder(prior, 0.0)
