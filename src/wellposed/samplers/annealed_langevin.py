"""Annealed Langevin dynamics through descending noise levels.

Source     Y. Song, S. Ermon, "Generative modeling by estimating gradients of the data
           distribution", NeurIPS 2019.
Model      p_sigma the law of x0 + sigma n, s(., sigma) = grad log p_sigma = (D - z) / sigma^2.
Update     at each level sigma, K moves of ULA with eta = step_size sigma^2
           z' = z + eta s(z, sigma) + sqrt(2 eta) n
              = z + step_size (D - z) + sigma sqrt(2 step_size) n
           at level zero the denoiser, once:  x = D(z, last level above zero)
           The paper's eps sigma_i^2 / sigma_L^2 is eta: step_size = eps / sigma_L^2.
Cost       K denoiser evaluations a level.
Guarantee  none in a fixed number of moves; each level starts near its law, so modes get their
           weights while they still overlap.
Fails      levels too far apart or too few moves: the law lags behind. DDPM needs fewer
           evaluations for the same error.
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
from wellposed.samplers.pieces import Map, Moved, Noise, Piece
from wellposed.samplers.walk import Plan, Walk, frame_walk
from wellposed.task import Task


@dataclass(frozen=True)
class AnnealedLangevin(Walk):
    """Langevin moves at each of a descending list of noise levels.

    Parameters
    ----------
    steps
        Number of levels below the start, >= 1; the last may be zero.
    moves
        Langevin moves K at each level, >= 1.
    step_size
        Relative step eta / sigma^2, in (0, 1]; the moves' own law has variance larger by about
        the factor 1 + step_size / 2.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.AnnealedLangevin(20, moves=3), n=3).evaluations
    58
    """

    steps: int = 50
    moves: int = 20
    step_size: float = 0.3

    order: ClassVar[int | None] = None
    reference: ClassVar[str] = "Song & Ermon, NeurIPS 2019"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        whole(self.moves, "moves")
        within(self.step_size, "step_size", 0, 1, open_low=True)

    @property
    def evaluations_per_step(self) -> int:
        """Denoiser evaluations at each positive level."""
        return self.moves

    def prepare(self, task: Task) -> Plan:
        """Lay out the levels."""
        levels = frame_levels(task, "AnnealedLangevin", self.steps, encodes=False)
        check_covered(
            task.prior, [s for s in levels[1:] if s > 0] or levels[:1], "AnnealedLangevin"
        )
        pieces = [self._pieces(task.prior, *ends) for ends in pairwise(levels)]
        return frame_walk(task, levels, pieces)

    def _pieces(self, prior: DiffusionPrior, above: float, sigma: float) -> tuple[Piece, ...]:
        if sigma == 0:
            return (Map(partial(_towards, prior, above, 1.0)),)
        move = Map(partial(_towards, prior, sigma, self.step_size))
        return (move, Noise(sigma * (2 * self.step_size) ** 0.5)) * self.moves


def _towards(prior: DiffusionPrior, sigma: float, share: float, z: Tensor) -> Moved:
    """z + share (D - z)."""
    x0 = prior.denoise(z, sigma)
    return Moved(torch.lerp(z, x0, share), x0)
