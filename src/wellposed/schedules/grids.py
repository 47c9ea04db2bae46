"""Grids of noise levels: float64 tensors, descending, positive.

A sampler of n steps wants n + 1 levels. To end at the clean signal take n levels and close
them with an explicit zero: ``with_zero(log_uniform(n))``. To end at a positive level take
n + 1 of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, whole, within
from wellposed.schedules.processes import OU


class Clock(Protocol):
    """Anything with a noise level at time t: a process."""

    def sigma(self, t: Tensor) -> Tensor:
        """Return the noise-to-signal ratio at times t."""


def log_uniform(count: int, sigma_max: float = 80.0, sigma_min: float = 0.02) -> Tensor:
    """Levels with equal ratios, the default: uniform in log sigma, [count].

    Parameters
    ----------
    count
        Number of levels, >= 2.
    sigma_max, sigma_min
        First and last level, sigma_max > sigma_min > 0, in the units of the signal.

    Examples
    --------
    >>> [round(s, 6) for s in log_uniform(3, 100.0, 0.01).tolist()]
    [100.0, 1.0, 0.01]
    """
    _check_ends(count, sigma_max, sigma_min)
    ends = torch.linspace(math.log(sigma_max), math.log(sigma_min), count, dtype=torch.float64)
    return _pinned(ends.exp(), sigma_max, sigma_min)


def karras(count: int, sigma_max: float, sigma_min: float, rho: float = 7.0) -> Tensor:
    """Levels uniform in sigma^(1 / rho) (Karras et al., NeurIPS 2022), [count].

    Parameters
    ----------
    count
        Number of levels, >= 2.
    sigma_max, sigma_min
        First and last level, sigma_max > sigma_min > 0.
    rho
        >= 1: the larger, the more levels near sigma_min.

    Examples
    --------
    >>> [round(s, 4) for s in karras(3, 80.0, 0.002).tolist()]
    [80.0, 2.5152, 0.002]
    """
    _check_ends(count, sigma_max, sigma_min)
    within(rho, "rho", 1)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return _pinned(
        torch.linspace(high, low, count, dtype=torch.float64) ** rho, sigma_max, sigma_min
    )


def edm(count: int) -> Tensor:
    """Levels of the EDM image models: Karras levels from 80 to 0.002 with rho = 7, [count].

    Examples
    --------
    >>> edm(18).shape
    torch.Size([18])
    """
    return karras(count, 80.0, 0.002)


def time_uniform(process: Clock, count: int, start: float, end: float) -> Tensor:
    """Levels at equally spaced times of a process, [count].

    Parameters
    ----------
    process
        Any process (of a chain: ``chain.process``).
    count
        Number of levels, >= 2.
    start, end
        First and last time, start > end >= 0, both inside the process's range and with a
        positive, finite noise level.

    Examples
    --------
    >>> from wellposed.schedules import VP
    >>> round(float(time_uniform(VP(), 5, 1.0, 1e-3)[0]), 2)
    152.17
    """
    whole(count, "count", 2)
    within(end, "end", 0)
    within(start, "start", end, open_low=True)
    levels = process.sigma(torch.linspace(start, end, count, dtype=torch.float64))
    finite(levels, "the noise levels", "start earlier")
    return from_list(levels)


def ou(count: int, horizon: float = 4.0, stop: float = 0.02) -> Tensor:
    """Levels of the OU process at equally spaced times from ``horizon`` to ``stop``, [count].

    Examples
    --------
    >>> [round(s, 4) for s in ou(2).tolist()]
    [54.589, 0.202]
    """
    return time_uniform(OU(), count, horizon, stop)


def theory(steps: int, c0: float = 2.0, c1: float = 6.0) -> Tensor:
    """Levels sigma_T, ..., sigma_1 of the theory schedule (see ``theory_chain``), [T].

    Examples
    --------
    >>> round(float(theory(50)[-1]), 6)
    0.020004
    """
    betas = torch.tensor(theory_betas(steps, c0, c1)[:-1], dtype=torch.float64)
    return torch.expm1(-torch.log1p(-betas).cumsum(0)).sqrt().flip(0)


def from_list(sigmas: Sequence[float] | Tensor) -> Tensor:
    """Check the user's own levels and return them as a float64 tensor.

    Parameters
    ----------
    sigmas
        At least two levels >= 0, strictly descending (sampling) or ascending (encoding);
        only the smallest may be zero.

    Raises
    ------
    InputError
        Too few, NaN, negative, repeated or unsorted levels.

    Examples
    --------
    >>> from_list([1.0, 0.1, 0.0])
    tensor([1.0000, 0.1000, 0.0000], dtype=torch.float64)
    """
    levels = as_tensor(sigmas, "sigmas").to(torch.float64)
    require(
        levels.ndim == 1 and levels.numel() >= 2,
        f"sigmas has shape {list(levels.shape)}, expected a list of two or more levels",
        "n steps run between n + 1 levels",
    )
    finite(levels, "sigmas", "leave it out")
    require(bool((levels >= 0).all()), f"sigmas holds {float(levels.min()):g}, expected >= 0")
    steps = levels.diff()
    require(
        bool((steps < 0).all()) or bool((steps > 0).all()),
        "sigmas is neither strictly descending nor strictly ascending",
        "descending levels sample, ascending levels encode",
        "sort the list and drop repeated levels",
    )
    return levels


def with_zero(sigmas: Tensor) -> Tensor:
    """Close descending levels with the final zero, [count] to [count + 1].

    Examples
    --------
    >>> with_zero(log_uniform(2, 10.0, 0.1))
    tensor([10.0000,  0.1000,  0.0000], dtype=torch.float64)
    """
    return from_list(torch.cat([sigmas, sigmas.new_zeros(1)]))


def theory_betas(steps: int, c0: float, c1: float) -> list[float]:
    """Return beta_1, ..., beta_{T+1} of the theory schedule."""
    whole(steps, "steps", 2)
    within(c0, "c0", 0, open_low=True)
    within(
        c1, "c1", c0, open_low=True,
        why="alpha_bar_T is about T^-(c1 - c0): the chain would never reach pure noise",
    )  # fmt: skip
    h = c1 * math.log(steps) / steps
    require(
        h < 1,
        f"h = c1 log(T) / T is {h:.3g} at T = {steps}, c1 = {c1:g}, expected h < 1",
        "the last betas of the schedule equal h, and a beta lies below 1",
        f"take T >= {_least_steps(c1)}, or a smaller c1",
    )
    first = -c0 * math.log(steps)
    grown = [min(first + t * math.log1p(h), 0.0) for t in range(2, steps + 2)]
    return [math.exp(first), *(h * math.exp(log) for log in grown)]


def _least_steps(c1: float) -> int:
    steps = 3  # log(T) / T falls from here on
    while c1 * math.log(steps) >= steps:
        steps = math.ceil(1.1 * steps)
    while c1 * math.log(steps - 1) < steps - 1 and steps > 3:
        steps -= 1
    return steps


def _check_ends(count: int, sigma_max: float, sigma_min: float) -> None:
    whole(count, "count", 2)
    within(sigma_min, "sigma_min", 0, open_low=True)
    within(sigma_max, "sigma_max", sigma_min, open_low=True)


def _pinned(levels: Tensor, first: float, last: float) -> Tensor:
    """Put back the ends that rounding has moved."""
    levels[0], levels[-1] = first, last
    return levels
