"""Writers: csv tables and numpy arrays, each written whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wellposed.errors import InputError
from wellposed.files import atomic_write
from wellposed.io.table import Table


def write_csv(path: str | Path, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
    """Write named columns of equal length; numbers in the shortest form that reads back equal.

    Parameters
    ----------
    path
        The file; an old one is replaced only when the new one is complete.
    columns
        Name to values: text, numbers, or None for a blank.

    Raises
    ------
    InputError
        The columns differ in length.
    FileError
        The disk is full or the place not writable.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "found.csv"
    >>> write_csv(path, {"film": ["Heat"], "stars": np.array([0.1])})
    >>> path.read_text()
    'film,stars\\nHeat,0.1\\n'
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"columns have lengths {lengths}, expected equal ones")
    told = [_told(column) for column in columns.values()]

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
        out = csv.writer(text, lineterminator="\n")
        out.writerow(columns)
        out.writerows(zip(*told, strict=True))
        text.flush()
        text.detach()

    atomic_write(Path(path), write)


def write_table(path: str | Path, table: Table) -> None:
    """Write the observed cells as csv triplets, by label where there are labels.

    Examples
    --------
    >>> import tempfile
    >>> table = Table(np.array([1]), np.array([0]), np.array([2.5]), (2, 1), ("a", "b"))
    >>> path = Path(tempfile.mkdtemp()) / "cells.csv"
    >>> write_table(path, table)
    >>> path.read_text()
    'row,col,value\\nb,0,2.5\\n'
    """
    rows = _called(table.rows, table.row_labels)
    cols = _called(table.cols, table.col_labels)
    write_csv(path, {"row": rows, "col": cols, "value": table.values})


def write_array(path: str | Path, array: ArrayLike) -> None:
    """Write one array of numbers as .npy.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "zeros.npy"
    >>> write_array(path, np.zeros(3))
    >>> np.load(path).tolist()
    [0.0, 0.0, 0.0]
    """
    plain = _plain(array)
    atomic_write(Path(path), lambda file: np.save(file, plain, allow_pickle=False))


def write_arrays(path: str | Path, arrays: Mapping[str, ArrayLike]) -> None:
    """Write named arrays of numbers as compressed .npz.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cells.npz"
    >>> write_arrays(path, {"rows": [0], "cols": [1], "values": [2.5], "shape": [1, 2]})
    >>> from wellposed.io import read_table
    >>> read_table(path).shape
    (1, 2)
    """
    plain = {name: _plain(array) for name, array in arrays.items()}
    atomic_write(Path(path), lambda file: np.savez_compressed(file, allow_pickle=False, **plain))


def _plain(array: ArrayLike) -> NDArray[Any]:
    found = np.asarray(array)
    if found.dtype.kind not in "biufc":
        raise InputError(
            f"the array holds {found.dtype} values, expected numbers",
            "other values would have to be pickled",
            "write text by write_csv",
        )
    return found


def _called(places: NDArray[np.integer], labels: tuple[str, ...] | None) -> Sequence[Any]:
    return places.tolist() if labels is None else [labels[k] for k in places.tolist()]


def _told(column: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    if not isinstance(column, np.ndarray):
        return column
    if column.dtype == np.float32:  # as a double, 0.1 would be written 0.10000000149011612
        return [str(x) for x in column]
    values: list[Any] = column.tolist()
    return values
