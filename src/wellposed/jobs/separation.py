"""The stages of separating a stack: choose the rank, fit, tell foreground from noise, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wellposed.io import Stack, write_arrays
from wellposed.jobs.background import Trial, choose_rank, chosen
from wellposed.jobs.folder import Bench, Done, Limits, carry_out
from wellposed.jobs.nets import given_net, matrix_net, observed, reported, tensor_net
from wellposed.jobs.previews import Layered, moving, write_previews
from wellposed.jobs.requests import SeparateJob
from wellposed.lowrank.robust_pca import TO_SIGMA, Soft
from wellposed.lowrank.tensor_robust_pca import TensorRobustPCA
from wellposed.lowrank.unrolled import UnrolledRobustPCA
from wellposed.multilinear import check_ranks
from wellposed.priors.lowrank import LowRankPlusSparse
from wellposed.priors.tucker import LowTuckerPlusSparse
from wellposed.result import Recovery
from wellposed.result_tensor import TensorRecovery

RATIO = 0.8  # decay of the tensor method's threshold, as of the matrix method's
SIGMAS = 5.0
LEAST = 0.01  # of the frames' range: what is smaller is not called foreground


class Layers(NamedTuple):
    """Frames taken apart, each in the shape of the frames."""

    frames: NDArray[np.float32]
    background: NDArray[np.float32]
    foreground: NDArray[np.float32]
    mask: NDArray[np.bool_]
    noise: float  # robust standard deviation of frame - background
    threshold: float


def separate_stack(
    job: SeparateJob,
    stack: Stack,
    out: str | Path | None,
    progress: bool,
    checkpoint_seconds: float,
) -> Done:
    """Separate a stack that was read and checked; see ``jobs.separate``."""
    limits = Limits(job.steps, job.tol, job.seed, progress, checkpoint_seconds)
    given = given_net(job)  # refused, if need be, before there is a folder
    return carry_out(job, out, limits, lambda bench: _work(bench, job, stack, given))


def _work(
    bench: Bench, job: SeparateJob, stack: Stack, given: UnrolledRobustPCA | None
) -> dict[str, Any]:
    frames = in_units(stack)
    matrix = torch.from_numpy(frames.reshape(len(frames), -1).T.copy())
    trials: tuple[Trial, ...] = ()
    if job.rank is None:
        trials = tuple(bench.once("rank", lambda: choose_rank(matrix, job.seed)))
    rank = job.rank or chosen(trials)
    if job.method in ("matrix", "unrolled-matrix"):
        net = None if job.method == "matrix" else matrix_net(bench, job, frames, rank, given)
        recovery = bench.fit("fit", observed(matrix), LowRankPlusSparse(rank), net)
        background = recovery.signal.T
    else:
        recovery = _fit_tensor(bench, job, frames, rank, given)
        background = recovery.signal
    layers = take_apart(frames, background, job.threshold)
    arrays = {name: getattr(layers, name) for name in ("background", "foreground", "mask")}
    write_arrays(bench.folder / "separated.npz", arrays)
    write_previews(bench.folder, Layered(layers.frames, layers.background, layers.mask))
    return {
        "job": job.kind,
        "status": recovery.status.value,
        "status_text": recovery.status.text,
        "stack": _described(job, stack, frames),
        "settings": _settings(recovery, rank, trials),
        "layers": _figures(layers),
        "warnings": _doubts(layers),
    }


def in_units(stack: Stack) -> NDArray[np.float32]:
    """Return frames as float32: 8-bit ones from 0 to 1, others as they are."""
    frames = stack.frames.astype(np.float32)
    return frames / np.float32(255) if stack.frames.dtype == np.uint8 else frames


def take_apart(frames: NDArray[np.float32], found: Tensor, threshold: float | None) -> Layers:
    """Tell background, foreground and noise apart.

    A pixel is foreground if it differs from the background by more than the threshold: 5 robust
    standard deviations of all differences, at least 1 % of the frames' range, unless given.
    """
    background = np.ascontiguousarray(found.numpy()).reshape(frames.shape)
    off = frames - background
    noise = TO_SIGMA * float(np.nanmedian(np.abs(off)))
    if threshold is None:
        threshold = max(SIGMAS * noise, LEAST * float(np.nanmax(frames) - np.nanmin(frames)))
    mask = np.abs(off) > threshold  # NaN compares false: missing pixels are no foreground
    foreground = np.where(mask, off, np.float32(0))
    return Layers(frames, background, foreground, mask, noise, threshold)


def _fit_tensor(
    bench: Bench,
    job: SeparateJob,
    frames: NDArray[np.float32],
    rank: int,
    given: UnrolledRobustPCA | None,
) -> TensorRecovery:
    """Fit a background of low rank in time; modes of full rank keep their factors."""
    sides = frames.shape[1:]
    ranks = (rank, *(job.ranks or sides))
    check_ranks(ranks, frames.shape)
    free = tuple(k for k, r in enumerate(ranks) if r < frames.shape[k])
    prior = LowTuckerPlusSparse(ranks)
    method: Any = TensorRobustPCA(threshold=Soft(ratio=RATIO), modes=free)
    if job.method == "unrolled":
        method = tensor_net(bench, job, frames, prior, free, given)
    found: TensorRecovery = bench.fit("fit", observed(torch.from_numpy(frames)), prior, method)
    return found


def _described(job: SeparateJob, stack: Stack, frames: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "name": Path(job.stack).name,
        "frames": len(frames),
        "height": frames.shape[1],
        "width": frames.shape[2],
        "channels": 1 if stack.grey else frames.shape[3],
        "missing": float(np.isnan(frames).mean()),
        "first": stack.names[0],
        "last": stack.names[-1],
    }


def _settings(
    recovery: Recovery | TensorRecovery, rank: int, trials: tuple[Trial, ...]
) -> dict[str, Any]:
    return {
        "rank": rank,
        "ranks": list(recovery.ranks) if isinstance(recovery, TensorRecovery) else None,
        "method": type(recovery.method).__name__,
        "steps": recovery.steps,
        "singular_values": recovery.singular_values.tolist()
        if isinstance(recovery, Recovery)
        else [],
        "net": reported(recovery.method),
        "tried": [t._asdict() for t in trials],
    }


def _figures(layers: Layers) -> dict[str, Any]:
    off = layers.frames - layers.background
    rest = np.where(layers.mask, 0, off)
    total = float(np.nansum(np.square(layers.frames, dtype=np.float64)))
    return {
        "noise": layers.noise,
        "threshold": layers.threshold,
        "foreground_share": float(moving(layers.mask).mean()),
        "busiest_frame": int(moving(layers.mask).mean((1, 2)).argmax()),
        "unexplained": (float(np.nansum(np.square(rest, dtype=np.float64))) / total) ** 0.5
        if total
        else 0.0,
    }


def _doubts(layers: Layers) -> list[str]:
    share = float(moving(layers.mask).mean())
    if share <= 0.3:
        return []
    return [
        f"{share:.0%} of the pixels were called foreground: the camera may move, or the background "
        "may change too much for its rank. Try --rank with a larger number, or a shorter stack."
    ]
