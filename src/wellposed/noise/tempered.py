"""A likelihood raised to a power: log p(y | mean) / T.

Not a normalised law unless T = 1: it trusts the measurement less (T > 1) or more (T < 1) than
its noise allows. For reproducing tuned results; a report says when one is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from wellposed.checks import require, within
from wellposed.noise.base import GaussianForm, Likelihood
from wellposed.rng import Stream


@dataclass(frozen=True)
class Tempered(Likelihood):
    """The likelihood of another noise to the power 1 / temperature.

    Parameters
    ----------
    noise
        A likelihood.
    temperature
        T > 0; 1 changes nothing.

    Raises
    ------
    InputError
        Not a likelihood, or a temperature out of range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.noise.Tempered(wp.noise.Gaussian(1.0), 4.0).curvature_bound
    0.25
    """

    noise: Likelihood
    temperature: float

    def __post_init__(self) -> None:
        require(
            isinstance(self.noise, Likelihood),
            f"noise is {self.noise!r}, expected a noise with a density",
        )
        within(self.temperature, "temperature", 0, open_low=True)

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether the noise has a gradient."""
        return self.noise.differentiable

    @property
    def heavy_tailed(self) -> bool:  # type: ignore[override]
        """Whether the noise has gross errors."""
        return self.noise.heavy_tailed

    def check(self, y: Tensor) -> None:
        """Ask the noise."""
        self.noise.check(y)

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Draw from the noise itself: temperature is about inference."""
        return self.noise.simulate(mean, stream)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return log p / T."""
        return self.noise.log_density(y, mean) / self.temperature

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return the gradient over T."""
        return self.noise.gradient(y, mean) / self.temperature

    @property
    def curvature_bound(self) -> float | None:
        """That of the noise over T."""
        bound = self.noise.curvature_bound
        return None if bound is None else bound / self.temperature

    def peak(self, y: Tensor) -> Tensor:
        """Return that of the noise over T."""
        return self.noise.peak(y) / self.temperature

    def gaussian_form(self, y: Tensor) -> GaussianForm | None:
        """Return that of the noise, with sigma times sqrt(T)."""
        form = self.noise.gaussian_form(y)
        return form and GaussianForm(form.target, math.sqrt(self.temperature) * form.sigma)
