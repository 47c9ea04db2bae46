"""A million shipped draws against the propagated law: what is propagated is what ships."""

import numpy as np
from theory_cases import two_modes

import wellposed as wp
from wellposed.schedules.grids import log_uniform
from wellposed.theory.propagate import exact_law

DRAWS, BINS, STEPS = 1_000_000, 40, 6
LEVELS = log_uniform(STEPS + 1, 20.0, 0.2)
ALARM = 4.0  # standard errors: over 40 bins one false alarm in 400


def bins():
    """Edges z of bins of about equal mass, without the outermost tails."""
    law, x = two_modes().noised(float(LEVELS[-1])), np.linspace(-6, 7, 20_001)
    return np.interp(np.linspace(1e-3, 1 - 1e-3, BINS + 1), np.exp(law.tails(x).below), x)


def shares_of(method):
    """Shares of the bins under the propagated law of a sampler that starts from noise."""
    arrived = exact_law(method, two_modes(), sigmas=LEVELS, from_noise=True, size=4096)
    return np.diff(arrived.law.distribution(arrived.scale * bins()))


def worst_bin(counts, shares, total):
    """Largest deviation of a histogram, in standard errors of its bin."""
    return float((np.abs(counts - total * shares) / np.sqrt(total * shares * (1 - shares))).max())


def histogram(method, total, seed):
    draws = wp.sample(two_modes().prior, method, n=total, sigmas=LEVELS, seed=seed)
    return np.histogram(draws.x.numpy()[:, 0], bins())[0]


def test_a_million_draws_agree_with_the_propagated_law():
    method = wp.AcceleratedSDE(STEPS)
    counts = histogram(method, DRAWS, 7)
    assert worst_bin(counts, shares_of(method), DRAWS) < ALARM
    # negative controls: the data themselves, and a sampler whose noise differs a little
    data = two_modes().noised(float(LEVELS[-1]))
    assert worst_bin(counts, np.diff(np.exp(data.tails(bins()).below)), DRAWS) > 3 * ALARM
    assert worst_bin(counts, shares_of(wp.DDPM(STEPS, "posterior")), DRAWS) > 3 * ALARM


def test_draws_of_a_deterministic_sampler_agree_too():
    total = 100_000
    counts = histogram(wp.DPMSolverPP2M(STEPS), total, 8)
    assert worst_bin(counts, shares_of(wp.DPMSolverPP2M(STEPS)), total) < ALARM
    assert worst_bin(counts, shares_of(wp.DDIM(STEPS)), total) > 3 * ALARM
