"""Figures 2 to 6 of Tong, Ma & Chi, JMLR 22 (2021): ScaledGD beside gradient descent.

    python -m benchmarks jmlr21 [2 2s 3 4 5 6] [--full] [--seed S]

2   error against iterations for four problems and kappa = 1, 5, 10, 20
2s  the same with the symmetric truth that the authors' scripts draw
3   the four with dense noise of 40, 60, 80 dB, kappa = 10
4   error after 80 steps against the step size (up to 1, the largest that the methods take)
5   sensing: ScaledGD, GD and alternating minimisation, against iterations and against seconds
6   completion: the same
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import wellposed as wp
from benchmarks.baselines import ThresholdedGD
from benchmarks.figures import against_seconds, descents, falls, present, step_seconds
from benchmarks.instances import completion, sensing, separation, spectral
from benchmarks.plots import Figure, Line, Panel
from benchmarks.runs import Instance, sweep
from wellposed.lowrank.alternating import AlternatingMinimization
from wellposed.lowrank.gradient_descent import GradientDescent
from wellposed.lowrank.robust_pca import Hard
from wellposed.task import Method

KAPPAS = {f"kappa = {k}": k for k in (1, 5, 10, 20)}
TIMED = {f"kappa = {k}": k for k in (1, 5, 20)}
SYMMETRIC = ("sensing", "completion", "robust PCA")  # a Hankel lift is symmetric by nature
RATIOS = {"40 dB": 1e2, "60 dB": 1e3, "80 dB": 1e4}

# problem: its sizes (n, rank, measurements or share), and the largest number of steps
SIZES: dict[str, dict[str, tuple[tuple[Any, ...], int]]] = {
    "tiny": {
        "sensing": ((10, 2, 200), 8), "completion": ((30, 2, 0.5), 8),
        "robust PCA": ((30, 2, 0.05), 8), "Hankel completion": ((40, 2, 0.5), 8),
    },
    "small": {
        "sensing": ((40, 4, 1600), 500), "completion": ((300, 10, 0.4), 500),
        "robust PCA": ((400, 10, 0.05), 300), "Hankel completion": ((500, 10, 0.3), 500),
    },
    "full": {
        "sensing": ((200, 10, 10_000), 1000), "completion": ((1000, 10, 0.2), 1000),
        "robust PCA": ((1000, 10, 0.1), 1000), "Hankel completion": ((1000, 10, 0.2), 1000),
    },
}  # fmt: skip
MAKERS: dict[str, Callable[..., Instance]] = {
    "sensing": sensing, "completion": completion, "robust PCA": separation,
    "Hankel completion": spectral,
}  # fmt: skip
UNITS = {
    "sensing": "m = {}", "completion": "p = {}", "robust PCA": "alpha = {}",
    "Hankel completion": "p = {}",
}  # fmt: skip


def two(instance: Instance) -> Mapping[str, Method]:
    """Return ScaledGD and gradient descent, in the form that the prior needs."""
    if isinstance(instance.prior, wp.LowRankPlusSparse):
        return {"ScaledGD": wp.RobustPCA(threshold=Hard()), "GD": ThresholdedGD()}
    return {"ScaledGD": wp.ScaledGD(), "GD": GradientDescent()}


def three(instance: Instance) -> Mapping[str, Method]:
    """Return the two, and alternating minimisation."""
    return {**two(instance), "AltMin": AlternatingMinimization()}


def name_of(problem: str, size: str, more: str = "") -> str:
    """Return a panel's title."""
    n, rank, third = SIZES[size][problem][0]
    return f"{problem}{more}\nn = {n}, r = {rank}, {UNITS[problem].format(third)}"


def make(problem: str, size: str, seed: int, **fixed: Any) -> tuple[Callable[..., Instance], int]:
    """Return a maker of instances that still lacks what is swept, and the number of steps."""
    arguments, steps = SIZES[size][problem]
    return partial(MAKERS[problem], *arguments, seed=seed, **fixed), steps


def conditions(problem: str, size: str, seed: int, **fixed: Any) -> Sequence[Line]:
    """Return the descents for all condition numbers."""
    maker, steps = make(problem, size, seed, **fixed)
    return descents(sweep(lambda k: maker(kappa=k), KAPPAS, two, steps))


