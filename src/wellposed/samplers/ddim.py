"""Denoising diffusion implicit model (DDIM): the first-order exponential step.

Source     J. Song, C. Meng, S. Ermon, "Denoising diffusion implicit models", ICLR 2021.
Model      z = x0 + sigma n: the variance-exploding frame, x = a z on any process.
Update     from level sigma to level sigma', with D = D(z, sigma) and eps = (z - D) / sigma,
           v^2 = eta^2 sigma'^2 (sigma^2 - sigma'^2) / sigma^2
           z'  = D + sqrt(sigma'^2 - v^2) eps + v n
           eta = 0: Euler's step of the probability flow dz / d sigma = eps.
           eta = 1: the variance of x_{t-1} given x_t and x_0, as in ancestral sampling.
Cost       one denoiser evaluation a step.
Guarantee  first order in the step; exact where D does not depend on z.
Fails      few steps: DPMSolverPP2M has the same cost and order two. Encoding (ascending
           levels) needs eta = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from wellposed.checks import whole, within
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.samplers.levels import check_covered, frame_levels
from wellposed.samplers.pieces import Map, Moved, Noise
from wellposed.samplers.walk import Plan, Walk, frame_walk
from wellposed.task import Task


@dataclass(frozen=True)
class DDIM(Walk):
    """First-order sampler; deterministic at eta = 0, and then able to encode.

    Parameters
    ----------
    steps
        Number of steps, >= 1.
    eta
        Share of the ancestral noise, in [0, 1].

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.DDIM(10), n=3).evaluations
    10
    """

    steps: int = 50
    eta: float = 0.0

    order: ClassVar[int] = 1
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Song, Meng & Ermon, ICLR 2021"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        within(self.eta, "eta", 0, 1)

    def prepare(self, task: Task) -> Plan:
        """Tabulate how much of the noise each step keeps."""
        levels = frame_levels(task, "DDIM", self.steps, encodes=self.eta == 0)
        check_covered(task.prior, levels[:-1], "DDIM")
        pieces = [self._pieces(task.prior, *ends) for ends in pairwise(levels)]
        return frame_walk(task, levels, pieces)

    def _pieces(self, prior: DiffusionPrior, sigma: float, low: float) -> tuple[Map, Noise]:
        variance = self.eta**2 * low**2 * max(0.0, 1 - (low / sigma) ** 2)
        keep = (low**2 - variance) ** 0.5 / sigma
        return Map(partial(_move, prior, sigma, keep)), Noise(variance**0.5)


def _move(prior: DiffusionPrior, sigma: float, keep: float, z: Tensor) -> Moved:
    """D + keep (z - D)."""
    x0 = prior.denoise(z, sigma)
    return Moved(torch.lerp(x0, z, keep), x0)
