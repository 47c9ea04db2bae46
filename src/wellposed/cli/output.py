"""Printing: plain lines when nobody watches, colour when somebody does; no markup from data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


FILE_WIDTH = 120  # of tables that are written to a file or a pipe


@cache
def console(error: bool = False) -> Console:
    """Return the console for results, or for errors."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # names of files may be no text
    width = None if stream.isatty() else FILE_WIDTH
    return Console(
        stderr=error, markup=False, highlight=False, emoji=False, soft_wrap=True, width=width
    )


def say(text: str = "", style: str = "") -> None:
    """Print a line."""
    console().print(harmless(text), style=style or None)


def say_error(what: str, why: str = "", remedy: str = "") -> None:
    """Print an error as three lines at most: what, why, try."""
    out = console(error=True)
    out.print("error: ", style="bold red", end="")
    out.print(harmless(what))
    for name, text in (("why", why), ("try", remedy)):
        if text:
            out.print(f"  {name}: ", style="dim", end="")
            out.print(harmless(text))


def say_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False
) -> None:
    """Print a table; with ``numbers``, all columns but the first are set right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for k, head in enumerate(heads):
        right = numbers and k > 0
        table.add_column(head, justify="right" if right else "left", no_wrap=right or k == 0)
    for row in rows:
        table.add_row(*map(harmless, row))
    console().print(table, soft_wrap=False)


def harmless(text: str) -> str:
    r"""Make control characters visible: a file's name must not steer the terminal.

    Examples
    --------
    >>> harmless("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def watched() -> bool:
    """Tell whether a person looks on, who would like to see progress."""
    return sys.stdout.isatty()
