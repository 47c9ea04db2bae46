"""A search for where chains start: down the noise levels, by means in place of draws.

Source     after Y. Zhu et al., "Denoising diffusion models for plug-and-play image restoration"
           (DiffPIR), CVPR workshops 2023, whose data half is a solve.
Model      L the log-likelihood, D the denoiser, x the current signal.
Update     for sigma from twice the prior's spread down to what the data resolve, log-uniform:
           z = x, then a few steps up  L(z) - |z - x|^2 / (2 sigma^2)
           x = D(z + sigma w, sigma),  w ~ N(0, I)
           A step is as long as the curvature allows; one that leads down is taken back, and the
           next ones are a quarter as long. Chains do not look at each other.
Cost       an evaluation and MOVES + 1 gradients a level.
Guarantee  none: x is no draw. It lies where a sampler's chains do not freeze in a wrong signal,
           as they do where L has many maxima: magnitudes fix phases only all together.
Fails      signals that the data cannot tell apart: each chain ends near one of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.noise.base import Likelihood
from wellposed.operators.base import Operator
from wellposed.posterior.coupling import resolution
from wellposed.posterior.datafit import DataFit, column, inner
from wellposed.priors.diffusion import DiffusionPrior

WIDE = 2.0  # first level in units of the prior's spread
MOVES = 3  # steps up at each level
SHORTER = 0.25  # after a step that led down


class Search(NamedTuple):
    """Levels of a search, and how finely the data see."""

    levels: tuple[float, ...]  # falling
    resolution: float

    @classmethod
    def of(cls, prior: DiffusionPrior, fit: DataFit, count: int) -> Search:
        """Lay out so many levels, >= 0."""
        if not count:
            return cls((), 1.0)
        finest = resolution(prior, fit)
        high = min(WIDE * prior.sigma_data, prior.sigma_max)
        low = min(max(finest, prior.sigma_min), high)
        ratio = (low / high) ** (1 / max(1, count - 1))
        return cls(tuple(high * ratio**k for k in range(count)), finest)

    def towards(self, fit: DataFit, x: Tensor, sigma: float) -> Tensor:
        """Return z: a few steps from x towards the data, for each item."""
        length = torch.full((len(x),), 1 / (self.resolution**-2 + sigma**-2), dtype=torch.float64)
        z, seen, length = x, fit.look(x), length.to(x.device)
        height = seen.log_prob
        for _ in range(MOVES):
            trial = z + column(length, z) * (seen.gradient - (z - x) / sigma**2)
            new = fit.look(trial)
            reached = new.log_prob - inner(trial - x, trial - x) / (2 * sigma**2)
            up = reached > height  # NaN is not
            z = torch.where(column(up, z) > 0, trial, z)
            gradient = torch.where(column(up, z) > 0, new.gradient, seen.gradient)
            seen = seen._replace(gradient=gradient)
            height = torch.where(up, reached, height)
            length = torch.where(up, length, SHORTER * length)
        return z


def seeks(operator: Operator, noise: Likelihood) -> bool:
    """Whether the log-likelihood may have many maxima, and a gradient to climb along."""
    return operator.differentiable and noise.differentiable and not operator.linear
