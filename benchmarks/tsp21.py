"""Figures 1 to 6 of Tong, Ma & Chi, IEEE Trans. SP 69 (2021): scaled subgradients (ScaledSM).

    python -m benchmarks tsp21 [1 2 3 4 5 6] [--full] [--seed S]

1  sensing with a fifth of gross errors, kappa = 1, 5, 10, 20: Polyak's steps with the optimum
   known, as in the paper; the same with the symmetric truth that the authors' scripts draw; and
   with the gap to the optimum estimated, which needs no knowledge
2  quadratic sensing, known and estimated
3  sensing at kappa = 10: shares of gross errors; dense noise beside a tenth of gross errors
4  quadratic sensing: the same
5  sensing at kappa = 10: geometric steps, their first length and their ratio
6  quadratic sensing: the same

First lengths are shares of ||M||; the scripts' lambda is 20 times that for sensing, 14 times for
quadratic sensing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks.figures import descents, falls, present, slope
from benchmarks.instances import quadratic, sensing
from benchmarks.plots import Figure, Line, Panel
from benchmarks.runs import Instance, Run, run, sweep
from wellposed.lowrank.scaled_subgradient import ScaledSubgradient
from wellposed.lowrank.step_rules import Geometric, Polyak
from wellposed.lowrank.subgradient import Subgradient
from wellposed.task import Method

KAPPAS = {f"kappa = {k}": k for k in (1, 5, 10, 20)}
SHARES = {f"{share:.0%} gross errors": share for share in (0.1, 0.2, 0.3)}
RATIOS = {"40 dB": 1e2, "60 dB": 1e3, "80 dB": 1e4}
FIRSTS = (0.05, 0.1, 0.25, 0.5, 1.0)  # first lengths of geometric steps, shares of ||M||
SHOWN = (0.88, 0.9, 0.91, 0.92, 0.95)  # ratios
MIDDLE_FIRST, MIDDLE_RATIO = 0.25, 0.92

# n, rank, measurements, and the largest number of steps
SIZES: dict[str, dict[str, tuple[int, int, int, int]]] = {
    "tiny": {"sensing": (10, 2, 160, 8), "quadratic sensing": (10, 2, 160, 8)},
    "small": {"sensing": (40, 4, 1280, 600), "quadratic sensing": (60, 3, 1440, 800)},
    "full": {"sensing": (100, 10, 8000, 1000), "quadratic sensing": (100, 5, 4000, 1000)},
}
GRIDS = {
    "tiny": np.array([0.9]),
    "small": np.array([0.8, 0.85, 0.88, 0.9, 0.92, 0.95]),
    "full": np.arange(0.8, 0.975, 0.01),
}
MAKERS: dict[str, Callable[..., Instance]] = {"sensing": sensing, "quadratic sensing": quadratic}


def known(instance: Instance) -> Mapping[str, Method]:
    """Return both methods with the optimum given."""
    steps = Polyak(instance.deviation)
    return {"ScaledSM": ScaledSubgradient(steps), "SM": Subgradient(steps)}


def estimated(instance: Instance) -> Mapping[str, Method]:
    """Return both methods with the gap estimated from the residuals."""
    return {"ScaledSM": ScaledSubgradient(), "SM": Subgradient()}


def make(problem: str, size: str, seed: int) -> tuple[Callable[..., Instance], int, str]:
    """Return a maker of instances, the number of steps, and a line that states the size."""
    n, rank, count, steps = SIZES[size][problem]
    text = f"{problem}, n = {n}, r = {rank}, m = {count}"
    return partial(MAKERS[problem], n, rank, count, seed=seed), steps, text


def conditions(problem: str, size: str, seed: int) -> Figure:
    """Condition numbers."""
    maker, steps, text = make(problem, size, seed)
    kinds: dict[str, tuple[dict[str, Any], Any]] = {"optimum known": ({}, known)}
    if problem == "sensing":
        kinds["optimum known, left = right"] = ({"symmetric": True}, known)
    kinds["gap estimated"] = ({}, estimated)
    shown = []
    for kind, (fixed, methods) in kinds.items():
        at = partial(_conditioned, maker, fixed)
        shown.append(Panel(f"{text}\n{kind}", descents(sweep(at, KAPPAS, methods, steps))))
    title = f"Scaled subgradients do not feel the condition number: {problem}, 20% gross errors"
    return Figure(title, shown, columns=3)


def _conditioned(maker: Callable[..., Instance], fixed: dict[str, Any], kappa: float) -> Instance:
    return maker(kappa=kappa, outliers=0.2, **fixed)


def errors(problem: str, size: str, seed: int) -> Figure:
    """Shares of gross errors, and dense noise beside them."""
    maker, steps, text = make(problem, size, seed)
    maker = partial(maker, kappa=10)
    gross = sweep(lambda share: maker(outliers=share), SHARES, known, steps)
    dense = sweep(lambda snr: maker(outliers=0.1, snr=snr), RATIOS, known, min(steps, 400))
    told = sweep(lambda snr: maker(outliers=0.1, snr=snr), RATIOS, estimated, min(steps, 400))
    shown = [
        Panel(f"{text}\nno dense noise", descents(gross)),
        Panel("10% gross errors and noise\noptimum known", descents(dense), y_range=(1e-5, 2.0)),
        Panel("10% gross errors and noise\ngap estimated", descents(told), y_range=(1e-5, 2.0)),
    ]
    notes = [_slopes(gross), _floors("optimum known", dense), _floors("gap estimated", told)]
    return Figure(f"Gross errors and noise: {problem}, kappa = 10", shown, notes, columns=3)


def _slopes(runs: Mapping[tuple[str, str], Run]) -> str:
    found = [slope(runs["ScaledSM", value].errors) for value in SHARES]
    theory = [(1 - 2 * share) ** 2 for share in SHARES.values()]
    ours = ", ".join(f"{s / found[0]:.2f}" for s in found)
    bound = ", ".join(f"{t / theory[0]:.2f}" for t in theory)
    return f"slopes of ScaledSM relative to the first: {ours}; (1 - 2 share)^2: {bound}"


def _floors(kind: str, runs: Mapping[tuple[str, str], Run]) -> str:
    own = falls(runs["ScaledSM", value].errors[-1] for value in RATIOS)
    return f"{kind}: ScaledSM's floor falls by {own} when the noise falls by 10"


def geometric(problem: str, size: str, seed: int) -> Figure:
    """Geometric steps: what they end at, how they get there, and Polyak's lengths."""
    maker, steps, text = make(problem, size, seed)
    instance = maker(kappa=10, outliers=0.2)
    polyak = run(instance, known(instance)["ScaledSM"], steps)
    by_first = {first: _walk(instance, first, MIDDLE_RATIO, steps) for first in FIRSTS}
    by_ratio = {ratio: _walk(instance, MIDDLE_FIRST, ratio, steps) for ratio in SHOWN}
    firsts = {f"first = {first:g}": found for first, found in by_first.items()}
    ratios = {f"ratio = {ratio:g}": found for ratio, found in by_ratio.items()}
    lengths, note = _lengths(polyak)
    shown = [
        _last_errors(instance, text, size, steps),
        Panel(f"ratio = {MIDDLE_RATIO}", [*_named(firsts), _polyak(polyak)]),
        Panel(f"first = {MIDDLE_FIRST}", [*_named(ratios), _polyak(polyak)]),
        lengths,
    ]
    return Figure(f"Geometric steps of ScaledSM: {problem}, kappa = 10", shown, [note])


