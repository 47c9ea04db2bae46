"""What the first lines of a text table tell: header or not, a line a cell or a line a row.

Each rule can be overridden by the caller.

- Triplets: at least three columns, the first two named like ids (user, item, row, col, ...);
  or three or four columns, without a fraction in the first two, and in half of the lines or
  more without a blank in the first three. Anything else is wide.
- The first line of triplets is a header if none of its first three fields is a number. That of
  a wide table is one if a field after the first is a word, if the first is blank, as
  spreadsheets leave it above row names, or if the first is a word and the others count upwards.
- In a wide table the first column holds row names if its header is blank or a word like id or
  name, or if one of its fields is neither number nor missing.
"""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from wellposed.errors import FileError, InputError
from wellposed.io.lines import fields, first_lines, is_missing, is_number, sniff, split
from wellposed.io.triplets import Format
from wellposed.io.wide import WideFormat

_IDS = frozenset(
    {"user", "userid", "uid", "item", "itemid", "iid", "movie", "movieid", "film", "filmid"}
    | {"row", "rows", "rowid", "i", "col", "cols", "colid", "column", "columns", "columnid", "j"}
)
_NAMES = frozenset(
    {"id", "index", "key", "label", "name", "names", "row", "rows", "date", "day", "time"}
)

_DELIMITER = re.compile(r"::|\t|[^\w\s\".+-]| ")


class Options(NamedTuple):
    """What the caller says about a text table; None or "auto" leaves it to the rules."""

    layout: Literal["auto", "triplets", "wide"] = "auto"
    delimiter: str | None = None
    header: bool | None = None
    row_names: bool | None = None


def inspect(path: Path, options: Options) -> Format | WideFormat:
    """Decide how to read a text table from its first 20 lines."""
    if options.layout not in ("auto", "triplets", "wide"):
        raise InputError(f"layout is {options.layout!r}, expected auto, triplets or wide")
    if options.delimiter is not None and not _DELIMITER.fullmatch(options.delimiter):
        raise InputError(f"delimiter is {options.delimiter!r}, expected one mark, or '::'")
    sample = first_lines(path)
    mark = options.delimiter or sniff(path, sample)
    number, line = sample[0]
    first = _split(line, mark)
    rest = [found for _, text in sample[1:] if len(found := _split(text, mark)) == len(first)]
    if len(first) < 2:
        fields(path, line, mark, number, 2)
    if options.layout == "triplets" or (options.layout == "auto" and _triplets(first, rest)):
        return _triplet_format(path, mark, first, options.header, number)
    return _wide_format(mark, first, rest, options)


def _triplets(first: list[str], rest: list[list[str]]) -> bool:
    if len(first) < 3:
        return False
    if named_like_ids(first):
        return True
    body = rest if _no_numbers(first[:3]) else [first, *rest]
    if len(first) > 4 or any(_is_fraction(field) for line in body for field in line[:2]):
        return False
    return 2 * sum(not any(map(is_missing, line[:3])) for line in body) >= len(body)


def named_like_ids(names: list[str]) -> bool:
    """Tell whether the first two columns are called user and item, row and col, or the like."""
    return all(_plain(name) in _IDS for name in names[:2])


def named_like_names(name: str) -> bool:
    """Tell whether a column is called id, name, date or the like, or nothing at all."""
    return name == "" or _plain(name) in _NAMES


def _is_fraction(field: str) -> bool:
    return is_number(field) and not float(field).is_integer()


def _triplet_format(
    path: Path, mark: str, first: list[str], header: bool | None, number: int
) -> Format:
    if len(first) < 3:
        raise FileError(
            f"{path}, line {number}: there are {len(first)} fields, expected at least 3",
            "each line gives row, column and value",
            "add the missing column, or name the delimiter",
        )
    return Format(mark, len(first), _no_numbers(first[:3]) if header is None else header)


def _wide_format(
    mark: str, first: list[str], rest: list[list[str]], options: Options
) -> WideFormat:
    header = _wide_header(first) if options.header is None else options.header
    body = rest if header else [first, *rest]
    row_names = options.row_names
    if row_names is None:
        called = header and named_like_names(first[0])
        row_names = called or any(_is_word(line[0]) for line in body)
    return WideFormat(mark, len(first), first if header else None, row_names)


def _wide_header(first: list[str]) -> bool:
    if first[0] == "" or any(map(_is_word, first[1:])):
        return True
    numbers = [float(field) for field in first[1:] if is_number(field)]
    rising = all(a < b for a, b in pairwise(numbers))
    return _is_word(first[0]) and rising and len(numbers) == len(first) - 1


def _no_numbers(line: list[str]) -> bool:
    return not any(map(is_number, line))


def _is_word(field: str) -> bool:
    return not (is_number(field) or is_missing(field))


def _plain(name: str) -> str:
    # "User_ID:token" and "user id" are both userid
    return re.sub("[^a-z]", "", name.lower().split(":")[0])


def _split(line: str, mark: str) -> list[str]:
    try:
        return split(line, mark)
    except csv.Error:
        return []
