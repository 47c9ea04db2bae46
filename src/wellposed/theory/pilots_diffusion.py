"""Pilots of the diffusion theorems: the constant of a bound where total variation is exact.

The sampler of the theorem is run on the line (d = 1) with exact scores, on the schedule of the
theorems, for three random mixtures; its exact total variation (the median) is divided by the
formula there. The powers of d and T are the theorem's; only the constant is fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import NamedTuple

from wellposed.rng import Stream
from wellposed.samplers.accelerated_ode import AcceleratedODE
from wellposed.samplers.accelerated_sde import AcceleratedSDE
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.pf_euler import PFEuler
from wellposed.task import Method
from wellposed.theory.line import random_mixture
from wellposed.theory.planner import Planner, pilot_among
from wellposed.theory.planners_diffusion import DiffusionSizes
from wellposed.theory.propagate import exact_law

SEEDS = 3
SHORTEST, LONGEST = 50, 400  # of the chains that are run

PILOTS: dict[str, Callable[[int], Method]] = {
    "ddim-plain": PFEuler,
    "ddpm-plain": DDPM,
    "acc-ode": AcceleratedODE,
    "acc-sde": AcceleratedSDE,
}


class LinePilot(NamedTuple):
    """What a pilot found.

    Attributes
    ----------
    quantity
        What was measured: the planner's first quantity.
    steps
        Length of the chains that were run.
    measured
        Median of the exact total variation.
    constant
        measured / formula at d = 1.
    value
        constant * formula at the sizes asked for, at most 1.
    """

    quantity: str
    steps: int
    measured: float
    constant: float
    value: float


def line_pilot(planner: Planner[DiffusionSizes], sizes: DiffusionSizes, seed: int = 0) -> LinePilot:
    """Measure the constant of a planner's bound on the total variation.

    Raises
    ------
    InputError
        There is no pilot for it.

    Examples
    --------
    >>> from wellposed.theory.planners import planner
    >>> found = line_pilot(planner("acc-sde"), DiffusionSizes(dimension=1, steps=50))
    >>> found.steps, 0.1 < found.constant < 10
    (50, True)
    """
    make = sampler_of(planner)
    steps = min(max(sizes.steps, SHORTEST), LONGEST)
    runs = [_tv(make(steps), Stream(seed, item=k)) for k in range(SEEDS)]
    measured = float(median(runs))
    quantity = planner.quantities[0]
    small = replace(
        sizes, dimension=1, steps=steps, score_error=0.0, jacobian_error=0.0, moment=1.0,
        divergence=None,
    )  # fmt: skip
    constant = measured / quantity.value(small)
    value = min(constant * quantity.value(sizes), quantity.most(sizes))
    return LinePilot(quantity.name, steps, measured, constant, value)


def sampler_of(planner: Planner[DiffusionSizes]) -> Callable[[int], Method]:
    """Return the sampler that a planner's pilot runs.

    Raises
    ------
    InputError
        There is no pilot for it.
    """
    why = "its constants are known, or there is one for each of several terms"
    return pilot_among(PILOTS, planner, why)


def _tv(method: Method, stream: Stream) -> float:
    return exact_law(method, random_mixture(stream), from_noise=True).distances().tv
