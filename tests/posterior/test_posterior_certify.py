"""Long statistical runs: ten repeats or more of what the tests of each method look at once.

Instances are drawn by the seeds 100, 101, ..., which no other test uses.
"""

import math

import numpy as np
import pytest
import torch
from benchmarks.posterior_table import grid_mixture, weighted
from posterior_truth import blurred, by_importance, excess, measured, mixture, one_bit, sliced
from test_denoising import noisy

import wellposed as wp
from wellposed.evaluation.distances import against, sliced_w2
from wellposed.posterior import AngleODE, ChainOU, HeatFlow
from wellposed.rng import Stream

pytestmark = pytest.mark.certify
SEEDS = range(100, 110)


@pytest.mark.parametrize("eta", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("sampler", [AngleODE(30), ChainOU(), HeatFlow(300)], ids=str)
def test_denoising_draws(sampler, eta):
    ratios = []
    for seed in SEEDS:
        prior = mixture(6, seed)
        z = noisy(prior, eta, seed)
        problem = wp.Problem(z[0], wp.operators.Identity((6,)), wp.noise.Gaussian(eta))
        x = sampler.draw(prior, sampler.ladder(prior, eta), z.expand(4000, 6), Stream(seed), 0)
        ratios.append(excess(prior.posterior(problem), x))
    assert np.mean(ratios) < 1.2


@pytest.mark.parametrize("eta", [1.0, 2.0])
def test_constant_couplings_land_on_the_blurred_posterior(eta):
    own, other = [], []
    for seed in SEEDS:
        prior = mixture(8, seed, modes=6, spread=1.5)
        problem = measured(prior, 4, 0.3, seed)
        method = wp.DPnP(500, "constant", eta_max=eta, tail=0)
        x = wp.recover(problem, prior, method, draws=4096, seed=seed).draws
        law = against(x, blurred(prior, problem, eta), sliced)
        assert law.ratio < 2
        own.append(law.distance)
        other.append(against(x, prior.posterior(problem), sliced).distance)
    assert 3 * np.mean(own) < np.mean(other)


@pytest.mark.parametrize("seed", [6, *SEEDS])
def test_one_bit(seed):
    prior, problem = one_bit(seed=seed)
    x = wp.recover(problem, prior, wp.DPnP(100), draws=4096, seed=seed).draws
    truth = [by_importance(prior, problem, 4096, k) for k in (11, 12)]
    floor = sliced(*truth)
    assert np.mean([sliced(x, t) for t in truth]) < max(0.02, 2 * floor)


@pytest.mark.parametrize("d", [8, 80])
@pytest.mark.parametrize("m", [1, 2, 4])
def test_a_population_beats_single_chains_and_the_weighted_prior(d, m):
    smc, chains, prior_alone, largest = [], [], [], []
    for seed in SEEDS:
        instance = grid_mixture(d, m, 8.0, seed)
        truth = instance.exact(1000, seed)
        found = wp.recover(
            instance.problem, instance.prior, wp.DPnPSMC(particles=5000), draws=1000, seed=seed
        )
        assert found.evaluations.denoiser <= 700
        single = wp.recover(instance.problem, instance.prior, wp.DPnP(60), draws=1000, seed=seed)
        alone = weighted(instance.prior, instance.problem, 1000, seed, 20_000)
        smc.append(sliced_w2(found.draws, truth).mean)
        largest.append(sliced_w2(found.draws, truth).max)
        chains.append(sliced_w2(single.draws, truth).mean)
        prior_alone.append(sliced_w2(alone, truth).mean)
    assert np.mean(smc) < np.mean(chains)
    if m == 4:
        gap = np.array(smc) - np.array(prior_alone)
        assert gap.mean() < 2 * gap.std(ddof=1) / math.sqrt(len(gap))


@pytest.mark.parametrize("method", [wp.DPnP(60), wp.DPnPSMC(particles=512)], ids=str)
def test_intervals_cover(method):
    """The rank of the truth among 99 draws: 90 % intervals hold it in 88 to 92 % of the cases."""
    inside, draws = [], 99
    for seed in range(2000):
        prior = mixture(8, 7, modes=6, spread=1.5)
        problem = measured(prior, 4, 0.5, 1000 + seed)
        x = prior.sample(1, seed=1001 + seed)[0]
        found = wp.recover(problem, prior, method, draws=draws, seed=seed).draws
        ranks = (found < x).sum(0)
        inside.append(((ranks >= 5) & (ranks <= draws - 5)).double())
    share = float(torch.stack(inside).mean())
    assert 0.88 < share < 0.92
