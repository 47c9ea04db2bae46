"""Precision at every noise level, in both dtypes, and bounded memory."""

import subprocess
import sys

import mpmath
import pytest
import torch
from laws import KINDS, mixture

from wellposed.priors import Empirical, Gaussian, GaussianMixture
from wellposed.rng import Stream

SIGMAS = [1e-4, 1e-2, 1.0, 1e2, 1e4]


def _inputs(prior, sigma, count=16):
    noise = Stream(31).normal((count, *prior.shape), "noise")
    return prior.sample(count, seed=31) + sigma * noise


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 8, 64])
def test_float32_agrees_with_float64(kind, d):
    prior, _ = mixture(kind, d, 5)
    v = Stream(32).normal((16, d), "v")
    for sigma in SIGMAS:
        z32 = _inputs(prior, sigma).float()
        for name, extra in [("denoise", ()), ("score", ()), ("denoise_jvp", (v.float(),))]:
            work = getattr(prior, name)
            single = work(z32, sigma, *extra)
            double = work(z32.double(), sigma, *(e.double() for e in extra))
            assert single.dtype == torch.float32
            assert float((single - double).norm() / double.norm()) <= 1e-6
        single, double = prior.log_density(z32, sigma), prior.log_density(z32.double(), sigma)
        assert torch.allclose(single.double(), double, rtol=1e-6, atol=1e-6)


def _long_reference(prior, z, sigma):
    """Denoiser, score and log density of one signal under scalar variances, 50 digits."""
    if isinstance(prior, Empirical):
        means, variance = prior.data, 0.0
    else:
        means, variance = prior.means, prior.covariances
    total = mpmath.mpf(float(variance)) + mpmath.mpf(sigma) ** 2
    x = [mpmath.mpf(v) for v in z.tolist()]
    rows = [[mpmath.mpf(v) for v in m] for m in means.tolist()]
    squares = [mpmath.fsum((p - q) ** 2 for p, q in zip(x, m, strict=True)) for m in rows]
    least = min(squares)
    r = [mpmath.exp(-(s - least) / (2 * total)) for s in squares]
    mass = mpmath.fsum(r)
    mean = [
        mpmath.fsum(w * m[i] for w, m in zip(r, rows, strict=True)) / mass for i in range(len(x))
    ]
    score = [(m - p) / total for m, p in zip(mean, x, strict=True)]
    log = (
        mpmath.log(mass / len(rows))
        - least / (2 * total)
        - len(x) * mpmath.log(2 * mpmath.pi * total) / 2
    )
    denoised = [p + mpmath.mpf(sigma) ** 2 * s for p, s in zip(x, score, strict=True)]
    return [float(v) for v in denoised], [float(v) for v in score], float(log)


def _priors():
    means = Stream(33).normal((6, 5), "means")
    means[1] = means[0] + 3e-4  # a near duplicate, ambiguous at the smallest noise
    means = means + 10
    return [
        GaussianMixture(torch.full((6,), 1 / 6, dtype=torch.float64), means, 0.04),
        GaussianMixture(torch.full((6,), 1 / 6, dtype=torch.float64), means, 1e-10),
        Empirical(means),
    ]


@pytest.mark.parametrize("prior", _priors(), ids=["wide", "narrow", "empirical"])
@pytest.mark.parametrize("sigma", SIGMAS)
def test_against_fifty_digits(prior, sigma):
    z = _inputs(prior, sigma, 6)
    with mpmath.workdps(50):
        want = [_long_reference(prior, row, sigma) for row in z]
    denoised, score, log = (torch.tensor(w, dtype=torch.float64) for w in zip(*want, strict=True))
    assert float((prior.denoise(z, sigma) - denoised).norm() / denoised.norm()) <= 1e-11
    assert float((prior.score(z, sigma) - score).norm() / score.norm()) <= 1e-9
    off = (prior.log_density(z, sigma) - log).abs().max()
    assert float(off) <= 1e-12 * float(log.abs().max()) + 2 * _promised(prior, z, sigma)


def _promised(prior, z, sigma):
    """The documented accuracy of energies, eps R^2 / (c + s); products round by machine."""
    means, c = (
        (prior.data, 0.0) if isinstance(prior, Empirical) else (prior.means, prior.covariances)
    )
    far = (torch.cat([z, means]) - means.mean(0)).square().sum(1).max()
    return torch.finfo(torch.float64).eps * float(far) / (float(c) + sigma**2)


def test_the_score_through_the_denoiser_would_cancel():
    """Why exact priors have a score of their own: at sigma = 1e-4 in float32 (D - z) / s fails."""
    prior = _priors()[0]
    z = _inputs(prior, 1e-4, 6).float()
    want = prior.score(z.double(), 1e-4)
    through = (prior.denoise(z, 1e-4) - z) / 1e-4**2
    assert float((through - want).norm() / want.norm()) > 1e-2
    assert float((prior.score(z, 1e-4) - want).norm() / want.norm()) <= 1e-6


