"""Dense matrices: the cells that are not NaN are the observed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.source import NOTHING
from wellposed.io.table import Table


def from_matrix(path: Path, matrix: NDArray[Any], where: Callable[[int, int], str]) -> Table:
    """Keep the cells of a real [n1, n2] array that are not NaN; refuse infinity."""
    if matrix.ndim != 2 or not matrix.size:
        raise FileError(
            f"{path} holds an array of shape {list(matrix.shape)}, expected a matrix with cells"
        )
    if matrix.dtype.kind not in "biuf":
        raise FileError(f"{path} holds {matrix.dtype} values, expected real numbers")
    values = matrix.astype(np.float64, copy=False)
    bad = np.argwhere(np.isinf(values))
    if len(bad):
        i, j = map(int, bad[0])
        raise FileError(
            f"{path}, {where(i, j)}: the value is {values[i, j]}, expected a finite number "
            f"or a missing cell ({len(bad)} such in all)",
            "one such value spreads over the whole estimate",
            "write NaN where a cell was not measured",
        )
    rows, cols = np.nonzero(~np.isnan(values))
    if not rows.size:
        raise FileError(f"{path} has no observed cell", *NOTHING)
    kind = np.int32 if max(matrix.shape) < 2**31 else np.int64
    shape = (matrix.shape[0], matrix.shape[1])
    return Table(rows.astype(kind), cols.astype(kind), values[rows, cols], shape, layout="wide")


def named(path: Path, table: Table, rows: list[str] | None, cols: list[str] | None) -> Table:
    """Name rows and columns; names that only count from 0 are dropped."""
    for kind, names in (("row", rows), ("column", cols)):
        _refuse_repeats(path, kind, names or [])
    return replace(table, row_labels=_labels(rows), col_labels=_labels(cols))


def _labels(names: list[str] | None) -> tuple[str, ...] | None:
    if names is None or all(name == str(k) for k, name in enumerate(names)):
        return None
    return tuple(names)


def _refuse_repeats(path: Path, kind: str, names: list[str]) -> None:
    seen: dict[str, int] = {}
    for k, name in enumerate(names):
        if seen.setdefault(name, k) != k:
            raise FileError(
                f"{path}: {kind}s {seen[name] + 1} and {k + 1} are both named {name!r}",
                "predictions are given by name",
                "rename one of them"
                + (", or take the first column as numbers: row_names=False" * (kind == "row")),
            )
