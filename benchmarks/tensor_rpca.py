"""Robust PCA of tensors: shares of corruptions, thresholds, and nets that were tuned.

    python -m benchmarks tensor_rpca [shares levels thresholds unrolled] [--full] [--seed S]

shares      error against iterations at three shares of corruptions, kappa = 1, 5, 20, for
            thresholds from the data and from the truth
levels      error after 200 steps against the share
thresholds  schedules: how fast they fall, and one that does not
unrolled    error on held-out stacks against layers: the paper's first numbers, the usual ones,
            tuned with a truth, tuned on one stack alone, and found by a random search that has
            the same seconds of the processor
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

import wellposed as wp
from benchmarks.figures import descents, present
from benchmarks.plots import Figure, Line, Panel
from benchmarks.runs import Instance, Run, run
from benchmarks.tensors import corrupted, tensor, whole
from wellposed.lowrank.robust_pca import Soft
from wellposed.lowrank.tensor_robust_pca import Scheduled
from wellposed.lowrank.tuning import SharedNumbers, Stack, frozen, loss_of, tune
from wellposed.lowrank.unrolled import UnrolledRobustPCA
from wellposed.multilinear import dense, relative_error
from wellposed.rng import Stream

KAPPAS = (1, 5, 20)
SIZES = {"tiny": (12, 2, 8), "small": (40, 4, 250), "full": (100, 10, 250)}
FIRST = {"start": 3.4, "first": 3.4, "ratio": 0.69, "step_size": 0.744}  # the paper's
LAYERS = 20
TRIALS, STEPS = 50, 25  # of tuning
REPEATS, HELD_OUT = 3, 3


def instance(size: str, share: float, kappa: float, seed: int) -> Instance:
    """A tensor with a share of its cells corrupted by up to its mean size."""
    n, rank, _ = SIZES[size]
    truth = tensor(n, rank, kappa, seed)
    problem = whole(corrupted(truth, share, seed))
    prior = wp.LowTuckerPlusSparse((rank,) * 3)
    error = partial(relative_error, truth=truth)
    return Instance(problem, prior, truth, error, dense(truth), 1e-13)


def rules(case: Instance, ratio: float = 0.9) -> dict[str, Soft | Scheduled]:
    """Return thresholds that fall by a ratio."""
    top = float(case.clean.abs().max())
    return {"from the data": Soft(ratio=ratio), "from the truth": Scheduled(top, top, ratio)}


def separated(case: Instance, rule: Soft | Scheduled, steps: int) -> Run:
    """Run with a threshold rule."""
    return run(case, wp.TensorRobustPCA(threshold=rule), steps)


def shares(size: str, seed: int) -> Figure:
    """Three shares of corruptions."""
    n, rank, steps = SIZES[size]
    shown = []
    for share in (0.1, 0.2, 0.3):
        runs = {
            (name, f"kappa = {kappa}"): separated(case, rule, steps)
            for kappa in KAPPAS
            for case in [instance(size, share, kappa, seed)]
            for name, rule in rules(case).items()
        }
        shown.append(Panel(f"{share:.0%} corrupted\nn = {n}, r = {rank}", descents(runs)))
    return Figure("Tensor robust PCA: shares of corruptions", shown, columns=3)


def levels(size: str, seed: int) -> Figure:
    """The last error against the share."""
    n, rank, steps = SIZES[size]
    steps = min(steps, 200)
    grid = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5])
    found: dict[tuple[str, str], list[float]] = {}
    for kappa in (1, 20):
        for share in grid:
            case = instance(size, float(share), kappa, seed)
            for name, rule in rules(case).items():
                error = separated(case, rule, steps).errors[-1]
                found.setdefault((name, f"kappa = {kappa}"), []).append(error)
    lines = [Line(*key, grid, np.array(errors)) for key, errors in found.items()]
    panel = Panel(
        f"robust PCA\nn = {n}, r = {rank}", lines, "share of corruptions",
        f"relative error after {steps} steps", counted=False, y_range=(1e-12, 3.0),
    )  # fmt: skip
    return Figure("Tensor robust PCA: how many corruptions are borne", [panel])


def thresholds(size: str, seed: int) -> Figure:
    """Schedules at 20 % and kappa = 5."""
    n, rank, steps = SIZES[size]
    case = instance(size, 0.2, 5, seed)
    runs = {
        (name, f"ratio = {ratio}"): separated(case, rule, steps)
        for ratio in (0.7, 0.8, 0.9, 0.95)
        for name, rule in rules(case, ratio).items()
    }
    top = float(case.clean.abs().max())
    runs["from the truth", "ratio = 1"] = separated(case, Scheduled(top, top, 1.0), steps)
    title = f"20 % corrupted\nn = {n}, r = {rank}, kappa = 5"
    return Figure("Thresholds that fall, and one that does not", [Panel(title, descents(runs))])


class Trial:
    """One stack to tune on, and others to be judged by."""

    def __init__(self, size: str, seed: int) -> None:
        self.known, *self.others = (
            instance(size, 0.1, 5, 100 * seed + k) for k in range(1 + HELD_OUT)
        )
        self.layers, self.seed, self.spent = min(LAYERS, SIZES[size][2]), seed, 0.0

    def nets(self) -> dict[str, UnrolledRobustPCA]:
        """Return the nets that are compared."""
        stack = Stack(self.known.problem, self.known.prior)
        start = time.process_time()
        taught = tune(self.numbers(), [stack], STEPS, trials=TRIALS, seed=self.seed)
        self.spent = time.process_time() - start
        supervised = stack._replace(truth=self.known.clean)
        return {
            "first numbers": frozen(self.numbers().method()),
            "usual numbers": frozen(SharedNumbers(self.layers).method()),
            "supervised numbers": tune(self.numbers(), [supervised], STEPS),
            "self-taught numbers": taught,
            "searched numbers": self.searched(stack),
        }

    def numbers(self) -> SharedNumbers:
        """Return the paper's first numbers."""
        return SharedNumbers(self.layers, **FIRST)

    def searched(self, stack: Stack) -> UnrolledRobustPCA:
        """Draw numbers for as long as tuning took; keep those of the smallest loss."""
        numbers, stream = self.numbers(), Stream(self.seed, 1)
        best, kept, tried = math.inf, numbers.method(), 0
        start = time.process_time()
        while time.process_time() - start < self.spent:
            numbers.draw(stream, tried)
            with torch.no_grad():
                loss = float(loss_of(numbers.method(), stack))
            tried += 1
            if loss < best:
                best, kept = loss, frozen(numbers.method())
        self.tried = tried
        return frozen(kept)

    def errors(self, net: UnrolledRobustPCA) -> np.ndarray:
        """Return the geometric mean of the held-out errors after each layer, from the start on."""
        curves = [run(case, net, self.layers).errors for case in self.others]
        return np.exp(np.log(np.stack(curves)).mean(0))


