"""The noising chain that a diffusers scheduler describes.

Model      beta_1, ..., beta_T in the scheduler's own words, computed here in float64; diffusers
           keeps float32, where 1 - alpha_bar loses digits at the first steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from wellposed.checks import require, whole, within
from wellposed.priors.foreign.files import number
from wellposed.schedules import Chain, cosine_chain, linear_chain

LONGEST = 100_000


def chain_of(config: Mapping[str, Any]) -> Chain:
    """Return the chain of a scheduler_config.json.

    Parameters
    ----------
    config
        Its content: num_train_timesteps, beta_schedule ("linear", "scaled_linear",
        "squaredcos_cap_v2", "sigmoid"), beta_start, beta_end, or trained_betas; with
        rescale_betas_zero_snr the last step, whose noise level is infinite, is left out.

    Raises
    ------
    InputError
        Another schedule, or numbers out of range.

    Examples
    --------
    >>> round(chain_of({"num_train_timesteps": 1000}).sigma[1000], 1)
    157.4
    """
    chain = _trained(config) or _named(config)
    return _without_signal(chain) if config.get("rescale_betas_zero_snr") else chain


def _trained(config: Mapping[str, Any]) -> Chain | None:
    betas = config.get("trained_betas")
    if betas is None:
        return None
    numbers = isinstance(betas, list) and all(isinstance(b, (int, float)) for b in betas)
    require(
        numbers and 1 <= len(betas) <= LONGEST,
        f"trained_betas is no list of 1 to {LONGEST} numbers",
    )
    return Chain.from_betas(betas)


def _named(config: Mapping[str, Any]) -> Chain:
    steps = config.get("num_train_timesteps", 1000)
    whole(steps, "num_train_timesteps", 2)
    require(steps <= LONGEST, f"num_train_timesteps is {steps}, expected at most {LONGEST}")
    name = str(config.get("beta_schedule", "linear"))
    require(
        name in _SCHEDULES,
        f"beta_schedule is {name!r}, expected one of {', '.join(_SCHEDULES)}",
        remedy="write its betas into scheduler_config.json as trained_betas",
    )
    first, last = number(config, "beta_start", 1e-4), number(config, "beta_end", 0.02)
    within(first, "beta_start", 0, 1, open_low=True, open_high=True)
    within(last, "beta_end", 0, 1, open_low=True, open_high=True)
    return _SCHEDULES[name](steps, first, last)


def _scaled_linear(steps: int, first: float, last: float) -> Chain:
    low, high = math.sqrt(first), math.sqrt(last)
    return Chain.from_betas([(low + (high - low) * t / (steps - 1)) ** 2 for t in range(steps)])


def _sigmoid(steps: int, first: float, last: float) -> Chain:
    shares = (1 / (1 + math.exp(6 - 12 * t / (steps - 1))) for t in range(steps))
    return Chain.from_betas([first + (last - first) * share for share in shares])


_SCHEDULES: dict[str, Callable[[int, float, float], Chain]] = {
    "linear": linear_chain,
    "scaled_linear": _scaled_linear,
    "squaredcos_cap_v2": lambda steps, first, last: cosine_chain(steps),
    "sigmoid": _sigmoid,
}


def _without_signal(chain: Chain) -> Chain:
    """Shift a so that a_T = 0 and a_1 stays (Lin et al., WACV 2024), then leave step T out."""
    a = chain.a[1 : chain.length + 1]
    factor = a[0] / (a[0] - a[-1])
    shifted = [1.0, *(factor * (value - a[-1]) for value in a[:-1])]
    return Chain.from_betas([1 - (after / before) ** 2 for before, after in pairwise(shifted)])
