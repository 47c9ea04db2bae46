"""What ``wp.sample`` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from wellposed.run import Status, Trace


@dataclass(frozen=True)
class Draws:
    """Draws from a prior: the ends of independent chains.

    Attributes
    ----------
    x
        [n, *shape], in the variance-exploding frame at the last noise level (at level zero:
        signals). Fewer than n when the run was interrupted or diverged: finished blocks only.
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

    def __len__(self) -> int:
        return len(self.x)


class View(NamedTuple):
    """What a callback sees after a step of a block of chains."""

    step: int  # counted from one
    sigma: float  # noise level reached
    first: int  # index of the block's first draw
    x: Tensor  # [B, *shape], in the variance-exploding frame
    x0: Tensor | None  # [B, *shape]: E[x0 | x before the step]
