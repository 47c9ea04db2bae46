"""Read a table with missing cells from a text file, numpy arrays or parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError, InputError
from wellposed.io.arrays import read_npy, read_npz
from wellposed.io.assemble import Whole, assemble
from wellposed.io.dense import from_matrix
from wellposed.io.layout import Options, inspect
from wellposed.io.source import EMPTY_ZIP, NUMPY, PARQUET, ZIP, Limits, head_of, positive
from wellposed.io.table import Table
from wellposed.io.triplets import Format, read_triplets
from wellposed.io.wide import read_wide

_MAGIC = {".npy": (NUMPY,), ".npz": (ZIP, EMPTY_ZIP), ".parquet": (PARQUET,)}
_FOREIGN = {
    b"\x1f\x8b": "gzip-compressed: unpack it first",
    b"BZh": "bzip2-compressed: unpack it first",
    b"\xfd7zXZ": "xz-compressed: unpack it first",
    b"\x28\xb5\x2f\xfd": "zstd-compressed: unpack it first",
    b"\x89HDF": "an HDF5 file: export the array as .npy",
    b"\xff\xfe": "UTF-16 text: export it as UTF-8",
    b"\xfe\xff": "UTF-16 text: export it as UTF-8",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet: export it as csv",
    b"%PDF": "a PDF document",
}


def read_table(
    path: str | Path,
    *,
    layout: Literal["auto", "triplets", "wide"] = "auto",
    delimiter: str | None = None,
    header: bool | None = None,
    row_names: bool | None = None,
    shape: tuple[int, int] | None = None,
    limits: Limits | None = None,
) -> Table:
    """Read the observed cells of a table.

    The kind of file is told by its content: delimited text (UTF-8), .npy, .npz or parquet.

    Parameters
    ----------
    path
        Text: a line a cell (row id, column id, value; further columns are ignored), or a line
        a row (named columns; blank, NA or NaN is missing). Arrays: a matrix [n1, n2] with NaN
        where missing, or a .npz with rows, cols, values [m] and perhaps shape [2].
    layout
        Override the rules of ``wellposed.io.layout`` for text and parquet.
    delimiter
        Of text; tab, ``::``, semicolon, comma and space are recognised.
    header, row_names
        Whether the first line of text, or the first column of a wide table, holds names.
    shape
        (n1, n2): the ids of triplets are then positions from 0. Without it any ids will do:
        rows and columns are numbered in the sorted order of their ids.
    limits
        Largest sizes; by default 2 GiB.

    Returns
    -------
    Table
        Cells that were observed; rows and columns without any are in ``empty_rows`` and
        ``empty_cols``, and are no error.

    Raises
    ------
    FileError
        Missing, unreadable, empty, truncated or oversized file; malformed line, value that is
        no finite number, cell given twice, id out of range: each with its line.
    MissingExtraError
        Parquet without pyarrow.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "temperature.csv"
    >>> _ = path.write_text("day,6h,12h,18h\\nmon,9.5,,12\\ntue,10,17.5,NA\\n")
    >>> table = read_table(path)
    >>> table.layout, table.shape, table.values.tolist()
    ('wide', (2, 3), [9.5, 12.0, 10.0, 17.5])
    """
    path, limits = Path(path), limits or Limits()
    _check_shape(shape)
    head = head_of(path, limits)
    kind = _kind(path, head)
    if kind == "npy":
        matrix = read_npy(path, limits)
        return from_matrix(path, matrix, lambda i, j: f"entry [{i}, {j}]")
    if kind == "npz":
        return _from_arrays(path, read_npz(path, limits), shape)
    if kind == "parquet":
        from wellposed.io.parquet import read_parquet

        return read_parquet(path, layout, row_names, shape, limits)
    form = inspect(path, Options(layout, delimiter, header, row_names))
    if isinstance(form, Format):
        return read_triplets(path, form, shape)
    return read_wide(path, form)


def _kind(path: Path, head: bytes) -> str:
    """Tell the format by the first bytes; a suffix that says otherwise is an error."""
    for suffix, marks in _MAGIC.items():
        if head.startswith(marks):
            return suffix[1:]
        if path.suffix.lower() == suffix:
            raise FileError(
                f"{path} does not begin like a {suffix} file",
                "it is truncated, damaged, or has the wrong suffix",
                "export it again, or rename it if it is another kind of file",
            )
    for mark, told in _FOREIGN.items():
        if head.startswith(mark):
            raise FileError(f"{path} is {told}")
    if b"\0" in head:
        raise FileError(
            f"{path} is no text, and no .npy, .npz or parquet file",
            "it has zero bytes at its beginning",
            "export the table as csv",
        )
    return "text"


def _from_arrays(
    path: Path, arrays: dict[str, NDArray[Any]], shape: tuple[int, int] | None
) -> Table:
    if {"rows", "cols", "values"} <= arrays.keys():
        return _from_triplets(path, arrays, shape)
    matrices = [name for name, array in arrays.items() if array.ndim == 2]
    if len(matrices) != 1:
        told = ", ".join(f"{name} {list(a.shape)}" for name, a in list(arrays.items())[:8])
        raise FileError(
            f"{path} holds {told}; expected one matrix, or rows, cols and values",
            "otherwise it is not clear which array is meant",
            "save the matrix alone",
        )
    return from_matrix(path, arrays[matrices[0]], lambda i, j: f"entry [{i}, {j}]")


def _from_triplets(
    path: Path, arrays: dict[str, NDArray[Any]], shape: tuple[int, int] | None
) -> Table:
    rows, cols, values = (arrays[name] for name in ("rows", "cols", "values"))
    for name, array in (("rows", rows), ("cols", cols), ("values", values)):
        if array.ndim != 1 or array.size != rows.size:
            raise FileError(
                f"{path}: {name} has shape {list(array.shape)}, expected [{rows.size}] as rows"
            )
        if name != "values" and array.dtype.kind not in "iu":
            raise FileError(f"{path}: {name} holds {array.dtype}, expected whole numbers")
    given = arrays.get("shape")
    if shape is None and given is not None:
        shape = _shape_of(path, given)
    numbers = values.astype(np.float64, copy=False)
    return assemble(path, (_whole(rows), _whole(cols)), numbers, shape, lambda k: f"entry {k}")


def _whole(ids: NDArray[Any]) -> Whole:
    return ids if ids.dtype == np.int32 else ids.astype(np.int64, copy=False)


def _shape_of(path: Path, given: NDArray[Any]) -> tuple[int, int]:
    if given.shape != (2,) or given.dtype.kind not in "iu":
        raise FileError(f"{path}: shape is {given.tolist()!r}, expected two whole numbers")
    shape = (int(given[0]), int(given[1]))
    try:
        _check_shape(shape)
    except InputError as error:
        raise FileError(f"{path}: {error.what}") from None
    return shape


def _check_shape(shape: tuple[int, int] | None) -> None:
    if shape is None:
        return
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise InputError(f"shape is {shape!r}, expected (rows, columns)")
    for n in shape:
        positive(n, "shape")
    if max(shape) > 2**31 or shape[0] * shape[1] > 2**62:
        raise InputError(f"shape is {shape}, expected at most 2^31 rows and columns")
