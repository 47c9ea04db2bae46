"""Distances between two sets of draws, in any dimension.

Sliced W2  (mean over directions v of W2^2(v . x, v . y))^(1/2); max-sliced: the largest W2
           On the line W2 is exact for any two numbers of draws: the quantile functions are
           steps, so (int_0^1 (F^-1 - G^-1)^2 du) is a sum over the union of both sets of steps.
Energy     (2 E|x - y| - E|x - x'| - E|y - y'|)^(1/2), pairs of different draws only
MMD        (E k(x, x') + E k(y, y') - 2 E k(x, y))^(1/2), k Gaussian, likewise
Cost       sliced: a sort a direction; energy and MMD: all pairs, in blocks.
Guarantee  all are zero for equal laws only (MMD and energy: characteristic kernels).
Fails      for finite sets no distance is zero: compare with the *floor*, the distance between
           two independent exact sets of the same sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, whole, within
from wellposed.rng import Stream

PAIRS = 4_000_000  # distances in flight


class Sliced(NamedTuple):
    """Wasserstein distances of order two over random directions, in the units of the draws.

    Attributes
    ----------
    mean
        Root of the mean square over the directions.
    max
        The largest.
    """

    mean: float
    max: float


class Against(NamedTuple):
    """A distance beside what two exact sets of the same sizes have between them.

    Attributes
    ----------
    distance
        Mean over the repeats of the exact set.
    floor
        The same for exact draws in place of those judged.
    """

    distance: float
    floor: float

    @property
    def ratio(self) -> float:
        """Distance in units of the floor: about 1 for exact draws."""
        return self.distance / self.floor


class Law(Protocol):
    """What can be sampled exactly: ``GaussianMixture``, a posterior of one, ..."""

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Return n independent draws, [n, *shape]."""


def sliced_w2(x: Any, y: Any, *, directions: int = 100, seed: int = 0) -> Sliced:
    """Compare two sets of draws by their projections on random directions.

    Parameters
    ----------
    x, y
        [n, *shape] and [m, *shape].
    directions
        Number of directions, >= 1, uniform on the sphere.
    seed
        Of the directions.

    Raises
    ------
    InputError
        Shapes that do not fit, or values that are not finite.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    >>> round(sliced_w2(x, x + torch.tensor([2.0, 0.0, 0.0]), directions=2000).mean * 3**0.5, 1)
    2.0
    """
    left, right = _pair(x, y)
    whole(directions, "directions")
    aims = Stream(seed).normal((directions, left.shape[1]), "directions")
    aims = (aims / aims.norm(dim=1, keepdim=True)).to(left.device)
    squares = torch.cat([line_w2(a @ left.T, a @ right.T).square() for a in torch.split(aims, 64)])
    return Sliced(float(squares.mean().sqrt()), float(squares.max().sqrt()))


def line_w2(x: Tensor, y: Tensor) -> Tensor:
    """Return the exact W2 between sets of numbers, row by row: [k, n] and [k, m] to [k].

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 0.5, 1.0]])
    >>> round(float(line_w2(x, y).square()), 4)  # of mass 1/6 each way, moved by a half
    0.0833
    """
    n, m = x.shape[1], y.shape[1]
    steps = [torch.arange(1, count + 1, dtype=torch.float64) / count for count in (n, m)]
    edges = torch.unique(torch.cat([torch.zeros(1, dtype=torch.float64), *steps])).to(x.device)
    middle, length = (edges[1:] + edges[:-1]) / 2, edges.diff()
    off = x.sort(1).values[:, (middle * n).long()] - y.sort(1).values[:, (middle * m).long()]
    total: Tensor = off.square() @ length.to(x.dtype)
    return total.sqrt()


def energy_distance(x: Any, y: Any) -> float:
    """Return the energy distance, in the units of the draws to the power 1/2.

    Parameters
    ----------
    x, y
        [n, *shape] and [m, *shape], n, m >= 2.

    Returns
    -------
    float
        Zero where the unbiased estimate of its square is negative.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    >>> energy_distance(x, x + 1) > 5 * energy_distance(x[:200], x[200:])
    True
    """
    left, right = _pair(x, y, 2)
    return _root(-_discrepancy(left, right, lambda distance: distance))


