"""DPS and LGD-MC: their step, their limits, and where they are no posterior samplers."""

import dataclasses
import math

import pytest
import torch
from posterior_truth import measured, mixture

import wellposed as wp
from wellposed.evaluation.calibration import calibrate
from wellposed.evaluation.trials import exact_draws
from wellposed.posterior.guidance import guided_levels
from wellposed.priors import Denoiser, Gaussian
from wellposed.rng import Stream
from wellposed.task import Task

D, B, STEPS = 5, 4, 8
PRIOR = mixture(D, 3, spread=1.0, variance=0.3)
SMOOTH = wp.operators.from_callable(
    lambda x: torch.stack([x[:, 0] * x[:, 1], x.sin().sum(1)], 1), (D,)
)
NOISES = {
    "gaussian": wp.noise.Gaussian(0.3),
    "each its own": wp.noise.Gaussian(torch.tensor([0.3, 0.9], dtype=torch.float64)),
    "laplace": wp.noise.Laplace(0.4),
    "bits": wp.noise.OneBit(0.5),
    "counts": wp.noise.Poisson(3.0, offset=2.0),
    "tempered": wp.noise.Tempered(wp.noise.Gaussian(0.3), 5.0),
}  # fmt: skip


def at_step(method, problem, k=3, prior=PRIOR):
    plan = method.prepare(Task(problem, prior, count=B))
    state = method.init(plan, Stream(5))._replace(step=k)
    sigma = plan.path.levels[k]
    z = prior.sample(B, seed=2) + sigma * Stream(6).normal((B, *prior.shape), "z")
    return plan, state._replace(y=z)


def measurement(noise):
    y = {"bits": [1.0, -1.0], "counts": [2.0, 5.0]}.get(noise, [0.4, -0.7])
    return wp.Problem(torch.tensor(y, dtype=torch.float64), SMOOTH, NOISES[noise])


def ancestral(plan, state, x0):
    """DDPM's step written in the chain's own scale, and the level below."""
    k = state.step
    high, low = plan.path.levels[k], plan.path.levels[k + 1]
    bar, bar_low = 1 / (1 + high**2), 1 / (1 + low**2)
    alpha = bar / bar_low
    x = state.y * math.sqrt(bar)
    mean = (math.sqrt(alpha) * (1 - bar_low) * x + math.sqrt(bar_low) * (1 - alpha) * x0) / (
        1 - bar
    )
    noise = state.stream.normal(state.y.shape, "step", k)
    return mean + math.sqrt((1 - alpha) * (1 - bar_low) / (1 - bar)) * noise, math.sqrt(bar_low)


def peak(noise, y):
    """The largest log-likelihood over means, by brute force on one measurement each."""
    if noise in ("bits",):
        return 0.0
    grid = torch.linspace(-8, 8, 200_001, dtype=torch.float64)[:, None]
    each = []
    for place in range(2):
        mean = y[None].expand(len(grid), 2).clone()
        fixed = NOISES[noise].log_density(y[None], mean[:1])
        mean[:, place : place + 1] = grid
        each.append(NOISES[noise].log_density(y[None], mean).max() - fixed)
    return float(NOISES[noise].log_density(y[None], y[None]) + sum(each))


@pytest.mark.parametrize("noise", NOISES)
def test_a_step_of_dps_is_the_published_one(noise):
    """In the variance-preserving scale, with autograd through everything (unit 1)."""
    problem, zeta = measurement(noise), 0.7
    plan, state = at_step(wp.DPS(STEPS, zeta, "log", unit=1.0), problem)
    bar = 1 / (1 + plan.path.levels[3] ** 2)
    x = (state.y * math.sqrt(bar)).requires_grad_()
    x0 = PRIOR.denoise(x / math.sqrt(bar), plan.path.levels[3])
    mean = SMOOTH.forward(x0)
    if noise == "gaussian":
        norm = (problem.y - mean).norm(dim=1)
    else:
        bound = problem.noise.curvature_bound or 1.0
        lost = peak(noise, problem.y) - problem.noise.log_density(problem.y[None], mean)
        norm = (2 * lost / bound).sqrt()
    slope = torch.autograd.grad(norm.sum(), x)[0]
    expected, scale = ancestral(plan, state, x0.detach())
    mine = wp.DPS(STEPS, zeta, "log", unit=1.0).step(plan, state)
    off = mine.y - (expected - zeta * slope) / scale
    exact = noise not in ("counts",)  # whose peak lies between the points of the grid
    assert float(off.abs().max()) < (1e-10 if exact else 1e-6)
    assert float((zeta * slope).abs().max()) > 1e-2
    assert torch.allclose(mine.x0, x0.detach(), atol=1e-12)


