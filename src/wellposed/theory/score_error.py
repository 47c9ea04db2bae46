"""Wrong scores on purpose: how the error of a score becomes an error of the samples.

Model      shat_t(x) = s_t(x) + e(x) in the variance-preserving scale, the same field e at every t.
Fields     tilt         e = size: all Jacobians right
           oscillation  e = sqrt(2) size sin(frequency x): the L2 error is about size, the
                        Jacobian's size * frequency
Theory     stochastic samplers: TV grows by at most about sqrt(d) size (up to logs), whatever the
           Jacobian; deterministic ones: by sqrt(d) size + d * Jacobian error. The second term is
           needed: with frequency 1 / size^2 the score error vanishes with size, and the density
           of a deterministic sampler, divided by the slope of its map, does not converge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from wellposed.checks import within
from wellposed.priors.diffusion import DiffusionPrior, Shape
from wellposed.priors.exact import ExactPrior

Field = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class WrongScore(DiffusionPrior):
    """An exact prior whose score is off by a field.

    Parameters
    ----------
    prior
        The exact one.
    field
        e(x), [B, *shape] to [B, *shape], with x = a z in the variance-preserving scale.

    Examples
    --------
    >>> from wellposed.priors import Gaussian
    >>> wrong = WrongScore(Gaussian([0.0], 1.0), tilt(0.5))
    >>> round(float(wrong.score(torch.zeros(1, 1), 1.0)), 6)  # a e, a = 1 / sqrt(2)
    0.353553
    """

    prior: ExactPrior
    field: Field

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        """Shape of one signal."""
        return self.prior.shape

    @property
    def sigma_data(self) -> float:  # type: ignore[override]
        """That of the exact prior."""
        return self.prior.sigma_data

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return D + sigma^2 e, e in the scale of z."""
        square = torch.as_tensor(sigma, dtype=z.dtype).square()
        if square.ndim:
            square = square.reshape(-1, *[1] * (z.ndim - 1))
        a = (1 + square).rsqrt()
        return self.prior.denoise(z, sigma) + square * a * self.field(a * z)


def tilt(size: float) -> Field:
    """Return a constant field of the given L2 error on the line."""
    within(size, "size", 0)
    return partial(torch.full_like, fill_value=size)


def oscillation(size: float, frequency: float | None = None) -> Field:
    """Return the counterexample: small in L2, with a large Jacobian.

    Parameters
    ----------
    size
        L2 error > 0 in each coordinate, about.
    frequency
        > 0; None takes 1 / size^2, so that the Jacobian's error is 1 / size.

    Examples
    --------
    >>> field = oscillation(0.1)
    >>> round(float(field(torch.tensor(torch.pi / 200))), 6)
    0.141421
    """
    within(size, "size", 0, open_low=True)
    used = 1 / size**2 if frequency is None else frequency
    within(used, "frequency", 0, open_low=True)
    return partial(_wave, size * math.sqrt(2), used)


def _wave(height: float, frequency: float, x: Tensor) -> Tensor:
    return height * torch.sin(frequency * x)
