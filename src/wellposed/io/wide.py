"""Tables with a line a row: named columns, perhaps named rows, blank or NA where missing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.dense import from_matrix, named
from wellposed.io.lines import blocks, decode, fields, is_missing, is_number
from wellposed.io.table import Table


class WideFormat(NamedTuple):
    """What the first lines told."""

    mark: str
    width: int  # number of fields
    header: list[str] | None
    row_names: bool


def read_wide(path: Path, form: WideFormat) -> Table:
    """Read all lines; NaN is a missing cell, infinity an error."""
    skip = int(form.row_names)
    rows: list[NDArray[np.float64]] = []
    names: list[str] = []
    numbers: list[int] = []
    for number, line in islice(_lines(path), int(form.header is not None), None):
        found = fields(path, line, form.mark, number, form.width)
        names += found[:skip]
        rows.append(np.array(_floats(path, found[skip:], number, skip), np.float64))
        numbers.append(number)
    if not rows:
        raise FileError(
            f"{path} holds a header and no rows",
            "there is nothing to recover",
            "export the table with its rows",
        )
    matrix = np.stack(rows)
    table = from_matrix(path, matrix, lambda i, j: f"line {numbers[i]}, column {j + 1 + skip}")
    columns = form.header[skip:] if form.header else None
    return named(path, table, names if skip else None, columns)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for start, raw in blocks(path):
        for number, line in enumerate(raw, start):
            if line.strip():
                yield number, decode(path, line, number)


def _floats(path: Path, cells: list[str], number: int, skip: int) -> list[float]:
    try:
        found = [float(cell) for cell in cells]
    except ValueError:
        found = []
    if found and all(map(str.isascii, cells)) and "_" not in "".join(cells):
        return found
    return [_cell(path, cell, number, skip + k) for k, cell in enumerate(cells, 1)]


def _cell(path: Path, text: str, number: int, column: int) -> float:
    if is_missing(text):
        return np.nan
    if is_number(text):
        return float(text)
    raise FileError(
        f"{path}, line {number}, column {column}: the value is {text!r}, expected a number",
        "a cell is a number, or missing: blank, NA or NaN",
        "mend the cell, or leave it blank if it was not measured",
    )
