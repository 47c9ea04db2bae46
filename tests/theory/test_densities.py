"""Densities through maps and noise, against closed forms."""

import numpy as np
import pytest
import torch
from theory_cases import two_modes

from wellposed.samplers.pieces import Map, Moved, Noise
from wellposed.theory.densities import GridLaw
from wellposed.theory.line import LineMixture
from wellposed.theory.nufft import fourier_of_masses


def map_of(function):
    return Map(lambda y: Moved(function(y), y))


@pytest.mark.parametrize("size", [64, 256])
def test_fourier_coefficients_against_the_direct_sum(size):
    rng = np.random.default_rng(0)
    places, masses = rng.random(300), rng.standard_normal(300)
    k = np.arange(size // 2 + 1)
    direct = np.exp(-2j * np.pi * np.outer(k, places)) @ masses
    found = fourier_of_masses(places, masses, size)
    assert np.abs(found - direct).max() < 1e-13 * np.abs(masses).sum()


def test_fourier_coefficients_at_the_seam():
    places = np.array([0.0, 1e-17, 1 - 1e-16, 0.9999])
    k = np.arange(33)
    direct = np.exp(-2j * np.pi * np.outer(k, places)).sum(1)
    assert np.abs(fourier_of_masses(places, np.ones(4), 64) - direct).max() < 1e-12


@pytest.mark.parametrize("std", [0.0, 1e-6, 0.01, 0.7])
def test_noise_is_a_convolution(std):
    law = two_modes()
    found = GridLaw.of(law, law.std).smoothed(std).distances(law.noised(std))
    assert found.tv < 1e-13


@pytest.mark.parametrize("unit", [1.0, 2.5])
def test_an_affine_map_gives_an_affine_image(unit):
    law = two_modes()
    image = LineMixture(law.weights, 0.5 * law.means - 0.2, 0.5 * law.stds)
    found = GridLaw.of(law, unit * law.std).pushed(map_of(lambda y: 0.5 * y - 0.2))
    assert found.distances(image).tv < 1e-11


def test_a_curved_map():
    """y + 0.3 sin y of a Gaussian, by the change of variables."""
    law, bend = LineMixture.normal(0.3, 0.8), 0.3
    found = GridLaw.of(law, 1.0).pushed(map_of(lambda y: y + bend * torch.sin(y)))
    y = np.linspace(-3, 3, 301)
    want = law.density(y) / (1 + bend * np.cos(y))
    x = y + bend * np.sin(y)
    np.testing.assert_allclose(_density_at(found, x), want, atol=1e-10)


def _density_at(law, x):
    """Density per unit of y between the points of the grid, by the Fourier series."""
    k = np.arange(-511, 512)
    u, x = np.pi / 9 * law.points / law.unit, np.pi / 9 * x / law.unit
    coefficients = np.exp(-1j * np.outer(k, u)) @ law.density / law.density.size
    return (np.exp(1j * np.outer(x, k)) @ coefficients).real / law.unit


def test_a_folding_map_adds_its_branches():
    """y^2 / 4 of a Gaussian, smoothed: against a direct integral."""
    law, std = LineMixture.normal(0.2, 0.9), 0.15
    found = GridLaw.of(law, 1.0).pushed(map_of(lambda y: y * y / 4), std).smoothed(std)
    y = np.linspace(-8, 8, 8001)
    masses = law.density(y) * (y[1] - y[0])
    at = found.points[::8]
    kernel = LineMixture.normal(0.0, std).density((at[:, None] - y**2 / 4).ravel())
    want = kernel.reshape(len(at), -1) @ masses
    np.testing.assert_allclose(found.density[::8] / found.unit, want, atol=1e-9)


def test_pieces_run_in_their_order():
    law = LineMixture.normal()
    half = map_of(lambda y: 0.5 * y)
    before = GridLaw.of(law, 2.0).walked((Noise(1.0), half))
    after = GridLaw.of(law, 2.0).walked((half, Noise(1.0)))
    assert before.distances(LineMixture.normal(0, 0.5**0.5)).tv < 1e-12
    assert after.distances(LineMixture.normal(0, 1.25**0.5)).tv < 1e-12
    assert after.distances(LineMixture.normal(0, 0.5**0.5)).tv > 0.1


def test_a_grid_follows_its_law():
    law = GridLaw.of(LineMixture.normal(), 1.0).pushed(map_of(lambda y: 20 * y + 30.0))
    assert law.distances(LineMixture.normal(30.0, 20.0)).tv < 1e-10
    narrow = GridLaw.of(LineMixture.normal(), 1.0).walked((map_of(lambda y: 1e-3 * y), Noise(1.0)))
    assert narrow.distances(LineMixture.normal(0.0, (1 + 1e-6) ** 0.5)).tv < 1e-10


def test_mass_outside_the_grid_shows():
    law = GridLaw.of(LineMixture.normal(9.0), 1.0)
    assert law.distances(LineMixture.normal(9.0)).mass == pytest.approx(-0.5, abs=0.01)


def test_shares_below_points():
    law = two_modes()
    y = np.linspace(-3, 4, 57)
    found = GridLaw.of(law, law.std).distribution(y)
    np.testing.assert_allclose(found, np.exp(law.tails(y).below), atol=1e-8)
