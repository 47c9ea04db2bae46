"""Error against steps: tables of exact distances, and the slopes fitted to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from wellposed.checks import require
from wellposed.schedules import grids
from wellposed.schedules.chains import log_snr_chain
from wellposed.task import Method
from wellposed.theory.distances import Distances
from wellposed.theory.line import LineMixture
from wellposed.theory.propagate import exact_law

FITTED = 4  # the slope is that of the last so many points


class Curve(NamedTuple):
    """A sampler's exact error at several lengths.

    Attributes
    ----------
    steps
        T.
    evaluations
        Denoiser evaluations at each length.
    found
        Distances at each length.
    """

    steps: tuple[int, ...]
    evaluations: tuple[int, ...]
    found: tuple[Distances, ...]

    @property
    def tv(self) -> list[float]:
        """Total variation at each length."""
        return [distances.tv for distances in self.found]

    @property
    def w2(self) -> list[float]:
        """Wasserstein distance at each length."""
        return [distances.w2 for distances in self.found]


def log_snr_levels(steps: int) -> Tensor:
    """Levels with the log signal-to-noise ratio uniform from -10 to 6, [steps + 1].

    Examples
    --------
    >>> round(float(log_snr_levels(50)[0]), 3)
    148.413
    """
    chain = log_snr_chain(steps)
    return grids.from_list(chain.sigma[steps::-1])


def theory_levels(steps: int) -> Tensor:
    """Levels of the theorems' schedule, ending at t = 1 as the analysed samplers do, [steps + 1].

    Examples
    --------
    >>> theory_levels(50).shape
    torch.Size([51])
    """
    return grids.theory(steps + 1)


def curve(
    make: Callable[[int], Method],
    mixture: LineMixture,
    steps: Sequence[int],
    levels: Callable[[int], Tensor] | None = log_snr_levels,
    *,
    from_noise: bool = False,
) -> Curve:
    """Measure a sampler's exact error at several lengths.

    Parameters
    ----------
    make
        The sampler of a given length.
    mixture
        The data.
    steps
        Lengths.
    levels
        Noise levels for a length; None takes the sampler's own.
    from_noise
        Start from the sampler's own noise instead of the exact law.

    Examples
    --------
    >>> from wellposed.samplers.ddim import DDIM
    >>> law = LineMixture([0.5, 0.5], [-0.9, 0.9], [0.4, 0.4])
    >>> found = curve(DDIM, law, (20, 40, 80, 160))
    >>> -1.1 < slope(found.steps, found.tv) < -0.9
    True
    """
    arrived = [
        exact_law(make(T), mixture, sigmas=levels(T) if levels else None, from_noise=from_noise)
        for T in steps
    ]
    spent = tuple(one.evaluations for one in arrived)
    return Curve(tuple(steps), spent, tuple(one.distances() for one in arrived))


def slope(steps: Sequence[float], errors: Sequence[float], *, over_log: bool = False) -> float:
    """Slope of log error against log T over the last four lengths.

    Parameters
    ----------
    steps, errors
        Lengths T and errors > 0, at least four.
    over_log
        Regress on log(T / log T): the theorems' schedule has steps of length log(T) / T.

    Examples
    --------
    >>> round(slope([50, 100, 200, 400], [0.2, 0.1, 0.05, 0.025]), 6)
    -1.0
    """
    require(len(steps) >= FITTED, f"there are {len(steps)} lengths, expected {FITTED} or more")
    last = [T / math.log(T) if over_log else T for T in steps[-FITTED:]]
    return float(np.polyfit(np.log(last), np.log(errors[-FITTED:]), 1)[0])
