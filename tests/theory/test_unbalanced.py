"""Langevin dynamics and diffusion on unequal modes."""

import pytest

from wellposed.samplers.annealed_langevin import AnnealedLangevin
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.langevin import ULA
from wellposed.theory.line import LineMixture
from wellposed.theory.propagate import densities_along
from wellposed.theory.unbalanced import ANNEALED, unequal_modes, weights


@pytest.mark.parametrize("half_gap", [2.0, 4.0])
def test_diffusion_and_annealing_find_the_weights_and_langevin_does_not(half_gap):
    found = weights(half_gap, langevin=ULA(1000, step_size=0.02))
    assert found.truth == pytest.approx(0.8, abs=1e-4)
    assert abs(found.annealed[-1] - 0.8) <= 0.02
    assert abs(found.diffusion[-1] - 0.8) <= 0.02
    assert abs(found.langevin[-1] - 0.8) >= 0.15
    assert max(abs(w - 0.8) for w in found.langevin) >= 0.15


def test_langevin_finds_the_weights_where_modes_overlap():
    """Negative control: with modes at plus and minus a half nothing is in its way."""
    data = unequal_modes(0.5)
    walk = list(densities_along(ULA(300, step_size=0.02), data, start=LineMixture.normal()))
    assert abs(walk[-1].below(0.0) - data.below(0.0)) < 0.02


def test_annealing_in_a_hurry_does_not_find_them():
    """Negative control: two moves a level are too few."""
    found = weights(3.0, ULA(1), AnnealedLangevin(ANNEALED.steps, moves=2), DDPM(20))
    assert abs(found.annealed[-1] - 0.8) > 0.02
