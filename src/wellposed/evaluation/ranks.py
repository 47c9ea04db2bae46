"""Are ranks uniform? The tests behind simulation-based calibration.

Source     Talts, Betancourt, Simpson, Vehtari & Gelman, 2018 (SBC); Saeilynoja, Buerkner & Vehtari,
           Statistics and Computing 32, 2022 (simultaneous bands); Lemos, Coogan, Hezaveh &
           Perreault-Levasseur, ICML 2023 (TARP).
Model      x* ~ prior, y ~ p(y | x*), L draws from the sampler given y. If it is exact, x* and the
           draws are exchangeable given y, so the rank of f(x*) among the f(draws) is uniform on
           0..L for every f, and u = (rank + U(0, 1)) / (L + 1) is uniform on [0, 1].
Tests      of R independent u, each with its p-value:
           bias    mean of u - 1/2, variance 1 / (12 R)
           spread  mean of (u - 1/2)^2 - 1/12, variance 1 / (180 R)
           shape   chi-square over K equal bins, K - 1 degrees of freedom
TARP       f(x) = distance of x from a reference point drawn without looking at x*
Guarantee  bias and spread are normal for R in the dozens, shape for R / K >= 5.
Fails      ranks of one f can be uniform for a wrong sampler: one that returns the prior passes
           for every f that does not look at y. So the log-likelihood is among the f.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import binom, chi2, norm
from torch import Tensor

from wellposed.checks import require, shaped
from wellposed.rng import Stream

BINS = 10


class Uniformity(NamedTuple):
    """How uniform ranks are.

    Attributes
    ----------
    bias
        Mean of u - 1/2: positive where draws are too low.
    spread
        12 times the mean of (u - 1/2)^2, 1 if uniform: above 1 where draws are too narrow.
    bias_p, spread_p, shape_p
        p-values: uniform on [0, 1] for an exact sampler.
    """

    bias: float
    spread: float
    bias_p: float
    spread_p: float
    shape_p: float


class Band(NamedTuple):
    """A curve that an exact sampler stays within, everywhere at once.

    Attributes
    ----------
    at, low, high
        Places in (0, 1), and bounds of the share of u below them.
    """

    at: Tensor
    low: Tensor
    high: Tensor


def randomized(truth: Tensor, draws: Tensor, stream: Stream, purpose: str) -> Tensor:
    """Return u = (rank + U) / (L + 1) of the truth among the draws.

    Parameters
    ----------
    truth
        [*shape].
    draws
        [L, *shape].
    stream, purpose
        Of the uniform numbers, which also break ties.

    Examples
    --------
    >>> import torch
    >>> u = randomized(torch.tensor([0.5]), torch.tensor([[0.0], [1.0], [2.0]]), Stream(0), "u")
    >>> 0.25 <= float(u) <= 0.5
    True
    """
    shaped(draws, "draws", (None, *truth.shape))
    below, equal = (draws < truth).sum(0), (draws == truth).sum(0)
    inside = stream.uniform(truth.shape, purpose, device=truth.device)
    return (below + (equal + 1) * inside) / (len(draws) + 1)


def uniformity(u: Tensor) -> Uniformity:
    """Test numbers for being uniform on [0, 1].

    Parameters
    ----------
    u
        [R], R >= 20, independent.

    Examples
    --------
    >>> u = Stream(1).uniform((500,), "example")
    >>> min(uniformity(u)[2:]) > 0.01, uniformity(0.5 + 0.8 * (u - 0.5)).spread_p < 1e-6
    (True, True)
    """
    require(
        u.ndim == 1 and u.numel() >= 20,
        f"u has shape {list(u.shape)}, expected [R] with R >= 20",
        "the tests rest on averages",
    )
    count, centred = u.numel(), u.double() - 0.5
    bias, square = float(centred.mean()), float(centred.square().mean())
    bins = max(2, min(BINS, count // 5))
    found = torch.histc(u.double(), bins, 0, 1)
    misfit = float(((found - count / bins).square() / (count / bins)).sum())
    return Uniformity(
        bias,
        12 * square,
        float(2 * norm.sf(abs(bias) * math.sqrt(12 * count))),
        float(2 * norm.sf(abs(square - 1 / 12) * math.sqrt(180 * count))),
        float(chi2.sf(misfit, bins - 1)),
    )


def ecdf_band(count: int, level: float = 0.95, *, places: int = 99, trials: int = 4000) -> Band:
    """Return the band that the distribution function of uniform numbers stays in.

    Parameters
    ----------
    count
        Number of u, >= 1.
    level
        Probability, in (0, 1), that the whole curve is inside.
    places, trials
        Where the curve is looked at; simulations that set the width.

    Examples
    --------
    >>> band = ecdf_band(100)
    >>> bool((band.low < band.at).all()), bool((band.high > band.at).all())
    (True, True)
    """
    at = torch.arange(1, places + 1, dtype=torch.float64) / (places + 1)
    u = Stream(0).uniform((trials, count), "band").sort(1).values.contiguous()
    hits = torch.searchsorted(u, at.expand(trials, places).contiguous(), right=True)
    number = np.arange(count + 1)[:, None]
    below, above = binom.cdf(number, count, at), binom.sf(number - 1, count, at)
    tail = torch.from_numpy(np.minimum(below, above))  # [count + 1, places], the smaller tail
    # its least value along a curve: the (1 - level) quantile makes the band joint
    gamma = float(tail.gather(0, hits).amin(1).quantile(1 - level, interpolation="lower"))
    fits = tail >= gamma
    first, last = fits.int().argmax(0), count - fits.flip(0).int().argmax(0)
    return Band(at, first.double() / count, last.double() / count)
