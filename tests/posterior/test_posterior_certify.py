"""Long statistical runs: ten repeats or more of what the tests of each method look at once.

Instances are drawn by seeds from 100 on, which no other test uses.
"""

import math
from itertools import pairwise
from statistics import median

import numpy as np
import pytest
import torch
from benchmarks.exact_posteriors import grid_mixture, published, weighted
from posterior_trials import case, judged, one_by_one, side_by_side
from posterior_truth import blurred, by_importance, excess, measured, mixture, one_bit, sliced
from test_denoising import noisy
from test_proximal import by_quadrature, moments_off, settle

import wellposed as wp
from wellposed.evaluation.distances import against, sliced_w2
from wellposed.operators.normal import conjugate_gradients, gaussian_draw
from wellposed.posterior import AngleODE, ChainOU, HeatFlow
from wellposed.posterior.datafit import DataFit
from wellposed.posterior.proximal import EllipticalSlice, LangevinMoves
from wellposed.rng import Stream
from wellposed.task import Task

pytestmark = pytest.mark.certify
SEEDS = range(100, 110)
REFERENCE = 10_000


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
        method = wp.DPnP(200, "constant", eta_max=eta, tail=0)
        x = wp.recover(problem, prior, method, draws=2048, seed=seed).draws
        law = against(x, blurred(prior, problem, eta), sliced)
        assert law.ratio < 2
        own.append(law.distance)
        other.append(against(x, prior.posterior(problem), sliced).distance)
    assert 3 * np.mean(own) < np.mean(other)


def test_the_bias_falls_with_the_square_of_the_coupling():
    """Total variation of the modes' weights in closed form, from eta = sigma / (2 norm(A)) on."""
    for seed in SEEDS:
        prior = mixture(8, seed, modes=6, spread=1.5)
        problem = measured(prior, 4, 1.0, seed)
        exact = prior.posterior(problem).weights
        top = problem.noise.sigma / (2 * problem.operator.norm)
        off = [
            float((blurred(prior, problem, top / 2**k).weights - exact).abs().sum())
            for k in range(6)
        ]
        ratios = [b / a for a, b in pairwise(off)]
        assert all(0.2 < ratio < 0.35 for ratio in ratios)
        assert 0.24 < ratios[-1] < 0.26


