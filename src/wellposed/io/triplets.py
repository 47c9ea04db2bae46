"""Tables with a line a cell: row, column, value, and further columns that are ignored.

Blocks of lines go to numpy's C reader, which takes about 0.3 microseconds a line; whatever it
does not take (names as ids, quotes, blank lines, mistakes) is read line by line, with errors
that name the line. Both give the same table.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.assemble import WHOLE, Ids, Whole, assemble
from wellposed.io.lines import blocks, decode, fields, is_number
from wellposed.io.table import Table

_BYTES = np.arange(256)
_STARTS = np.isin(_BYTES, list(b"\n\t,;: "))  # what stands before a field
_DIGITS = np.isin(_BYTES, list(b"0123456789"))


class Format(NamedTuple):
    """What the first lines told."""

    mark: str
    width: int  # number of fields
    header: bool


class Block(NamedTuple):
    """The cells of some consecutive lines."""

    rows: Ids
    cols: Ids
    values: NDArray[np.float64]
    lines: Sequence[int]


def read_triplets(path: Path, form: Format, shape: tuple[int, int] | None) -> Table:
    """Read all lines and assemble the table."""
    found: list[Block] = []
    skip = form.header
    for start, raw in blocks(path):
        if skip:
            first = next((k for k, line in enumerate(raw) if line.strip()), len(raw) - 1)
            skip = not raw[first].strip()
            start, raw = start + first + 1, raw[first + 1 :]
        if raw:
            found.append(_quick(raw, form, start) or _careful(path, raw, form, start))
    values = np.concatenate([block.values for block in found] or [np.empty(0)])
    ids = (_join([b.rows for b in found]), _join([b.cols for b in found]))
    starts = np.cumsum([0] + [len(block.lines) for block in found])

    def where(k: int) -> str:
        block = int(np.searchsorted(starts, k, side="right")) - 1
        return f"line {found[block].lines[k - int(starts[block])]}"

    return assemble(path, ids, values, shape, where)


def _quick(raw: list[bytes], form: Format, start: int) -> Block | None:
    """Read lines in C, or return None: then they need care."""
    mark = form.mark
    if mark == "::":
        raw = [line.replace(b"::", b"\t") for line in raw]
        mark = "\t"
    if _has_odd_ids(b"".join(raw)):
        return None
    kinds = [("row", "i8"), ("col", "i8"), ("value", "f8")]
    kinds += [(f"ignored {k}", "S1") for k in range(form.width - 3)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "1.5" as a whole number is only a warning there
            cells = np.loadtxt(
                raw, kinds, comments=None, delimiter=None if mark == " " else mark, ndmin=1
            )
    except (ValueError, OverflowError, Warning):
        return None
    if len(cells) != len(raw):  # blank lines would shift the line numbers
        return None
    lines = range(start, start + len(raw))
    return Block(cells["row"].copy(), cells["col"].copy(), cells["value"].copy(), lines)


def _has_odd_ids(text: bytes) -> bool:
    """Find fields that numpy reads as whole numbers although they are names: +7, 007, -0."""
    b = np.frombuffer(b"\n" + text + b"\n\n", np.uint8)
    plus, minus, zero = (np.flatnonzero(b == ord(sign)) for sign in "+-0")
    zero = zero[_DIGITS[b[zero + 1]]]
    minus = minus[(b[minus + 1] == ord("0")) & (b[minus + 2] != ord("."))]
    return any(bool(_STARTS[b[at - 1]].any()) for at in (plus, minus, zero))


def _careful(path: Path, raw: list[bytes], form: Format, start: int) -> Block:
    rows: list[str] = []
    cols: list[str] = []
    values: list[float] = []
    lines: list[int] = []
    for number, line in enumerate(raw, start):
        text = decode(path, line, number)
        if not text.strip():
            continue
        row, col, value = fields(path, text, form.mark, number, form.width)[:3]
        if not row or not col:
            raise FileError(
                f"{path}, line {number}: the {'row' if not row else 'column'} id is blank",
                remedy="give each cell the ids of its row and its column",
            )
        rows.append(row)
        cols.append(col)
        values.append(_value(path, value, number))
        lines.append(number)
    return Block(_whole(rows), _whole(cols), np.array(values, np.float64), lines)


def _value(path: Path, text: str, number: int) -> float:
    if is_number(text):
        return float(text)
    comma = bool(re.fullmatch(r"-?[0-9]+,[0-9]+", text))
    raise FileError(
        f"{path}, line {number}: the value is {text!r}, expected a number",
        "decimals are written with a point" if comma else "",
        "write decimals with a point" if comma else "mend the line, or leave it out",
    )


def _whole(ids: list[str]) -> Ids:
    """Turn ids into numbers if all are canonical whole numbers of 64 bits."""
    if not all(map(WHOLE.fullmatch, ids)):
        return ids
    try:
        return np.array(list(map(int, ids)), np.int64)
    except (OverflowError, ValueError):  # more than 64 bits, or thousands of digits
        return ids


def _join(parts: list[Ids]) -> Ids:
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts):
        return np.concatenate([*arrays, np.empty(0, np.int64)])
    return [i for part in parts for i in (part if isinstance(part, list) else _names(part))]


def _names(ids: Whole) -> list[str]:
    return list(map(str, ids.tolist()))
