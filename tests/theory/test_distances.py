"""Distances against closed forms for Gaussians."""

import math

import numpy as np
import pytest
from scipy.special import ndtr
from theory_cases import two_modes

from wellposed.theory.densities import GridLaw
from wellposed.theory.distances import relative_entropy, total_variation
from wellposed.theory.line import LineMixture


def kl_between(m, s, n, t):
    """KL(N(m, s^2) | N(n, t^2))."""
    return math.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5


@pytest.mark.parametrize("shift", [1e-6, 0.3, 3.0])
def test_shifted_normals(shift):
    law, target = LineMixture.normal(shift), LineMixture.normal()
    found = GridLaw.of(law, 1.0).distances(target)
    assert found.tv == pytest.approx(2 * ndtr(shift / 2) - 1, rel=1e-4)
    assert found.kl == pytest.approx(shift**2 / 2, rel=1e-5)
    assert found.w2 == pytest.approx(shift, rel=1e-5, abs=1e-9)
    assert abs(found.mass) < 1e-8  # the grid ends at 9


@pytest.mark.parametrize("std", [0.5, 0.999, 1.3])
def test_stretched_normals(std):
    found = GridLaw.of(LineMixture.normal(0, std), 1.0).distances(LineMixture.normal())
    cross = std * math.sqrt(2 * math.log(std) / (std**2 - 1))
    tv = 2 * abs(ndtr(cross / std) - ndtr(cross))
    assert found.tv == pytest.approx(tv, rel=1e-4)
    assert found.kl == pytest.approx(kl_between(0, 1, 0, std), rel=1e-6)
    assert found.w2 == pytest.approx(abs(std - 1), rel=1e-4)


def test_kl_takes_the_target_first():
    found = GridLaw.of(LineMixture.normal(0, 1.3), 1.0).distances(LineMixture.normal())
    assert found.kl != pytest.approx(kl_between(0, 1.3, 0, 1), rel=0.1)


def test_disjoint_laws():
    far = GridLaw.of(LineMixture.normal(-6, 0.2), 1.0).distances(LineMixture.normal(6, 0.2))
    assert far.tv == pytest.approx(1.0, abs=1e-9)
    assert far.w2 == pytest.approx(12.0, rel=1e-6)


def test_a_law_at_its_target_is_at_zero():
    law = two_modes()
    found = GridLaw.of(law, law.std).distances(law)
    assert found.tv < 1e-14
    assert found.kl < 1e-20
    assert found.w2 < 1e-6


def test_kl_keeps_its_digits_where_the_plain_sum_drowns():
    """A difference of 1e-8 has KL 5e-17 / 4; sum q log(q / p) is lost in the error of the mass."""
    x = np.linspace(-9, 9, 2001)
    q = LineMixture.normal().density(x)
    p = q * (1 + 1e-8 * np.sin(x))
    h = float(x[1] - x[0])
    want = h * float((q * (1e-8 * np.sin(x)) ** 2 / 2).sum())
    assert relative_entropy(p, q, h) == pytest.approx(want, rel=1e-4)
    plain = h * float((q * np.log(q / p)).sum())
    assert abs(plain - want) > 0.01 * want


def test_kl_is_infinite_where_the_law_misses_mass():
    assert relative_entropy(np.array([0.0, 1.0]), np.array([0.5, 0.5]), 1.0) == math.inf


@pytest.mark.parametrize("size", [100, 1000])
def test_total_variation_between_nodes(size):
    x = np.linspace(0, 2, size)
    p, q = np.sin(np.pi * x) ** 2, np.full_like(x, 0.5)
    assert total_variation(p, q, float(x[1])) == pytest.approx(1 / math.pi, rel=1e-2 / size)
