"""Which method serves when none is named: one table, printed by ``wellposed methods``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wellposed.errors import CapabilityError
from wellposed.lowrank.count_scaled_gd import CountScaledGD
from wellposed.lowrank.robust_pca import RobustPCA
from wellposed.lowrank.scaled_gd import ScaledGD
from wellposed.operators.entries import Entries
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.lowrank import LowRank, LowRankPlusSparse
from wellposed.problem import Problem
from wellposed.samplers.dpm_solver import DPMSolverPP2M


@dataclass(frozen=True)
class Rule:
    """A line of the table: the first that fits is taken."""

    prior: str
    when: str
    method: str
    fits: Callable[[Problem | None, Any], bool]
    make: Callable[[], Any]


def _heavy(problem: Problem, prior: Any) -> bool:
    return isinstance(prior, LowRank) and problem.noise is not None and problem.noise.heavy_tailed


def _table(problem: Problem | None, prior: Any) -> bool:
    cells = problem is not None and isinstance(problem.operator, Entries)
    return isinstance(prior, LowRank) and cells and not prior.symmetric


RULES = (
    Rule(
        "LowRankPlusSparse", "any", "RobustPCA",
        lambda problem, prior: isinstance(prior, LowRankPlusSparse), RobustPCA,
    ),
    Rule("LowRank", "observed entries", "CountScaledGD", _table, CountScaledGD),
    Rule(
        "LowRank", "any other linear operator", "ScaledGD",
        lambda problem, prior: isinstance(prior, LowRank), ScaledGD,
    ),
    Rule(
        "DiffusionPrior", "none: wp.sample", "DPMSolverPP2M",
        lambda problem, prior: problem is None and isinstance(prior, DiffusionPrior), DPMSolverPP2M,
    ),
)  # fmt: skip


def default_method(problem: Problem | None, prior: Any) -> Any:
    """Return the method that serves this problem and prior; no problem means ``wp.sample``.

    Raises
    ------
    CapabilityError
        No method knows this kind of prior.
    """
    for rule in RULES:
        if rule.fits(problem, prior):
            return rule.make()
    raise CapabilityError(
        f"no method recovers a signal with a {type(prior).__name__} prior",
        remedy="priors with a default method: " + ", ".join(sorted({r.prior for r in RULES})),
    )
