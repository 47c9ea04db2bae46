"""Small demonstrations of why ScaledGD works, and where low-rank recovery begins.

    python -m benchmarks demos_lowrank [unbalanced transition distance chlorine] [--full] [--seed S]

unbalanced  rank one, all entries seen, a start whose left factor is K times longer than its right
            one: gradient descent has to take its step K times shorter, ScaledGD does not notice
transition  share of random problems that are recovered, against m / ((n1 + n2) r)
distance    the aligned distance along a run, and the same run from other factors of the same start
chlorine    real data: chlorine in a water network, its rank-5 part (kappa = 11.2) from half and
            from 70 % of the entries; needs the data set in the cache
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import wellposed as wp
from benchmarks.alignment import Balanced, aligned_distance, balanced, rotated_distance
from benchmarks.common import steps_to
from benchmarks.figures import descents, present
from benchmarks.instances import completion, measured, sensing
from benchmarks.plots import Figure, Line, Panel
from benchmarks.runs import Instance, Run, run
from wellposed import datasets
from wellposed.lowrank.gradient_descent import GradientDescent
from wellposed.lowrank.setting import Factors, singular_values
from wellposed.rng import Stream
from wellposed.task import Method, Reading

METHODS: dict[str, Method] = {"ScaledGD": wp.ScaledGD(), "GD": GradientDescent()}
LENGTHS = (1.0, 3.0, 10.0, 100.0)
SUCCESS = 1e-3
KAPPAS = (1, 10)

# sensing: n and rank; completion: n and rank; trials, steps, ratios m / ((n1 + n2) r)
TRANSITION: dict[str, tuple[tuple[int, int], tuple[int, int], int, int, np.ndarray]] = {
    "tiny": ((10, 1), (20, 1), 1, 20, np.array([2.0])),
    "small": ((24, 2), (60, 2), 8, 300, np.array([1, 1.5, 2, 2.5, 3, 4])),
    "full": ((60, 3), (200, 3), 20, 1000, np.arange(1, 5.1, 0.25)),
}


def unbalanced(size: str, seed: int) -> Figure:
    """Rank one with factors of unequal length."""
    n, steps = {"tiny": (5, 20), "small": (20, 3000), "full": (200, 20_000)}[size]
    true, start = _rank_one(n, Stream(seed))
    instance = measured(wp.operators.Identity((n, n)), true, wp.LowRank(1), seed)
    lines, notes = [], []
    for name, method in METHODS.items():
        counts = []
        for length in LENGTHS:
            found = run(instance, method, steps, change=partial(_stretch, start, length))
            x = np.arange(len(found.errors)) + 1  # the start can be seen on a logarithmic axis
            lines.append(Line(name, f"K = {length:g}", x, found.errors))
            counts.append(str(steps_to(found.errors[1:], 1e-8) or "-"))
        notes.append(f"{name}: steps to 1e-8 for K = 1, 3, 10, 100: {', '.join(counts)}")
    title = f"rank 1, n = {n}; GD's step is 1 / (K + 1 / K)"
    panel = Panel(title, lines, "iterations + 1", log_x=True)
    return Figure("Unbalanced factors", [panel], notes)


def _rank_one(n: int, stream: Stream) -> tuple[Factors, Factors]:
    """Return a rank-one truth with unit factors, and unit factors some way off."""
    sides = ("left", "right")
    true = [_unit(stream.normal((n, 1), side)) for side in sides]
    off = [_unit(stream.normal((n, 1), f"{side} start")) / 2 for side in sides]
    return Factors(*true), Factors(*(_unit(a + b) for a, b in zip(true, off, strict=True)))


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm()


def _stretch(start: Factors, length: float, state: Any) -> Any:
    """Start from (K^1/2 l, K^-1/2 r); gradient descent gets the largest safe step."""
    new = state._replace(left=start.left * length**0.5, right=start.right / length**0.5)
    if hasattr(state, "size"):
        new = new._replace(size=torch.ones_like(state.size) / (length + 1 / length))
    return new


def transition(size: str, seed: int) -> Figure:
    """Share of recovered problems against the number of measurements."""
    (n, rank), (cells, wide), trials, steps, ratios = TRANSITION[size]

    def dense(ratio: float, kappa: float, trial: int) -> Instance:
        return sensing(n, rank, round(ratio * 2 * n * rank), kappa, seed=trial)

    def entries(ratio: float, kappa: float, trial: int) -> Instance:
        return completion(cells, wide, ratio * 2 * wide / cells, kappa, seed=trial)

    made = {f"sensing, n = {n}, r = {rank}": dense, f"completion, n = {cells}, r = {wide}": entries}
    seeds = range(trials * seed, trials * (seed + 1))
    shown = [
        _transition(title, _shares(make, ratios, seeds, steps)) for title, make in made.items()
    ]
    title = f"Phase transition: error below 1e-3 in {steps} steps, {trials} trials"
    return Figure(title, shown, [_halves(panel) for panel in shown])


def _transition(title: str, lines: list[Line]) -> Panel:
    return Panel(
        title, lines, "m / ((n1 + n2) r)", "share recovered", log_y=False, y_range=(-0.03, 1.03),
        counted=False,
    )  # fmt: skip


def _shares(
    make: Callable[[float, float, int], Instance], ratios: np.ndarray, seeds: range, steps: int
) -> list[Line]:
    wins = {(name, k): np.zeros(len(ratios)) for name in METHODS for k in KAPPAS}
    for place, ratio in enumerate(ratios):
        for trial in seeds:
            for kappa in KAPPAS:
                instance = make(ratio, kappa, trial)._replace(rounding=SUCCESS)
                for name, method in METHODS.items():
                    won = run(instance, method, steps).errors[-1] < SUCCESS
                    wins[name, kappa][place] += won / len(seeds)
    return [Line(name, f"kappa = {k}", ratios, share) for (name, k), share in wins.items()]


def _halves(panel: Panel) -> str:
    """Say from where on each curve is above one half."""
    words = []
    for line in panel.lines:
        above = np.flatnonzero(line.y >= 0.5)
        words.append(f"{line.method} {line.value}: {line.x[above[0]] if len(above) else '-'}")
    return f"{panel.title}: half are recovered from " + ", ".join(words)


def distance(size: str, seed: int) -> Figure:
    """The aligned distance, and runs from other factors of the same start."""
    n, rank, share, steps = {
        "tiny": (30, 2, 0.6, 10), "small": (200, 5, 0.4, 120), "full": (1000, 10, 0.2, 150),
    }[size]  # fmt: skip
    instance = completion(n, rank, share, 10.0, seed=seed)
    mixes = {
        "balanced start": torch.eye(rank, dtype=torch.float64),
        "mixed start": _mix(rank, seed),
    }
    found = {
        (name, value): _gauged(instance, method, steps, q)
        for value, q in mixes.items()
        for name, method in METHODS.items()
    }
    shown = [
        _distances("aligned by any invertible Q", {k: g.aligned for k, (_, g) in found.items()}),
        _distances("aligned by rotations only", {k: g.rotated for k, (_, g) in found.items()}),
        Panel("error of the product", descents({k: run for k, (run, _) in found.items()})),
    ]
    notes = [
        f"{name}, {value}: aligned distance, {_contraction(np.array(gauge.aligned))}"
        for (name, value), (_, gauge) in found.items()
    ]
    title = f"Distances along a run: completion, n = {n}, r = {rank}, p = {share}, kappa = 10"
    return Figure(title, shown, notes, columns=3)


def _gauged(instance: Instance, method: Method, steps: int, q: Tensor) -> tuple[Run, Gauge]:
    gauge = Gauge(balanced(instance.truth))
    return run(instance, method, steps, change=partial(_mixed, q), observe=gauge), gauge


def _distances(title: str, found: Mapping[tuple[str, str], list[float]]) -> Panel:
    lines = [Line(*key, np.arange(len(y)), np.array(y)) for key, y in found.items()]
    return Panel(title, lines, y_label="distance / sigma_r", y_range=(1e-14, 1e3), counted=False)


class Gauge:
    """Measures distances along a run, in units of the least singular value."""

    def __init__(self, true: Balanced) -> None:
        self.true, self.unit = true, float(true.values[-1])
        self.aligned: list[float] = []
        self.rotated: list[float] = []

    def __call__(self, step: int, reading: Reading) -> None:
        """Look at an iterate."""
        self.aligned.append(aligned_distance(reading.value, self.true) / self.unit)
        self.rotated.append(rotated_distance(reading.value, self.true) / self.unit)


def _mix(rank: int, seed: int) -> Tensor:
    """Return an invertible matrix of condition number 10."""
    u, _, vt = torch.linalg.svd(Stream(seed).normal((rank, rank), "mix"))
    return u * torch.logspace(-0.5, 0.5, rank, dtype=torch.float64) @ vt


def _mixed(q: Tensor, state: Any) -> Any:
    """Start from (L Q, R Q^-T); gradient descent's step shrinks as the factors grow."""
    new = state._replace(left=state.left @ q, right=state.right @ torch.linalg.inv(q).mT)
    if hasattr(state, "size"):
        new = new._replace(size=state.size * _largest(state) / _largest(new))
    return new


