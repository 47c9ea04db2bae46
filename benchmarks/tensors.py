"""Low-rank tensors: modes that do not move, a large sparse cube, a clip of known foreground.

    python -m benchmarks tensors [modes] [large] [video]

modes       100^3 with ranks (100, 5, 5): processor milliseconds a step, flops and error, with all
            modes moving, the two of low rank, or these in turns.
large       300^3, r = 5, Gaussian core, 1 % observed: steps, seconds, memory.
video       the embedded clip with squares of known place laid over it (contrast 50/255 to 100/255,
            about 5 % of the pixels): F1 of the mask by frame differences, the matrix method, the
            tensor method, a tuned net; the same threshold rule for all.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import wellposed as wp
from benchmarks.common import incoherent, peak_gigabytes, run_part, steps_to
from wellposed.datasets import load
from wellposed.lowrank.robust_pca import Soft
from wellposed.lowrank.tuning import SharedNumbers, Stack, tune
from wellposed.multilinear import Tucker, at, dense, mode_product, relative_error
from wellposed.rng import Stream
from wellposed.task import Task

LEVELS = (1e-3, 1e-6, 1e-10)
LAYERS = 20


def tensor(n: int, r: int, kappa: float, seed: int) -> Tucker:
    """Incoherent factors; mode 0 has singular values from 1 to 1 / kappa."""
    stream, places = Stream(seed), sum(torch.meshgrid(*[torch.arange(r)] * 3, indexing="ij"))
    core = (torch.as_tensor(places) % r == 0).double() / math.sqrt(r)
    core = mode_product(core, torch.diag(torch.linspace(1, 1 / kappa, r).double()), 0)
    return Tucker(core, tuple(incoherent(n, r, stream, f"{k}") for k in range(3)))


def corrupted(truth: Tucker, share: float, seed: int) -> Tensor:
    """Add corruptions between plus and minus the mean size of the entries."""
    full, stream = dense(truth), Stream(seed)
    where = stream.uniform(full.shape, "where") < share
    return full + where * (2 * stream.uniform(full.shape, "size") - 1) * full.abs().mean()


def whole(y: Tensor) -> wp.Problem:
    """Observe all of it."""
    return wp.Problem(y, wp.operators.Identity(tuple(y.shape)))


def modes() -> dict[str, Any]:
    """Time steps with all modes moving, two of them, or one at a time."""
    stream, ranks, n = Stream(65), (100, 5, 5), 100
    factors = tuple(torch.linalg.qr(stream.normal((n, r), f"{k}"))[0] for k, r in enumerate(ranks))
    truth = Tucker(stream.normal(ranks, "core"), factors)
    problem = whole(corrupted(truth, 0.1, 66))
    task = Task(problem, wp.LowTuckerPlusSparse(ranks))
    methods = {
        "all modes": wp.TensorRobustPCA(),
        "modes 1, 2": wp.TensorRobustPCA(modes=(1, 2)),
        "modes 1, 2 in turns": wp.TensorRobustPCA(0.6, modes=((1,), (2,))),
    }
    runs = {name: _Stepper(method, task) for name, method in methods.items()}
    for _ in range(6):  # in blocks, so that what else the machine does meets all alike
        for run in runs.values():
            run.go(10)
    usual = float(np.median(runs["all modes"].times))
    return {
        name: {
            "ms a step": 1e3 * float(np.median(run.times)),
            "times as fast": usual / float(np.median(run.times)),
            "Mflop": run.flops() / 1e6,
            "error": relative_error(Tucker(run.state.core, run.state.factors), truth),
        }
        for name, run in runs.items()
    }


class _Stepper:
    """A run whose steps are timed one by one."""

    def __init__(self, method: wp.TensorRobustPCA, task: Task) -> None:
        self.method, self.plan = method, method.prepare(task)
        self.state, self.times = method.init(self.plan, Stream(0)), []

    def go(self, steps: int) -> None:
        """Make some steps."""
        for _ in range(steps):
            start = time.process_time()
            self.state = self.method.step(self.plan, self.state)
            self.times.append(time.process_time() - start)

    def flops(self) -> int:
        """Return the operations of the matrix products of a step, which is not kept."""
        with FlopCounterMode(display=False) as counter:
            self.method.step(self.plan, self.state)
        return counter.get_total_flops()


def large() -> dict[str, Any]:
    """Complete a large sparse cube."""
    n, r = 300, 5
    stream = Stream(67)
    factors = tuple(torch.linalg.qr(stream.normal((n, r), f"{k}"))[0] for k in range(3))
    truth = Tucker(stream.normal((r,) * 3, "core"), factors)
    flat = (stream.uniform((int(0.01005 * n**3),), "cells") * n**3).long().unique()
    indices = torch.stack(torch.unravel_index(flat, (n,) * 3), 1)
    problem = wp.Problem(at(truth, indices), wp.operators.TensorEntries(indices, (n,) * 3))
    start = time.process_time()
    run = wp.recover(problem, wp.LowTucker((r,) * 3), steps=100, tol=1e-9, truth=truth)
    spent = time.process_time() - start
    told = {"seconds": spent, "GB": peak_gigabytes(), "status": run.status.value}
    return {"300^3, 1 %": _counts(run) | told}


def video() -> dict[str, Any]:
    """Find squares of known place that are laid over a real clip."""
    frames = load("walkers").frames.astype(np.float64) / 255
    clip, mask = overlaid(np.median(frames, 0), frames, 91)
    rows = clip.reshape(len(clip), -1)
    h, w = clip.shape[1:]
    matrix = wp.recover(
        wp.Problem(rows.T.copy(), wp.operators.Identity(rows.T.shape)), wp.LowRankPlusSparse(1),
        steps=150, tol=1e-4,
    ).signal.T  # fmt: skip
    prior, problem = wp.LowTuckerPlusSparse((1, h, w)), whole(torch.from_numpy(clip))
    method = wp.TensorRobustPCA(threshold=Soft(ratio=0.8), modes=(0,))
    by_tensor = wp.recover(problem, prior, method, steps=150, tol=1e-4).signal.numpy()
    net = tune(SharedNumbers(LAYERS, modes=(0,)), [Stack(problem, prior)], 10)
    by_net = wp.recover(problem, prior, net).signal.numpy()
    before = np.concatenate([clip[1:2], clip[:-1]])
    backgrounds = {
        "frame differences": before, "matrix": matrix.reshape(clip.shape), "tensor": by_tensor,
        "tuned net": by_net,
    }  # fmt: skip
    return {
        name: {"F1": f1(np.abs(clip - b) > 25 / 255, mask), "share": mask.mean()}
        for name, b in backgrounds.items()
    }


def overlaid(still: Any, frames: Any, seed: int) -> tuple[Any, Any]:
    """Lay moving squares over the still scene of a clip with the noise of its frames."""
    draw, (count, h, w) = np.random.default_rng(seed), frames.shape[:3]
    quiet = np.clip(frames - still, -0.02, 0.02)  # camera noise, without the people
    clip, mask = still + quiet, np.zeros((count, h, w), bool)
    for _ in range(4):
        side, speed = int(0.11 * w), draw.uniform(0.5, 1.6, 2)
        contrast = draw.uniform(50, 100) / 255
        row, col = draw.integers(0, h), draw.integers(0, w)
        for k in range(count):
            i, j = int(row + speed[0] * k) % (h - side), int(col + speed[1] * k) % (w - side)
            spot = (k, slice(i, i + side), slice(j, j + side))
            scene = still[spot[1:]]
            clip[spot] = np.where(scene < 0.5, scene + contrast, scene - contrast)
            mask[spot] = True
    return clip, mask


def f1(found: Any, mask: Any) -> float:
    """Return the harmonic mean of precision and recall."""
    return float(2 * (found & mask).sum() / (found.sum() + mask.sum()))


def _counts(run: wp.TensorRecovery) -> dict[str, Any]:
    steps = {f"to {level:g}": steps_to(run.trace.error, level) for level in LEVELS}
    return steps | {"steps": run.steps, "error": float(run.trace.error[-1])}


PARTS = {"modes": modes, "large": large, "video": video}


def main(words: list[str]) -> None:
    """Run the parts that are named, or all."""
    for name in words or PARTS:
        run_part(f"tensors_{name}", PARTS[name])
