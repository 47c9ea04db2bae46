"""From runs to a figure: its lines, the table that is printed, the JSON, and the options.

A figure of a paper is a function from a size ("small" is scaled down, "full" is the paper's,
"tiny" only shows that it runs) to a ``Figure``; ``present`` does the rest for all of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from benchmarks.common import save, steps_to
from benchmarks.plots import Figure, Line, Panel, panels
from benchmarks.runs import Run

LEVELS = (1e-3, 1e-6, 1e-10)
LINEAR = (1e-2, 1e-11)  # errors between which the slope is fitted


def descents(runs: Mapping[tuple[str, str], Run]) -> list[Line]:
    """Return the errors of runs against iterations."""
    return [Line(*key, np.arange(len(run.errors)), run.errors) for key, run in runs.items()]


def against_seconds(runs: Mapping[tuple[str, str], Run]) -> list[Line]:
    """Return the errors of runs against seconds: steps times the median seconds of a step."""
    return [
        Line(*key, np.arange(len(run.errors)) * step_seconds(run), run.errors)
        for key, run in runs.items()
    ]


def step_seconds(run: Run) -> float:
    """Return the median seconds of a step."""
    return float(np.median(np.diff(run.seconds)))


def slope(errors: np.ndarray) -> float:
    """Return log10 of the factor by which errors shrink per step, fitted where it is steady.

    NaN where fewer than five steps lie between the errors of ``LINEAR`` and well above the floor.
    """
    low = max(LINEAR[1], 5 * float(errors.min()))
    steady = np.flatnonzero((errors < LINEAR[0]) & (errors > low))
    if len(steady) < 5:
        return float("nan")
    return float(np.polyfit(steady, np.log10(errors[steady]), 1)[0])


def falls(values: Iterable[float]) -> str:
    """Say by which factors values fall from one to the next."""
    return ", ".join(f"{a / b:.2f}" for a, b in pairwise(values))


def table(panel: Panel) -> list[str]:
    """Return iterations to some errors, slope and last error of each curve, as text."""
    head = "".join(f"{level:>9.0e}" for level in LEVELS)
    rows = [f"    {'':34s}{head}{'slope':>9s}{'last':>10s}"]
    for line in panel.lines:
        counts = "".join(f"{steps_to(line.y[1:], level) or '-':>9}" for level in LEVELS)
        name = ", ".join(filter(None, (line.method, line.value)))
        rows.append(f"    {name:34s}{counts}{_number(slope(line.y)):>9}{line.y[-1]:10.1e}")
    return rows


def _number(value: float) -> str:
    return f"{value:.4f}" if np.isfinite(value) else "-"


def as_json(figure: Figure) -> dict[str, Any]:
    """Return the figure as plain data, numbers to five digits."""
    return {"title": figure.title, "notes": list(figure.notes), "panels": [
        {
            "title": p.title, "x": p.x_label, "y": p.y_label, "marks": dict(p.marks),
            "lines": [_line_as_json(line, p.counted) for line in p.lines],
        }
        for p in figure.panels
    ]}  # fmt: skip


def _line_as_json(line: Line, counted: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"method": line.method, "value": line.value}
    if counted:
        found["steps_to"] = {f"{level:.0e}": steps_to(line.y[1:], level) for level in LEVELS}
        found["slope"] = _short([slope(line.y)])[0]
    else:
        found["x"] = _short(line.x)
    return found | {"y": _short(line.y)}


def _short(numbers: Iterable[float]) -> list[float | None]:
    """Return five digits of each; JSON knows no NaN."""
    return [float(f"{number:.5g}") if np.isfinite(number) else None for number in numbers]


Draw = Callable[[str, int], Figure]  # size and seed


def present(name: str, figures: Mapping[str, Draw], arguments: Sequence[str]) -> None:
    """Run the figures that are named (all by default): print, and write JSON and PNG."""
    asked = _options(name, figures, arguments)
    torch.set_num_threads(asked.threads)
    for key in asked.figures or figures:
        start, worked = time.perf_counter(), time.process_time()
        figure = figures[key](asked.size, asked.seed)
        print(f"{name} {key}: {figure.title}")
        for panel in figure.panels:
            if panel.counted:
                print("  " + panel.title.replace("\n", ": "), *table(panel), sep="\n")
        for note in figure.notes:
            print(f"  {note}")
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        stem = f"{name}_{key}" + ("" if asked.size == "small" else f"_{asked.size}")
        about = {"size": asked.size, "seed": asked.seed, "seconds": seconds, "processor": worked}
        save(stem, as_json(figure) | about)
        print(f"  {panels(stem, figure)}")
        print(f"  {seconds:.0f} s, of the processor {worked:.0f} s", flush=True)


def _options(
    name: str, figures: Mapping[str, Draw], arguments: Sequence[str]
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}")
    parser.add_argument("figures", nargs="*", help=f"which: {', '.join(figures)}; default all")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--full", action="store_const", dest="size", const="full", help="the paper's size"
    )
    sizes.add_argument(
        "--tiny", action="store_const", dest="size", const="tiny", help="only to see that it runs"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--threads", type=int, default=1, help="more of them pay at full size only; default 1"
    )
    parser.set_defaults(size="small")
    asked = parser.parse_args(arguments)
    unknown = [key for key in asked.figures if key not in figures]
    if unknown:
        parser.error(f"there is no figure {unknown[0]!r}; take of {', '.join(figures)}")
    return asked
