"""The samplers side by side, and what is proved about each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wellposed.samplers.accelerated_ode import AcceleratedODE, AcceleratedODEReuse
from wellposed.samplers.accelerated_ode_exact import AcceleratedODEExact
from wellposed.samplers.accelerated_sde import AcceleratedSDE
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.dpm_solver import DPMSolverPP2M
from wellposed.samplers.heun import Heun
from wellposed.samplers.pf_euler import PFEuler
from wellposed.task import Method

DETERMINISTIC_STEPS = (50, 100, 200, 400, 800, 1600)
STOCHASTIC_STEPS = (50, 100, 200, 400, 800)
SLACK = 0.1  # of a fitted slope
# what a slope can say about a bound; it never proves it
CONSISTENT = "consistent with the proved bound"
SHALLOWER = "shallower than the proved bound at these lengths"


class Bound(NamedTuple):
    """A proved upper bound on the total variation, with exact scores and up to logarithms.

    Attributes
    ----------
    formula
        With d the dimension and T the steps; its constant is not known.
    power
        Of T.
    source
        Where it is proved.
    """

    formula: str
    power: float
    source: str

    def allows(self, slope: float) -> bool:
        """Tell whether a measured slope is as steep as the bound, within ``SLACK``.

        Examples
        --------
        >>> bound = Bound("d / T", -1.0, "")
        >>> bound.allows(-1.003), bound.allows(-0.5)
        (True, False)
        """
        return slope <= self.power + SLACK


class Entrant(NamedTuple):
    """A sampler of the comparison.

    Attributes
    ----------
    name
        For tables and figures.
    make
        The sampler of a given length.
    steps
        Lengths at which it is measured.
    bound
        What is proved; None where nothing is that we know of.
    on_schedule
        Whether it is also measured on the schedule of the theorems.
    """

    name: str
    make: Callable[[int], Method]
    steps: tuple[int, ...]
    bound: Bound | None = None
    on_schedule: bool = False


_FLOW = Bound("d / T", -1.0, "Li, Wei, Chi & Chen, arXiv:2408.02320")
_FAST_FLOW = Bound("d^6 / T^2", -2.0, "Li et al., ICML 2024")
_NOISY = Bound("d^2 / sqrt(T)", -0.5, "Li, Wei, Chen & Chi, ICLR 2024")
_FAST_NOISY = Bound("d^3 / T", -1.0, "Li et al., ICML 2024")

DETERMINISTIC = (
    Entrant("PFEuler", PFEuler, DETERMINISTIC_STEPS, _FLOW, True),
    Entrant("DDIM", DDIM, DETERMINISTIC_STEPS, None, True),
    Entrant("AcceleratedODE", AcceleratedODE, DETERMINISTIC_STEPS, _FAST_FLOW, True),
    Entrant("AcceleratedODEReuse", AcceleratedODEReuse, DETERMINISTIC_STEPS, None, True),
    Entrant("AcceleratedODEExact", AcceleratedODEExact, DETERMINISTIC_STEPS),
    Entrant("Heun", Heun, DETERMINISTIC_STEPS),
    Entrant("DPMSolverPP2M", DPMSolverPP2M, DETERMINISTIC_STEPS),
)
STOCHASTIC = (
    Entrant("DDPM", DDPM, STOCHASTIC_STEPS, _NOISY, True),
    Entrant("DDPM, scaled", lambda T: DDPM(T, "scaled"), STOCHASTIC_STEPS),
    Entrant("DDPM, posterior", lambda T: DDPM(T, "posterior"), STOCHASTIC_STEPS),
    Entrant("AcceleratedSDE", AcceleratedSDE, STOCHASTIC_STEPS, _FAST_NOISY, True),
)
LINEUP = DETERMINISTIC + STOCHASTIC
