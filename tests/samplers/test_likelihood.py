"""Log-likelihoods through the probability flow against exact densities."""

import math

import numpy as np
import pytest
import torch
from sampler_cases import bumps, slope

import wellposed as wp
from wellposed.priors import Denoiser, Gaussian, GaussianMixture
from wellposed.schedules.grids import log_uniform

TOLERANCE = 1e-4


def spread():
    """Two modes in four dimensions, with covariances of different width."""
    means = torch.tensor([[1.0, 0.0, -1.0, 0.5], [-1.0, 0.5, 1.0, 0.0]], dtype=torch.float64)
    return GaussianMixture([0.4, 0.6], means, [0.2, 0.4])


PRIORS = {
    "gaussian": Gaussian([3.0, -1.0], [0.2, 1.5]),
    "line": bumps(),
    "mixture": spread(),
    "image": Gaussian(torch.zeros(2, 3, dtype=torch.float64), 0.5),
}


@pytest.mark.parametrize("name", PRIORS)
def test_the_exact_trace_gives_the_exact_density(name):
    prior = PRIORS[name]
    x = prior.sample(12, seed=3)
    found = wp.log_likelihood(prior, x)
    exact = prior.log_density(x, 0.01 * prior.sigma_data)
    assert found.status is wp.Status.COMPLETE
    assert found.standard_error is None
    assert float((found.value - exact).abs().max()) < TOLERANCE


def test_a_missing_trace_would_be_seen():
    """The integral is no formality: with half the trace the density is far off."""
    prior = PRIORS["mixture"]

    class Half(type(prior)):
        def denoise_jvp(self, z, sigma, v):
            return 0.5 * super().denoise_jvp(z, sigma, v)

    wrong = Half(prior.weights, prior.means, prior.covariances)
    x = prior.sample(4, seed=3)
    gap = wp.log_likelihood(wrong, x).value - prior.log_density(x, 0.01 * prior.sigma_data)
    assert float(gap.abs().min()) > 1


def test_hutchinson_is_unbiased_and_knows_its_error():
    """Thirty signals, 16 probes each: the z scores have the spread that they claim."""
    prior = GaussianMixture([0.5, 0.5], [[1.0, 0.0], [-1.0, 0.3]], [[[0.5, 0.3], [0.3, 0.4]]] * 2)
    x = prior.sample(30, seed=4)
    exact = wp.log_likelihood(prior, x, steps=25)
    found = wp.log_likelihood(prior, x, steps=25, probes=16, seed=5)
    scores = (found.value - exact.value) / found.standard_error
    assert float(scores.abs().max()) < 5  # Student's t with 15 degrees: 1e-4 each
    assert abs(float(scores.mean())) < 4 / 30**0.5
    assert 0.5 < float(scores.std()) < 1.7
    again = wp.log_likelihood(prior, x, steps=25, probes=16, seed=6)
    assert not torch.equal(again.value, found.value)


def test_the_error_falls_with_the_fourth_power_of_the_steps():
    prior, x, steps = bumps(), bumps().sample(20, seed=3), (32, 64, 128)
    exact = wp.log_likelihood(prior, x, steps=512).value
    errors = [
        float((wp.log_likelihood(prior, x, steps=n).value - exact).square().mean().sqrt())
        for n in steps
    ]
    assert slope(steps, errors) == pytest.approx(-4, abs=0.3)


def test_a_network_is_differentiated_by_torch():
    mean, variance = 0.5, 0.3

    def function(z, sigma):
        noise = (sigma**2)[:, None]
        return (noise * mean + variance * z) / (noise + variance)

    prior = Denoiser(function, (2,), sigma_data=variance**0.5)
    x = torch.tensor([[0.1, 0.9], [-1.0, 2.0]], dtype=torch.float64)
    found = wp.log_likelihood(prior, x, steps=60)
    total = variance + (0.01 * prior.sigma_data) ** 2
    exact = -0.5 * ((x - mean).square().sum(1) / total + 2 * math.log(2 * math.pi * total))
    assert float((found.value - exact).abs().max()) < TOLERANCE


def test_given_levels_say_where_the_density_is_taken():
    prior, x = PRIORS["gaussian"], PRIORS["gaussian"].sample(3, seed=1)
    sigmas = log_uniform(81, 500.0, 0.7).flip(0)
    found = wp.log_likelihood(prior, x, steps=80, sigmas=sigmas)
    assert float((found.value - prior.log_density(x, 0.7)).abs().max()) < TOLERANCE


def test_numpy_and_dtypes_come_back_as_they_went_in():
    x = PRIORS["line"].sample(3).float().numpy()
    found = wp.log_likelihood(PRIORS["line"], x, steps=30, probes=2)
    assert isinstance(found.value, np.ndarray)
    assert isinstance(found.standard_error, np.ndarray)
    assert found.value.dtype == np.float32
    assert found.evaluations == 30 * 4 * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [[1.0, 2.0]]}, r"x has shape \[1, 2\]"),
        ({"x": [[float("nan")]]}, "1 NaN"),
        ({"steps": 0}, "steps is 0"),
        ({"probes": 1}, "fewer give no standard error"),
        ({"seed": -1}, "seed is -1"),
        ({"sigmas": [10.0, 1.0, 0.1], "steps": 2}, "positive, ascending"),
        ({"sigmas": [0.0, 1.0], "steps": 1}, "positive, ascending"),
        ({"sigmas": [0.1, 1.0], "steps": 2}, "expected 3"),
        ({"prior": wp.LowRank(1)}, "expected a diffusion prior"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    arguments = {"prior": bumps(), "x": [[0.3]]} | arguments
    with pytest.raises(wp.WellposedError, match=message):
        wp.log_likelihood(**arguments)


def test_a_broken_denoiser_is_a_status():
    broken = Denoiser(lambda z, sigma: z * float("nan"), (1,))
    assert wp.log_likelihood(broken, [[0.3]], steps=3).status is wp.Status.DIVERGED
