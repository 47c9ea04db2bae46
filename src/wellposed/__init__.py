"""Recover signals from incomplete, corrupted, nonlinear or quantized measurements.

Three nouns, two verbs: a ``Problem`` (what was measured, how, with which noise), a prior (what
signals look like) and a method go into ``recover``; a prior and a method go into ``sample``.
"""

from wellposed import noise, operators
from wellposed._version import __version__
from wellposed.errors import WellposedError
from wellposed.lowrank.count_scaled_gd import CountScaledGD
from wellposed.lowrank.robust_pca import RobustPCA
from wellposed.lowrank.scaled_gd import ScaledGD
from wellposed.priors import LowRank, LowRankPlusSparse
from wellposed.problem import Problem
from wellposed.recover import recover, resume
from wellposed.result import Recovery
from wellposed.run import Status

__all__ = [
    "CountScaledGD",
    "LowRank",
    "LowRankPlusSparse",
    "Problem",
    "Recovery",
    "RobustPCA",
    "ScaledGD",
    "Status",
    "WellposedError",
    "__version__",
    "noise",
    "operators",
    "recover",
    "resume",
]
