"""Counts of photons.

Model      y ~ Poisson(rate),  rate = gain max(mean + offset, 0) + background,
           so that the law is proper, with a finite log density, for every mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.noise.base import Likelihood, real
from wellposed.rng import Stream


@dataclass(frozen=True)
class Poisson(Likelihood):
    """Independent Poisson counts.

    Parameters
    ----------
    gain
        Counts per unit of the mean, > 0.
    offset
        Added to the mean first: 1 for priors on [-1, 1], so that black is no light.
    background
        Counts that arrive without a signal, > 0.

    Raises
    ------
    InputError
        A field out of range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> noise = wp.noise.Poisson(10.0, background=1e-6)
    >>> round(float(noise.log_density(torch.zeros(1, 1), torch.full((1, 1), 0.5))), 3)
    -5.0
    """

    gain: float
    offset: float = 0.0
    background: float = 0.01

    def __post_init__(self) -> None:
        within(self.gain, "gain", 0, open_low=True)
        within(self.offset, "offset")
        within(
            self.background, "background", 0, open_low=True,
            why="without it a count where the mean is not positive would be impossible",
        )  # fmt: skip

    def rate(self, mean: Tensor) -> Tensor:
        """Expected counts."""
        return self.gain * (mean + self.offset).clamp_min(0) + self.background

    def check(self, y: Tensor) -> None:
        """Require whole numbers >= 0."""
        real(y, "Poisson")
        require(
            bool(((y >= 0) & (y == y.round())).all()),
            "y holds values that are not counts: whole numbers >= 0",
            "noise.Poisson is the law of counts, before any division by the gain",
            "pass the counts themselves; the gain belongs into noise.Poisson(gain)",
        )

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Draw counts."""
        rate = self.rate(mean).cpu().double()
        return torch.poisson(rate, generator=stream.generator("noise")).to(mean)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of y log(rate) - rate - log(y!) over the elements."""
        rate = self.rate(mean)
        return (y * rate.log() - rate - torch.lgamma(y + 1)).flatten(1).sum(1)

    def peak(self, y: Tensor) -> Tensor:
        """Return log p where the rate is y, or the background where there are fewer counts."""
        return self.log_density(y, (y - self.background) / self.gain - self.offset)

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """gain (y / rate - 1), and 0 where no light arrives."""
        return self.gain * (y / self.rate(mean) - 1) * (mean > -self.offset)
