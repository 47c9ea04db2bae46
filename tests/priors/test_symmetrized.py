"""Averaging over a group: equivariant, no change to exact symmetric laws, less error else."""

import pytest
import torch

import wellposed as wp
from wellposed.errors import InputError
from wellposed.rng import Stream

GROUP = [
    (lambda x, t=t, f=f: (x.transpose(-1, -2) if t else x).flip(f))
    for t in (False, True)
    for f in ((), (-1,), (-2,), (-1, -2))
]


def skewed(z, sigma):
    """A denoiser with no symmetry."""
    weights = torch.arange(9.0, dtype=z.dtype).reshape(3, 3) / 10
    return torch.tanh(z * weights + z.roll(1, -1) / 3) / (1 + sigma[:, None, None])


def test_it_is_equivariant_and_the_denoiser_inside_is_not():
    z = Stream(1).normal((5, 3, 3), "z")
    inner = wp.Denoiser(skewed, (3, 3))
    prior = wp.Symmetrized(inner)
    for turn in GROUP:
        torch.testing.assert_close(prior.denoise(turn(z), 0.7), turn(prior.denoise(z, 0.7)))
    assert any(
        (inner.denoise(g(z), 0.7) - g(inner.denoise(z, 0.7))).abs().max() > 0.1 for g in GROUP
    )


def test_an_exact_denoiser_of_a_symmetric_law_is_unchanged():
    centre = Stream(2).normal((3, 3), "centre")
    means = torch.stack([g(centre) for g in GROUP]).flatten(1)
    mixture = wp.GaussianMixture([1 / 8] * 8, means, 0.3)

    def exact(z, sigma):
        return mixture.denoise(z.flatten(1), sigma).reshape(z.shape)

    z, levels = Stream(3).normal((6, 3, 3), "z"), torch.linspace(0.1, 2, 6, dtype=torch.float64)
    plain = wp.Denoiser(exact, (3, 3))
    torch.testing.assert_close(
        wp.Symmetrized(plain).denoise(z, levels), plain.denoise(z, levels), rtol=1e-9, atol=1e-12
    )


def test_errors_of_a_denoiser_shrink_where_the_law_is_symmetric():
    """Signals N(0, I): E[x0 | z] = z / (1 + sigma^2), here with an error that has no symmetry."""
    slope = torch.linspace(-1, 1, 9, dtype=torch.float64).reshape(3, 3)
    wrong = wp.Denoiser(lambda z, sigma: z / (1 + sigma[:, None, None] ** 2) + slope, (3, 3))
    z = Stream(4).normal((2000, 3, 3), "z") * 2**0.5
    error = [((p.denoise(z, 1.0) - z / 2) ** 2).mean() for p in (wp.Symmetrized(wrong), wrong)]
    assert error[0] < 1e-20
    assert error[1] > 0.1


def test_oblong_images_are_only_reflected():
    counted = []

    def denoiser(z, sigma):
        counted.append(z.shape)
        return z / 2

    prior = wp.Symmetrized(wp.Denoiser(denoiser, (2, 3, 5)))
    z = Stream(5).normal((4, 2, 3, 5), "z")
    torch.testing.assert_close(prior.denoise(z, 1.0), z / 2)
    assert counted == [(4, 2, 3, 5)] * 4
    with pytest.raises(InputError, match="a vector has no rotations"):
        wp.Symmetrized(wp.Gaussian([0.0, 0.0], 1.0))


def test_it_serves_samplers_and_posterior_draws(tmp_path):
    prior = wp.Symmetrized(wp.load_prior("fashion"))
    assert (prior.shape, prior.sigma_data) == ((1, 32, 32), 0.7)
    draws = wp.sample(prior, wp.DDIM(3), n=2, seed=1, out=tmp_path / "run")
    assert draws.x.dtype == torch.float32
    assert torch.equal(wp.resume(tmp_path / "run").x, draws.x)
