"""Noise levels and time: processes, chains, grids, and conversions between predictions."""

from wellposed.schedules import grids
from wellposed.schedules.chain import Chain, ChainProcess
from wellposed.schedules.chains import (
    cosine_chain,
    linear_chain,
    log_snr_chain,
    theory_chain,
)
from wellposed.schedules.conversions import Level, Pair, convert, merge, split
from wellposed.schedules.process import Process
from wellposed.schedules.processes import EDM, OU, VE, VP, Cosine, RectifiedFlow, TimeChanged

__all__ = [
    "EDM",
    "OU",
    "VE",
    "VP",
    "Chain",
    "ChainProcess",
    "Cosine",
    "Level",
    "Pair",
    "Process",
    "RectifiedFlow",
    "TimeChanged",
    "convert",
    "cosine_chain",
    "grids",
    "linear_chain",
    "log_snr_chain",
    "merge",
    "split",
    "theory_chain",
]
