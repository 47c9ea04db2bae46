"""What is kept of each chain in its last sweeps: a few numbers, from which mixing is judged.

Numbers    the log-likelihood, the root mean square, and up to six coordinates (of signals with
           more coordinates: projections on fixed random directions).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.posterior.datafit import DataFit
from wellposed.rng import Stream

COORDINATES = 6


class Summaries(NamedTuple):
    """How to make the numbers."""

    fit: DataFit
    directions: Tensor | None  # [d, 6], orthonormal; None: the coordinates themselves

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers are."""
        size = math.prod(self.fit.operator.shape_in)
        rest = "coordinate" if self.directions is None else "projection"
        count = min(size, COORDINATES)
        return ("log_likelihood", "rms", *(f"{rest} {k}" for k in range(count)))

    def of(self, x: Tensor) -> Tensor:
        """Return the numbers of each signal, [B, S], float64."""
        flat = x.flatten(1)
        seen = flat if self.directions is None else flat @ self.directions.to(flat)
        rms = flat.double().square().mean(1).sqrt()
        return torch.cat([self.fit.log_prob(x)[:, None], rms[:, None], seen.double()], 1)


def summaries(fit: DataFit) -> Summaries:
    """Return the numbers that are kept for one measurement; the same in every run."""
    size = math.prod(fit.operator.shape_in)
    if size <= COORDINATES:
        return Summaries(fit, None)
    aims = Stream(0).normal((size, COORDINATES), "summaries")
    return Summaries(fit, torch.linalg.qr(aims)[0])
