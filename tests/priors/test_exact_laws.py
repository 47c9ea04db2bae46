"""Density, denoiser, score and Jacobian of the exact priors against independent references."""

import numpy as np
import pytest
import torch
from laws import KINDS, Dense, empirical, exact_priors, gaussian, mixture, points
from torch.autograd.functional import jacobian

from wellposed.priors import DiffusionPrior, GaussianMixture
from wellposed.rng import Stream

SIGMAS = [0.0, 0.03, 0.7, 20.0]
PRIORS = exact_priors()


def _off(have, want):
    return float((have - want).abs().max() / want.abs().max().clamp_min(1e-300))


@pytest.mark.parametrize("build", [mixture, gaussian])
@pytest.mark.parametrize("kind", KINDS)
def test_against_dense_formulas(kind, build):
    prior, dense = build(kind, 8)
    z = points(8)
    for sigma in SIGMAS:
        assert _off(prior.log_density(z, sigma), dense.log_density(z, sigma)) <= 1e-12
        assert _off(prior.denoise(z, sigma), dense.denoise(z, sigma)) <= 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_dense_formulas_with_a_wrong_covariance_differ(kind):
    """Negative control of the test above: one percent off in one covariance is seen."""
    prior, dense = mixture(kind, 8)
    wrong = Dense(dense.weights, dense.means, dense.covariances * 1.01)
    z = points(8)
    assert _off(prior.denoise(z, 0.7), wrong.denoise(z, 0.7)) > 1e-4
    assert _off(prior.log_density(z, 0.7), wrong.log_density(z, 0.7)) > 1e-4


