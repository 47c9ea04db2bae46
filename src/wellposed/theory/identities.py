"""Two identities that a score obeys and a wrong score does not.

Tweedie          E[x0 | x0 + sigma n = z] = z + sigma^2 grad log p_sigma(z)
Score matching   the score minimises E |s(X_t) + g / b|^2 over X_t = a x0 + b g, so its error is
                 orthogonal to everything: E[(s(X_t) + g / b) f(X_t)] = 0 for every f.
Check            Tweedie by quadrature of Bayes' rule over x0, on the line; orthogonality by
                 samples, in any dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from wellposed.checks import whole, within
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.exact import ExactPrior
from wellposed.rng import Stream
from wellposed.schedules.processes import OU
from wellposed.theory.line import LineMixture

NODES = 20_001
REACH = 12.0  # standard deviations


class Tweedie(NamedTuple):
    """Largest differences over the points.

    Attributes
    ----------
    denoiser
        Between the prior's denoiser and the posterior mean by Bayes' rule.
    score
        Between z + sigma^2 score and the posterior mean.
    """

    denoiser: float
    score: float


def tweedie_gap(mixture: LineMixture, sigma: float, points: int = 201) -> Tweedie:
    """Compare denoiser and score with the posterior mean by quadrature.

    Parameters
    ----------
    mixture
        The data.
    sigma
        Noise level > 0.
    points
        How many z, spread over four standard deviations to each side.

    Examples
    --------
    >>> law = LineMixture([0.8, 0.2], [-1.0, 2.0], [0.5, 0.4])
    >>> max(tweedie_gap(law, 0.7)) < 1e-10
    True
    """
    within(sigma, "sigma", 0, open_low=True)
    whole(points, "points")
    noised = mixture.noised(sigma)
    z = noised.mean + noised.std * np.linspace(-4, 4, points)
    x0 = mixture.mean + mixture.std * np.linspace(-REACH, REACH, NODES)
    log = mixture.log_density(x0) - 0.5 * ((z[:, None] - x0) / sigma) ** 2
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    mean = weight @ x0 / weight.sum(axis=1)
    at = torch.from_numpy(z)[:, None]
    denoised = mixture.prior.denoise(at, sigma)[:, 0].numpy()
    tweedie = z + sigma**2 * mixture.prior.score(at, sigma)[:, 0].numpy()
    return Tweedie(float(np.abs(denoised - mean).max()), float(np.abs(tweedie - mean).max()))


class Estimate(NamedTuple):
    """A mean over samples, and its standard error."""

    value: float
    standard_error: float

    @property
    def sigmas(self) -> float:
        """How many standard errors the mean is from zero."""
        return abs(self.value) / self.standard_error


def orthogonality(
    data: ExactPrior,
    prior: DiffusionPrior,
    time: float,
    functions: Sequence[Callable[[Tensor], Tensor]],
    *,
    samples: int = 100_000,
    seed: int = 0,
) -> list[Estimate]:
    """Estimate E[(s(X_t) + g / b) . f(X_t)] for functions f: zero for the score of the data.

    Parameters
    ----------
    data
        Where x0 comes from.
    prior
        Whose score s is looked at.
    time
        t > 0, of the OU process.
    functions
        Each takes [n, *shape] to the same shape.
    samples, seed
        How many pairs (x0, g), >= 2, and their seed.

    Examples
    --------
    >>> prior = LineMixture([0.8, 0.2], [-1.0, 2.0], [0.5, 0.4]).prior
    >>> found = orthogonality(prior, prior, 0.5, [torch.sin, torch.ones_like], samples=20_000)
    >>> max(one.sigmas for one in found) < 4
    True
    """
    within(time, "time", 0, open_low=True)
    whole(samples, "samples", 2)
    a, b = OU().a(time), OU().b(time)
    x0 = data.sample(samples, seed).to(torch.float64)
    noise = Stream(seed).normal(x0.shape, "score matching")
    x = a * x0 + b * noise
    error = prior.score(x / a, OU().sigma(time)) / a + noise / b
    return [_mean((error * f(x)).flatten(1).sum(1)) for f in functions]


def _mean(values: Tensor) -> Estimate:
    return Estimate(float(values.mean()), float(values.std()) / math.sqrt(len(values)))
