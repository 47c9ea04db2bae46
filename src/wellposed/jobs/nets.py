"""The numbers of unrolled methods: tuned on the stack itself, the usual ones, or another run's.

The numbers that a run used are kept in its ``net.safetensors``, which ``--tune`` takes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wellposed.checks import require
from wellposed.jobs.folder import Bench
from wellposed.jobs.requests import SeparateJob
from wellposed.lowrank.tuning import (
    LayerNumbers,
    SharedNumbers,
    Stack,
    frozen,
    tune,
    tune_by_layers,
)
from wellposed.lowrank.unrolled import UnrolledRobustPCA
from wellposed.operators.entries import Entries
from wellposed.operators.generic import Identity
from wellposed.operators.tensor_entries import TensorEntries
from wellposed.priors.lowrank import LowRankPlusSparse
from wellposed.priors.tucker import LowTuckerPlusSparse
from wellposed.problem import Problem
from wellposed.store import load_tree, save_tree

LAYERS = 25  # with four numbers in all
OWN = 10  # layers with numbers of their own
TUNING = 30  # steps of tuning all numbers at once
EACH = 6  # steps of tuning each layer, alone and with those before it
TUNED_ON = 300_000  # pixel values, about
FILE = "net.safetensors"


def observed(signal: Tensor) -> Problem:
    """All or the observed entries of a matrix or a tensor, NaN where missing."""
    seen = ~signal.isnan()
    if bool(seen.all()):
        return Problem(signal, Identity(tuple(signal.shape)))
    entries = Entries if signal.ndim == 2 else TensorEntries
    return Problem(signal[seen], entries.from_mask(seen))


def given_net(job: SeparateJob) -> UnrolledRobustPCA | None:
    """Read the numbers of another run, where its file was named."""
    if not job.method.startswith("unrolled") or job.tune in ("self", "none"):
        return None
    net: UnrolledRobustPCA = load_tree(Path(job.tune))
    require(
        isinstance(net, UnrolledRobustPCA),
        f"{job.tune} holds a {type(net).__name__}, expected the numbers of an unrolled method",
        remedy=f"take the {FILE} of an earlier run, or --tune self",
    )
    return net


def tensor_net(
    bench: Bench,
    job: SeparateJob,
    frames: NDArray[np.float32],
    prior: LowTuckerPlusSparse,
    moving: tuple[int, ...],
    given: UnrolledRobustPCA | None,
) -> UnrolledRobustPCA:
    """Return the net of a tensor [T, H, W] or [T, H, W, C]: four numbers for all layers."""
    numbers = SharedNumbers(LAYERS, modes=moving)

    def tuned() -> UnrolledRobustPCA:
        part = thinned(frames)
        ranks = tuple(min(r, n) for r, n in zip(prior.ranks, part.shape, strict=True))
        return tune(numbers, [Stack(observed(part), LowTuckerPlusSparse(ranks))], TUNING)

    if given is None:
        given = frozen(numbers.method()) if job.tune == "none" else bench.once("net", tuned)
    return _kept(bench, replace(given, modes=moving))


def matrix_net(
    bench: Bench,
    job: SeparateJob,
    frames: NDArray[np.float32],
    rank: int,
    given: UnrolledRobustPCA | None,
) -> UnrolledRobustPCA:
    """Return the net of a matrix with a frame a column: numbers of its own for each layer."""
    numbers = LayerNumbers(OWN)

    def tuned() -> UnrolledRobustPCA:
        part = thinned(frames)
        matrix = part.reshape(len(part), -1).mT.contiguous()
        prior = LowRankPlusSparse(min(rank, *matrix.shape))
        return tune_by_layers(numbers, [Stack(observed(matrix), prior)], EACH)

    if given is None:
        given = frozen(numbers.method()) if job.tune == "none" else bench.once("net", tuned)
    return _kept(bench, replace(given, modes=None))


def thinned(frames: NDArray[np.float32]) -> Tensor:
    """Return every few rows and columns of the frames: enough to tune on."""
    thin = max(1, round((frames.size / TUNED_ON) ** 0.5))
    return torch.from_numpy(frames[:, ::thin, ::thin].copy())


def reported(method: Any) -> dict[str, Any] | None:
    """Return the numbers of an unrolled method, for the summary."""
    if not isinstance(method, UnrolledRobustPCA):
        return None
    return {
        "start": method.start,
        "thresholds": list(method.thresholds),
        "step_sizes": list(method.step_sizes),
    }


def _kept(bench: Bench, net: UnrolledRobustPCA) -> UnrolledRobustPCA:
    save_tree(bench.folder / FILE, net)
    return net