def mmd(x: Any, y: Any, *, bandwidth: float | None = None) -> float:
    """Return the maximum mean discrepancy for the kernel exp(-|x - y|^2 / (2 bandwidth^2)).

    Parameters
    ----------
    x, y
        [n, *shape] and [m, *shape], n, m >= 2.
    bandwidth
        > 0, in the units of the draws; None takes the median distance between up to 1000 of
        the draws of y, so that the kernel does not depend on the draws judged.

    Returns
    -------
    float
        In [0, sqrt 2]; zero where the unbiased estimate of its square is negative.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    >>> mmd(x, x + 1, bandwidth=1.0) > 0.3
    True
    """
    left, right = _pair(x, y, 2)
    if bandwidth is None:
        bandwidth = float(torch.pdist(right[:1000]).median())
    within(bandwidth, "bandwidth", 0, open_low=True, remedy="give one: the draws of y are equal")
    scale = -0.5 / bandwidth**2
    return _root(_discrepancy(left, right, lambda distance: (scale * distance.square()).exp()))


def against(
    draws: Any, law: Law, distance: Callable[[Tensor, Tensor], float], *,
    repeats: int = 4, seed: int = 0,
) -> Against:  # fmt: skip
    """Measure draws against an exact law, and exact draws likewise.

    Parameters
    ----------
    draws
        [n, *shape].
    law
        Sampled with seeds that no caller uses: derived from ``seed``.
    distance
        Such as ``energy_distance``, or ``lambda x, y: sliced_w2(x, y).max``.
    repeats
        Number of exact sets, >= 1.

    Examples
    --------
    >>> import wellposed as wp
    >>> law = wp.Gaussian([0.0, 0.0], 1.0)
    >>> exact = against(law.sample(500, seed=9), law, energy_distance)
    >>> shifted = against(law.sample(500, seed=9) + 0.5, law, energy_distance)
    >>> exact.ratio < 3 < shifted.ratio
    True
    """
    given = as_tensor(draws, "draws")
    whole(repeats, "repeats")
    found = torch.zeros(repeats, 2, dtype=torch.float64)
    for k in range(repeats):
        first, second = (law.sample(len(given), 2**40 + 2 * (seed + k) + j) for j in (0, 1))
        found[k, 0] = distance(given, first.to(given.dtype))
        found[k, 1] = distance(second, first)
    mean, floor = found.mean(0).tolist()
    return Against(mean, floor)


def _pair(x: Any, y: Any, least: int = 1) -> tuple[Tensor, Tensor]:
    left, right = as_tensor(x, "x"), as_tensor(y, "y")
    fit = left.ndim >= 1 and left.shape[1:] == right.shape[1:]
    require(
        fit and min(len(left), len(right)) >= least,
        f"x has shape {list(left.shape)} and y {list(right.shape)}, expected [n, ...] and "
        f"[m, ...] with n, m >= {least}",
    )
    finite(left, "x")
    finite(right, "y")
    return left.reshape(len(left), -1).double(), right.reshape(len(right), -1).double()


def _discrepancy(x: Tensor, y: Tensor, kernel: Callable[[Tensor], Tensor]) -> float:
    """E k(x, x') + E k(y, y') - 2 E k(x, y) over pairs of different draws."""
    own = [
        (_sum(z, z, kernel) - float(kernel(z.new_zeros(1))) * len(z)) / (len(z) * (len(z) - 1))
        for z in (x, y)
    ]
    return own[0] + own[1] - 2 * _sum(x, y, kernel) / (len(x) * len(y))


def _sum(x: Tensor, y: Tensor, kernel: Callable[[Tensor], Tensor]) -> float:
    rows = max(1, PAIRS // len(y))
    exact = "donot_use_mm_for_euclid_dist"  # the product form cancels for near draws
    total = 0.0
    for at in range(0, len(x), rows):
        total += float(kernel(torch.cdist(x[at : at + rows], y, compute_mode=exact)).sum())
    return total


def _root(square: float) -> float:
    return math.sqrt(max(square, 0.0))
