"""Water quality in a pipe network, with the EPANET 2.2 library; run as a program of its own.

    python epanet.py LIBRARY NETWORK.inp SECONDS_A_SLOT SLOTS OUT.npy

The library is foreign machine code: in a process of its own it can fail without harm. The
result is concentrations [junctions, slots], float32, in the order of the network file.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile

import numpy as np
from numpy.typing import NDArray

_NODES, _TANKS, _QUALITY = 0, 1, 12  # codes of the toolkit


def simulate(library: str, network: str, slot: int, slots: int) -> NDArray[np.float32]:
    """Solve the hydraulics, then follow the quality and note it every ``slot`` seconds."""
    toolkit = ctypes.CDLL(library)
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.txt")
        _call(toolkit, "ENopen", network.encode(), report.encode(), b"")
        _call(toolkit, "ENsolveH")
        _call(toolkit, "ENopenQ")
        _call(toolkit, "ENinitQ", 0)
        found = _follow(toolkit, slot, slots)
        _call(toolkit, "ENcloseQ")
        _call(toolkit, "ENclose")
    return found


def _follow(toolkit: ctypes.CDLL, slot: int, slots: int) -> NDArray[np.float32]:
    junctions = _count(toolkit, _NODES) - _count(toolkit, _TANKS)
    found = np.zeros((junctions, slots), np.float32)
    now, ahead, value = ctypes.c_long(), ctypes.c_long(1), ctypes.c_float()
    column = 0
    while ahead.value > 0 and column < slots:
        _call(toolkit, "ENrunQ", ctypes.byref(now))
        if now.value % slot == 0:
            for k in range(junctions):
                _call(toolkit, "ENgetnodevalue", k + 1, _QUALITY, ctypes.byref(value))
                found[k, column] = value.value
            column += 1
        _call(toolkit, "ENnextQ", ctypes.byref(ahead))
    return found[:, :column]


def _count(toolkit: ctypes.CDLL, kind: int) -> int:
    count = ctypes.c_int()
    _call(toolkit, "ENgetcount", kind, ctypes.byref(count))
    return count.value


def _call(toolkit: ctypes.CDLL, name: str, *arguments: object) -> None:
    code = getattr(toolkit, name)(*arguments)
    if code > 100:  # below are warnings, such as negative pressures
        raise SystemExit(f"EPANET error {code} in {name}")


if __name__ == "__main__":
    _library, _network, _slot, _slots, _out = sys.argv[1:]
    np.save(_out, simulate(_library, _network, int(_slot), int(_slots)))
