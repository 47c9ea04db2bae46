"""Xu, Shen, Chi & Ma, ICML 2023: more columns than the rank, with damped preconditioning.

    python -m benchmarks icml23 [phases comparison noise] [--full] [--seed S]

All by sensing of a positive semi-definite matrix of rank 3, m = 10 n r.

phases      from a small random start: singular values of the signal part (X seen from the true
            column space), size of what the extra columns hold, and the error
comparison  ScaledGD(lambda) beside gradient descent with as many columns, kappa = 1, 10, 100;
            the damping that follows the residual; and where a fixed damping stalls
noise       errors against iterations, and last errors against the noise, beside the fit that
            knows the rank
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import steps_to
from benchmarks.figures import LEVELS, descents, present
from benchmarks.instances import semidefinite_sensing
from benchmarks.plots import Figure, Line, Panel
from benchmarks.runs import Instance, Run, run, sweep
from wellposed.lowrank.overparametrized import OverparametrizedGD
from wellposed.lowrank.scaled_gd_lambda import FixedDamping, ScaledGDLambda, SmallRandom
from wellposed.task import Method, Reading

STEP = 0.3  # as in the paper, for all methods
ALPHA = 1e-8  # size of the start
KAPPAS = {f"kappa = {k}": k for k in (1, 10, 100)}
RATIOS = {"40 dB": 1e2, "60 dB": 1e3, "80 dB": 1e4}
MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of sigma_r: fixed dampings
EXTRA = {"k = 3": 3, "k = 6": 6, "k = 10": 10}


class Size(NamedTuple):
    """Size of the matrix, rank, columns, measurements, steps."""

    n: int
    rank: int
    columns: int
    count: int
    steps: int


SIZES = {
    "tiny": Size(10, 2, 3, 200, 9),
    "small": Size(40, 3, 6, 1200, 600),
    "full": Size(150, 3, 5, 4500, 1500),
}


def make(at: Size, seed: int, kappa: float, columns: int = 0, **errors: float) -> Instance:
    """Return an instance that is fitted with too many columns."""
    return semidefinite_sensing(
        at.n, at.rank, at.count, kappa, columns=columns or at.columns, seed=seed, **errors
    )


def fixed(kappa: float, multiple: float = 1.0) -> ScaledGDLambda:
    """Return the paper's method, lambda being a multiple of the least singular value."""
    return ScaledGDLambda(STEP, FixedDamping(multiple / kappa), SmallRandom(ALPHA))


def plain() -> OverparametrizedGD:
    """Return gradient descent from the same start."""
    return OverparametrizedGD(STEP, ALPHA, rebalance_at=None)


class Parts:
    """Follows the parts of X: signal, misalignment, and what the extra columns hold."""

    def __init__(self, truth: Tensor) -> None:
        self.basis = torch.linalg.qr(truth)[0]  # [n, r]
        self.signal: list[np.ndarray] = []
        self.extra: list[float] = []

    def __call__(self, step: int, reading: Reading) -> None:
        """Split an iterate X = U S V^T + (rest on V) + (rest on V's complement)."""
        x: Tensor = reading.value.left
        _, s, vt = torch.linalg.svd(self.basis.mT @ x, full_matrices=True)
        beyond = x @ vt[len(s) :].mT
        self.signal.append(s.numpy())
        self.extra.append(float(torch.linalg.matrix_norm(beyond, 2)) if beyond.numel() else 0.0)