def _largest(pair: Any) -> Tensor:
    """Return the larger squared norm of the two factors: the curvature that bounds steps."""
    both = (torch.linalg.matrix_norm(factor, 2) ** 2 for factor in (pair.left, pair.right))
    return torch.maximum(*both)


def _contraction(distances: np.ndarray) -> str:
    good = distances[distances > 1e-11]
    factors = good[1:] / good[:-1]
    if not len(factors):
        return "-"
    return f"factor a step: median {np.median(factors):.3f}, largest {factors.max():.3f}"


def chlorine_matrix() -> Tensor:
    """Return the measured table, [junctions, slots], mg/l."""
    return torch.from_numpy(datasets.load("chlorine"))


def chlorine(size: str, seed: int) -> Figure:
    """Chlorine in a water network."""
    matrix = chlorine_matrix()
    rank, steps = 5, {"tiny": 3, "small": 450, "full": 1000}[size]
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    true = Factors(u[:, :rank] * s[:rank], vt[:rank].mT)
    lines, notes = [], [_spectrum(s, rank, singular_values(true))]
    for share in (0.5, 0.7):
        operator = wp.operators.Entries.from_mask(Stream(seed).uniform(matrix.shape, "m") < share)
        instance = measured(operator, true, wp.LowRank(rank), seed)
        for name, method in METHODS.items():
            found = run(instance, method, steps)
            lines.append(Line(name, f"p = {share}", np.arange(len(found.errors)), found.errors))
            counts = [steps_to(found.errors[1:], level) for level in (1e-1, 1e-2, 1e-4)]
            notes.append(f"{name}, p = {share}: steps to 1e-1, 1e-2, 1e-4: {counts}")
    title = f"Chlorine at {matrix.shape[0]} junctions in {matrix.shape[1]} slots, its rank-5 part"
    return Figure(title, [Panel("completion from a share p of the entries", lines)], notes)


def _spectrum(s: Tensor, rank: int, kept: Tensor) -> str:
    rest = float(s[rank:].norm() / s.norm())
    return f"kappa of the rank-5 part: {float(kept[0] / kept[-1]):.1f}; it leaves out {rest:.1%}"


def _cached(name: str) -> bool:
    folder = datasets.cache_folder() / name
    return all((folder / member.name).exists() for member in datasets.recipe(name).members)


FIGURES = {
    "unbalanced": unbalanced,
    "transition": transition,
    "distance": distance,
    "chlorine": chlorine,
}


def main(arguments: list[str]) -> None:
    """Draw the figures that are named; without the chlorine data, say how to get them."""
    figures: Mapping[str, Callable[[str, int], Figure]] = FIGURES
    if not _cached("chlorine"):
        figures = {key: draw for key, draw in FIGURES.items() if key != "chlorine"}
        told = (
            "demos_lowrank chlorine is left out: its data are not in the cache. Fetch them by\n"
            "  python -c \"from wellposed import datasets; datasets.load('chlorine')\""
        )
        if "chlorine" in arguments:
            sys.exit(told)
        print(told)
    present("demos_lowrank", figures, arguments)
