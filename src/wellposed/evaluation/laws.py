"""Draws against laws that are known: weights of modes, means, and Gaussian closed forms.

Weights    E r_k(x) = w_k for x from the mixture, r_k the posterior probability of component k
MMSE gap   E|m - x|^2 - E|E[x|y] - x|^2 = E|m - E[x|y]|^2 for any estimate m of x from y: the
           gap needs no truth x where the exact posterior mean is known
Gaussian   for x ~ N(m, C), n draws:  n |C^(-1/2) (mean - m)|^2 ~ chi2(d) and
           sum |C^(-1/2) (x - mean)|^2 ~ chi2((n - 1) d), exactly
W2         between Gaussians: |m - m'|^2 + tr(C + C' - 2 (C^1/2 C' C^1/2)^1/2)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from scipy.stats import chi2
from torch import Tensor

from wellposed.checks import as_tensor, require, shaped
from wellposed.priors.exact import ExactPrior


class Weights(NamedTuple):
    """How the modes of a mixture are filled.

    Attributes
    ----------
    found
        [K]: mean posterior probability of each component over the draws.
    true
        [K]: the mixture's weights.
    """

    found: Tensor
    true: Tensor

    @property
    def tv(self) -> float:
        """Half the sum of absolute differences, in [0, 1]."""
        return 0.5 * float((self.found - self.true).abs().sum())


class Gap(NamedTuple):
    """How far estimates are from the best possible ones.

    Attributes
    ----------
    rms
        Root mean square, over measurements and coordinates, of estimate - E[x | y].
    decibel
        10 log10(error of the estimates / least possible error), 0 for the best; NaN where the
        least error is not known.
    """

    rms: float
    decibel: float


class GaussianTest(NamedTuple):
    """Two-sided p-values of draws under a Gaussian law: uniform on [0, 1] for exact draws.

    Attributes
    ----------
    mean
        Small when the mean is off.
    spread
        Small when the draws are too narrow or too wide on the whole.
    """

    mean: float
    spread: float


def mode_weights(draws: Any, law: ExactPrior) -> Weights:
    """Return the weight that draws give to each component of a mixture.

    Parameters
    ----------
    draws
        [n, *shape].
    law
        The mixture.

    Examples
    --------
    >>> import wellposed as wp
    >>> law = wp.GaussianMixture([0.25, 0.75], [[-4.0], [4.0]], 1.0)
    >>> mode_weights([[-4.0], [4.0], [4.0], [4.0]], law).tv < 1e-6
    True
    """
    given = as_tensor(draws, "draws")
    shaped(given, "draws", (None, *law.shape))
    return Weights(law.responsibilities(given).mean(0), law._components.log_weights.exp())


def mmse_gap(estimates: Any, exact: Any, truth: Any = None) -> Gap:
    """Compare estimates of signals with their exact posterior means.

    Parameters
    ----------
    estimates, exact
        [R, *shape]: what a method said of R measurements, and E[x | y] of each.
    truth
        [R, *shape]: the signals themselves, for the gap in decibels.

    Examples
    --------
    >>> mmse_gap([[1.0], [3.0]], [[1.0], [2.0]], [[0.0], [2.0]])
    Gap(rms=0.7071067811865476, decibel=3.010299956639812)
    """
    found, best = as_tensor(estimates, "estimates").double(), as_tensor(exact, "exact").double()
    shaped(best, "exact", found.shape)
    off = float((found - best).square().mean())
    if truth is None:
        return Gap(math.sqrt(off), math.nan)
    signal = as_tensor(truth, "truth").double()
    shaped(signal, "truth", found.shape)
    least = float((best - signal).square().mean())
    have = float((found - signal).square().mean())
    return Gap(math.sqrt(off), 10 * math.log10(have / least) if least > 0 < have else math.nan)


def gaussian_test(draws: Any, mean: Any, covariance: Any) -> GaussianTest:
    """Test independent draws against N(mean, covariance).

    Parameters
    ----------
    draws
        [n, d], n >= 2.
    mean, covariance
        [d] and [d, d], positive definite.

    Examples
    --------
    >>> import torch
    >>> draws = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> exact = gaussian_test(draws, torch.zeros(2), torch.eye(2))
    >>> narrow = gaussian_test(0.7 * draws, torch.zeros(2), torch.eye(2))
    >>> min(exact) > 0.01, narrow.spread < 1e-6
    (True, True)
    """
    x, m, c = _gaussian(draws, mean, covariance)
    n, d = x.shape
    root = torch.linalg.cholesky(c)
    white = torch.linalg.solve_triangular(root, (x - m).T, upper=False).T
    centre = white.mean(0)
    shift = n * float(centre.square().sum())
    spread = float((white - centre).square().sum())
    return GaussianTest(float(chi2.sf(shift, d)), _two_sided(spread, (n - 1) * d))


def gaussian_w2(mean: Any, covariance: Any, mean2: Any, covariance2: Any) -> float:
    """Return W2 between N(mean, covariance) and N(mean2, covariance2), in the signal's units.

    Examples
    --------
    >>> import torch
    >>> eye = torch.eye(2)
    >>> gaussian_w2([0.0, 0.0], eye, [3.0, 4.0], eye)
    5.0
    """
    m, c = (as_tensor(a, "mean").double() for a in (mean, covariance))
    m2, c2 = (as_tensor(a, "mean2").double() for a in (mean2, covariance2))
    root = _root(c)
    cross = torch.linalg.eigvalsh(root @ c2 @ root).clamp_min(0).sqrt().sum()
    trace = float(c.trace() + c2.trace() - 2 * cross)
    return math.sqrt(float((m - m2).square().sum()) + max(trace, 0.0))


def _gaussian(draws: Any, mean: Any, covariance: Any) -> tuple[Tensor, Tensor, Tensor]:
    x = as_tensor(draws, "draws").double()
    m, c = as_tensor(mean, "mean").double(), as_tensor(covariance, "covariance").double()
    d = m.numel()
    shaped(m, "mean", (d,))
    shaped(c, "covariance", (d, d))
    shaped(x, "draws", (None, d))
    require(len(x) >= 2, f"there are {len(x)} draws, expected at least 2")
    return x, m, c


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


def _two_sided(value: float, freedom: int) -> float:
    return float(min(1.0, 2 * min(chi2.sf(value, freedom), chi2.cdf(value, freedom))))