def phases(size: str, seed: int) -> Figure:
    """Signal, extra columns and error along runs; the last with as many columns as the rank."""
    at, kappa = SIZES[size], 10.0
    wide, exact = make(at, seed, kappa), make(at, seed, kappa, at.rank)
    true = torch.linalg.svdvals(wide.truth.left).numpy()
    followed = {
        f"ScaledGD(lambda), k = {at.columns}": _followed(wide, fixed(kappa), at.steps // 3),
        f"GD, k = {at.columns}": _followed(wide, plain(), at.steps),
        f"ScaledGD(lambda), k = {at.rank}": _followed(exact, fixed(kappa), at.steps // 2),
    }
    shown, notes = [], []
    for name, (found, parts) in followed.items():
        marks = {} if name.startswith("GD") else _phase_starts(parts, true)
        shown.append(
            Panel(name, _trajectories(found, parts, true), y_label="relative to the truth",
                  y_range=(1e-15, 3.0), marks=marks, counted=False)
        )  # fmt: skip
        notes.append(f"{name}: {_phase_note(found, parts, marks, true)}")
    title = f"Three phases: n = {at.n}, r = {at.rank}, m = {at.count}, kappa = 10"
    return Figure(title, shown, notes, columns=3)


def _followed(instance: Instance, method: Method, steps: int) -> tuple[Run, Parts]:
    parts = Parts(instance.truth.left)
    return run(instance, method, steps, observe=parts), parts


def _trajectories(found: Run, parts: Parts, true: np.ndarray) -> list[Line]:
    signal = np.array(parts.signal) / true
    steps = np.arange(len(signal))
    lines = [
        Line("signal, by direction", f"singular value {j + 1}", steps, signal[:, j])
        for j in range(signal.shape[1])
    ]
    if any(parts.extra):
        lines.append(Line("extra columns", "", steps, np.array(parts.extra) / true[0]))
    return [*lines, Line("error of X X^T", "", steps, found.errors)]


def _phase_starts(parts: Parts, true: np.ndarray) -> dict[str, float]:
    """Return when all of S S^T / truth exceed a tenth (phase II), and nine tenths (III)."""
    least = (np.array(parts.signal) / true).min(1) ** 2
    starts = {"II": np.flatnonzero(least > 0.1), "III": np.flatnonzero(least > 0.9)}
    return {name: float(found[0]) for name, found in starts.items() if len(found)}


def _phase_note(found: Run, parts: Parts, marks: Mapping[str, float], true: np.ndarray) -> str:
    ratio = np.array(parts.signal) / true
    gone = [steps_to(-ratio[1:, j], -0.5) for j in range(ratio.shape[1])]
    starts = "".join(f", phase {name} starts at {step:.0f}" for name, step in marks.items())
    levels = "/".join(str(steps_to(found.errors[1:], level) or "-") for level in LEVELS)
    growth = f"; extra part {parts.extra[0]:.0e} -> {parts.extra[-1]:.0e}" * any(parts.extra)
    return (
        f"singular values reach half of the truth at {gone}{starts}; "
        f"error below 1e-3/1e-6/1e-10 at {levels}, last {found.errors[-1]:.1e}{growth}"
    )


def comparison(size: str, seed: int) -> Figure:
    """Fixed damping, gradient descent, damping by the residual, and floors."""
    at = SIZES[size]
    both = sweep(lambda k: make(at, seed, k), KAPPAS, _paper, at.steps)
    ours = sweep(lambda k: make(at, seed, k), KAPPAS, _residual, at.steps)
    shown = [
        Panel("small random start\nfixed damping, lambda = sigma_r", descents(both)),
        Panel("spectral start\nresidual damping", descents(ours)),
        _stalls(at, seed),
    ]
    title = f"Rank {at.rank} fitted with k = {at.columns} columns: n = {at.n}, m = {at.count}"
    return Figure(title, shown, columns=3)


def _paper(instance: Instance) -> Mapping[str, Method]:
    values = torch.linalg.svdvals(instance.truth.left)
    kappa = float((values[0] / values[-1]) ** 2)
    return {"ScaledGD(lambda)": fixed(kappa), "GD": plain()}


def _residual(instance: Instance) -> Mapping[str, Method]:
    return {"ScaledGD(lambda)": ScaledGDLambda(STEP)}


def _stalls(at: Size, seed: int) -> Panel:
    """Last errors at kappa = 100 against a fixed damping, for several numbers of columns."""
    lines, x = [], np.array(MULTIPLES)
    for name, columns in EXTRA.items():
        instance = make(at, seed, 100.0, columns)
        last = [run(instance, fixed(100.0, c), at.steps // 2).errors[-1] for c in MULTIPLES]
        ours = run(instance, ScaledGDLambda(STEP), at.steps // 2).errors[-1]
        lines.append(Line("ScaledGD(lambda)", name, x, np.array(last)))
        lines.append(Line("residual damping", name, x, np.full(len(x), ours)))
    return Panel(
        f"kappa = 100\nerror after {at.steps // 2} steps", lines, "lambda / sigma_r", log_x=True,
        counted=False,
    )  # fmt: skip


def noise(size: str, seed: int) -> Figure:
    """Floors, and how they follow the noise."""
    at, steps = SIZES[size], SIZES[size].steps // 2
    runs = {
        "residual damping": _noisy(at, seed, ScaledGDLambda(STEP), steps),
        "fixed damping": _noisy(at, seed, fixed(10.0), steps),
        "true rank known": _noisy(at, seed, wp.ScaledGD(STEP), steps, at.rank),
    }
    flat = {(name, value): r for name, many in runs.items() for value, r in many.items()}
    shown = [Panel("errors", descents(flat), y_range=(1e-5, 2.0)), _floors(runs)]
    best = [r.errors[-1] for r in runs["true rank known"].values()]
    notes = [_floor_note(name, many, best) for name, many in runs.items()]
    title = f"Noise: n = {at.n}, r = {at.rank}, k = {at.columns}, m = {at.count}, kappa = 10"
    return Figure(title, shown, notes)


def _noisy(at: Size, seed: int, method: Method, steps: int, columns: int = 0) -> dict[str, Run]:
    return {
        name: run(make(at, seed, 10.0, columns, snr=snr), method, steps)
        for name, snr in RATIOS.items()
    }


def _floors(runs: Mapping[str, Mapping[str, Run]]) -> Panel:
    x = 1 / np.array(list(RATIOS.values()))
    lines = [
        Line(name, "", x, np.array([r.errors[-1] for r in many.values()]))
        for name, many in runs.items()
    ]
    return Panel(
        "last errors", lines, "noise / signal", log_x=True, counted=False, y_range=(1e-5, 2.0)
    )


def _floor_note(name: str, runs: Mapping[str, Run], best: list[float]) -> str:
    last = [r.errors[-1] for r in runs.values()]
    low = [r.errors.min() for r in runs.values()]
    power = np.polyfit(np.log(list(RATIOS.values())), np.log(last), 1)[0]
    times, early = (
        ", ".join(f"{a / b:.2f}" for a, b in zip(found, best, strict=True)) for found in (last, low)
    )
    return (
        f"{name}: error ~ noise^{-power:.2f}; times the true rank's: {times}; "
        f"lowest on the way: {early}"
    )


FIGURES = {"phases": phases, "comparison": comparison, "noise": noise}


def main(arguments: list[str]) -> None:
    """Draw the figures that are named."""
    present("icml23", FIGURES, arguments)
