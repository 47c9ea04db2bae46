"""Recover signals from incomplete, corrupted, nonlinear or quantized measurements.

Three nouns, two verbs: a ``Problem`` (what was measured, how, with which noise), a prior (what
signals look like) and a method go into ``recover``; a prior and a method go into ``sample``.

Names are loaded when they are first used: the command line answers ``--help`` and refuses bad
input without waiting for torch. A new public name stands in two places below.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wellposed._version import __version__ as __version__

if TYPE_CHECKING:  # for readers and type checkers
    from wellposed import bilinear as bilinear
    from wellposed import noise as noise
    from wellposed import operators as operators
    from wellposed.bilinear.self_calibration import SelfCalibration as SelfCalibration
    from wellposed.errors import WellposedError as WellposedError
    from wellposed.lowrank.count_scaled_gd import CountScaledGD as CountScaledGD
    from wellposed.lowrank.robust_pca import RobustPCA as RobustPCA
    from wellposed.lowrank.scaled_gd import ScaledGD as ScaledGD
    from wellposed.priors.lowrank import LowRank as LowRank
    from wellposed.priors.lowrank import LowRankPlusSparse as LowRankPlusSparse
    from wellposed.problem import Problem as Problem
    from wellposed.recovery import recover as recover
    from wellposed.recovery import resume as resume
    from wellposed.result import Recovery as Recovery
    from wellposed.run import Status as Status

_HOMES = {  # for Python: public name, and the module that holds it
    "CountScaledGD": "lowrank.count_scaled_gd",
    "LowRank": "priors.lowrank",
    "LowRankPlusSparse": "priors.lowrank",
    "Problem": "problem",
    "Recovery": "result",
    "RobustPCA": "lowrank.robust_pca",
    "ScaledGD": "lowrank.scaled_gd",
    "SelfCalibration": "bilinear.self_calibration",
    "Status": "run",
    "WellposedError": "errors",
    "recover": "recovery",
    "resume": "recovery",
}
_MODULES = ("bilinear", "noise", "operators")

__all__ = ["__version__", *_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