@pytest.mark.parametrize("weight", ["likelihood", "norm"])
def test_a_step_of_lgd_mc_is_the_written_one(weight):
    problem = measurement("gaussian")
    method = wp.LGDMC(STEPS, 3, 0.7, 0.4, weight, "log", 1.0)
    plan, state = at_step(method, problem)
    high, low = plan.path.levels[3:5]
    z = state.y.clone().requires_grad_()
    x0 = PRIOR.denoise(z, high)
    w = state.stream.normal((3, B, D), "copies", 3)
    off = [(problem.y - SMOOTH.forward(x0 + high / math.sqrt(1 + high**2) * v)) for v in w]
    squares = torch.stack([r.square().sum(1) for r in off])
    loss = -(-0.4 * squares / (2 * 0.09)).exp().mean(0).log()
    if weight == "norm":  # published: scale sqrt(-log mean exp(-lambda |.|^2))
        published = 0.4 / (2 * 0.09)
        length = 0.7 / math.sqrt(published) * math.sqrt((1 + high**2) * (1 + low**2))
        loss = loss.sqrt()
    else:
        length = 0.7 * (high**2 - low**2)
    slope = torch.autograd.grad(loss.sum(), z)[0]
    expected, scale = ancestral(plan, state, x0.detach())
    mine = method.step(plan, state)
    assert float((mine.y - (expected / scale - length * slope)).abs().max()) < 1e-10


@pytest.mark.parametrize("real", [True, False])
def test_the_pull_has_its_closed_form_in_the_linear_gaussian_case(real):
    """-S A* (y - A D) / |y - A D|, S the Gaussian shrinkage; complex measurements by Re <., .>."""
    root = Stream(9).normal((D, D), "root")
    covariance = root @ root.T + torch.eye(D)
    prior = Gaussian(Stream(9).normal((D,), "mean"), covariance)
    matrix = Stream(9).normal((3, D), "matrix")
    y = Stream(9).normal((3,), "y")
    if not real:
        matrix = torch.complex(matrix, Stream(9).normal((3, D), "imaginary"))
        y = torch.complex(y, Stream(9).normal((3,), "imaginary part"))
    problem = wp.Problem(y, wp.operators.Matrix(matrix), wp.noise.Gaussian(0.2))
    method = wp.DPS(STEPS, 1.0, "log", unit=1.0)
    plan, state = at_step(method, problem, prior=prior)
    sigma, low = plan.path.levels[3:5]
    shrink = covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(D))
    x0 = prior.mean + (state.y - prior.mean) @ shrink.T
    off = y - x0.to(y.dtype) @ matrix.T
    pull = (off @ matrix.conj()).real @ shrink / off.abs().square().sum(1, keepdim=True).sqrt()
    free = dataclasses.replace(method, zeta=0.0)
    still = free.step(free.prepare(Task(problem, prior, count=B)), state)
    moved = method.step(plan, state).y - still.y
    assert torch.allclose(moved, pull * math.sqrt((1 + sigma**2) * (1 + low**2)), atol=1e-10)


