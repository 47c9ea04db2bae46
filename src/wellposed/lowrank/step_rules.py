"""Step lengths for subgradient methods.

A rule turns the residuals E = A(M) - y and the length of the search direction into a step.
f = ||E||_1, f* its smallest value.

Polyak     step = (f - f*) / length^2            (B. T. Polyak, 1969)
           With f* unknown, f - f* is estimated by the sum of those |E_k| that do not exceed
           2.5 times the median. Gross errors that exceed the clean residuals add as often to f as
           they take away from it, so what the clean residuals sum up to is the gap; their
           median survives any share of gross errors below a half, and leaving out the largest
           clean ones only shortens the step.
           Dense noise leaves the estimate a floor, where steps would no longer shrink: after
           ``PATIENCE`` steps without a new lowest estimate they are halved, and each new lowest
           estimate lets them grow back a little.
Geometric  step = first * ratio^t / length
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from wellposed.checks import within

CORE = 2.5  # residuals up to this multiple of the median count as clean
PATIENCE = 10  # steps without a new lowest estimate before steps are halved
GROWTH = 1.2  # how fast halved steps recover


class Pace(NamedTuple):
    """What a rule remembers from step to step."""

    scale: Tensor  # 0-d. Geometric: length of the next step. Polyak: share of the gap in use
    lowest: Tensor  # 0-d: smallest estimate of the gap so far
    waited: int  # steps since then


class StepRule(Protocol):
    """A way to choose steps."""

    def begin(self, size: Tensor) -> Pace:
        """Return the memory at a start of the given size (0-d, in the direction's metric)."""

    def step(self, pace: Pace, off: Tensor, length: Tensor) -> tuple[Tensor, Pace]:
        """Return the multiple of the direction to go, 0-d, and the memory after it."""


@dataclass(frozen=True)
class Polyak:
    """Steps proportional to what the objective has still to fall.

    Parameters
    ----------
    optimum
        f*, the sum of absolute errors at the solution, >= 0, in units of y; None estimates
        the distance to it.

    Raises
    ------
    InputError
        A negative or non-finite optimum.

    Examples
    --------
    >>> from wellposed.lowrank.step_rules import Polyak
    >>> Polyak(), Polyak(optimum=3.5).optimum
    (Polyak(optimum=None), 3.5)
    """

    optimum: float | None = None

    def __post_init__(self) -> None:
        if self.optimum is not None:
            within(self.optimum, "optimum", 0)

    def begin(self, size: Tensor) -> Pace:
        """Use the whole gap."""
        return Pace(torch.ones_like(size), torch.full_like(size, torch.inf), 0)

    def step(self, pace: Pace, off: Tensor, length: Tensor) -> tuple[Tensor, Pace]:
        """Return gap / length^2."""
        if self.optimum is not None:
            return _ratio((off.abs().sum() - self.optimum).clamp_min(0), length**2), pace
        gap = clean_sum(off)
        pace = watched(pace, gap)
        return _ratio(pace.scale * gap, length**2), pace


@dataclass(frozen=True)
class Geometric:
    """Steps whose length decays by a fixed factor.

    Parameters
    ----------
    first
        Length of the first step, > 0, as a share of the start's size: of ||L R^T|| in the
        scaled metric, of the norm of both factors in the plain one.
    ratio
        Factor from step to step, in (0, 1). Too fast a decay stops short of the solution;
        the safe value approaches 1 as the share of gross errors approaches a half.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> from wellposed.lowrank.step_rules import Geometric
    >>> Geometric(first=0.3)
    Geometric(first=0.3, ratio=0.95)
    """

    first: float = 0.5
    ratio: float = 0.95

    def __post_init__(self) -> None:
        within(self.first, "first", 0, open_low=True)
        within(self.ratio, "ratio", 0, 1, open_low=True, open_high=True)

    def begin(self, size: Tensor) -> Pace:
        """Return the first length."""
        return Pace(self.first * size, torch.full_like(size, torch.inf), 0)

    def step(self, pace: Pace, off: Tensor, length: Tensor) -> tuple[Tensor, Pace]:
        """Return the present length over that of the direction."""
        return _ratio(pace.scale, length), pace._replace(scale=self.ratio * pace.scale)


def median_size(values: Tensor) -> Tensor:
    """Return the median of |x|, 0-d; exact zeros (cells that were not observed) do not count."""
    size = values.abs()
    size = size[size != 0]
    return size.median() if size.numel() else values.new_zeros(())


def clean_sum(off: Tensor) -> Tensor:
    """Return the sum of the residuals that do not exceed 2.5 times their median, 0-d."""
    size = off.abs()
    return torch.where(size <= CORE * median_size(off), size, 0.0).sum()


def watched(pace: Pace, gap: Tensor) -> Pace:
    """Note a new lowest estimate, or count the wait and in the end halve the steps."""
    if bool(gap < pace.lowest):
        return Pace((pace.scale * GROWTH).clamp_max(1.0), gap, 0)
    if pace.waited + 1 < PATIENCE:
        return pace._replace(waited=pace.waited + 1)
    return pace._replace(scale=pace.scale / 2, waited=0)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Return above / below, or 0 where there is no direction to go."""
    return torch.where(below == 0, torch.zeros_like(above), above / below)
