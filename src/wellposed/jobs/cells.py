"""Which cells to predict: a list from a file, by the ids of the table. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io import Limits, Table
from wellposed.io.assemble import WHOLE
from wellposed.io.lines import blocks, decode, fields, first_lines, sniff, split
from wellposed.io.source import head_of

UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells to predict, in the order of their file.

    Parameters
    ----------
    rows, cols
        [m] positions in the table; -1 where the table does not have that id.
    row_ids, col_ids
        What the file calls them.
    names
        Headings of the two columns.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    row_ids: list[str]
    col_ids: list[str]
    names: tuple[str, str] = ("row", "column")

    @property
    def unknown(self) -> int:
        """How many cells lie in a row or column that the table does not have."""
        return int(((self.rows == UNKNOWN) | (self.cols == UNKNOWN)).sum())


def read_cells(path: Path, table: Table, limits: Limits | None = None) -> Cells:
    """Read row and column ids, one cell a line; further columns are ignored.

    The first line is a header when neither of its ids is in the table. Ids that the table does
    not have are kept: such cells are predicted by the baseline.

    Raises
    ------
    FileError
        Unreadable, a malformed line (named), or no cell of this table at all.

    Examples
    --------
    >>> import tempfile
    >>> from wellposed.io import read_table
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "t.csv").write_text("user,film,stars\\nann,Heat,4\\nbob,Brazil,3\\n")
    >>> _ = (folder / "ask.csv").write_text("user,film\\nann,Brazil\\ncarl,Heat\\n")
    >>> asked = read_cells(folder / "ask.csv", read_table(folder / "t.csv"))
    >>> asked.rows.tolist(), asked.cols.tolist(), asked.unknown
    ([0, -1], [0, 1], 1)
    """
    if b"\0" in head_of(path, limits or Limits()):
        raise FileError(
            f"{path} is no text",
            "cells are given as row id and column id a line",
            "export them as csv",
        )
    found = list(_pairs(path))
    row_of, col_of = (
        finder(table.row_labels, table.shape[0]),
        finder(table.col_labels, table.shape[1]),
    )
    names = ("row", "column")
    if row_of(found[0][0]) == UNKNOWN and col_of(found[0][1]) == UNKNOWN:
        names, found = found[0], found[1:]
    row_ids, col_ids = [row for row, _ in found], [col for _, col in found]
    rows = np.array([row_of(i) for i in row_ids], np.int64)
    cols = np.array([col_of(i) for i in col_ids], np.int64)
    cells = Cells(rows, cols, row_ids, col_ids, names)
    if not ((rows != UNKNOWN) & (cols != UNKNOWN)).any():
        told = f": the first is {found[0][0]!r}, {found[0][1]!r}" if found else ""
        raise FileError(
            f"{path} names {len(found)} cells, none of them in the table{told}",
            "cells are named by the ids that the table itself uses",
            "give row id and column id on each line, in this order",
        )
    return cells


def finder(labels: tuple[str, ...] | None, size: int) -> Callable[[str], int]:
    """Return the function from an id to its position, -1 where there is none."""
    if labels is None:
        return lambda name: _position(name, size)
    place = {name: k for k, name in enumerate(labels)}
    return lambda name: place.get(name, UNKNOWN)


def called(places: NDArray[np.integer], labels: tuple[str, ...] | None) -> list[str]:
    """Return what the table calls these positions."""
    found = places.tolist()
    return list(map(str, found)) if labels is None else [labels[k] for k in found]


def _position(name: str, size: int) -> int:
    if not WHOLE.fullmatch(name) or len(name) > 18:
        return UNKNOWN
    return k if 0 <= (k := int(name)) < size else UNKNOWN


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    sample = first_lines(path)
    mark = sniff(path, sample)
    width = len(split(sample[0][1], mark))
    for start, lines in blocks(path):
        for number, raw in enumerate(lines, start):
            line = decode(path, raw, number)
            if line.strip():
                row, col = fields(path, line, mark, number, width)[:2]
                yield row, col