@pytest.mark.parametrize(
    "method", [wp.DPnP(300, moves=5), wp.DPnPSMC(moves=5)], ids=["chains", "smc"]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_one_bit(seed, method):
    """0.02 where two exact sets are 0.011 apart, more in proportion where they are further.

    With a hundred sweeps the weights of modes freeze too early on two of these ten.
    """
    prior, problem = one_bit(seed=seed)
    x = wp.recover(problem, prior, method, draws=4096, seed=seed).draws
    truth = [by_importance(prior, problem, 4096, k) for k in (11, 12, 13)]
    floor = np.mean([sliced(truth[i - 1], truth[i]) for i in range(3)])
    assert np.mean([sliced(x, t) for t in truth]) < 0.02 * max(1, floor / 0.011)


def test_the_gaussian_step_is_one_map():
    """By singular vectors, Fourier transform and conjugate gradients, from the same noise."""
    for seed in SEEDS:
        stream = Stream(seed)
        kernel = stream.uniform((3, 3), "kernel")
        blur = wp.operators.Blur(kernel / kernel.sum(), (6, 8), "circular")
        unit = torch.eye(48, dtype=torch.float64).reshape(48, 6, 8)
        dense = wp.operators.Matrix(blur(unit).flatten(1).T)
        x, y, n1, n2 = (stream.normal((3, 6, 8), key) for key in "xyab")
        sigma, eta = (float(10 ** stream.uniform((1,), key) / 10) for key in ("sigma", "eta"))

        def normal(v, blur=blur, sigma=sigma, eta=eta):
            return blur.backward(blur.forward(v)) / sigma**2 + v / eta**2

        right = blur.backward((y + sigma * n1) / sigma**2) + (x + eta * n2) / eta**2
        fourier = gaussian_draw(blur, y, x, sigma, eta, n1, n2).z
        flat = [a.flatten(1) for a in (y, x, n1, n2)]
        singular = gaussian_draw(dense, *flat[:2], sigma, eta, *flat[2:]).z
        solved = conjugate_gradients(normal, right).z
        scale = float(fourier.abs().max())
        assert float((singular - fourier.flatten(1)).abs().max()) < 1e-6 * scale
        assert float((solved - fourier).abs().max()) < 1e-6 * scale


@pytest.mark.parametrize("sampler", [LangevinMoves(15), EllipticalSlice(15)], ids=str)
def test_moves_agree_with_quadrature(sampler):
    """Four moments of 2048 chains, 5 standard errors: a false alarm about once in 10^4."""
    for seed in SEEDS:
        stream = Stream(seed)
        slope = stream.normal((2, 1), "slope")
        operator = wp.operators.Matrix(slope)
        kind = seed % 2
        if kind:
            operator = wp.operators.from_callable(lambda v, s=slope: s[0] * v.square(), (1,))
        noise = wp.noise.Gaussian(0.7) if kind else wp.noise.OneBit(0.3)
        y = torch.tensor([1.0] if kind else [1.0, -1.0], dtype=torch.float64)
        problem = wp.Problem(y, operator, noise)
        centre = float(stream.normal((1,), "centre"))
        eta = float(0.2 + stream.uniform((1,), "eta"))
        fit = DataFit.of(Task(problem, wp.Gaussian([0.0], 1.0)), "test")
        x = torch.full((2048, 1), centre, dtype=torch.float64)
        z = settle(sampler, fit, x, eta, seed=seed).z[:, 0]
        assert moments_off(z, by_quadrature(problem, centre, eta)) < 5


@pytest.mark.parametrize("d", [8, 80])
@pytest.mark.parametrize("m", [1, 2, 4])
def test_a_population_is_nearer_than_chains_guidance_and_the_weighted_prior(d, m):
    """Medians of sliced W2 over the instances; guidance as strong as posterior_table found best."""
    methods = {
        "population": wp.DPnPSMC(particles=5000), "chains": wp.DPnP(60),
        "dps": wp.DPS(100), "lgd": wp.LGDMC(100, weight="norm"),
    }  # fmt: skip
    found = {name: [] for name in (*methods, "prior")}
    for seed in SEEDS:
        instance = grid_mixture(d, m, 8.0, seed)
        truth = instance.exact(REFERENCE, seed)
        for name, method in methods.items():
            drawn = wp.recover(instance.problem, instance.prior, method, draws=1000, seed=seed)
            assert drawn.evaluations.denoiser <= 700
            far = math.inf if not drawn.status.ok else sliced_w2(drawn.draws, truth).mean
            found[name].append(far)
        alone = weighted(instance.prior, instance.problem, 1000, seed, 20_000)
        found["prior"].append(sliced_w2(alone, truth).mean)
    middle = {name: median(values) for name, values in found.items()}
    assert all(middle["population"] < middle[name] for name in ("chains", "dps", "lgd"))
    if m == 4:
        gap = np.array(found["population"]) - np.array(found["prior"])
        assert gap.mean() < 2 * gap.std(ddof=1) / math.sqrt(len(gap))


def test_the_published_instance():
    """Max-sliced W2 of 1000 draws to 10,000 exact ones; published: 0.179 with 128 particles."""
    instance = published(4)
    found = []
    for seed in SEEDS:
        x = wp.recover(
            instance.problem, instance.prior, wp.DPnPSMC(particles=5000), draws=1000, seed=seed
        ).draws
        found.append(sliced_w2(x, instance.exact(REFERENCE, seed), seed=seed).max)
    assert median(found) < 0.15


# ---------------------------------------------------------------- calibration, 2000 trials each


def grids(separation, count=200):
    return [case(grid_mixture(8, 4, separation, seed), count, seed) for seed in SEEDS]


def scattered(count=200):
    """Random mixtures of six in eight dimensions, four measurements."""
    for seed in SEEDS:
        prior = mixture(8, seed, modes=6, spread=1.5)
        yield case(Posed(prior, measured(prior, 4, 0.5, seed)), count, seed)


class Posed:
    def __init__(self, prior, problem):
        self.prior, self.problem = prior, problem


def test_intervals_of_single_chains_cover():
    cases = list(scattered())
    draws = [side_by_side(one, wp.DPnP(60), 19, k) for k, one in enumerate(cases)]
    found = judged(cases, draws)
    print(found)
    assert 0.88 < found.share < 0.92


def test_intervals_of_single_chains_cover_between_25_modes():
    """Spacing 1.5, which chains cross in time; eight apart 60 sweeps give 92 to 93 %."""
    cases = grids(1.5)
    draws = [side_by_side(one, wp.DPnP(200), 19, k) for k, one in enumerate(cases)]
    found = judged(cases, draws)
    print(found)
    assert 0.88 < found.share < 0.92


def test_intervals_of_a_population_cover_and_its_means_are_near():
    cases = grids(8.0)
    method = wp.DPnPSMC(particles=256)
    found = judged(cases, [one_by_one(one, method, 19, k) for k, one in enumerate(cases)])
    print(found)
    assert 0.88 < found.share < 0.92
    assert found.ratio < 1.3


def test_intervals_of_dps_do_not_cover():
    cases = grids(1.5, count=15)
    found = judged(cases, [one_by_one(one, wp.DPS(100), 19, k) for k, one in enumerate(cases)])
    print(found)
    assert found.share + 3 * found.error < 0.88