def _walk(instance: Instance, first: float, ratio: float, steps: int) -> Run:
    """Run with geometric steps, until they are shorter than rounding."""
    last = math.ceil(math.log(1e-15) / math.log(ratio))
    return run(instance, ScaledSubgradient(Geometric(first, float(ratio))), min(steps, last))


def _named(runs: Mapping[str, Run]) -> list[Line]:
    return descents({("geometric", value): found for value, found in runs.items()})


def _polyak(found: Run) -> Line:
    return descents({("Polyak", ""): found})[0]


def _last_errors(instance: Instance, text: str, size: str, steps: int) -> Panel:
    grid, lines = GRIDS[size], []
    for first in FIRSTS:
        last = [_walk(instance, first, ratio, steps).errors[-1] for ratio in grid]
        lines.append(Line("geometric", f"first = {first:g}", grid, np.maximum(last, 1e-14)))
    return Panel(
        text, lines, "ratio", f"error after {steps} steps", counted=False,
        y_range=(1e-15, 3.0),
    )  # fmt: skip


def _lengths(found: Run) -> tuple[Panel, str]:
    """Return the lengths of Polyak's steps and the geometric sequence nearest to them."""
    lengths = found.trace.change
    steps = np.arange(1, len(lengths) + 1)
    good = lengths > 1e-13
    rate, level = np.polyfit(steps[good], np.log(lengths[good]), 1)
    first, ratio = float(np.exp(level + rate)), float(np.exp(rate))
    lines = [
        Line("Polyak", "", steps, lengths),
        Line("nearest geometric", "", steps, first * ratio ** (steps - 1)),
    ]
    panel = Panel(
        "lengths of Polyak's steps", lines, "iterations", "length / ||L R^T||", counted=False,
        y_range=(1e-15, 3.0),
    )  # fmt: skip
    return panel, f"Polyak's steps are nearest to first = {first:.2f}, ratio = {ratio:.3f}"


FIGURES = {
    "1": partial(conditions, "sensing"),
    "2": partial(conditions, "quadratic sensing"),
    "3": partial(errors, "sensing"),
    "4": partial(errors, "quadratic sensing"),
    "5": partial(geometric, "sensing"),
    "6": partial(geometric, "quadratic sensing"),
}


def main(arguments: list[str]) -> None:
    """Draw the figures that are named."""
    present("tsp21", FIGURES, arguments)
