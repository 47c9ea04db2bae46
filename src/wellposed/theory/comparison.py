"""Samplers side by side: exact error against steps, and with few evaluations."""

from __future__ import annotations

from typing import NamedTuple

from wellposed.samplers.accelerated_ode import AcceleratedODEReuse
from wellposed.samplers.accelerated_ode_exact import AcceleratedODEExact
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.dpm_solver import DPMSolverPP2M
from wellposed.schedules.grids import log_uniform
from wellposed.theory.distances import Distances
from wellposed.theory.line import LineMixture
from wellposed.theory.lineup import Entrant
from wellposed.theory.propagate import exact_law
from wellposed.theory.rates import Curve, curve, log_snr_levels, slope, theory_levels

FEW = (5, 10, 20, 40)  # evaluations
FEW_RANGE = (80.0, 0.02)  # noise levels, in standard deviations
FEW_SAMPLERS = (AcceleratedODEReuse, AcceleratedODEExact, DDIM, DPMSolverPP2M)


class Rate(NamedTuple):
    """A sampler's error against its steps, on two grids.

    Attributes
    ----------
    entrant
        Which sampler.
    fixed
        Uniform log signal-to-noise ratio from -10 to 6, exact start: the same range at every
        length, so the slope in T is that of the method.
    theory
        The theorems' schedule, whose steps are log(T) / T long; None for samplers that the
        theorems are not about.
    """

    entrant: Entrant
    fixed: Curve
    theory: Curve | None

    @property
    def slope(self) -> float:
        """Of log TV against log T on the fixed grid."""
        return slope(self.fixed.steps, self.fixed.tv)

    @property
    def theory_slope(self) -> float | None:
        """Of log TV against log(T / log T) on the theorems' schedule."""
        if self.theory is None:
            return None
        return slope(self.theory.steps, self.theory.tv, over_log=True)


def rate(entrant: Entrant, mixture: LineMixture) -> Rate:
    """Measure a sampler on both grids.

    Examples
    --------
    >>> from wellposed.theory.lineup import Entrant
    >>> short = Entrant("DDIM", DDIM, (10, 20, 40, 80))
    >>> found = rate(short, LineMixture([0.5, 0.5], [-0.9, 0.9], [0.4, 0.4]))
    >>> found.theory is None, -1.2 < found.slope < -0.8
    (True, True)
    """
    fixed = curve(entrant.make, mixture, entrant.steps, log_snr_levels)
    if not entrant.on_schedule:
        return Rate(entrant, fixed, None)
    return Rate(entrant, fixed, curve(entrant.make, mixture, entrant.steps, theory_levels))


class FewSteps(NamedTuple):
    """A sampler's error with few evaluations: one entry for each of ``FEW``."""

    name: str
    found: tuple[Distances, ...]


def few_steps(mixture: LineMixture) -> tuple[FewSteps, ...]:
    """Measure samplers of one evaluation a step from their own noise, on log-uniform levels.

    Examples
    --------
    >>> found = few_steps(LineMixture([0.5, 0.5], [-0.9, 0.9], [0.4, 0.4]))
    >>> {one.name: one.found[1].w2 < 0.3 for one in found}["AcceleratedODEReuse"]
    False
    """
    return tuple(
        FewSteps(
            make.__name__,
            tuple(
                exact_law(
                    make(n), mixture, sigmas=log_uniform(n + 1, *FEW_RANGE), from_noise=True
                ).distances()
                for n in FEW
            ),
        )
        for make in FEW_SAMPLERS
    )
