"""Mixtures of Gaussians on the line: the targets against which samplers are measured.

Model      x0 ~ sum_k w_k N(m_k, s_k^2);  scale (x0 + sigma n) is such a mixture again, with
           means scale m_k and variances scale^2 (s_k^2 + sigma^2).
Closed     density, distribution function F and survival function 1 - F, both tails as
           logarithms, so that quantiles keep their digits far out; the quantile function by
           Newton's method inside a bracket.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

from wellposed.checks import require
from wellposed.priors.mixture import GaussianMixture
from wellposed.rng import Stream

Floats = NDArray[np.float64]
BRACKET = 45.0  # standard deviations: log_ndtr(-45) is about -1017
ITERATIONS = 80


class Tails(NamedTuple):
    """log F and log(1 - F) of the same points: what a quantile is looked up by."""

    below: Floats  # [n]
    above: Floats  # [n]


@dataclass(frozen=True, eq=False)
class LineMixture:
    """A mixture of K Gaussians on the line, known in closed form at every noise level.

    Parameters
    ----------
    weights
        [K], > 0; normalised here.
    means, stds
        [K]; standard deviations > 0.

    Raises
    ------
    InputError
        Lengths that differ, or a weight or standard deviation that is not positive.

    Examples
    --------
    >>> law = LineMixture([0.8, 0.2], [-2.0, 2.0], [0.5, 0.5])
    >>> round(law.mean, 6), round(law.std, 6)
    (-1.2, 1.676305)
    >>> round(float(np.exp(law.tails(0.0).below[0])), 6)
    0.799981
    """

    weights: Floats
    means: Floats
    stds: Floats

    def __post_init__(self) -> None:
        for name in ("weights", "means", "stds"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        shapes = {self.weights.shape, self.means.shape, self.stds.shape}
        require(
            len(shapes) == 1 and self.weights.ndim == 1 and self.weights.size > 0,
            f"weights, means and stds have shapes {sorted(shapes)}, expected one shape [K]",
        )
        for name in ("weights", "stds"):
            least = float(getattr(self, name).min())
            require(least > 0, f"{name} holds {least:g}, expected positive numbers")
        object.__setattr__(self, "weights", self.weights / self.weights.sum())

    @classmethod
    def normal(cls, mean: float = 0.0, std: float = 1.0) -> LineMixture:
        """Return N(mean, std^2)."""
        return cls(np.ones(1), np.array([mean]), np.array([std]))

    @property
    def mean(self) -> float:
        """Mean of the mixture."""
        return float(self.weights @ self.means)

    @property
    def std(self) -> float:
        """Standard deviation of the mixture."""
        return math.sqrt(float(self.weights @ (self.stds**2 + (self.means - self.mean) ** 2)))

    @cached_property
    def prior(self) -> GaussianMixture:
        """The same law as a prior for samplers, shape [1]."""
        weights, means, stds = (
            torch.from_numpy(table) for table in (self.weights, self.means, self.stds)
        )
        return GaussianMixture(weights, means[:, None], stds[:, None] ** 2)

    def standardised(self) -> LineMixture:
        """Return the law shifted and scaled to mean 0 and variance 1."""
        return LineMixture(self.weights, (self.means - self.mean) / self.std, self.stds / self.std)

    def noised(self, sigma: float, scale: float = 1.0) -> LineMixture:
        """Return the law of scale (x0 + sigma n), n ~ N(0, 1)."""
        stds = scale * np.sqrt(self.stds**2 + sigma**2)
        return LineMixture(self.weights, scale * self.means, stds)

    def log_density(self, x: ArrayLike) -> Floats:
        """Return log p at x, [n]."""
        u = self._whitened(x)
        logs = np.log(self.weights / self.stds) - 0.5 * u**2 - 0.5 * math.log(2 * math.pi)
        return _logsumexp(logs)

    def density(self, x: ArrayLike) -> Floats:
        """Return p at x, [n]."""
        return np.exp(self.log_density(x))

    def tails(self, x: ArrayLike) -> Tails:
        """Return log F and log(1 - F) at x, [n] each."""
        u, logs = self._whitened(x), np.log(self.weights)
        return Tails(_logsumexp(logs + log_ndtr(u)), _logsumexp(logs + log_ndtr(-u)))

    def below(self, x: float) -> float:
        """Return the mass below x."""
        return float(np.exp(self.tails(x).below[0]))

    def quantile(self, tails: Tails) -> Floats:
        """Return the points whose tails these are, [n]: the inverse of ``tails``.

        Examples
        --------
        >>> law = LineMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])
        >>> law.quantile(law.tails([-1.3, 0.0, 5.0])).round(9).tolist()
        [-1.3, 0.0, 5.0]
        """
        left = tails.below < tails.above  # the smaller tail has the digits
        target = np.where(left, tails.below, tails.above)

        def excess(x: Floats) -> tuple[Floats, Floats]:
            at = self.tails(x)
            log_tail = np.where(left, at.below, at.above)
            sign = np.where(left, 1.0, -1.0)
            return sign * (log_tail - target), np.exp(self.log_density(x) - log_tail)

        low = float((self.means - BRACKET * self.stds).min())
        high = float((self.means + BRACKET * self.stds).max())
        return _root(excess, np.full(target.shape, low), np.full(target.shape, high))

    def _whitened(self, x: ArrayLike) -> Floats:
        points = np.atleast_1d(np.asarray(x, dtype=np.float64))
        whitened: Floats = (points[:, None] - self.means) / self.stds
        return whitened


def random_mixture(stream: Stream, components: int = 3) -> LineMixture:
    """Draw a mixture of separate components, with mean 0 and variance 1.

    Before it is standardised: weights in proportion to 0.2 + u, means 1.5 k + 0.8 u for
    k = 0, 1, ..., standard deviations 0.2 + 0.3 u, each u uniform on [0, 1).

    Components must stay apart: for data N(0, 1) the step of DDPM with variance beta is exact,
    and close to them comparisons with it say little.

    Examples
    --------
    >>> law = random_mixture(Stream(1))
    >>> abs(law.mean) < 1e-12, abs(law.std - 1) < 1e-12
    (True, True)
    """
    u = stream.uniform((3, components), "mixture").numpy()
    means = 1.5 * np.arange(components) + 0.8 * u[1]
    return LineMixture(0.2 + u[0], means, 0.2 + 0.3 * u[2]).standardised()


def _logsumexp(logs: Floats) -> Floats:
    """Sum over the components, [n, K] to [n]."""
    top = logs.max(axis=1)
    total: Floats = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
    return total


def _root(excess: Callable[[Floats], tuple[Floats, Floats]], low: Floats, high: Floats) -> Floats:
    """Newton's method for increasing functions, kept inside a shrinking bracket."""
    x = 0.5 * (low + high)
    for _ in range(ITERATIONS):
        value, slope = excess(x)
        low, high = np.where(value <= 0, x, low), np.where(value >= 0, x, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            newton = x - value / slope
        inside = (newton > low) & (newton < high)
        step = np.where(inside, newton, 0.5 * (low + high))
        if bool((np.abs(step - x) <= 4e-16 * np.maximum(1.0, np.abs(x))).all()):
            return step
        x = step
    return x
