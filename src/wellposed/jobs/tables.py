"""Completed tables and predictions on disk, in the input's own words. Loads nothing heavy.

Observed cells keep their text, so a completed table differs from its input only where the input
was blank. Predictions are written with seven significant digits; ``factors.npz`` has them all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wellposed.files import atomic_write
from wellposed.io import Limits, Table, write_array, write_csv
from wellposed.io.layout import Options, inspect
from wellposed.io.lines import blocks, decode, fields, is_missing
from wellposed.io.source import NUMPY, PARQUET, ZIP, head_of
from wellposed.io.wide import WideFormat
from wellposed.jobs.cells import Cells, called

Values = NDArray[np.floating]


def missing_cells(table: Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the cells that were not observed, row by row."""
    observed = np.zeros(table.shape, bool)
    observed[table.rows, table.cols] = True
    rows, cols = np.nonzero(~observed)
    return rows.astype(np.int64), cols.astype(np.int64)


def write_predictions(path: Path, cells: Cells, values: Values) -> None:
    """Write row id, column id and prediction, a line a cell."""
    first, second = cells.names
    if first == second:
        first, second = "row", "column"
    write_csv(path, {first: cells.row_ids, second: cells.col_ids, "prediction": texts(values)})


def write_completed(
    source: Path, table: Table, filled: Values, folder: Path, options: Options
) -> Path:
    """Write a wide table with its missing cells filled, in the format of its source.

    Parameters
    ----------
    source
        The table's file.
    filled
        [n1, n2]: observed values, and predictions elsewhere.
    folder
        Where completed.csv (or .tsv, .txt, .npy) goes.
    options
        How the text was read.
    """
    head = head_of(source, Limits())
    if head.startswith((NUMPY, ZIP)):
        path = folder / "completed.npy"
        write_array(path, filled)
        return path
    if head.startswith(PARQUET):
        path = folder / "completed.csv"
        write_csv(path, _columns(table, filled))
        return path
    suffix = source.suffix.lower() if source.suffix.lower() in (".tsv", ".txt") else ".csv"
    path = folder / f"completed{suffix}"
    lines = _rewritten(source, filled, options)
    atomic_write(path, lambda file: _write_lines(file, lines))
    return path


def texts(values: Values) -> list[str]:
    """Write numbers with seven significant digits, in the shortest form.

    Examples
    --------
    >>> texts(np.array([4.0, 3.14159265358979, 1e-12]))
    ['4', '3.141593', '1e-12']
    """
    return [f"{value:.7g}" for value in values.tolist()]


def _columns(table: Table, filled: Values) -> dict[str, list[str]]:
    heads = called(np.arange(table.shape[1]), table.col_labels)
    columns = {name: texts(filled[:, j]) for j, name in enumerate(heads)}
    if table.row_labels is None:
        return columns
    name = "row"
    while name in columns:
        name += "_"
    return {name: list(table.row_labels)} | columns


def _rewritten(source: Path, filled: Values, options: Options) -> Iterator[str]:
    form = inspect(source, options)
    if not isinstance(form, WideFormat):
        return
    skip, row = int(form.row_names), 0
    header = form.header is not None
    for number, line in _lines(source):
        if header or not line.strip():
            header = header and not line.strip()
            yield line
            continue
        cells = fields(source, line, form.mark, number, form.width)
        blank = [k for k, cell in enumerate(cells[skip:]) if is_missing(cell)]
        for k, told in zip(blank, texts(filled[row, blank]), strict=True):
            cells[skip + k] = told
        yield _joined(cells, form.mark) if blank else line
        row += 1


def _lines(source: Path) -> Iterator[tuple[int, str]]:
    for start, raw in blocks(source):
        for number, line in enumerate(raw, start):
            yield number, decode(source, line, number)


def _joined(cells: list[str], mark: str) -> str:
    if mark in ("::", " ") or not any(mark in cell or '"' in cell for cell in cells):
        return mark.join(cells)
    out = io.StringIO()
    csv.writer(out, delimiter=mark, lineterminator="").writerow(cells)
    return out.getvalue()


def _write_lines(file: BinaryIO, lines: Iterator[str]) -> None:
    for line in lines:
        file.write(f"{line}\n".encode())
