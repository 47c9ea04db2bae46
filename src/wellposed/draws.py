"""What ``wp.sample`` returns, and running moments of draws that do not fit into memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.run import Status, Trace
from wellposed.task import Account


class Moments(NamedTuple):
    """Mean and squared deviations of the draws so far, float64."""

    number: int  # of draws
    mean: Tensor  # [*shape]
    squares: Tensor  # [*shape]: sum of squared deviations from the mean

    @classmethod
    def of(cls, rows: Tensor) -> Moments:
        """Return those of one set of draws, [n, *shape]."""
        rows = rows.double()
        mean = rows.mean(0)
        return cls(len(rows), mean, (rows - mean).square().sum(0))

    def after(self, before: Moments | None) -> Moments:
        """Return those of both sets together (Chan, Golub & LeVeque, 1983)."""
        if before is None:
            return self
        number = before.number + self.number
        gap = self.mean - before.mean
        mean = before.mean + gap * (self.number / number)
        cross = gap.square() * (before.number * self.number / number)
        return Moments(number, mean, before.squares + self.squares + cross)

    @property
    def std(self) -> Tensor:
        """Standard deviation of the draws, [*shape]; NaN for a single one."""
        if self.number < 2:
            return torch.full_like(self.mean, math.nan)
        return (self.squares / (self.number - 1)).sqrt()


@dataclass(frozen=True)
class Draws:
    """Draws from a prior: the ends of independent chains.

    Attributes
    ----------
    x
        [n, *shape], in the variance-exploding frame at the last noise level (at level zero:
        signals). Fewer than n when the run was interrupted or diverged: finished blocks only.
        Where they do not fit into memory, ``StoredDraws``: a length, and iteration over shards.
    evaluations
        Denoiser evaluations made for each draw.
    status
        How the run ended; ``status.ok`` is false when draws are missing.
    acceptance
        Share of accepted moves, where the method accepts or rejects, else None.
    trace
        Step, seconds and sigma of the first block of chains, if it was asked for, else None.
    note
        What went wrong, where something did.
    account, moments, count
        What was spent and seen beside posterior draws, the moments of draws that are on disk
        only, and the number of draws.

    Examples
    --------
    >>> import wellposed as wp
    >>> draws = wp.sample(wp.Gaussian([0.0, 1.0], 0.5), wp.DDIM(10), n=5, trace=True)
    >>> len(draws), draws.evaluations, draws.status.ok, draws.trace.step.tolist()[-1]
    (5, 10, True, 10)
    """

    x: Any
    evaluations: int
    status: Status
    acceptance: float | None = None
    trace: Trace | None = None
    note: str = ""
    account: Account | None = field(default=None, repr=False)
    moments: Moments | None = field(default=None, repr=False)
    count: int = 0

    def __len__(self) -> int:
        return self.count


class View(NamedTuple):
    """What a callback sees after a step of a block of chains."""

    step: int  # counted from one
    sigma: float  # noise level reached
    first: int  # index of the block's first draw
    x: Tensor  # [B, *shape], in the variance-exploding frame
    x0: Tensor | None  # [B, *shape]: E[x0 | x before the step]
