"""Pilots: measure the hidden constant of a theorem on an instance of the user's sizes.

A pilot makes synthetic problems with the user's rank, condition number and share of errors,
and with sizes capped so that it takes seconds. It measures the quantity (the median over three
seeds), divides by the formula at the sizes that were run, and multiplies by the formula at the
sizes that were asked for: the theorem's powers are kept, only the constant is fitted. What comes
out is calibrated on such instances, not guaranteed; real data may be harder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import NamedTuple

from wellposed.errors import InputError
from wellposed.rng import Stream
from wellposed.theory import trials
from wellposed.theory.planner import Kind, Planner, Quantity, Sizes, pilot_among

SEEDS = 3
MULTIPLE = 20  # of the formula: a run that has not got there by then has failed
LEAST = 1e-8  # accuracy that the pilots go to: rounding must not matter


class Measured(NamedTuple):
    """What a pilot found.

    Attributes
    ----------
    quantity
        Name of what was measured.
    kind
        What the theorem gives for it.
    sizes
        The sizes that were run: those asked for, capped.
    measured
        The median over the seeds.
    constant
        measured / formula(sizes).
    value
        constant * formula(sizes asked for); never beyond what is possible.
    """

    quantity: str
    kind: Kind
    sizes: Sizes
    measured: float
    constant: float
    value: float


@dataclass(frozen=True)
class Pilot:
    """How to measure one quantity of a planner: caps, and a run with one seed."""

    quantity: int  # position in the planner's list
    size: int  # cap of n1 and n2
    rank: int  # cap of the rank
    run: Callable[[Sizes, Stream, int], float]  # the last is a limit of steps


def pilot(planner: Planner[Sizes], sizes: Sizes, seed: int = 0) -> Measured:
    """Measure the constant of a planner.

    Raises
    ------
    InputError
        There is no pilot for it, or no instance reached the accuracy.

    Examples
    --------
    >>> from wellposed.theory.planners import planner
    >>> found = pilot(planner("scaledgd-completion"), Sizes(40, 30, rank=1))
    >>> 0.05 < found.measured < 0.6
    True
    """
    chosen = pilot_of(planner)
    quantity = planner.quantities[chosen.quantity]
    small = capped(sizes, chosen.size, chosen.rank)
    most = math.ceil(MULTIPLE * max(quantity.value(small), 1.0))
    runs = [chosen.run(small, Stream(seed, item=k), most) for k in range(SEEDS)]
    return _scaled(quantity, sizes, small, float(median(runs)))


def pilot_of(planner: Planner[Sizes]) -> Pilot:
    """Return how a planner's constant is measured.

    Raises
    ------
    InputError
        There is no pilot for it.
    """
    why = "its formula has no constant to fit, or its method needs settings that no pilot knows"
    return pilot_among(PILOTS, planner, why)


def capped(sizes: Sizes, size: int, rank: int) -> Sizes:
    """Return sizes that a pilot can run in seconds.

    Examples
    --------
    >>> capped(Sizes(1000, 50, rank=20, kappa=4), 80, 5)
    Sizes(n1=80, n2=50, rank=5, kappa=4, epsilon=1e-06, mu=1.0, outliers=0.1, sigma=0.0, \
off_rank=0.0, step_size=0.5, start=0.1)
    """
    n1, n2 = min(sizes.n1, size), min(sizes.n2, size)
    small = min(sizes.rank, rank, n1, n2)
    mu = min(sizes.mu, min(n1, n2) / small)
    return replace(sizes, n1=n1, n2=n2, rank=small, mu=mu, epsilon=max(sizes.epsilon, LEAST))


def _scaled(quantity: Quantity[Sizes], asked: Sizes, small: Sizes, measured: float) -> Measured:
    if not math.isfinite(measured):
        raise InputError(
            "the pilot did not reach the accuracy that was asked for",
            f"it ran {small.n1} x {small.n2}, rank {small.rank}, kappa {small.kappa:g}",
            "ask for a smaller kappa, or a larger epsilon",
        )
    formula = quantity.value(small)
    constant = measured / formula if formula else math.nan
    value = min(constant * quantity.value(asked), quantity.most(asked))
    return Measured(quantity.name, quantity.kind, small, measured, constant, value)


PILOTS = {
    "gd-sensing": Pilot(1, 30, 4, trials.gd_steps),
    "scaledgd-sensing": Pilot(1, 30, 4, trials.scaled_steps),
    "scaledgd-completion": Pilot(0, 100, 5, trials.entries_needed),
    "scaledgd-rpca": Pilot(0, 100, 5, trials.errors_borne),
    "scaledsm": Pilot(0, 30, 4, trials.robust_steps),
    "scaledgd-lambda": Pilot(1, 24, 3, trials.damped_steps),
}
