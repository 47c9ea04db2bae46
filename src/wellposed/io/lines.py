"""Delimited text, line by line: delimiters, fields, numbers. One record is one line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from wellposed.errors import FileError

DELIMITERS = {"\t": "tab", "::": "'::'", ";": "semicolon", ",": "comma", " ": "space"}
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
BLOCK = 2 * 2**20  # bytes of lines in hand at a time


def blocks(path: Path, size: int = BLOCK) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (number of the first line, lines) until the file ends; lines count from 1."""
    start = 1
    with path.open("rb") as file:
        while lines := file.readlines(size):
            if start == 1 and lines[0].startswith(b"\xef\xbb\xbf"):
                lines[0] = lines[0][3:]
            yield start, lines
            start += len(lines)


def decode(path: Path, line: bytes, number: int) -> str:
    """Read one line as UTF-8, without its end."""
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path}, line {number}: byte {line[error.start]:#x} is not UTF-8",
            "names would be garbled",
            "export the table as UTF-8, or convert it: iconv -f latin1 -t utf-8",
        ) from None


def first_lines(path: Path, count: int = 20) -> list[tuple[int, str]]:
    """Return the first non-blank lines with their numbers."""
    found: list[tuple[int, str]] = []
    for start, lines in islice(blocks(path, 2**16), 4):
        told = ((start + k, decode(path, raw, start + k)) for k, raw in enumerate(lines))
        found += islice(((k, line) for k, line in told if line.strip()), count - len(found))
        if len(found) == count:
            break
    if not found:
        raise FileError(
            f"{path} holds only blank lines",
            "there is nothing to recover",
            "a line a row, or row, column, value",
        )
    return found


def sniff(path: Path, sample: list[tuple[int, str]]) -> str:
    """Find the delimiter: the first one that cuts all lines into equally many fields.

    If there is none, a line is malformed, and the delimiter that occurs in most lines
    lets the reader say which.
    """
    for mark in DELIMITERS:
        counts = {line.count(mark) if mark == "::" else _width(line, mark) for _, line in sample}
        if len(counts) == 1 and counts.pop() > (0 if mark == "::" else 1):
            return mark
    held = {mark: sum(mark in line.strip() for _, line in sample) for mark in DELIMITERS}
    best = max(DELIMITERS, key=lambda mark: held[mark])
    if held[best]:
        return best
    raise FileError(
        f"{path}, line {sample[0][0]}: there is one column, expected at least two",
        f"no {', '.join(DELIMITERS.values())} cuts the lines",
        "give row, column and value on each line, or a table with named columns",
    )


def split(line: str, mark: str) -> list[str]:
    """Cut a line into fields; double quotes protect a delimiter.

    Raises
    ------
    csv.Error
        A quote is not closed in its line.
    """
    if mark == "::":
        return [field.strip() for field in line.split(mark)]
    if '"' in line:
        return [f.strip() for f in next(csv.reader([line], delimiter=mark, strict=True))]
    return line.split() if mark == " " else [field.strip() for field in line.split(mark)]


def fields(path: Path, line: str, mark: str, number: int, width: int) -> list[str]:
    """Cut a line into exactly ``width`` fields, or name the line."""
    try:
        found = split(line, mark)
    except csv.Error as error:
        raise FileError(
            f"{path}, line {number}: {error}",
            "a quoted name ends on the line where it begins",
            "close the quotation mark",
        ) from None
    if len(found) == width:
        return found
    raise FileError(
        f"{path}, line {number}: there are {len(found)} fields, expected {width} as in the "
        f"first line",
        f"the delimiter was taken to be a {DELIMITERS.get(mark, repr(mark))}",
        "mend the line, or name the delimiter",
    )


def is_number(text: str) -> bool:
    """Tell whether a field is a number (NaN and infinity included), as C reads it."""
    if "_" in text or not text.isascii():  # Python alone accepts 1_000 and other digits
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_missing(text: str) -> bool:
    """Tell whether a field says that a cell was not measured."""
    return text.lower() in MISSING


def _width(line: str, mark: str) -> int:
    try:
        return len(split(line, mark))
    except csv.Error:
        return 0