@pytest.mark.parametrize("sigma", SIGMAS)
def test_ten_thousand_coordinates(sigma):
    """100 components in d = 10^4: finite, and float32 follows float64."""
    means = Stream(34).normal((100, 10_000), "means", dtype=torch.float32)
    prior = GaussianMixture(torch.full((100,), 0.01), means, 0.1)
    z = _inputs(prior, sigma, 4).float()
    single, double = prior.denoise(z, sigma), prior.denoise(z.double(), sigma)
    assert bool(torch.isfinite(prior.log_density(z, sigma)).all())
    assert float((single - double).norm() / double.norm()) <= 1e-6
    # the nearest component alone, by hand, where it is certain
    if sigma <= 1:
        near = (z.double()[:, None] - means.double()).square().sum(2).argmin(1)
        m = means.double()[near]
        want = m + 0.1 / (0.1 + sigma**2) * (z.double() - m)
        assert float((double - want).norm() / want.norm()) <= 1e-12


def test_no_denormal_responsibilities():
    """Tiny ones occur in many dimensions, change nothing, and slow products a hundredfold."""
    means = torch.linspace(0, 1, 2000, dtype=torch.float64)[:, None]
    components = Empirical(means)._components
    z, s = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([2.5e-5], dtype=torch.float64)
    seen = components.family.look(z - components.centre)
    plain = torch.softmax(-components.family.energy(seen, s), 1)
    r = components._responsibilities(seen, s)
    assert bool(((plain > 0) & (plain < 1e-200)).any())
    assert not bool(((r > 0) & (r < 1e-100)).any())
    assert float((r - plain).abs().max()) <= 1e-20


def test_far_from_every_component():
    prior, dense = mixture("dense", 4)
    z = torch.full((1, 4), 1e6, dtype=torch.float64)
    for sigma in (0.0, 1e-4, 1.0):
        assert bool(torch.isfinite(prior.log_density(z, sigma)).all())
        assert torch.allclose(prior.denoise(z, sigma), dense.denoise(z, sigma), rtol=1e-10)


def test_ill_conditioned_covariance():
    """Eigenvalues from 1e-8 to 1e4 in a random basis; the Wiener filter in 50 digits.

    The input alone fixes it to eps * cond(C + sigma^2) = 2e-8.
    """
    basis = torch.linalg.qr(Stream(35).normal((4, 4), "basis"))[0]
    c = (basis * torch.tensor([1e-8, 1e-3, 1.0, 1e4], dtype=torch.float64)) @ basis.T
    c = 0.5 * (c + c.T)
    prior, z, sigma = Gaussian(torch.zeros(4, dtype=torch.float64), c), torch.ones(1, 4), 1e-2
    with mpmath.workdps(50):
        full = mpmath.matrix(c.tolist())
        noisy = full + mpmath.mpf(sigma) ** 2 * mpmath.eye(4)
        want = full * mpmath.lu_solve(noisy, mpmath.matrix([1.0] * 4))
        want = torch.tensor([float(v) for v in want], dtype=torch.float64)
    assert float((prior.denoise(z.double(), sigma)[0] - want).norm() / want.norm()) <= 2e-8


MEMORY = """
import resource, sys, torch
from wellposed.priors import GaussianMixture, LowRankPlusIdentity
torch.set_num_threads(1)
means = torch.randn(100, 10_000, generator=torch.Generator().manual_seed(0))
factors = torch.randn(100, 10_000, 4, generator=torch.Generator().manual_seed(1))
covariances = {
    "isotropic": 0.1,
    "diagonal": 0.1 + factors[..., 0].square(),
    "low rank": [LowRankPlusIdentity(f, 0.1) for f in factors],
}
prior = GaussianMixture(torch.full((100,), 0.01), means, covariances[sys.argv[1]])
z = torch.randn(64, 10_000)
prior.denoise(z[:1], 1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for sigma in (1e-2, 1.0, torch.linspace(0.1, 2.0, 64)):
    prior.denoise(z, sigma), prior.score(z, sigma), prior.denoise_jvp(z, sigma, z)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("kind", ["isotropic", "diagonal", "low rank"])
def test_memory_is_bounded(kind):
    """d = 10^4, K = 100, B = 64: [B, K, d] would be 512 MB in float64; stay below 200 MB."""
    out = subprocess.run(
        [sys.executable, "-c", MEMORY, kind], capture_output=True, text=True, check=True
    )
    assert float(out.stdout) <= 200