def figure2(size: str, seed: int) -> Figure:
    """Four problems."""
    shown = [Panel(name_of(p, size), conditions(p, size, seed)) for p in MAKERS]
    return Figure("ScaledGD does not feel the condition number", shown)


def figure2s(size: str, seed: int) -> Figure:
    """Three of them with a symmetric truth."""
    shown = [
        Panel(name_of(p, size, ", left = right"), conditions(p, size, seed, symmetric=True))
        for p in SYMMETRIC
    ]
    return Figure("The same with the symmetric truths of the authors' scripts", shown, columns=3)


def figure3(size: str, seed: int) -> Figure:
    """Four problems with dense noise."""
    shown, notes = [], []
    for problem in MAKERS:
        maker, steps = make(problem, size, seed, kappa=10)
        runs = sweep(partial(_noisy, maker), RATIOS, two, min(steps, 400))
        shown.append(Panel(name_of(problem, size), descents(runs), y_range=(1e-5, 2.0)))
        floors = {key: run.errors[-1] for key, run in runs.items()}
        notes.append(f"{problem}: " + ratios(floors))
    return Figure("Noise floors at kappa = 10", shown, notes)


def _noisy(maker: Callable[..., Instance], snr: float) -> Instance:
    return maker(snr=snr)


def ratios(floors: Mapping[tuple[str, str], float]) -> str:
    """Say how floors of ScaledGD follow the noise, and how those of GD compare."""
    own = falls(floors["ScaledGD", value] for value in RATIOS)
    against = ", ".join(f"{floors['GD', v] / floors['ScaledGD', v]:.3f}" for v in RATIOS)
    return f"floor falls by {own} when the noise falls by 10; GD's last error / ours {against}"


def figure4(size: str, seed: int) -> Figure:
    """The error after 80 steps against the step size."""
    maker, _ = make("completion", size, seed)
    points, count = {"tiny": (3, 8), "small": (19, 80), "full": (46, 80)}[size]
    grid = np.linspace(0.1, 1.0, points)
    found: dict[tuple[str, str], list[float]] = {}
    for eta in grid:
        runs = sweep(lambda k: maker(kappa=k), KAPPAS, partial(_sized, float(eta)), count)
        for key, run in runs.items():
            found.setdefault(key, []).append(run.errors[-1])
    lines = [Line(*key, grid, np.array(errors)) for key, errors in found.items()]
    panel = Panel(
        name_of("completion", size), lines, "step size", f"relative error after {count} steps",
        counted=False, y_range=(1e-15, 1e2),
    )  # fmt: skip
    notes = [f"{line.method}, {line.value}: best step size {best_step(line)}" for line in lines]
    return Figure("Step sizes", [panel], notes)


def _sized(eta: float, instance: Instance) -> Mapping[str, Method]:
    return {"ScaledGD": wp.ScaledGD(eta), "GD": GradientDescent(eta)}


def best_step(line: Line) -> str:
    """Say where the error is least, and how wide it is small."""
    place = int(np.argmin(line.y))
    good = line.x[line.y < 1e-3]
    width = f"below 1e-3 from {good[0]:.2f} to {good[-1]:.2f}" if len(good) else "never below 1e-3"
    return f"{line.x[place]:.2f} ({line.y[place]:.1e}), {width}"


def timed(problem: str, size: str, seed: int) -> Figure:
    """Three methods against iterations and against seconds."""
    maker, steps = make(problem, size, seed)
    runs = sweep(lambda k: maker(kappa=k), TIMED, three, steps)
    title = name_of(problem, size)
    shown = [
        Panel(title, descents(runs)),
        Panel(title, against_seconds(runs), "seconds", counted=False, log_x=True),
    ]
    notes = [
        f"{name}, {value}: {1e3 * step_seconds(run):.2f} ms a step"
        for (name, value), run in runs.items()
    ]
    return Figure(f"Iterations and seconds: {problem}", shown, notes)


FIGURES = {
    "2": figure2,
    "2s": figure2s,
    "3": figure3,
    "4": figure4,
    "5": partial(timed, "sensing"),
    "6": partial(timed, "completion"),
}


def main(arguments: list[str]) -> None:
    """Draw the figures that are named."""
    present("jmlr21", FIGURES, arguments)
