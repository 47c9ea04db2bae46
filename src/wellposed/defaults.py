"""Which method serves when none is named: one table, printed by ``wellposed methods``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wellposed.errors import CapabilityError
from wellposed.lowrank.count_scaled_gd import CountScaledGD
from wellposed.lowrank.robust_pca import RobustPCA
from wellposed.lowrank.scaled_gd import ScaledGD
from wellposed.lowrank.scaled_subgradient import ScaledSubgradient
from wellposed.lowrank.tensor_robust_pca import TensorRobustPCA
from wellposed.lowrank.tensor_scaled_gd import TensorScaledGD
from wellposed.noise import Gaussian
from wellposed.operators.entries import Entries
from wellposed.operators.hankel import Hankel
from wellposed.posterior.dpnp import DPnP
from wellposed.posterior.dpnp_smc import DPnPSMC
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.lowrank import LowRank, LowRankPlusSparse
from wellposed.priors.tucker import LowTucker, LowTuckerPlusSparse
from wellposed.problem import Problem
from wellposed.samplers.dpm_solver import DPMSolverPP2M

POPULATION, POPULATED = 64, 1024  # draws from which a population pays, and of how many numbers


@dataclass(frozen=True)
class Rule:
    """A line of the table: the first that fits is taken."""

    prior: str
    when: str
    method: str
    fits: Callable[[Problem | None, Any, int], bool]
    make: Callable[[], Any]


def _gross(problem: Problem | None, prior: Any, draws: int) -> bool:
    noise = None if problem is None else problem.noise
    heavy = noise is not None and noise.heavy_tailed
    return isinstance(prior, LowRank) and heavy and not isinstance(_operator(problem), Hankel)


def _many(problem: Problem | None, prior: Any, draws: int) -> bool:
    if problem is None or problem.noise is None or not isinstance(prior, DiffusionPrior):
        return False
    small = math.prod(prior.shape) <= POPULATED and draws >= POPULATION
    return small and problem.operator.linear and isinstance(problem.noise, Gaussian)


def _operator(problem: Problem | None) -> Any:
    return None if problem is None else problem.operator


def _table(problem: Problem | None, prior: Any, draws: int) -> bool:
    cells = isinstance(_operator(problem), Entries)
    return isinstance(prior, LowRank) and cells and not prior.symmetric


RULES = (
    Rule(
        "LowRankPlusSparse", "any", "RobustPCA",
        lambda problem, prior, draws: isinstance(prior, LowRankPlusSparse), RobustPCA,
    ),
    Rule(
        "LowRank", "gross errors (heavy-tailed noise)", "ScaledSubgradient", _gross,
        ScaledSubgradient,
    ),
    Rule("LowRank", "observed entries", "CountScaledGD", _table, CountScaledGD),
    Rule(
        "LowRank", "any other linear operator", "ScaledGD",
        lambda problem, prior, draws: isinstance(prior, LowRank), ScaledGD,
    ),
    Rule(
        "LowTuckerPlusSparse", "any", "TensorRobustPCA",
        lambda problem, prior, draws: isinstance(prior, LowTuckerPlusSparse), TensorRobustPCA,
    ),
    Rule(
        "LowTucker", "any linear operator on tensors", "TensorScaledGD",
        lambda problem, prior, draws: isinstance(prior, LowTucker), TensorScaledGD,
    ),
    Rule(
        "DiffusionPrior", "none: wp.sample", "DPMSolverPP2M",
        lambda problem, prior, draws: problem is None and isinstance(prior, DiffusionPrior),
        DPMSolverPP2M,
    ),
    Rule(
        "DiffusionPrior", "linear operator, Gaussian noise, 64 draws or more of up to 1024 numbers",
        "DPnPSMC", _many, DPnPSMC,
    ),
    Rule(
        "DiffusionPrior", "any, with a likelihood", "DPnP",
        lambda problem, prior, draws: isinstance(prior, DiffusionPrior), DPnP,
    ),
)  # fmt: skip


def default_method(problem: Problem | None, prior: Any, draws: int = 1) -> Any:
    """Return the method that serves this problem and prior; no problem means ``wp.sample``.

    Parameters
    ----------
    problem, prior
        What is to be solved.
    draws
        How many posterior draws are wanted (diffusion).

    Raises
    ------
    CapabilityError
        No method knows this kind of prior.
    """
    for rule in RULES:
        if rule.fits(problem, prior, draws):
            return rule.make()
    raise CapabilityError(
        f"no method recovers a signal with a {type(prior).__name__} prior",
        remedy="priors with a default method: " + ", ".join(sorted({r.prior for r in RULES})),
    )
