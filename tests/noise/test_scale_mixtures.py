"""Scales of heavy-tailed noise: their conditional law, and the Gibbs sampler that uses it."""

import numpy as np
import pytest
import torch
from scipy import stats

from wellposed.noise import Huber, Laplace, StudentT
from wellposed.operators import Identity
from wellposed.operators.normal import gaussian_draw
from wellposed.rng import Stream

F64 = torch.float64
STREAM = Stream(57)
NOISES = {
    "Laplace": Laplace(0.5),
    "Huber": Huber(0.6, 1.2),
    "Cauchy": StudentT(1.0, 0.3),
    "StudentT": StudentT(4.0, 0.5),
}
every = pytest.mark.parametrize("name", NOISES)
LIMIT = 2.225  # of sqrt(n) times the Kolmogorov distance: exceeded with probability 1e-4


def distance(draws, cdf):
    """sqrt(n) times the Kolmogorov distance."""
    return np.sqrt(len(draws)) * stats.kstest(draws, cdf).statistic


def conditional(noise, residual):
    """Distribution function of the precision given the residual, by scipy."""
    if isinstance(noise, StudentT):
        rate = (noise.degrees * noise.scale**2 + residual**2) / 2
        return stats.gamma((noise.degrees + 1) / 2, scale=1 / rate).cdf
    if isinstance(noise, Laplace):
        mean, shape = 1 / (noise.scale * abs(residual)), noise.scale**-2
    else:
        seam, rate = noise.threshold * noise.sigma, noise.threshold / noise.sigma
        mean, shape = rate / np.hypot(seam, residual), rate**2
    return stats.invgauss(mean / shape, scale=shape).cdf


@every
@pytest.mark.parametrize("residual", [1e-3, 0.4, -3.0, 40.0])
def test_scales_follow_their_conditional_law(name, residual):
    """16 tests at level 1e-4: false-alarm rate 0.2 %, with a fixed seed."""
    noise = NOISES[name]
    scales = noise.draw_scales(torch.full((20_000,), residual, dtype=F64), STREAM)
    precision = scales.pow(-2).numpy()
    assert distance(precision, conditional(noise, residual)) < LIMIT
    assert distance(1.1 * precision, conditional(noise, residual)) > LIMIT


@every
def test_mixing_over_scales_gives_back_the_density(name):
    """E over r | tau of p(tau | r) is the prior of tau: check p(r) by simulating both ways."""
    noise = NOISES[name]
    r = noise.simulate(torch.zeros(40_000, dtype=F64), STREAM)
    again = noise.draw_scales(r, STREAM) * STREAM.normal(r.shape, "second")
    assert stats.ks_2samp(r.numpy(), again.numpy()).pvalue > 1e-4


@every
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_scales_are_finite_at_and_far_from_zero(name, dtype):
    residual = torch.tensor([0.0, 1e-30, 1e-8, 1e8, 1e15], dtype=dtype).repeat(2000)
    scales = NOISES[name].draw_scales(residual, STREAM)
    assert scales.dtype == dtype
    assert bool(torch.isfinite(scales).all())
    assert bool((scales > 0).all())


def quadrature(noise, y):
    """Distribution function of the posterior of x ~ N(0, 1) given y = x + noise."""
    grid = torch.linspace(-8, 8, 40_001, dtype=F64)
    log_p = noise.log_density(torch.full_like(grid, y)[:, None], grid[:, None])
    mass = torch.cumsum((log_p - 0.5 * grid.square()).softmax(0), 0)
    return lambda x: np.interp(x, grid.numpy(), mass.numpy())


def gibbs(noise, y, scales, chains=8_000, sweeps=40):
    """Alternate the scales and the exact Gaussian step, from draws of the prior."""
    target = torch.full((1,), y, dtype=F64)
    x = STREAM.normal((chains, 1), "start")
    for k in range(sweeps):
        sigma = scales(noise, target - x, k)
        n1, n2 = (STREAM.normal((chains, 1), key, k) for key in ("n1", "n2"))
        x = gaussian_draw(Identity((1,)), target, torch.zeros_like(x), sigma, 1.0, n1, n2).z
    return x[:, 0].numpy()


def exact(noise, residual, k):
    return noise.draw_scales(residual, STREAM, k)


def shortcut(noise, residual, k):
    """The wrong variant: the expected precision instead of a draw (a step of EM)."""
    slope = noise.gradient(residual, torch.zeros_like(residual)) / residual
    return slope.abs().rsqrt()


@every
@pytest.mark.parametrize("y", [0.5, 2.5])
def test_gibbs_sampling_reaches_the_posterior_of_quadrature(name, y):
    """8 tests at level 1e-4: false-alarm rate 0.1 %, with a fixed seed; chains independent."""
    noise = NOISES[name]
    assert distance(gibbs(noise, y, exact), quadrature(noise, y)) < LIMIT
    assert distance(gibbs(noise, y, shortcut), quadrature(noise, y)) > LIMIT
