"""Figures as data, and one way to draw them, so that all look alike.

A parameter's value (the condition number, mostly) has one colour and marker, a method one way to
draw its line; the legend names both once, beside the panels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from benchmarks.common import RESULTS

Points = Sequence[tuple[float, float]]

KAPPA_COLOURS = {
    "1": "#1d3f72", "2": "#6c757d", "5": "#2a9d8f", "10": "#e39b2d", "20": "#b5179e",
    "100": "#d00000",
}  # fmt: skip
COLOURS = ("#1d3f72", "#2a9d8f", "#e39b2d", "#d00000", "#7b2cbf", "#6c757d")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("solid", "dashed", "dotted", "dashdot")
MARKS = 7  # markers on a curve
FEW = 8  # points that are marked one by one
HANDLE, LETTER = 0.7, 0.072  # inches that an entry of the legend takes, and a letter of it


class Line(NamedTuple):
    """One curve: its method decides how it is drawn, its value in which colour."""

    method: str
    value: str
    x: np.ndarray
    y: np.ndarray


class Panel(NamedTuple):
    """Curves on common axes; those of errors against iterations are also tabulated."""

    title: str
    lines: Sequence[Line]
    x_label: str = "iterations"
    y_label: str = "relative error"
    log_x: bool = False
    log_y: bool = True
    y_range: tuple[float | None, float | None] = (1e-15, 3.0)
    marks: Mapping[str, float] = {}  # vertical lines with a name
    counted: bool = True  # x counts iterations from 0, y are errors


class Figure(NamedTuple):
    """Panels, and what is said about them in numbers."""

    title: str
    panels: Sequence[Panel]
    notes: Sequence[str] = ()
    columns: int = 2


def curves(
    name: str,
    lines: dict[str, Points],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    title: str = "",
) -> Path:
    """Draw named curves on a logarithmic error axis and save them as PNG."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for label, points in lines.items():
        x, y = zip(*points, strict=True)
        axes.plot(x, y, label=label, marker="." if len(points) < 8 else None, linewidth=1.6)
    axes.set(xlabel=x_label, ylabel=y_label, yscale="log", title=title)
    if log_x:
        axes.set_xscale("log")
    _calm(axes)
    axes.legend(frameon=False, fontsize=9)
    return _written(figure, name)


