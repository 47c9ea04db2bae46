"""Figures 4 to 6 of Tong et al., JMLR 23 (2022): completion of low-rank tensors.

    python -m benchmarks jmlr22 [4 5 6 steps] [--full] [--seed S]

4      error against iterations, kappa = 1, 2, 5, 10: ScaledGD beside gradient descent
5      the same for ScaledGD from a random start, beside the spectral one
6      dense noise of 40, 60, 80 dB, kappa = 2 (gradient descent has not settled for more)
steps  error after 80 steps against the step size
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

import wellposed as wp
from benchmarks.figures import descents, present
from benchmarks.instances import DESIGN, errors_of
from benchmarks.jmlr21 import RATIOS, best_step, ratios
from benchmarks.plots import Figure, Line, Panel
from benchmarks.runs import Instance, sweep
from benchmarks.tensors import tensor
from wellposed.multilinear import at, relative_error
from wellposed.rng import Stream
from wellposed.task import Method

KAPPAS = {f"kappa = {k}": k for k in (1, 2, 5, 10)}
SIZES = {"tiny": (12, 2, 0.5, 8), "small": (60, 5, 0.2, 500), "full": (100, 5, 0.1, 2000)}


def completion(size: str, seed: int, kappa: float = 5.0, **errors: float) -> Instance:
    """Cells of an n^3 tensor, each observed with probability ``share``."""
    n, rank, share, _ = SIZES[size]
    truth = tensor(n, rank, kappa, seed)
    mask = Stream(seed, DESIGN).uniform((n,) * 3, "mask") < share
    operator = wp.operators.TensorEntries.from_mask(mask)
    clean = at(truth, operator.indices)
    problem = wp.Problem(clean + errors_of(clean, seed, **errors), operator)
    error = partial(relative_error, truth=truth)
    return Instance(problem, wp.LowTucker((rank,) * 3), truth, error, clean)


def name_of(size: str) -> str:
    """Return a panel's title."""
    n, rank, share, _ = SIZES[size]
    return f"completion\nn = {n}, r = {rank}, p = {share}"


def two(instance: Instance) -> Mapping[str, Method]:
    """Return the method and the baseline."""
    return {"ScaledGD": wp.TensorScaledGD(), "GD": wp.TensorGradientDescent()}


def figure4(size: str, seed: int) -> Figure:
    """Condition numbers."""
    steps = SIZES[size][3]
    runs = sweep(lambda k: completion(size, seed, k), KAPPAS, two, steps)
    panel = Panel(name_of(size), descents(runs))
    return Figure("Tucker ScaledGD does not feel the condition number", [panel])


def figure5(size: str, seed: int) -> Figure:
    """Random starts."""
    steps = SIZES[size][3]
    shown = []
    for name, change in (("spectral start", lambda s: s), ("random start", partial(drawn, seed))):
        runs = sweep(
            lambda k: completion(size, seed, k), KAPPAS,
            lambda i, name=name: {name: wp.TensorScaledGD()}, steps, change=change,
        )  # fmt: skip
        shown += descents(runs)
    return Figure("Tucker ScaledGD from a random start", [Panel(name_of(size), shown)])


def drawn(seed: int, state: Any) -> Any:
    """Return a Gaussian start whose tensor has the length that the spectral one has."""
    stream = Stream(seed, DESIGN)
    factors = tuple(
        stream.normal(tuple(u.shape), f"start {k}") / math.sqrt(len(u))
        for k, u in enumerate(state.factors)
    )
    core = stream.normal(tuple(state.core.shape), "start")
    core = core * (state.core.norm() / math.sqrt(core.numel()))  # the spectral factors: orthonormal
    return state._replace(core=core, factors=factors)


def figure6(size: str, seed: int) -> Figure:
    """Dense noise."""
    steps = min(SIZES[size][3], 600)
    runs = sweep(lambda snr: completion(size, seed, 2, snr=snr), RATIOS, two, steps)
    panel = Panel(name_of(size), descents(runs), y_range=(1e-6, 2.0))
    floors = {key: run.errors[-1] for key, run in runs.items()}
    return Figure("Noise floors at kappa = 2", [panel], [ratios(floors)])


def figure_steps(size: str, seed: int) -> Figure:
    """The error after 80 steps against the step size."""
    points, count = {"tiny": (3, 8), "small": (12, 80), "full": (23, 80)}[size]
    grid = np.linspace(0.05, 0.6, points)
    found: dict[tuple[str, str], list[float]] = {}
    for eta in grid:
        runs = sweep(
            lambda k: completion(size, seed, k), KAPPAS, partial(_sized, float(eta)), count
        )
        for key, run in runs.items():
            found.setdefault(key, []).append(run.errors[-1])
    lines = [Line(*key, grid, np.array(errors)) for key, errors in found.items()]
    panel = Panel(
        name_of(size), lines, "step size", f"relative error after {count} steps",
        counted=False, y_range=(1e-15, 1e2),
    )  # fmt: skip
    notes = [f"{line.method}, {line.value}: best step size {best_step(line)}" for line in lines]
    return Figure("Step sizes of tensor methods", [panel], notes)


def _sized(eta: float, instance: Instance) -> Mapping[str, Method]:
    return {"ScaledGD": wp.TensorScaledGD(eta), "GD": wp.TensorGradientDescent(eta)}


FIGURES = {"4": figure4, "5": figure5, "6": figure6, "steps": figure_steps}


def main(arguments: list[str]) -> None:
    """Draw the figures that are named."""
    present("jmlr22", FIGURES, arguments)
