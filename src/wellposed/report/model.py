"""What a page is made of, before it becomes HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wellposed.run import Status

Tone = Literal["good", "warn", "bad"]


@dataclass(frozen=True)
class Tile:
    """A key figure."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart (an SVG element made here) or a picture (an address), with its caption."""

    caption: str
    svg: str = ""
    address: str = ""
    wide: bool = False
    small: bool = False  # several of them stand in a row


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; the first column is left-aligned, the others right."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: int = -1  # row that is set off
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with what belongs below it."""

    title: str
    text: str = ""
    table: Table | None = None
    figures: Sequence[Figure] = ()
    facts: Sequence[tuple[str, str]] = ()
    code: Sequence[str] = ()
    link: tuple[str, str] | None = None  # text and relative address


@dataclass(frozen=True)
class Page:
    """One report."""

    kicker: str
    title: str
    subtitle: str
    status: str  # a sentence
    tone: Tone
    tiles: Sequence[Tile] = ()
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = field(default_factory=tuple)


@dataclass(frozen=True)
class Source:
    """The folder that a page is built from."""

    folder: Path
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any] = field(default_factory=dict)


_WORDS = {
    Status.CONVERGED: "The fit converged in {} steps.",
    Status.COMPLETE: "All {} steps were made.",
    Status.MAX_STEPS: "Not converged in {} steps.",
    Status.DIVERGED: "The fit diverged after {} steps.",
    Status.INTERRUPTED: "Interrupted after {} steps.",
}


def status_line(status: str, steps: int) -> str:
    """Say how a fit ended.

    Examples
    --------
    >>> status_line("converged", 98)
    'The fit converged in 98 steps.'
    """
    found = Status(status)
    told = _WORDS[found].format(number(steps))
    return told if found.ok else f"{told} {found.text}"


def tone_of(status: str) -> Tone:
    """Return how a status should look.

    Examples
    --------
    >>> tone_of("converged"), tone_of("interrupted"), tone_of("diverged")
    ('good', 'warn', 'bad')
    """
    if Status(status).ok:
        return "good"
    return "bad" if status == Status.DIVERGED.value else "warn"


def number(value: float | None, digits: int = 4) -> str:
    """Write a number for people: few digits, thousands apart, a true minus sign; None is a dash.

    Examples
    --------
    >>> number(1234567), number(0.0123456), number(-3.14159), number(2.5e-9), number(None)
    ('1,234,567', '0.01235', '\u22123.142', '2.5e\u22129', '\u2013')
    """
    if value is None:
        return "\u2013"
    if float(value).is_integer() and abs(value) < 1e15:
        told = f"{int(value):,}"
    elif abs(value) >= 10**digits:
        told = f"{value:,.0f}"
    else:
        told = f"{value:.{digits}g}"
    return told.replace("e-0", "e-").replace("e+0", "e").replace("-", "\u2212")


def percent(share: float) -> str:
    """Write a share as a percentage.

    Examples
    --------
    >>> percent(0.0630467), percent(1.0), percent(0.99988)
    ('6.3 %', '100 %', '99.99 %')
    """
    told = 100 * share
    digits = 1 if 0.05 <= told <= 99.9 else 2
    return f"{told:.{digits}f}".rstrip("0").rstrip(".") + " %"
