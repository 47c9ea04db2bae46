"""Heun's method with churn (EDM).

Source     T. Karras, M. Aittala, T. Aila, S. Laine, "Elucidating the design space of
           diffusion-based generative models", NeurIPS 2022, algorithms 1 and 2.
Model      dz / d sigma = (z - D(z, sigma)) / sigma, the probability flow in the
           variance-exploding frame.
Update     from level sigma to sigma', over N steps
           gamma = min(churn / N, sqrt(2) - 1) for sigma in [churn_low, churn_high], else 0
           up    = sigma (1 + gamma);  z_up = z + sqrt(up^2 - sigma^2) churn_noise n
           d     = (z_up - D(z_up, up)) / up;  z1 = z_up + (sigma' - up) d
           d1    = (z1 - D(z1, sigma')) / sigma'
           z'    = z_up + (sigma' - up) (d + d1) / 2;  z' = z1 if sigma' = 0
Cost       two denoiser evaluations a step, one in a last step to zero.
Guarantee  second order without churn.
Fails      few evaluations: a multistep method of the same order costs half. Encoding needs
           churn = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from wellposed.checks import whole, within
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.samplers.levels import check_covered, frame_levels
from wellposed.samplers.pieces import Map, Moved, Noise
from wellposed.samplers.walk import Plan, Walk, frame_walk
from wellposed.task import Task


@dataclass(frozen=True)
class Heun(Walk):
    """Second-order sampler with two evaluations a step, and noise put back if wanted.

    Parameters
    ----------
    steps
        Number of steps N, >= 1.
    churn
        Noise put back over the whole run, >= 0 (S_churn); 0 is deterministic.
    churn_low, churn_high
        Levels between which noise is put back (S_min, S_max), 0 <= low <= high.
    churn_noise
        Factor >= 0 on that noise (S_noise).

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.Heun(10), n=3).evaluations
    19
    """

    steps: int = 18
    churn: float = 0.0
    churn_low: float = 0.0
    churn_high: float = math.inf
    churn_noise: float = 1.0

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 2
    reference: ClassVar[str] = "Karras, Aittala, Aila & Laine, NeurIPS 2022"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        within(self.churn, "churn", 0)
        within(self.churn_low, "churn_low", 0)
        if self.churn_high != math.inf:
            within(self.churn_high, "churn_high", self.churn_low)
        within(self.churn_noise, "churn_noise", 0)

    def prepare(self, task: Task) -> Plan:
        """Tabulate the levels with churn."""
        levels = frame_levels(task, "Heun", self.steps, encodes=self.churn == 0)
        ups = [self._up(sigma) for sigma in levels[:-1]]
        check_covered(task.prior, [s for s in (*ups, *levels[1:]) if s > 0], "Heun")
        pieces = [
            self._pieces(task.prior, sigma, up, to)
            for (sigma, to), up in zip(pairwise(levels), ups, strict=True)
        ]
        return frame_walk(task, levels, pieces)

    def _up(self, sigma: float) -> float:
        inside = self.churn_low <= sigma <= self.churn_high
        return sigma * (1 + min(self.churn / self.steps, 2**0.5 - 1)) if inside else sigma

    def _pieces(
        self, prior: DiffusionPrior, sigma: float, up: float, to: float
    ) -> tuple[Noise, Map]:
        churned = self.churn_noise * (up**2 - sigma**2) ** 0.5
        return Noise(churned), Map(partial(_move, prior, up, to), 2 if to > 0 else 1)


def _move(prior: DiffusionPrior, sigma: float, to: float, z: Tensor) -> Moved:
    """Euler's step, then the mean of the slopes at both ends."""
    x0 = prior.denoise(z, sigma)
    slope = (z - x0) / sigma
    euler = z.add(slope, alpha=to - sigma)
    if to == 0:
        return Moved(euler, x0)
    end = (euler - prior.denoise(euler, to)) / to
    return Moved(z.add(slope + end, alpha=(to - sigma) / 2), x0)
