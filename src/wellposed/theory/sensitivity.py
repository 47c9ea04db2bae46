"""Wrong scores of equal L2 size, smooth and oscillating, through the flow and through the SDE."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from wellposed.priors.diffusion import DiffusionPrior
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.ddpm import DDPM
from wellposed.task import Method
from wellposed.theory.assumptions import jacobian_error, score_error
from wellposed.theory.line import LineMixture
from wellposed.theory.propagate import exact_law
from wellposed.theory.rates import log_snr_levels
from wellposed.theory.score_error import Field, WrongScore, oscillation, tilt

STEPS = 200
SIZE = 0.05  # L2 error of each wrong score
FREQUENCIES = (2.0, 5.0)
GRID = 4096  # points: the flow under an oscillating error needs a fine one
TIME = 0.5  # of the OU process, at which the errors are measured; the fields do not change


class Sensitivity(NamedTuple):
    """What one wrong score does.

    Attributes
    ----------
    field
        Its name.
    score_error, jacobian_error
        L2 errors of the score and of its Jacobian.
    ode, sde
        Total variation of DDIM and of DDPM.
    """

    field: str
    score_error: float
    jacobian_error: float
    ode: float
    sde: float


def sensitivity(mixture: LineMixture, field: Field | None, name: str) -> Sensitivity:
    """Run DDIM and DDPM with a wrong score; None is the exact one.

    Examples
    --------
    >>> law = LineMixture([0.5, 0.5], [-0.9, 0.9], [0.4, 0.4])
    >>> found = sensitivity(law, oscillation(0.02, 10.0), "oscillation")
    >>> found.ode > 10 * found.sde
    True
    """
    wrong = None if field is None else WrongScore(mixture.prior, field)
    used = mixture.prior if wrong is None else wrong
    return Sensitivity(
        name,
        score_error(mixture.prior, used, TIME),
        jacobian_error(mixture.prior, used, TIME),
        _tv(DDIM, mixture, wrong),
        _tv(DDPM, mixture, wrong),
    )


def sensitivities(mixture: LineMixture) -> tuple[Sensitivity, ...]:
    """Compare the exact score with wrong ones of equal size and growing Jacobian."""
    fields: list[tuple[str, Field | None]] = [("none", None), ("constant", tilt(SIZE))]
    wave = partial(oscillation, SIZE)
    fields += [(f"sine, frequency {k:g}", wave(k)) for k in FREQUENCIES]
    return tuple(sensitivity(mixture, field, name) for name, field in fields)


def _tv(make: Callable[[int], Method], mixture: LineMixture, prior: DiffusionPrior | None) -> float:
    levels = log_snr_levels(STEPS)
    law = exact_law(make(STEPS), mixture, sigmas=levels, prior=prior, size=GRID)
    return law.distances().tv
