"""Mixtures on the line against scipy and against the shipped prior."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from theory_cases import drawn_mixtures, two_modes

from wellposed.errors import InputError
from wellposed.rng import Stream
from wellposed.theory.line import LineMixture, random_mixture


def test_density_and_tails_are_those_of_scipy():
    law, x = two_modes(), np.linspace(-4, 5, 61)
    parts = [stats.norm(m, s) for m, s in zip(law.means, law.stds, strict=True)]
    density = sum(w * p.pdf(x) for w, p in zip(law.weights, parts, strict=True))
    below = sum(w * p.cdf(x) for w, p in zip(law.weights, parts, strict=True))
    above = sum(w * p.sf(x) for w, p in zip(law.weights, parts, strict=True))
    np.testing.assert_allclose(law.density(x), density, rtol=1e-13)
    np.testing.assert_allclose(np.exp(law.tails(x).below), below, rtol=1e-12)
    np.testing.assert_allclose(np.exp(law.tails(x).above), above, rtol=1e-12)


def test_moments_are_those_of_the_density():
    law = two_modes()
    mean = integrate.quad(lambda x: x * law.density(x)[0], -8, 8)[0]
    square = integrate.quad(lambda x: x * x * law.density(x)[0], -8, 8)[0]
    assert law.mean == pytest.approx(mean, rel=1e-9)
    assert law.std == pytest.approx((square - mean**2) ** 0.5, rel=1e-9)


@pytest.mark.parametrize("law", [two_modes(), *drawn_mixtures(3, 7)])
def test_quantiles_undo_tails_far_into_both_tails(law):
    x = law.mean + law.std * np.linspace(-12, 12, 401)
    np.testing.assert_allclose(law.quantile(law.tails(x)), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.0, 0.3, 80.0])
def test_the_prior_is_the_same_law_at_every_level(sigma):
    law = two_modes()
    z = law.mean + 3 * (law.std + sigma) * np.linspace(-1, 1, 31)
    shipped = law.prior.log_density(torch.from_numpy(z)[:, None], sigma).numpy()
    np.testing.assert_allclose(law.noised(sigma).log_density(z), shipped, atol=1e-12)
    scaled = law.noised(sigma, 0.25).density(0.25 * z)
    np.testing.assert_allclose(scaled, np.exp(shipped) / 0.25, rtol=1e-11)


def test_drawn_mixtures_are_standard_differ_and_repeat():
    laws = drawn_mixtures(4, 1)
    assert all(abs(law.mean) < 1e-12 and abs(law.std - 1) < 1e-12 for law in laws)
    assert len({float(law.means[0]) for law in laws}) == 4
    again = random_mixture(Stream(1, item=2))
    np.testing.assert_array_equal(again.stds, laws[2].stds)


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (([1.0], [0.0, 1.0], [1.0]), "expected one shape"),
        (([1.0, 0.0], [0.0, 1.0], [1.0, 1.0]), "weights holds 0"),
        (([1.0, 1.0], [0.0, 1.0], [1.0, -1.0]), "stds holds -1"),
    ],
)
def test_bad_tables_are_refused(tables, told):
    with pytest.raises(InputError, match=told):
        LineMixture(*tables)
