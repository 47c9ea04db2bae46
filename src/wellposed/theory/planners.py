"""All planners under their names."""

from __future__ import annotations

from typing import Any

from wellposed.errors import InputError
from wellposed.theory import planners_diffusion, planners_lowrank
from wellposed.theory.planner import Planner

PLANNERS: tuple[Planner[Any], ...] = (*planners_lowrank.PLANNERS, *planners_diffusion.PLANNERS)


def planner(name: str) -> Planner[Any]:
    """Return the planner of this id.

    Raises
    ------
    InputError
        There is none.

    Examples
    --------
    >>> planner("acc-sde").quantities[0].formula
    'd^3 / T + sqrt(d) eps'
    """
    for found in PLANNERS:
        if found.id == name:
            return found
    raise InputError(
        f"there is no planner {name!r}", remedy="take one of: " + ", ".join(p.id for p in PLANNERS)
    )


def is_about_diffusion(found: Planner[Any]) -> bool:
    """Tell whether a planner takes ``DiffusionSizes``, not ``Sizes``.

    Examples
    --------
    >>> is_about_diffusion(planner("path-kl")), is_about_diffusion(planner("dof"))
    (True, False)
    """
    return found in planners_diffusion.PLANNERS
