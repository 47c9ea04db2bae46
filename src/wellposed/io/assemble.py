"""From ids and values to a table: numbering, and the checks that every format needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.source import NOTHING
from wellposed.io.table import Table

Whole = NDArray[np.int32] | NDArray[np.int64]
Ids = Whole | list[str]
Where = Callable[[int], str]  # "line 7" of the k-th entry
WHOLE = re.compile(r"-?[1-9][0-9]*|0")  # "007" and "+7" are names, not numbers


def assemble(
    path: Path,
    ids: tuple[Ids, Ids],
    values: NDArray[np.float64],
    shape: tuple[int, int] | None,
    where: Where,
) -> Table:
    """Make a table of triplets: number the ids, and check values, range and duplicates."""
    check_values(path, values, where)
    if shape is None:
        (rows, row_labels), (cols, col_labels) = number(ids[0]), number(ids[1])
        shape = (_length(rows, row_labels), _length(cols, col_labels))
    else:
        rows, cols = (_positions(path, i, n, where) for i, n in zip(ids, shape, strict=True))
        row_labels = col_labels = None
    _refuse_duplicates(path, rows, cols, shape[1], where)
    narrow = max(shape) < 2**31
    places = _narrow(rows) if narrow else rows, _narrow(cols) if narrow else cols
    return Table(*places, values, shape, row_labels, col_labels, "triplets")


def check_values(path: Path, values: NDArray[np.float64], where: Where) -> None:
    """Refuse NaN and infinite values, and a table without any."""
    if values.size == 0:
        raise FileError(f"{path} holds no values", *NOTHING)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise FileError(
            f"{path}, {where(int(bad[0]))}: the value is {values[bad[0]]}, expected a finite "
            f"number ({bad.size} such in all)",
            "one such value spreads over the whole estimate",
            "leave cells that were not measured out of the list",
        )


def number(ids: Ids) -> tuple[Whole, tuple[str, ...] | None]:
    """Replace ids by positions in sorted order; labels are None if that changes nothing."""
    if isinstance(ids, list):
        names = sorted(set(ids))
        place = {name: k for k, name in enumerate(names)}
        return np.fromiter((place[i] for i in ids), np.int64, len(ids)), tuple(names)
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, -1)
    if high - low < 4 * ids.size + 10**6:  # a look-up table is ten times quicker than sorting
        present = np.zeros(high - low + 1, bool)
        present[ids - low] = True
        if low == 0 and present.all():
            return ids, None
        found = np.flatnonzero(present) + low
        places = (np.cumsum(present) - 1)[ids - low]
    else:
        found, places = np.unique(ids, return_inverse=True)
    return places, tuple(map(str, found.tolist()))


def _narrow(places: Whole) -> NDArray[np.int32]:
    return places.astype(np.int32, copy=False)


def _length(places: Whole, labels: tuple[str, ...] | None) -> int:
    return int(places.max()) + 1 if labels is None else len(labels)


def _positions(path: Path, ids: Ids, size: int, where: Where) -> Whole:
    if isinstance(ids, list):
        at = next((k for k, i in enumerate(ids) if not WHOLE.fullmatch(i)), 0)
        told = repr(ids[at])
    else:
        outside = np.flatnonzero((ids < 0) | (ids >= size))
        if not outside.size:
            return ids
        at = int(outside[0])
        told = str(ids[at])
    raise FileError(
        f"{path}, {where(at)}: the id is {told}, expected a position from 0 to {size - 1}",
        "with an explicit shape, ids are positions in it",
        "leave the shape out (any ids will do), or count the ids from 0",
    )


def _refuse_duplicates(path: Path, rows: Whole, cols: Whole, width: int, where: Where) -> None:
    key = _keys(rows, cols, width)
    if (key[1:] > key[:-1]).all():
        return
    key.sort()  # in place: the keys of 10^8 cells take 800 MB
    if (key[1:] > key[:-1]).all():
        return
    key = _keys(rows, cols, width)
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(np.diff(key[order]) == 0)
    k = same[order[same + 1].argmin()]
    first, second = int(order[k]), int(order[k + 1])
    raise FileError(
        f"{path}, {where(second)}: this cell was given before, in {where(first)} "
        f"({same.size} such in all)",
        "a cell has one value",
        "keep one of them, or their mean",
    )


def _keys(rows: Whole, cols: Whole, width: int) -> NDArray[np.int64]:
    key = rows.astype(np.int64)
    key *= width
    key += cols
    return key