def panels(name: str, figure: Figure) -> Path:
    """Draw a figure's panels with one legend for all, and save them as PNG."""
    columns = min(figure.columns, len(figure.panels))
    rows = -(-len(figure.panels) // columns)
    drawn, grid = plt.subplots(
        rows, columns, figsize=(0.6 + max(3.9 * columns, 5.2), 1.1 + 3.1 * rows),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    look = Look([line for panel in figure.panels for line in panel.lines])
    for axes, panel in zip(grid.flat, figure.panels, strict=False):
        _draw(axes, panel, look)
    for axes in grid.flat[len(figure.panels) :]:
        axes.axis("off")
    _legend(drawn, look.rows(drawn.get_figwidth()))
    drawn.suptitle(figure.title, fontsize=11)
    return _written(drawn, name)


class Look:
    """How each value and method of a figure is drawn.

    Values of one kind ("kappa = 5", "kappa = 10") share a palette; a curve without a value is
    grey and has no markers.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self.methods = list(dict.fromkeys(line.method for line in lines))
        self.kinds: dict[str, list[str]] = {}
        for value in dict.fromkeys(line.value for line in lines if line.value):
            self.kinds.setdefault(_kind(value), []).append(value)

    def value(self, value: str) -> dict[str, Any]:
        """Return colour and marker."""
        shape = {"linewidth": 1.5, "markersize": 4.5, "markerfacecolor": "white"}
        if not value:
            return shape | {"color": "#555555", "marker": ""}
        place = self.place(value)
        known = KAPPA_COLOURS.get(value.removeprefix("kappa = ")) if "kappa" in value else None
        colour = known or COLOURS[place % len(COLOURS)]
        return shape | {"color": colour, "marker": MARKERS[place % len(MARKERS)]}

    def method(self, method: str) -> dict[str, Any]:
        """Return the way the line is drawn."""
        return {"linestyle": DASHES[self.methods.index(method) % len(DASHES)]}

    def place(self, value: str) -> int:
        """Return the position of a value among its kind."""
        return self.kinds[_kind(value)].index(value)

    def stagger(self, line: Line) -> Any:
        """Return where a curve has markers: shifted, so that curves that coincide still show."""
        if len(line.x) <= 2 * MARKS or not line.value:
            return None
        spacing = len(line.x) // MARKS
        return (spacing * self.place(line.value) // len(self.kinds[_kind(line.value)]), spacing)

    def rows(self, inches: float) -> list[list[Line2D]]:
        """Return the rows of the legend: one a kind of values, and the methods."""
        rows = [[Line2D([], [], label=v, **self.value(v)) for v in k] for k in self.kinds.values()]
        kinds = {"color": "#333333", "linewidth": 1.5}
        last = [Line2D([], [], label=m, **kinds, **self.method(m)) for m in self.methods]
        if len(rows) == 1 and _inches([rows[0] + last]) <= inches:
            return [rows[0] + last]
        return _narrowed([*rows, last], inches)


def _narrowed(rows: list[list[Line2D]], inches: float) -> list[list[Line2D]]:
    """Break rows until all fit into a width."""
    for width in range(max(map(len, rows)), 0, -1):
        broken = [row[i : i + width] for row in rows for i in range(0, len(row), width)]
        if _inches(broken) <= inches:
            return broken
    return broken


def _inches(rows: list[list[Line2D]]) -> float:
    width = max(len(row) for row in rows)
    columns = [[str(row[i].get_label()) for row in rows if i < len(row)] for i in range(width)]
    return sum(HANDLE + LETTER * max(map(len, column)) for column in columns)


def _kind(value: str) -> str:
    """Return what a value is of: "kappa" for "kappa = 5", "dB" for "40 dB"."""
    return value.strip("0123456789.% =-").split()[-1]


def _draw(axes: Any, panel: Panel, look: Look) -> None:
    for line in panel.lines:
        drawn = look.value(line.value) | look.method(line.method)
        if not line.value and len(line.x) <= FEW:
            drawn["marker"] = MARKERS[look.methods.index(line.method) % len(MARKERS)]
        axes.plot(line.x, line.y, markevery=look.stagger(line), **drawn)
    for name, x in panel.marks.items():
        axes.axvline(x, color="#888888", linewidth=0.8, linestyle=(0, (1, 2)))
        axes.annotate(
            name, (x, 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0), fontsize=8,
            textcoords="offset points", color="#555555",
        )  # fmt: skip
    _scale(axes, panel)
    axes.set_yscale("log" if panel.log_y else "linear")
    axes.set_ylim(*panel.y_range)
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    _calm(axes)


def _scale(axes: Any, panel: Panel) -> None:
    axes.set_xscale("log" if panel.log_x else "linear")
    few = panel.lines[0].x
    if panel.log_x and len(few) <= FEW:  # name the points that were run
        axes.set_xticks(few, [f"{x:g}" for x in few])
        axes.xaxis.set_minor_locator(NullLocator())


def _legend(drawn: Any, rows: list[list[Line2D]]) -> None:
    """Draw the legend row by row; matplotlib fills columns, so short rows are padded."""
    width = max(len(row) for row in rows)
    padded = [
        row + [Line2D([], [], linestyle="none", label=" ")] * (width - len(row)) for row in rows
    ]
    handles = [row[column] for column in range(width) for row in padded]
    drawn.legend(
        handles=handles, loc="outside lower center", ncols=width, frameon=False, fontsize=9,
        handlelength=3.2, columnspacing=1.5,
    )  # fmt: skip


def _calm(axes: Any) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _written(figure: Any, name: str) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
