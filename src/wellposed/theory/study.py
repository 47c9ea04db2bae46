"""All measurements of ``wellposed theory``: exact laws on the line, no Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wellposed.rng import Stream
from wellposed.theory.assumptions import lipschitz, second_moment
from wellposed.theory.budget import Split, split
from wellposed.theory.comparison import FewSteps, Rate, few_steps, rate
from wellposed.theory.fokker_planck import fokker_planck_residual, ode_drift, sde_drift
from wellposed.theory.identities import tweedie_gap
from wellposed.theory.line import LineMixture, random_mixture
from wellposed.theory.lineup import LINEUP
from wellposed.theory.sensitivity import Sensitivity, sensitivities
from wellposed.theory.unbalanced import HALF_GAPS, Weights, unequal_modes, weights

LENGTHS = (25, 50, 100, 200, 400, 800)  # of the exponential integrator
ERROR = 0.1  # of the scores, in the last budget
CHECK_TIMES = (0.05, 0.3, 1.0)
Watch = Callable[[str], None]


class Checks(NamedTuple):
    """Identities, as the largest residual over noise levels.

    Attributes
    ----------
    tweedie
        Denoiser and score against the posterior mean by quadrature.
    sde, ode
        Reversed SDE and probability flow in the Fokker-Planck equation.
    """

    tweedie: float
    sde: float
    ode: float


class Study(NamedTuple):
    """Everything that ``wellposed theory`` shows."""

    seed: int
    mixture: LineMixture
    checks: Checks
    rates: tuple[Rate, ...]
    few: tuple[FewSteps, ...]
    weights: tuple[Weights, ...]
    lipschitz: float  # of the scores of the data in ``splits``
    moment: float
    splits: tuple[Split, ...]  # with exact scores at each length, then with wrong ones
    sensitivities: tuple[Sensitivity, ...]


def study(seed: int = 0, watch: Watch | None = None) -> Study:
    """Run all measurements: about a minute on one core.

    Parameters
    ----------
    seed
        Of the mixture, >= 0.
    watch
        Called with the name of each part before it begins.
    """
    tell = watch or (lambda told: None)
    mixture, data = random_mixture(Stream(seed)), unequal_modes(2.0)
    tell("identities")
    checks = check(mixture)
    rates = []
    for entrant in LINEUP:
        tell(f"error against steps: {entrant.name}")
        rates.append(rate(entrant, mixture))
    tell("few evaluations")
    few = few_steps(mixture)
    tell("unbalanced modes")
    weighed = tuple(weights(half_gap) for half_gap in HALF_GAPS)
    tell("budget of the exponential integrator")
    slopes, moment = lipschitz(data.prior), second_moment(data.prior)
    splits = [split(data, steps, slopes, moment) for steps in LENGTHS]
    splits.append(split(data, LENGTHS[-1], slopes, moment, error=ERROR))
    tell("wrong scores")
    wrong = sensitivities(mixture)
    return Study(
        seed, mixture, checks, tuple(rates), few, weighed, slopes, moment, tuple(splits), wrong
    )  # fmt: skip


def check(mixture: LineMixture) -> Checks:
    """Check the identities that everything else rests on.

    Examples
    --------
    >>> max(check(LineMixture([0.5, 0.5], [-0.9, 0.9], [0.4, 0.4]))) < 1e-6
    True
    """
    gaps = [max(tweedie_gap(mixture, sigma)) for sigma in CHECK_TIMES]
    residuals = [
        max(fokker_planck_residual(mixture, t, drift, diffusion) for t in CHECK_TIMES)
        for drift, diffusion in ((sde_drift, 1.0), (ode_drift, 0.0))
    ]
    return Checks(max(gaps), *residuals)
