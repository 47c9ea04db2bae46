"""Low-rank tensors: completion, robust PCA, fixed modes, unrolled nets, a large sparse cube.

    python -m benchmarks tensors [completion] [rpca] [modes] [unrolled] [large] [video]

completion  JMLR 23 (2022), figures 4 to 6, scaled down: steps to an error against kappa, n = 60,
            r = 5, 20 % observed; Tucker ScaledGD, gradient descent, alternating.
rpca        n = 40, r = 4: steps and last error against corruption level and kappa, for thresholds
            from the data, from the truth, and for a fixed one.
modes       100^3 with ranks (100, 5, 5): processor milliseconds a step, flops and error, with all
            modes moving, the two of low rank, or these in turns.
unrolled    n = 40: error on held-out stacks after 20 layers: the paper's first numbers, the usual
            ones, tuned with a truth, on one stack alone, by random search of the same seconds.
large       300^3, r = 5, Gaussian core, 1 % observed: steps, seconds, memory.
video       the embedded clip with squares of known place laid over it (contrast 50/255 to 100/255,
            about 5 % of the pixels): F1 of the mask by frame differences, the matrix method, the
            tensor method, a tuned net; the same threshold rule for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import wellposed as wp
from benchmarks.common import incoherent, peak_gigabytes, save, steps_to
from wellposed.datasets import load
from wellposed.lowrank.robust_pca import Soft
from wellposed.lowrank.tensor_robust_pca import Scheduled
from wellposed.lowrank.tuning import SharedNumbers, Stack, frozen, tune
from wellposed.multilinear import Tucker, at, dense, mode_product, relative_error
from wellposed.rng import Stream
from wellposed.task import Task

LEVELS = (1e-3, 1e-6, 1e-10)
RAW = {"start": 3.4, "first": 3.4, "ratio": 0.69, "step_size": 0.744}
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


def completion() -> dict[str, Any]:
    """Count steps against kappa."""
    methods = {
        "ScaledGD": wp.TensorScaledGD(),
        "gradient descent": wp.TensorGradientDescent(),
        "alternating": wp.TensorGradientDescent(alternating=True),
    }
    found: dict[str, Any] = {}
    for kappa in (1, 2, 5, 10):
        truth = tensor(60, 5, kappa, 61)
        mask = Stream(62).uniform((60,) * 3, "mask") < 0.2
        problem = wp.Problem(dense(truth)[mask], wp.operators.TensorEntries.from_mask(mask))
        for name, method in methods.items():
            limit = 150 if name == "ScaledGD" else 500
            run = wp.recover(
                problem, wp.LowTucker((5,) * 3), method, steps=limit, tol=1e-12, truth=truth
            )
            found[f"{name}, kappa {kappa}"] = _counts(run)
    return found


def rpca() -> dict[str, Any]:
    """Count steps against corruption level and kappa, for three thresholds."""
    found: dict[str, Any] = {}
    for share in (0.1, 0.2, 0.3):
        for kappa in (1, 5, 20):
            truth = tensor(40, 4, kappa, 63)
            y, top = corrupted(truth, share, 64), float(dense(truth).abs().max())
            rules = {
                "from the data": Soft(ratio=0.9),
                "from the truth": Scheduled(top, top, 0.9),
                "fixed": Scheduled(top, top, 1.0),
            }
            for name, rule in rules.items():
                run = wp.recover(
                    whole(y), wp.LowTuckerPlusSparse((4,) * 3),
                    wp.TensorRobustPCA(threshold=rule), steps=250, tol=1e-12, truth=truth,
                )  # fmt: skip
                found[f"{name}, share {share}, kappa {kappa}"] = _counts(run)
    return found


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


def unrolled() -> dict[str, Any]:
    """Measure nets on held-out stacks."""
    truths = [tensor(40, 4, 5, s) for s in range(70, 74)]
    known, *others = [(whole(corrupted(t, 0.1, 80 + k)), t) for k, t in enumerate(truths)]
    prior = wp.LowTuckerPlusSparse((4,) * 3)

    def error(net: Any, cases: Sequence[Any] = others) -> float:
        runs = (wp.recover(p, prior, net, truth=t).trace.error[-1] for p, t in cases)
        return float(np.mean(list(runs)))

    found: dict[str, Any] = {
        name: {"error": error(frozen(numbers.method()))}
        for name, numbers in (
            ("the paper's first numbers", SharedNumbers(LAYERS, **RAW)),
            ("the usual numbers", SharedNumbers(LAYERS)),
        )
    }
    spent = 0.0
    for name, truth in (("with a truth", dense(known[1])), ("on one stack alone", None)):
        start = time.perf_counter()
        net = tune(SharedNumbers(LAYERS, **RAW), [Stack(known[0], prior, truth)], 40)
        spent = time.perf_counter() - start
        found[f"tuned {name}"] = {"error": error(net), "seconds": spent}
    found["random search"] = _random_search(known[0], prior, spent, error)
    return found


def _random_search(problem: wp.Problem, prior: Any, limit: float, error: Any) -> dict[str, Any]:
    """Draw numbers for as long as tuning took; keep those of the smallest l1 loss."""
    draw, best, kept, tried = np.random.default_rng(90), math.inf, None, 0
    start = time.perf_counter()
    while time.perf_counter() - start < limit:
        (start, first), ratio = draw.uniform(1, 5, 2), draw.uniform(0.4, 0.95)
        net = frozen(SharedNumbers(LAYERS, start, first, ratio, draw.uniform(0.1, 1)).method())
        signal = wp.recover(problem, prior, net).signal
        loss = float((signal - problem.y).abs().sum())
        tried += 1
        if loss < best:
            best, kept = loss, net
    return {"error": error(kept), "seconds": limit, "tried": tried}


def large() -> dict[str, Any]:
    """Complete a large sparse cube."""
    n, r = 300, 5
    stream = Stream(67)
    factors = tuple(torch.linalg.qr(stream.normal((n, r), f"{k}"))[0] for k in range(3))
    truth = Tucker(stream.normal((r,) * 3, "core"), factors)
    flat = (stream.uniform((int(0.01005 * n**3),), "cells") * n**3).long().unique()
    indices = torch.stack(torch.unravel_index(flat, (n,) * 3), 1)
    problem = wp.Problem(at(truth, indices), wp.operators.TensorEntries(indices, (n,) * 3))
    start = time.perf_counter()
    run = wp.recover(problem, wp.LowTucker((r,) * 3), steps=100, tol=1e-9, truth=truth)
    spent = time.perf_counter() - start
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
    draw, (count, h, w) = np.random.default_rng(seed), frames.shape
    quiet = np.clip(frames - still, -0.02, 0.02)  # camera noise, without the people
    clip, mask = still + quiet, np.zeros(frames.shape, bool)
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


PARTS = {
    "completion": completion, "rpca": rpca, "modes": modes, "unrolled": unrolled, "large": large,
    "video": video,
}  # fmt: skip


def main(words: list[str]) -> None:
    """Run the parts that are named, or all."""
    torch.set_num_threads(1)
    for name in words or PARTS:
        found = PARTS[name]()
        save(f"tensors_{name}", found)
        print(name)
        for row, values in found.items():
            told = ", ".join(
                f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items()
            )
            print(f"  {row:42s} {told}", flush=True)
