"""Langevin dynamics and diffusion on two unequal modes.

Langevin dynamics at noise level zero finds both modes and keeps the weights of its start: between
them the density is too low to pass. Annealed Langevin dynamics and diffusion samplers decide the
weights at noise levels where the modes still overlap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from wellposed.checks import within
from wellposed.samplers.annealed_langevin import AnnealedLangevin
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.langevin import ULA
from wellposed.theory.line import LineMixture
from wellposed.theory.propagate import densities_along

WEIGHT = 0.8  # of the left mode
HALF_GAPS = (2.0, 3.0, 4.0)
LANGEVIN = ULA(4000, step_size=0.02)
ANNEALED = AnnealedLangevin()
DIFFUSION = DDPM(200)


class Weights(NamedTuple):
    """Weight of the left mode along the way; the truth is ``truth``.

    Attributes
    ----------
    half_gap
        The modes are at plus and minus this.
    truth
        Mass of the data below zero.
    langevin, annealed, diffusion
        Before the first step and after each: of ULA from N(0, 1), of annealed Langevin dynamics,
        of DDPM.
    """

    half_gap: float
    truth: float
    langevin: tuple[float, ...]
    annealed: tuple[float, ...]
    diffusion: tuple[float, ...]


def unequal_modes(half_gap: float) -> LineMixture:
    """Return 0.8 N(-half_gap, 0.5^2) + 0.2 N(half_gap, 0.5^2).

    Examples
    --------
    >>> round(unequal_modes(2.0).mean, 9)
    -1.2
    """
    within(half_gap, "half_gap", 0)
    places = np.array([-half_gap, half_gap])
    return LineMixture(np.array([WEIGHT, 1 - WEIGHT]), places, np.array([0.5, 0.5]))


def weights(
    half_gap: float,
    langevin: ULA = LANGEVIN,
    annealed: AnnealedLangevin = ANNEALED,
    diffusion: DDPM = DIFFUSION,
) -> Weights:
    """Follow the weight of the left mode through three samplers.

    Examples
    --------
    >>> found = weights(3.0, ULA(50, step_size=0.02), AnnealedLangevin(5), DDPM(50))
    >>> found.langevin[-1] < 0.6, found.diffusion[-1] > 0.75
    (True, True)
    """
    data = unequal_modes(half_gap)
    walks = (
        densities_along(langevin, data, start=LineMixture.normal()),
        densities_along(annealed, data),
        densities_along(diffusion, data),
    )
    left = (tuple(law.below(0.0) for law in walk) for walk in walks)
    return Weights(half_gap, data.below(0.0), *left)
