"""Samples of the exact priors: moments, keys, dtypes."""

import pytest
import torch
from laws import KINDS, empirical, gaussian, mixture

from wellposed.priors import Empirical, GaussianMixture
from wellposed.rng import Stream

COUNT = 40_000


def _z_scores(x, mean, covariance):
    """Deviations of the sample mean and covariance in standard errors, all entries."""
    off = x - mean
    first = off.mean(0) / (off.std(0) / len(x) ** 0.5)
    products = torch.einsum("bi,bj->bij", off, off)
    second = (products.mean(0) - covariance) / (products.std(0) / len(x) ** 0.5)
    return torch.cat([first, second.flatten()]).abs().max()


@pytest.mark.parametrize("build", [mixture, gaussian])
@pytest.mark.parametrize("kind", KINDS)
def test_moments(kind, build):
    """Mean and covariance within 4 standard errors; 9 distinct figures a case, 12 cases.

    False alarm rate 108 * 6.3e-5 = 0.7 %, with the seed fixed. Half the covariance is rejected.
    """
    prior, dense = build(kind, 3)
    mean = dense.weights @ dense.means
    spread = dense.means - mean
    covariance = torch.einsum("k,kij->ij", dense.weights, dense.covariances)
    covariance = covariance + torch.einsum("k,ki,kj->ij", dense.weights, spread, spread)
    x = prior.sample(COUNT, seed=41)
    assert _z_scores(x, mean, covariance) <= 4
    assert _z_scores(x, mean, 0.5 * covariance) > 20


def test_component_shares_within_four_standard_errors():
    weights = torch.tensor([0.5, 0.0, 0.3, 0.2], dtype=torch.float64)
    prior = GaussianMixture(weights, [[-9.0], [0.0], [9.0], [18.0]], 0.01)
    x = prior.sample(COUNT, seed=42)[:, 0]
    shares = torch.stack([((x - m).abs() < 2).double().mean() for m in (-9, 0, 9, 18)])
    error = (weights * (1 - weights) / COUNT).sqrt()
    assert float(shares[1]) == 0
    assert bool(((shares - weights).abs() <= 4 * error).all())


@pytest.mark.parametrize("prior", [*(mixture(k, 3)[0] for k in KINDS), empirical(3)])
def test_first_draws_do_not_depend_on_the_number(prior):
    many = prior.sample(3000, seed=43)
    for n in (1, 7, 1024, 1025, 2999):
        assert torch.equal(prior.sample(n, seed=43), many[:n])
    assert not torch.equal(prior.sample(7, seed=44), many[:7])


def test_blocks_of_long_signals():
    prior = GaussianMixture([1.0], torch.zeros(1, 300_000), 1.0)
    many = prior.sample(8, seed=45)
    assert torch.equal(prior.sample(5, seed=45), many[:5])
    assert not torch.equal(many[0], many[3])


def test_samples_have_the_dtype_of_the_means():
    means = torch.zeros(2, 3, dtype=torch.float32)
    half = GaussianMixture([0.5, 0.5], means, 0.1)
    assert half.sample(2).dtype == torch.float32
    double = GaussianMixture([0.5, 0.5], means.double(), 0.1)
    assert torch.equal(double.sample(5).float(), half.sample(5))


def test_empirical_samples_are_data():
    prior = empirical(3, 12)
    x = prior.sample(500, seed=46)
    hits = (x[:, None] == prior.data).all(2)
    assert bool(hits.any(1).all())
    assert len(hits.double().argmax(1).unique()) == 12
    alone = Empirical(prior.data, torch.eye(12)[4])
    assert torch.equal(alone.sample(9), prior.data[4].expand(9, 3))


def test_samples_have_the_right_denoising_error():
    """E|x - D(x + sigma n)|^2 = sigma^2 E[div D], within 4 standard errors (two-sided 6e-5)."""
    prior = mixture("low rank", 3)[0]
    x, sigma = prior.sample(COUNT, seed=47), 0.5
    z = x + sigma * Stream(47).normal(x.shape, "noise")
    eye = torch.eye(3, dtype=torch.float64)
    divergence = sum(prior.denoise_jvp(z, sigma, e.expand_as(z))[:, i] for i, e in enumerate(eye))
    gap = (x - prior.denoise(z, sigma)).square().sum(1) - sigma**2 * divergence
    assert float(gap.mean().abs()) <= 4 * float(gap.std()) / COUNT**0.5
    gap = gap + 0.1 * sigma**2 * divergence  # negative control: ten percent off
    assert float(gap.mean().abs()) > 4 * float(gap.std()) / COUNT**0.5