def unrolled(size: str, seed: int) -> Figure:
    """Nets on held-out stacks."""
    trials = [Trial(size, 1000 * (seed + 1) + k) for k in range(REPEATS)]
    curves = [{name: t.errors(net) for name, net in t.nets().items()} for t in trials]
    n, rank, _ = SIZES[size]
    mean = {name: mean_of([c[name] for c in curves]) for name in curves[0]}
    lines = [
        Line("mean of held-out stacks", name, np.arange(len(errors)), errors)
        for name, errors in mean.items()
    ]
    notes = [
        f"tuned on stack {k + 1}: " + ", ".join(f"{name} {c[name][-1]:.2e}" for name in c)
        + f"; {t.spent:.1f} s of the processor, {t.tried} random trials"
        for k, (t, c) in enumerate(zip(trials, curves, strict=True))
    ]  # fmt: skip
    title = f"10 % corrupted\nn = {n}, r = {rank}, kappa = 5"
    panel = Panel(title, lines, "layers", y_range=(1e-6, 0.1))
    return Figure("Unrolled robust PCA on held-out stacks", [panel], notes)


def mean_of(curves: Sequence[np.ndarray]) -> np.ndarray:
    """Return the geometric mean."""
    mean: np.ndarray = np.exp(np.log(np.stack(curves)).mean(0))
    return mean


FIGURES: dict[str, Any] = {
    "shares": shares, "levels": levels, "thresholds": thresholds, "unrolled": unrolled,
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Draw the figures that are named."""
    present("tensor_rpca", FIGURES, arguments)
