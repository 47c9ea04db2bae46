"""DPnP on the line, exactly: its kernel on a grid, second eigenvalue, and the bound of its theorem.

Source     X. Xu, Y. Chi, NeurIPS 2024, theorem on DPnP with inexact halves.
Model      x in R, prior p, log-likelihood L. One sweep at coupling eta is K = P D,
               P(x, z)  ~ e^L(z) N(z; x, eta^2)          towards the data
               D(z, x') ~ p(x') N(z; x', eta^2)          towards the prior
           Its stationary law is pi ~ p q,  q(x) = int e^L(z) N(z; x, eta^2) dz.
Spectrum   K is reversible and positive: sqrt(pi) K / sqrt(pi) is symmetric, its eigenvalues are
           in [0, 1], the first is 1, the second is lambda, and for a start mu
               TV(mu K^n, pi) <= lambda^n sqrt(chi^2(mu || pi)) / 2
Inexact    halves that are off by eps_1 and eps_2 in total variation add at most
           n (eps_1 + eps_2). With n = ceil(log(1 / eps) / (1 - lambda)), lambda^n <= eps:
               TV <= eps sqrt(chi^2) / 2 + ceil(log(1 / eps) / (1 - lambda)) (eps_1 + eps_2),
           which is the theorem, with its constants.
Cost       size^2 numbers and size^3 operations.
Fails      eta below a few cells of the grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wellposed.checks import require, within

Floats = NDArray[np.float64]
CELLS = 3.0  # of the grid that eta must cover


@dataclass(frozen=True, eq=False)
class Sweep:
    """One sweep at a fixed coupling.

    Attributes
    ----------
    towards_data, towards_prior
        P [x, z] and D [z, x'], rows sum to 1.
    stationary
        Masses of pi, [size].
    """

    towards_data: Floats
    towards_prior: Floats
    stationary: Floats

    @cached_property
    def kernel(self) -> Floats:
        """K [x, x']."""
        product: Floats = self.towards_data @ self.towards_prior
        return product

    @cached_property
    def second_eigenvalue(self) -> float:
        """The second largest eigenvalue, in [0, 1]: the error's factor in a sweep."""
        root = np.sqrt(self.stationary)
        inside = root > root.max() * 1e-8  # the rest carries no mass
        turned = root[:, None] * self.kernel / np.maximum(root, 1e-300)
        kept = turned[np.ix_(inside, inside)]
        return float(np.linalg.eigvalsh(0.5 * (kept + kept.T))[-2])

    def chi(self, start: Floats) -> float:
        """Return sqrt(chi^2(start || pi)) for masses ``start``."""
        ratio = np.where(start > 0, start / np.maximum(self.stationary, 1e-300), 0.0)
        return math.sqrt(max(0.0, float(start @ ratio) - 1))

    def bound(self, start: Floats, sweeps: int, errors: float = 0.0) -> float:
        """Return the theorem's bound on total variation after so many sweeps.

        Parameters
        ----------
        start
            Masses of the first law, [size].
        sweeps
            Number of sweeps, >= 0.
        errors
            eps_1 + eps_2, the total variation errors of both halves.
        """
        return 0.5 * self.second_eigenvalue**sweeps * self.chi(start) + sweeps * errors

    def sweeps_for(self, accuracy: float) -> int:
        """Return log(1 / accuracy) / (1 - lambda), rounded up."""
        within(accuracy, "accuracy", 0, 1, open_low=True, open_high=True)
        return math.ceil(-math.log(accuracy) / (1 - self.second_eigenvalue))


@dataclass(frozen=True, eq=False)
class LineChain:
    """A prior and a likelihood on an even grid.

    Parameters
    ----------
    grid
        Points, [size], evenly spaced.
    log_prior, log_likelihood
        log p and L at the points, [size], up to constants.

    Raises
    ------
    InputError
        Lengths that differ.

    Examples
    --------
    >>> chain = LineChain.of(np.linspace(-8, 8, 400), lambda x: -x**2 / 2, lambda x: -(x - 1)**2)
    >>> sweep = chain.sweep(0.5)
    >>> round(float(sweep.stationary @ chain.grid), 4)  # variances 1 and 1 / 2 + eta^2
    0.5714
    >>> round(sweep.second_eigenvalue, 4)  # (1 / (1 + eta^2)) (1 / (1 + 2 eta^2))
    0.5333
    """

    grid: Floats
    log_prior: Floats
    log_likelihood: Floats

    def __post_init__(self) -> None:
        shapes = {self.grid.shape, self.log_prior.shape, self.log_likelihood.shape}
        require(len(shapes) == 1, f"grid and logs have shapes {sorted(shapes)}, expected one")

    @classmethod
    def of(
        cls,
        grid: Floats,
        log_prior: Callable[[Floats], Floats],
        log_likelihood: Callable[[Floats], Floats],
    ) -> LineChain:
        """Evaluate a prior and a likelihood on a grid."""
        return cls(grid, log_prior(grid), log_likelihood(grid))

    @property
    def posterior(self) -> Floats:
        """Masses of the posterior, [size]."""
        return _normalised(self.log_prior + self.log_likelihood)

    def sweep(self, eta: float) -> Sweep:
        """Return the sweep at a coupling of at least three cells of the grid."""
        step = float(self.grid[1] - self.grid[0])
        within(eta, "eta", CELLS * step, why="the grid does not resolve it")
        near = -0.5 * ((self.grid[:, None] - self.grid) / eta) ** 2
        data = near + self.log_likelihood
        blurred = _log_sum(data)
        return Sweep(
            _normalised(data), _normalised(near + self.log_prior),
            _normalised(self.log_prior + blurred),
        )  # fmt: skip

    def run(self, start: Floats, etas: Sequence[float]) -> Floats:
        """Return the laws after each of a list of sweeps, [len(etas), size], from masses."""
        laws, known = [], {eta: self.sweep(eta) for eta in set(etas)}
        for eta in etas:
            start = (start @ known[eta].towards_data) @ known[eta].towards_prior
            laws.append(start)
        return np.array(laws)


def distance(p: Floats, q: Floats) -> float:
    """Total variation of two laws given by masses."""
    return 0.5 * float(np.abs(p - q).sum())


def _normalised(logs: Floats) -> Floats:
    """Rows of probabilities."""
    masses = np.exp(logs - logs.max(-1, keepdims=True))
    shares: Floats = masses / masses.sum(-1, keepdims=True)
    return shares


def _log_sum(logs: Floats) -> Floats:
    top = logs.max(-1)
    total: Floats = top + np.log(np.exp(logs - top[:, None]).sum(-1))
    return total
