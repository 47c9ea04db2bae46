"""Noise models: how a measurement scatters around its mean A(x).

Every noise can simulate. A ``Likelihood`` also knows log p(y | mean), summed over the
elements of one measurement and properly normalised. ``SparseOutliers`` is no likelihood:
gross errors have no law, only a share.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from wellposed.checks import within
from wellposed.rng import Stream


class Noise(ABC):
    """What happens to the mean on its way into the measurement."""

    heavy_tailed: ClassVar[bool] = False  # gross errors occur: fit absolute deviations

    @abstractmethod
    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Draw a measurement around ``mean``, any shape."""


class Likelihood(Noise):
    """A noise with a density."""

    @abstractmethod
    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return log p(y | mean) of each item: [B, *shape] to [B]."""

    @abstractmethod
    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return the gradient of log p(y | mean) in ``mean``, [B, *shape]."""


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """White Gaussian noise.

    Parameters
    ----------
    sigma
        Standard deviation of each real component, > 0, in the units of y.
    """

    sigma: float

    def __post_init__(self) -> None:
        within(self.sigma, "sigma", 0, open_low=True, remedy="leave noise out if there is none")

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Add independent N(0, sigma^2) to each real component."""
        return mean + self.sigma * _white(mean, stream)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of log N(y; mean, sigma^2) over the real components."""
        off = (y - mean).flatten(1)
        count = off.shape[1] * (2 if off.is_complex() else 1)
        norm = count * (math.log(self.sigma) + 0.5 * math.log(2 * math.pi))
        return -0.5 * (off.abs() / self.sigma).square().sum(1) - norm

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """(y - mean) / sigma^2."""
        return (y - mean) / self.sigma**2


@dataclass(frozen=True)
class Laplace(Likelihood):
    """Double-exponential noise: absolute deviations instead of squares.

    Parameters
    ----------
    scale
        Mean absolute deviation, > 0, in the units of y (real measurements).
    """

    scale: float
    heavy_tailed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(self.scale, "scale", 0, open_low=True)

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Add independent Laplace(scale) noise by inverting its distribution function."""
        u = stream.uniform(mean.shape, "noise", dtype=mean.dtype, device=mean.device) - 0.5
        return mean - self.scale * u.sign() * (1 - 2 * u.abs()).clamp_min(1e-300).log()

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of log Laplace(y; mean, scale) over the elements."""
        off = (y - mean).flatten(1).abs()
        return -off.sum(1) / self.scale - off.shape[1] * math.log(2 * self.scale)

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """sign(y - mean) / scale."""
        return (y - mean).sign() / self.scale


@dataclass(frozen=True)
class SparseOutliers(Noise):
    """Gross errors of arbitrary size in a share of the measurements.

    A sparse part of the *signal* that one wants to see is a prior instead
    (``LowRankPlusSparse``).

    Parameters
    ----------
    fraction
        Share of corrupted measurements, in [0, 0.5).
    size
        Outliers are uniform on +- size * max|mean| when simulated; > 0.
    """

    fraction: float
    size: float = 10.0
    heavy_tailed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(
            self.fraction, "fraction", 0, 0.5, open_high=True,
            why="with half of the measurements wrong the truth is not the majority",
        )  # fmt: skip
        within(self.size, "size", 0, open_low=True)

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Replace a random share of the elements' errors by gross ones."""
        kind = {"dtype": mean.dtype, "device": mean.device}
        hit = stream.uniform(mean.shape, "outlier places", **kind).flatten()  # type: ignore[arg-type]
        count = round(self.fraction * hit.numel())
        value = 2 * stream.uniform(mean.shape, "outlier values", **kind).flatten() - 1  # type: ignore[arg-type]
        gross = mean.new_zeros(hit.shape)
        where = hit.argsort()[:count]
        gross[where] = self.size * mean.abs().max() * value[where]
        return mean + gross.reshape(mean.shape)


def _white(mean: Tensor, stream: Stream) -> Tensor:
    return stream.normal(mean.shape, "noise", dtype=mean.dtype, device=mean.device) * (
        math.sqrt(2) if mean.is_complex() else 1
    )