def test_without_guidance_it_is_ddpm():
    """Mean and noise of every step are those of DDPM with the posterior variance."""
    problem = measurement("gaussian")
    for method in (wp.DPS(STEPS, 0.0), wp.LGDMC(STEPS, scale=0.0)):
        plan = method.prepare(Task(problem, PRIOR, count=B))
        levels = torch.tensor(plan.path.levels, dtype=torch.float64)
        theirs = wp.DDPM(STEPS, "posterior").prepare(Task(None, PRIOR, count=B, sigmas=levels))
        state = method.init(plan, Stream(1))
        for k in range(STEPS):
            drift, noise = theirs.pieces[k]
            a, a_low = theirs.path.scales[k : k + 2]
            fresh = Stream(1).normal((B, D), "step", k)
            expected = (drift(a * state.y) + noise.std * fresh) / a_low
            state = method.step(plan, state)
            assert torch.allclose(state.y, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", [wp.DPS(STEPS), wp.LGDMC(STEPS), wp.LGDMC(STEPS, weight="norm")])
def test_a_chain_does_not_feel_its_company(method):
    problem = measurement("gaussian")
    plan, state = at_step(method, problem)
    other = torch.cat([state.y[:1], 3 * state.y[1:] + 1])
    alone = method.step(plan, state).y
    assert torch.equal(alone[0], method.step(plan, state._replace(y=other)).y[0])
    assert not torch.equal(alone[1], method.step(plan, state._replace(y=other)).y[1])


def test_units_of_signal_and_measurement_do_not_matter():
    scale = 16.0
    matrix = Stream(2).normal((2, D), "matrix")
    big = wp.GaussianMixture(PRIOR.weights, scale * PRIOR.means, scale**2 * PRIOR.covariances)
    y = torch.tensor([0.3, -0.5], dtype=torch.float64)
    for method in (wp.DPS(STEPS), wp.LGDMC(STEPS), wp.LGDMC(STEPS, weight="norm")):
        found = [
            wp.recover(
                wp.Problem(s * y, wp.operators.Matrix(matrix), wp.noise.Gaussian(0.5 * s)),
                prior, method, draws=3,
            ).draws / s
            for s, prior in ((1.0, PRIOR), (scale, big))
        ]  # fmt: skip
        assert torch.allclose(*found, rtol=1e-6, atol=1e-6)


def test_lgd_mc_is_exact_where_its_model_is():
    """Prior N(m, u^2 I), many copies: mean and variance within 4.5 standard errors.

    A false alarm once in 30,000 seeds. One copy is seen to be wrong.
    """
    prior = Gaussian(torch.tensor([0.5, -1.0], dtype=torch.float64), 1.0)
    problem = wp.Problem([1.0], wp.operators.Matrix([[1.0, 0.5]]), wp.noise.Gaussian(1.0))
    exact, n = prior.posterior(problem), 2048

    def off(copies):
        method = wp.LGDMC(100, copies, grid="log")
        x = torch.as_tensor(wp.recover(problem, prior, method, draws=n, seed=3).draws)
        mean = (x.mean(0) - exact.mean).abs() * math.sqrt(n) / exact.std
        spread = (x.var(0) / exact.std**2 - 1).abs() * math.sqrt(n / 2)
        return float(mean.max()), float(spread.max())

    assert max(off(32)) < 4.5
    assert max(off(1)) > 6


def few(method):
    """A sampler for ``calibrate`` that runs as many chains as are wanted, not a whole block."""

    def run(problem, prior, n, seed):
        plan = method.prepare(Task(problem, prior, count=n))
        state = method.init(plan, Stream(seed))
        while state.step < plan.steps:
            state = method.step(plan, state)
        return state.y

    return run


def test_dps_fails_the_coverage_test_that_exact_draws_pass():
    """Over-confident where the noise is large, of which its step knows nothing.

    90 % intervals hold the truth far too rarely. False alarm: 1 %.
    """
    prior = mixture(4, 6, modes=3, spread=1.0, variance=0.3)
    setting = measured(prior, 4, 1.0, 4)
    assert calibrate(setting, prior, exact_draws, repeats=40, draws=9).ok
    found = calibrate(setting, prior, few(wp.DPS(30, grid="log")), repeats=40, draws=9)
    assert "coverage" in found.failures
    assert found.coverage[2].share < 0.8


def test_small_noise_makes_the_likelihoods_own_weight_diverge():
    """A status, not an exception; the norm's fixed length does not."""
    problem = wp.Problem([0.8], wp.operators.Matrix([[1.0] * D]), wp.noise.Gaussian(1e-4))
    found = wp.recover(problem, PRIOR, wp.LGDMC(40, grid="log"), draws=2)
    assert found.status is wp.Status.DIVERGED or float(abs(found.draws).max()) > 100
    calm = wp.recover(problem, PRIOR, wp.DPS(40, 0.3, "log"), draws=2)
    assert calm.status is wp.Status.COMPLETE
    assert float(abs(calm.draws).max()) < 10


def test_the_published_chain_is_met_and_ends_give_way():
    chain = wp.schedules.linear_chain()
    levels = guided_levels(PRIOR, 1000, "ddpm", 1.0)
    assert torch.allclose(torch.tensor(levels[:-1]), torch.tensor(chain.sigma[1:-1]).flip(0))
    narrow = Denoiser(lambda z, sigma: z, (2,), sigma_min=0.05, sigma_max=40.0)
    ends = guided_levels(narrow, 10, "ddpm", 2.0)
    assert ends[0] == pytest.approx(40)
    assert ends[-2:] == (pytest.approx(0.05), 0.0)
    with pytest.raises(wp.WellposedError, match="unit is 1e-06"):
        guided_levels(Denoiser(lambda z, sigma: z, (2,), sigma_min=0.05), 10, "ddpm", 1e-6)


@pytest.mark.parametrize("method", [wp.DPS(STEPS), wp.LGDMC(STEPS)])
def test_who_can_is_named(method):
    box = wp.noise.BlackBox(lambda y, mean: -(y - mean).square().sum(1))
    with pytest.raises(wp.WellposedError, match=r"these can: wp.DPnP"):
        wp.recover(wp.Problem([0.0, 0.0], SMOOTH, box), PRIOR, method)
    blunt = Denoiser(lambda z, sigma: z.detach(), (D,))
    with pytest.raises(wp.WellposedError, match="denoiser cannot be differentiated"):
        wp.recover(measurement("gaussian"), blunt, method)
