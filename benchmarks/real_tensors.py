"""Low-rank tensors on real data: a colour clip, fluorescence, traffic; and a material in layers.

    python -m benchmarks real_tensors [clip] [kinetic] [traffic] [material]

clip      people before a still camera, 60 frames of 72 x 96 pixels in colour. Squares of known
          place are laid over the still scene (contrast 50/255 to 100/255 in each colour, about
          5 % of the pixels); a pixel is foreground where any colour is off by more than 25/255. F1
          of frame differences, the matrix method, the tensor method and a tuned net. The real clip
          is separated too: a strip of pictures and an animation lie in results/clip.
kinetic   kinetic fluorescence, samples x excitations x emissions x times, with the times that were
          never measured. A fifth of the cells, then the last 13 times of five more samples (what
          is missing in truth, of one) are hidden as well, and scored.
traffic   occupancy of motorway sensors, 182 days x 24 hours x 20 sensors. Half of the cells, then
          whole days of single sensors (a tenth of all) are hidden and scored.
material  no micrograph: a synthetic stack, labelled as such. Grains that drift slowly through 40
          layers of 64 x 64 pixels under uneven light, with bright and dark inclusions of known
          place. F1 of a high-pass filter, the median layer, the tensor method and a tuned net.

Errors are relative, on hidden cells only. Ranks are chosen by hold-out; TensorLy gets the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, label
from torch import Tensor

import wellposed as wp
from benchmarks.common import RESULTS, run_part
from benchmarks.peers_tensors import seen, tensorly
from benchmarks.tensors import f1, overlaid, whole
from wellposed.baselines import offsets
from wellposed.datasets import fetch, load
from wellposed.io import read_stack
from wellposed.jobs.previews import Layered, write_previews
from wellposed.lowrank.robust_pca import Soft
from wellposed.lowrank.tuning import SharedNumbers, Stack, tune
from wellposed.multilinear import Tucker, dense
from wellposed.rng import Stream

LAYERS = 20
TUNING = 6  # steps
RULE = 25 / 255


def clip() -> dict[str, Any]:
    """Find squares of known place in a colour clip, and show the real one."""
    stack = read_stack(fetch("vtest")[0], scale=8, stride=10, max_frames=60)
    frames = stack.frames.astype(np.float32) / 255
    laid, mask = overlaid(np.median(frames, 0), frames, 92)
    found = {}
    for name, background in backgrounds(laid.astype(np.float32)).items():
        start = time.process_time()
        off = np.abs(laid - background()).max(-1) > RULE
        found[name] = {"F1": f1(off, mask), "share": mask.mean(),
                       "seconds": time.process_time() - start}  # fmt: skip
    still = tensor_background(frames, (1, *frames.shape[1:]))
    off = np.abs(frames - still).max(-1) > RULE
    (RESULTS / "clip").mkdir(parents=True, exist_ok=True)
    write_previews(RESULTS / "clip", Layered(frames, still, off[..., None]))
    return found | {"the real clip": {"foreground": float(off.mean())}}


def backgrounds(frames: Any) -> dict[str, Callable[[], Any]]:
    """Return what finds a background of frames [T, H, W] or [T, H, W, 3]."""
    sides, rows = frames.shape[1:], frames.reshape(len(frames), -1)
    problem, prior = whole(torch.from_numpy(frames)), wp.LowTuckerPlusSparse((1, *sides))

    def matrix() -> Any:
        found = wp.recover(whole(torch.from_numpy(rows.T.copy())), wp.LowRankPlusSparse(1),
                           steps=150, tol=1e-4)  # fmt: skip
        return found.signal.T.numpy().reshape(frames.shape)

    def net() -> Any:
        tuned = tune(SharedNumbers(LAYERS, modes=(0,)), [Stack(problem, prior)], TUNING)
        return wp.recover(problem, prior, tuned).signal.numpy()

    small = (1, sides[0] // 2, sides[1] // 2, *sides[2:])
    return {
        "frame differences": lambda: np.concatenate([frames[1:2], frames[:-1]]),
        "matrix": matrix,
        "tensor": lambda: tensor_background(frames, (1, *sides)),
        "tensor, sides at half rank": lambda: tensor_background(frames, small),
        "tuned net": net,
    }


def tensor_background(frames: Any, ranks: tuple[int, ...]) -> Any:
    """Return the low-rank part of frames; modes of full rank keep their factors."""
    moving = tuple(k for k, r in enumerate(ranks) if r < frames.shape[k])
    method = wp.TensorRobustPCA(threshold=Soft(ratio=0.8), modes=moving)
    found = wp.recover(
        whole(torch.from_numpy(frames)), wp.LowTuckerPlusSparse(ranks), method, steps=150, tol=1e-4
    )
    return found.signal.numpy()


def kinetic() -> dict[str, Any]:
    """Predict fluorescence that is hidden."""
    full = torch.from_numpy(load("kinetic").values)
    known = ~full.isnan()
    tails = torch.zeros_like(known)
    tails[3::12, :, :, -13:] = True  # samples 3, 15, 27, 39, 51, 63; 27 is the one that lacks them
    chance = Stream(101).uniform(full.shape, "hidden") < 0.2
    found = _hidden(full, known & ~chance, known & chance, "a fifth of the cells")
    return found | _hidden(full, known & ~tails, known & tails, "the end of five samples")


def traffic() -> dict[str, Any]:
    """Predict occupancy of roads that is hidden."""
    full = torch.from_numpy(load("bay-traffic").values[:182])
    chance = Stream(102).uniform(full.shape, "cells") < 0.5
    days = Stream(103).uniform((full.shape[0], 1, full.shape[2]), "days") < 0.1
    days = days.expand(full.shape)
    return _hidden(full, ~chance, chance, "half of the cells") | _hidden(
        full, ~days, days, "days of sensors"
    )


def _hidden(full: Tensor, fit: Tensor, hidden: Tensor, told: str) -> dict[str, Any]:
    """Compare ways of predicting the hidden cells from those to be fitted."""
    truth, found = full[hidden], {}

    def line(name: str, values: Tensor, start: float, **more: Any) -> None:
        error = float((values - truth).norm() / truth.norm())
        spent = time.process_time() - start
        found[f"{told}: {name}"] = {"error": error, "seconds": spent} | more

    start = time.process_time()
    problem = seen(full, fit)
    ours = wp.recover(problem, wp.LowTucker(), steps=200, tol=1e-4)
    line("ours", ours.signal[hidden], start, ranks=ours.ranks, status=ours.status.value)
    fitted, spent = tensorly(full.nan_to_num(), fit, ours.ranks, "svd", 60)
    if fitted is not None:
        line("TensorLy", dense(Tucker(*fitted))[hidden], time.process_time() - spent)
    start = time.process_time()
    rows = full.flatten(0, -2)
    table = wp.recover(seen(rows, fit.flatten(0, -2)), wp.LowRank(), tol=1e-4)
    line("matrix of the last mode", table.signal.reshape(full.shape)[hidden], start,
         rank=table.rank)  # fmt: skip
    start = time.process_time()
    line("offsets of each mode", offsets(problem, hidden.nonzero()), start)
    return found


def material() -> dict[str, Any]:
    """Find inclusions of known place in a synthetic stack."""
    stack, mask = layered(104)
    frames = torch.from_numpy(stack)
    ranks = (2, *stack.shape[1:])
    problem, prior = whole(frames), wp.LowTuckerPlusSparse(ranks)

    def net() -> Any:
        tuned = tune(SharedNumbers(LAYERS, modes=(0,)), [Stack(problem, prior)], TUNING)
        return wp.recover(problem, prior, tuned).signal.numpy()

    ways: dict[str, Callable[[], Any]] = {
        "high-pass filter": lambda: gaussian_filter(stack, (0, 4, 4)),
        "median layer": lambda: np.broadcast_to(np.median(stack, 0), stack.shape),
        "tensor": lambda: tensor_background(stack, ranks),
        "tuned net": net,
    }
    found = {}
    for name, background in ways.items():
        start = time.process_time()
        off = np.abs(stack - background())
        noise = 1.4826 * np.median(off)
        found[name] = {"F1": f1(off > 5 * noise, mask), "share": mask.mean(),
                       "seconds": time.process_time() - start}  # fmt: skip
    return found


def layered(seed: int, count: int = 40, side: int = 64) -> tuple[Any, Any]:
    """Return a synthetic material [layers, height, width] and where its inclusions are.

    Grains are the patches of a smooth random field, each with a brightness that changes linearly
    through the layers; light falls off to one side; noise of 0.01; inclusions are discs of radius
    1 to 3 in two or three layers, brighter or darker by 0.15 to 0.4.
    """
    draw = np.random.default_rng(seed)
    field = gaussian_filter(draw.standard_normal((side, side)), 4, mode="wrap")
    grains, number = label(field > 0)
    shade, drift = draw.uniform(0.3, 0.6, number + 1), draw.uniform(-0.15, 0.15, number + 1)
    depth, across = np.linspace(-1, 1, count), np.linspace(1.1, 0.9, side)
    stack = (shade[grains] + depth[:, None, None] * drift[grains]) * across
    mask = np.zeros(stack.shape, bool)
    y, x = np.mgrid[:side, :side]
    for _ in range(6 * count * side**2 // 64**2):
        at, radius = draw.uniform(0, side, 2), draw.uniform(1, 3)
        first, deep = draw.integers(0, count - 1), draw.integers(2, 4)
        disc = (y - at[0]) ** 2 + (x - at[1]) ** 2 < radius**2
        spot = np.zeros_like(mask)
        spot[first : first + deep] = disc
        stack[spot & ~mask] += draw.choice([-1, 1]) * draw.uniform(0.15, 0.4)
        mask |= spot
    return (stack + 0.01 * draw.standard_normal(stack.shape)).astype(np.float32), mask


PARTS = {"clip": clip, "kinetic": kinetic, "traffic": traffic, "material": material}


def main(words: list[str]) -> None:
    """Run the parts that are named, or all."""
    for name in words or PARTS:
        run_part(f"real_tensors_{name}", PARTS[name])
