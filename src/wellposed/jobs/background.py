"""The rank of a background, by hold-out.

A random tenth of the pixel values is set aside; robust PCA of each rank is fitted to the rest
(at most 20,000 pixels, all frames) and predicts them. What counts is the median of the absolute
error: foreground is a minority of the pixels and must not vote. People who pause are low-rank
too, and each further rank lets more of them into the background, so a rank is only taken if it
lowers that median by three tenths. A still camera has rank 1; lamps that go on and off, or slow
changes of light from several sides, need more.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from wellposed.errors import undoubted
from wellposed.operators.entries import Entries
from wellposed.priors.lowrank import LowRankPlusSparse
from wellposed.problem import Problem
from wellposed.recovery import recover
from wellposed.rng import Stream
from wellposed.run import Status

LARGEST = 5
SHARE = 0.1
PIXELS = 20_000
GAIN = 0.7  # error of the next rank over that of this one, at most
STEPS = 100
TOLERANCE = 1e-3


class Trial(NamedTuple):
    """A rank and the median absolute error of its background on held-out pixels."""

    rank: int
    error: float


def choose_rank(matrix: Tensor, seed: int) -> tuple[Trial, ...]:
    """Try ranks upwards while each is worth it.

    Parameters
    ----------
    matrix
        [pixels, frames]; NaN where missing.
    seed
        Of the pixels and of what is held out.

    Returns
    -------
    tuple of Trial
        In order; the last but one is the choice if the last was not worth it, which
        ``chosen`` tells.

    Examples
    --------
    >>> import torch
    >>> wave = torch.linspace(0, 6, 40)
    >>> light = torch.outer(torch.arange(1.0, 31.0), 1 + 0.1 * wave.sin())
    >>> chosen(choose_rank(light + 0.1 * torch.randn(30, 40, generator=Stream(0).generator("")), 0))
    1
    """
    stream = Stream(seed)
    rows = stream.permutation(matrix.shape[0], "pixels")[:PIXELS].sort().values
    part = matrix[rows]
    seen = ~part.isnan()
    judge = seen & (stream.uniform(part.shape, "hold-out pixels") < SHARE)
    trials: list[Trial] = []
    for rank in range(1, min(LARGEST, *part.shape) + 1):
        trials.append(Trial(rank, _error(part, seen & ~judge, judge, rank, seed)))
        if chosen(trials) < rank:
            break
    return tuple(trials)


def chosen(trials: tuple[Trial, ...] | list[Trial]) -> int:
    """Return the last rank that was worth it."""
    best = trials[0]
    for trial in trials[1:]:
        if trial.error > GAIN * best.error:
            break
        best = trial
    return best.rank


def _error(part: Tensor, fit: Tensor, judge: Tensor, rank: int, seed: int) -> float:
    if not bool(judge.any()):
        return 0.0
    problem = Problem(part[fit], Entries.from_mask(fit))
    prior = LowRankPlusSparse(rank)
    with undoubted():  # a pixel that is never seen
        found = recover(problem, prior, steps=STEPS, tol=TOLERANCE, seed=seed)
    if found.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    rows, cols = judge.nonzero(as_tuple=True)
    off: Tensor = found.predict(rows, cols) - part[judge]
    return float(off.abs().median())
