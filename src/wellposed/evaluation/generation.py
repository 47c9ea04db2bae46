"""How good a learned prior is: its denoiser on held-out signals, its draws against real ones.

PSNR       of D(x + sigma n, sigma) against x, level by level
Frechet    |m - m'|^2 + tr(C + C' - 2 (C^1/2 C' C^1/2)^1/2) between the means and covariances of
           features: squared W2 of two Gaussians. It is named after the features' classifier,
           never FID, whose features are those of one particular network.
Precision  share of draws inside the real features' balls, each as wide as its k-th neighbour;
recall     share of real features inside the draws' balls (Kynkaanniemi et al., NeurIPS 2019)
Memory     share of draws that are nearer to a training signal than all but one per cent of fresh
           real signals are: 0.01 for draws like fresh signals, 1 for draws from ``Empirical``.
Cost       precision, recall, memory: all pairs, in blocks.
Fails      all depend on the numbers of signals: compare equal numbers, with the floor (real
           against real) beside. Memory: smooth draws lie nearer to everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, whole, within
from wellposed.evaluation.images import psnr
from wellposed.evaluation.laws import gaussian_w2
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream

BLOCK = 1024  # rows whose distances to all others are held at once
AT_ONCE = 64  # images in a call of a denoiser
FRESH = 0.01  # share of fresh signals that counts as near


class Frechet(NamedTuple):
    """A Frechet distance and its standard error over splits of the draws."""

    value: float  # squared, in squared units of the features
    error: float


class Manifold(NamedTuple):
    """How far draws and real signals cover each other."""

    precision: float
    recall: float


class Memory(NamedTuple):
    """How near draws are to the training signals."""

    share: float  # of draws nearer than all but 1 % of fresh signals
    error: float  # standard error of the share
    ratio: float  # median distance of draws over that of fresh signals
    nearest: Tensor  # index of the nearest training signal of each draw, [n]


def denoising_psnr(
    prior: DiffusionPrior, images: Any, sigmas: Iterable[float], *, seed: int = 0
) -> dict[float, float]:
    """Return the mean PSNR in decibels of the denoiser on images, by noise level.

    Parameters
    ----------
    prior
        For images from -1 to 1.
    images
        Held out, [B, C, H, W].
    sigmas
        Noise levels, in the images' units; 25/255 of black to white is 2 * 25 / 255 here.
    seed
        Of the noise, the same for every prior.

    Examples
    --------
    >>> import wellposed as wp
    >>> prior = wp.Gaussian(torch.zeros(1, 4, 4), 1.0)
    >>> x = prior.sample(200, seed=1)
    >>> round(denoising_psnr(prior, x, [1.0])[1.0])  # mean squared error 1/2, range 2
    9
    """
    x = as_tensor(images, "images")
    found = {}
    for sigma in sigmas:
        within(sigma, "sigma", 0, open_low=True)
        noise = Stream(seed).normal(x.shape, f"noise {sigma}", dtype=x.dtype)
        z = x + sigma * noise
        told = [prior.denoise(part, sigma) for part in torch.split(z, AT_ONCE)]
        found[sigma] = float(psnr(torch.cat(told), x).mean())
    return found


def frechet(draws: Any, real: Any, *, splits: int = 10) -> Frechet:
    """Return the Frechet distance between features of draws and of real signals.

    Parameters
    ----------
    draws, real
        Features [n, d] and [m, d]; n, m > 1.
    splits
        The standard error is that of the mean over so many parts of the draws, each against all
        real features; 1 gives NaN.

    Raises
    ------
    InputError
        Wrong shapes, NaN, or fewer than two draws a split.

    Examples
    --------
    >>> x = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    >>> round(frechet(x + 1, x).value, 3)
    3.0
    """
    x, y = _features(draws, "draws"), _features(real, "real")
    whole(splits, "splits")
    require(len(x) >= 2 * splits, f"{len(x)} draws cannot be split into {splits} parts")
    law = y.mean(0), y.T.cov()
    parts = torch.tensor([_frechet(part, law) for part in x.tensor_split(splits)])
    error = float(parts.std()) / math.sqrt(splits) if splits > 1 else math.nan
    return Frechet(_frechet(x, law), error)


def precision_recall(draws: Any, real: Any, *, neighbours: int = 3) -> Manifold:
    """Return precision and recall of draws, by balls around features.

    Parameters
    ----------
    draws, real
        Features [n, d] and [m, d]; n and m about equal, > ``neighbours``.
    neighbours
        A ball reaches to its centre's k-th nearest neighbour, k >= 1.

    Examples
    --------
    >>> x = torch.randn(900, 2, generator=torch.Generator().manual_seed(0))
    >>> near = precision_recall(0.1 * x[:300], x[300:600])
    >>> near.precision > 0.9, near.recall < 0.5
    (True, True)
    """
    x, y = _features(draws, "draws"), _features(real, "real")
    whole(neighbours, "neighbours")
    require(
        min(len(x), len(y)) > neighbours,
        f"there are {len(x)} draws and {len(y)} real signals, expected more than {neighbours}",
    )
    return Manifold(_inside(x, y, neighbours), _inside(y, x, neighbours))


def memory(draws: Any, training: Any, fresh: Any) -> Memory:
    """Tell whether draws repeat training signals.

    Parameters
    ----------
    draws, training, fresh
        Signals or features of one shape; the fresh ones are real and were not trained on, at
        least 100.

    Examples
    --------
    >>> data = torch.randn(3000, 8, generator=torch.Generator().manual_seed(0))
    >>> training, fresh, others = data.split(1000)
    >>> memory(training[:50], training, fresh).share, memory(others, training, fresh).share < 0.03
    (1.0, True)
    """
    x, data, control = (
        as_tensor(value, name).double().flatten(1)
        for value, name in ((draws, "draws"), (training, "training"), (fresh, "fresh"))
    )
    require(len(control) >= 100, f"there are {len(control)} fresh signals, expected at least 100")
    near, nearest = _nearest(x, data)
    usual, _ = _nearest(control, data)
    share = float((near < usual.quantile(FRESH)).double().mean())
    error = math.sqrt(max(share * (1 - share), 1 / len(x)) / len(x))
    return Memory(share, error, float(near.median() / usual.median()), nearest)


def _features(value: Any, name: str) -> Tensor:
    x = as_tensor(value, name).double()
    require(x.ndim == 2, f"{name} has shape {list(x.shape)}, expected [n, d]")
    require(len(x) > 1, f"{name} has {len(x)} rows, expected at least 2")
    finite(x, name)
    return x


def _frechet(x: Tensor, law: tuple[Tensor, Tensor]) -> float:
    return gaussian_w2(x.mean(0), x.T.cov(), *law) ** 2


def _inside(x: Tensor, y: Tensor, neighbours: int) -> float:
    """Return the share of x that lies inside a ball around some y."""
    reach = torch.cat([
        torch.cdist(part, y).kthvalue(neighbours + 1, 1).values for part in torch.split(y, BLOCK)
    ])  # fmt: skip
    hits = [(torch.cdist(part, y) <= reach).any(1) for part in torch.split(x, BLOCK)]
    return float(torch.cat(hits).double().mean())


def _nearest(x: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    found = [torch.cdist(part, data).min(1) for part in torch.split(x, BLOCK)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])
