"""Parquet tables, through pyarrow (extra ``parquet``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError, MissingExtraError
from wellposed.io.assemble import Ids, assemble
from wellposed.io.dense import from_matrix, named
from wellposed.io.layout import named_like_ids, named_like_names
from wellposed.io.source import Limits, allow, decoding
from wellposed.io.table import Table

try:
    import pyarrow
    import pyarrow.parquet
    from pyarrow import types
except ImportError as _error:
    raise MissingExtraError("pyarrow", "parquet", "reading parquet files") from _error


def read_parquet(
    path: Path,
    layout: Literal["auto", "triplets", "wide"],
    row_names: bool | None,
    shape: tuple[int, int] | None,
    limits: Limits,
) -> Table:
    """Read triplets (two columns of ids, then a value), or a wide table of numeric columns."""
    with decoding(path, "a parquet table"):
        table = _load(path, limits)
        if layout == "wide" or (layout == "auto" and not _triplets(table)):
            return _wide(path, table, row_names)
        if table.num_columns < 3:
            raise FileError(f"{path} has {table.num_columns} columns, expected at least 3")
        ids = (_ids(path, table, 0), _ids(path, table, 1))
        return assemble(path, ids, _numbers(path, table, 2), shape, lambda k: f"row {k}")


def _load(path: Path, limits: Limits) -> Any:
    with pyarrow.parquet.ParquetFile(path) as file:
        about = file.metadata
        size = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
        allow(path, max(size, 8 * about.num_rows), limits, "it unfolds to")
        if not about.num_rows or about.num_columns < 2:
            raise FileError(
                f"{path} has {about.num_rows} rows and {about.num_columns} columns",
                "it needs rows, and columns row, column, value, or the columns of a wide table",
                "export the table again, with its values",
            )
        return file.read(use_threads=False)


def _triplets(table: Any) -> bool:
    if table.num_columns < 3 or not _is_number(table, 2):
        return False
    ids = all(types.is_integer(kind) or _is_text(kind) for kind in table.schema.types[:2])
    return named_like_ids(table.column_names) or (ids and table.num_columns <= 4)


def _wide(path: Path, table: Any, row_names: bool | None) -> Table:
    if row_names is None:
        row_names = not _is_number(table, 0) or named_like_names(table.column_names[0])
    skip = int(row_names)
    columns = [_numbers(path, table, k) for k in range(skip, table.num_columns)]
    names = list(map(str, table.column(0).to_pylist())) if skip else None
    found = from_matrix(path, np.stack(columns, 1), lambda i, j: f"row {i}, column {j + skip}")
    return named(path, found, names, table.column_names[skip:])


def _ids(path: Path, table: Any, k: int) -> Ids:
    column = table.column(k)
    if column.null_count:
        raise FileError(
            f"{path}: column {table.column_names[k]!r} of ids has blanks",
            "each value belongs to a row and a column",
            "fill or drop them",
        )
    if types.is_integer(column.type):
        return np.asarray(column.cast(pyarrow.int64()).to_numpy(), np.int64)
    if _is_text(column.type):
        return list(map(str, column.to_pylist()))
    raise FileError(
        f"{path}: column {table.column_names[k]!r} holds {column.type}, expected ids",
        "ids are whole numbers or text",
    )


def _numbers(path: Path, table: Any, k: int) -> NDArray[np.float64]:
    if not _is_number(table, k):
        raise FileError(
            f"{path}: column {table.column_names[k]!r} holds {table.schema.types[k]}, "
            f"expected numbers"
        )
    return np.asarray(table.column(k).cast(pyarrow.float64()).to_numpy(), np.float64)


def _is_number(table: Any, k: int) -> bool:
    kind = table.schema.types[k]
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_text(kind: Any) -> bool:
    inner = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(inner) or types.is_large_string(inner))
