"""Chlorine in a city's water network: the ill-conditioned real-life matrix of the low-rank papers.

Model    EPANET network "Net6" (3323 junctions, one reservoir, 32 tanks), which starts free of
         chlorine. The reservoir delivers 1 mg/l; chlorine decays in the bulk at 0.5 a day.
Matrix   120 junctions x 180 slots of 15 minutes (45 hours), mg/l: of the junctions that ever
         exceed 0.4 mg/l, in the order of the network file, 120 evenly spaced ones.
Checked  by shape, norm and mean to 1 %: the arithmetic of the C library differs from one kind of
         processor to another in the last digits, and water parcels merge at a tolerance of
         0.01 mg/l, so single values may differ by that much.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellposed.datasets import epanet
from wellposed.errors import CapabilityError, FileError
from wellposed.io.arrays import read_npy
from wellposed.io.source import Limits
from wellposed.io.write import write_array

_SETTING = """
[TIMES]
Duration 45:00
Report Timestep 0:15
Report Start 0:00
Quality Timestep 0:05
Statistic NONE
[OPTIONS]
Quality Chlorine mg/L
[REACTIONS]
Global Bulk -0.5
Global Wall 0
[SOURCES]
RESERVOIR-3323 CONCEN 1.0
[END]
"""
_SHAPE, _REACHED = (120, 180), 0.4
_NORM, _MEAN = 89.672, 0.49079


def read_chlorine(paths: tuple[Path, ...]) -> NDArray[np.float64]:
    """Return the matrix [120, 180] in mg/l; simulated once, then kept beside the network."""
    library, network = paths
    kept = network.with_name("chlorine.npy")
    try:
        return _checked(read_npy(kept, Limits()).astype(np.float64))
    except FileError:  # not there yet, or damaged
        matrix = _checked(_choose(_simulate(library, network)))
        write_array(kept, matrix)
        return matrix


def _simulate(library: Path, network: Path) -> NDArray[Any]:
    machine = (platform.system(), platform.machine())
    if machine != ("Linux", "x86_64"):
        raise CapabilityError(
            f"the chlorine network cannot be simulated on {' '.join(machine)}",
            "the pinned EPANET library is machine code for Linux x86_64",
            "copy chlorine.npy from the cache of such a machine, or use other data",
        )
    text = network.read_text("latin1")
    with tempfile.TemporaryDirectory() as scratch:
        setting, out = Path(scratch, "network.inp"), Path(scratch, "out.npy")
        # Later sections override earlier ones, so the setting replaces the end of the file.
        setting.write_text(text[: text.rindex("[END]")] + _SETTING, "latin1")
        command = [sys.executable, "-P", str(epanet.__file__), str(library), str(setting)]
        command += [str(15 * 60), str(_SHAPE[1]), str(out)]
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode or not out.exists():
            told = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise FileError(
                f"EPANET could not simulate {network}: {told[-1] if told else done.returncode}",
                remedy="remove the folder chlorine from the cache, and try again",
            )
        return read_npy(out, Limits())


def _choose(junctions: NDArray[Any]) -> NDArray[np.float64]:
    reached = np.flatnonzero(junctions.max(1) > _REACHED)
    chosen = reached[np.linspace(0, len(reached) - 1, _SHAPE[0]).astype(int)]
    return np.asarray(junctions[chosen], np.float64)


def _checked(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    found = (float(np.linalg.norm(matrix)), float(matrix.mean()))
    if matrix.shape == _SHAPE and np.allclose(found, (_NORM, _MEAN), rtol=0.01, atol=0):
        return matrix
    raise FileError(
        f"the simulated chlorine matrix has shape {list(matrix.shape)}, norm {found[0]:.4f} and "
        f"mean {found[1]:.5f}; expected {list(_SHAPE)}, {_NORM} and {_MEAN} to 1 %",
        "the simulation is not the one that this recipe describes",
    )