@pytest.mark.parametrize("prior", PRIORS)
def test_score_is_the_gradient_of_the_log_density(prior):
    z = points(3).requires_grad_()
    for sigma in (0.05, 0.7, 20.0):
        (want,) = torch.autograd.grad(prior.log_density(z, sigma).sum(), z)
        have = prior.score(z.detach(), sigma)
        assert _off(have, want) <= 1e-10
        h = 1e-5 * max(sigma, 0.1)
        step = h * torch.eye(3, dtype=torch.float64)
        for i in range(3):
            up, down = (prior.log_density(z.detach() + s * step[i], sigma) for s in (1, -1))
            assert torch.allclose(have[:, i], (up - down) / (2 * h), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("prior", [prior for prior in PRIORS if prior.sigma_min == 0])
def test_score_at_zero_noise(prior):
    z = points(3).requires_grad_()
    (want,) = torch.autograd.grad(prior.log_density(z).sum(), z)
    assert _off(prior.score(z.detach(), 0.0), want) <= 1e-10
    assert torch.allclose(prior.denoise(z.detach(), 0.0), z.detach(), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("sigma", [0.05, 0.7, 20.0])
def test_denoiser_and_score_obey_tweedie(prior, sigma):
    z = points(3)
    tweedie = z + sigma**2 * prior.score(z, sigma)
    assert torch.allclose(prior.denoise(z, sigma), tweedie, rtol=1e-11, atol=1e-11 * sigma**2)
    default = DiffusionPrior.score(prior, z, sigma)  # (D - z) / sigma^2
    assert _off(prior.score(z, sigma), default) <= 1e-10


@pytest.mark.parametrize("sigma", [0.1, 0.5, 3.0])
def test_denoiser_is_the_posterior_mean_by_quadrature(sigma):
    """E[x | z] from Bayes' formula on a fine grid, without the score."""
    prior = GaussianMixture([0.3, 0.7], [[-1.0], [1.5]], [0.2, 0.5])
    grid = torch.linspace(-14, 14, 200_001, dtype=torch.float64)
    px = prior.log_density(grid[:, None]).exp()
    z = torch.tensor([[-2.0], [0.1], [1.0], [4.0]], dtype=torch.float64)
    weight = px * torch.exp(-0.5 * ((z - grid) / sigma) ** 2)
    want = (weight * grid).sum(1) / weight.sum(1)
    assert _off(prior.denoise(z, sigma)[:, 0], want) <= 1e-10
    assert _off((z + sigma**2 * prior.score(z, sigma))[:, 0], want) <= 1e-10
    assert _off((z - sigma**2 * prior.score(z, sigma))[:, 0], want) > 1e-2  # the wrong sign


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("sigma", [0.05, 0.7, 20.0])
def test_jacobian_products(prior, sigma):
    z, v = points(3), Stream(9).normal((7, 3), "v")
    have = prior.denoise_jvp(z, sigma, v)
    _, forward = torch.func.jvp(lambda at: prior.denoise(at, sigma), (z,), (v,))
    assert _off(have, forward) <= 1e-10
    assert _off(DiffusionPrior.denoise_jvp(prior, z, sigma, v), forward) <= 1e-10
    h = 1e-6
    central = (prior.denoise(z + h * v, sigma) - prior.denoise(z - h * v, sigma)) / (2 * h)
    assert torch.allclose(have, central, rtol=1e-6, atol=1e-6)


def test_the_jacobian_is_a_covariance():
    prior = mixture("dense", 3)[0]
    z = points(3, 1)
    j = jacobian(lambda at: prior.denoise(at, 0.7), z)[0, :, 0]
    assert _off(j, j.T) <= 1e-13
    assert bool((torch.linalg.eigvalsh(j) > 0).all())


@pytest.mark.parametrize("sigma", [0.0, 0.3, 2.0, 1e-4, 100.0])
def test_densities_integrate_to_one(sigma):
    one = GaussianMixture([0.2, 0.5, 0.3], [[-2.0], [0.0], [1.0]], [0.01, 0.2, 1.0])
    reach = 8 * (1 + sigma)
    grid = torch.linspace(-4 - reach, 4 + reach, 60_001, dtype=torch.float64)
    mass = torch.trapezoid(one.log_density(grid[:, None], sigma).exp(), grid)
    assert float(mass) == pytest.approx(1, abs=1e-10)
    two = mixture("dense", 2)[0]
    axis = torch.linspace(-6 - reach, 6 + reach, 1201, dtype=torch.float64)
    cells = torch.cartesian_prod(axis, axis)
    density = two.log_density(cells, sigma).exp().reshape(1201, 1201)
    mass = torch.trapezoid(torch.trapezoid(density, axis), axis)
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_empirical_density_is_the_kernel_estimate():
    prior = empirical(2, 9)
    z, sigma = points(2), 0.4
    square = (z[:, None] - prior.data).square().sum(2)
    kernel = torch.exp(-0.5 * square / sigma**2) / (2 * np.pi * sigma**2)
    assert _off(prior.log_density(z, sigma), kernel.mean(1).log()) <= 1e-13
    want = (kernel @ prior.data) / kernel.sum(1, keepdim=True)
    assert _off(prior.denoise(z, sigma), want) <= 1e-13


@pytest.mark.parametrize("prior", PRIORS)
def test_a_level_for_each_signal(prior):
    z, v = points(3), Stream(9).normal((7, 3), "v")
    sigma = torch.tensor([0.1, 2.0, 0.1, 5.0, 2.0, 0.3, 0.1], dtype=torch.float64)
    for name, extra in [("denoise", ()), ("score", ()), ("log_density", ()), ("denoise_jvp", (v,))]:
        work = getattr(prior, name)
        rows = [
            work(z[i : i + 1], float(sigma[i]), *(e[i : i + 1] for e in extra)) for i in range(7)
        ]
        assert torch.allclose(work(z, sigma, *extra), torch.cat(rows), rtol=1e-12, atol=1e-12)
        same = torch.full((7,), 0.7, dtype=torch.float64)
        assert torch.equal(work(z, same, *extra), work(z, 0.7, *extra))
        assert torch.equal(work(z, same[0], *extra), work(z, 0.7, *extra))


@pytest.mark.parametrize("prior", PRIORS)
def test_chunks_do_not_change_the_result(prior, monkeypatch):
    z = points(3, 50)
    whole = prior.denoise(z, 0.3), prior.log_density(z, 0.3)
    monkeypatch.setattr("wellposed.priors.components.BUDGET", 200)
    assert torch.allclose(prior.denoise(z, 0.3), whole[0], rtol=1e-13, atol=1e-13)
    assert torch.allclose(prior.log_density(z, 0.3), whole[1], rtol=1e-13)


def test_dsm_orthogonality():
    """E[(s(z) + n / sigma) f(z)] = 0 for every f; four standard errors, 8 comparisons.

    False alarm rate 8 * 6.3e-5 = 5e-4, seed fixed. The score of the wrong sign is rejected.
    """
    prior, sigma, count = GaussianMixture([0.8, 0.2], [[-1.5], [1.0]], 0.25), 0.6, 200_000
    noise = Stream(11).normal((count, 1), "noise")
    z = prior.sample(count, seed=11) + sigma * noise
    tests = [torch.ones_like(z), z, torch.sin(2 * z), z.abs()]

    def worst(score):
        product = torch.cat([(score + noise / sigma) * f for f in tests], 1)
        return float((product.mean(0) / (product.std(0) / count**0.5)).abs().max())

    score = prior.score(z, sigma)
    assert worst(score) <= 4
    assert worst(-score) > 40
    assert worst(prior.score(z, 1.1 * sigma)) > 4


def test_sigma_data_and_moments():
    for prior in PRIORS:
        far = 1e7  # the denoiser at infinite noise is the mean
        mean = prior.denoise(torch.zeros(1, 3, dtype=torch.float64), far)[0]
        assert torch.allclose(prior.mean, mean, rtol=1e-8, atol=1e-8)
        assert prior.sigma_data == pytest.approx(float(prior.std.square().mean().sqrt()))
    prior, dense = mixture("low rank", 3)
    spread = dense.means - dense.weights @ dense.means
    variance = dense.weights @ (dense.covariances.diagonal(dim1=1, dim2=2) + spread**2)
    assert torch.allclose(prior.std, variance.sqrt(), rtol=1e-13)


def test_signals_of_any_shape():
    flat, _ = mixture("diagonal", 6)
    shaped = GaussianMixture(
        flat.weights, flat.means.reshape(3, 2, 3), flat.covariances.reshape(3, 2, 3)
    )
    z = points(6)
    assert shaped.shape == (2, 3)
    have = shaped.denoise(z.reshape(7, 2, 3), 0.5)
    assert torch.equal(have.flatten(1), flat.denoise(z, 0.5))
    assert shaped.sample(4).shape == (4, 2, 3)
    assert shaped.denoise(torch.zeros(0, 2, 3), 1.0).shape == (0, 2, 3)
