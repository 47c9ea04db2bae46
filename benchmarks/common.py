"""What the benchmarks share: random truths, timing, memory, and where results go."""

from __future__ import annotations

import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.lowrank.setting import Factors
from wellposed.rng import Stream
from wellposed.store import versions

RESULTS = Path(__file__).parent / "results"


def save(name: str, data: dict[str, Any]) -> Path:
    """Write a benchmark's figures as JSON, with the versions that they depend on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(data | {"versions": versions()}, indent=1, default=float) + "\n")
    return path


def seconds(function: Callable[[], Any], repeats: int = 5) -> float:
    """Return the median time of a call, after one call that does not count."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_gigabytes() -> float:
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def incoherent(n: int, rank: int, stream: Stream, purpose: str) -> Tensor:
    """Return left singular vectors of a random +-1 matrix [n, rank]: no row stands out."""
    signs = torch.sign(stream.normal((n, rank), purpose))
    u: Tensor = torch.linalg.svd(signs, full_matrices=False)[0]
    return u


def truth(
    n1: int, n2: int, rank: int, kappa: float, seed: int, *, symmetric: bool = False
) -> Factors:
    """Return factors with singular values linear from 1 to 1 / kappa.

    Left and right are drawn independently; the authors' scripts draw a symmetric truth.
    """
    stream = Stream(seed)
    left = incoherent(n1, rank, stream, "left factor")
    right = left if symmetric else incoherent(n2, rank, stream, "right factor")
    values = torch.linspace(1, 1 / kappa, rank, dtype=left.dtype)
    return Factors(left * values, right)


def random_cells(n1: int, n2: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct cells, each observed with probability ``share``, in row order, int32.

    The gaps between observed cells of the flattened matrix are geometric, so nothing of size
    n1 x n2 is ever drawn.
    """
    draw = np.random.default_rng(seed)
    count = int(n1 * n2 * share * 1.01 + 6 * (n1 * n2 * share) ** 0.5)
    flat = np.cumsum(draw.geometric(share, count)) - 1
    flat = flat[flat < n1 * n2]
    rows, cols = np.divmod(flat, n2)
    return rows.astype(np.int32), cols.astype(np.int32)


def steps_to(errors: np.ndarray, level: float) -> int | None:
    """Return the first step (counted from one) whose error is below a level."""
    below = np.flatnonzero(np.asarray(errors) < level)
    return int(below[0]) + 1 if below.size else None


def run_part(name: str, part: Callable[[], dict[str, dict[str, Any]]]) -> None:
    """Run a part of a benchmark on one thread; save its rows under a name, and print them."""
    torch.set_num_threads(1)
    start = time.process_time()
    found = part()
    save(name, found)
    print(f"{name}: {time.process_time() - start:.0f} s of the processor")
    for row, values in found.items():
        told = ", ".join(
            f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items()
        )
        print(f"  {row:50s} {told}", flush=True)
