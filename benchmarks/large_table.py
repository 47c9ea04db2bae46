"""Completion of large tables: memory, held-out error, and time per iteration in the entries.

    python -m benchmarks large_table            10^5 to 10^7 entries of 100,000 x 50,000
    python -m benchmarks large_table --netflix  10^8 entries of 480,189 x 17,770, rank 10, noise

The large one goes from triplets on disk to factors. Held-out error is measured on cells that
were never given: against the clean signal (relative), and for the noisy table against noisy
values, in units of the noise.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import wellposed as wp
from benchmarks.common import peak_gigabytes, random_cells, save
from wellposed.operators.entries import predict_cells
from wellposed.rng import Stream
from wellposed.task import Task

KEPT_ASIDE = 100_000


def factors(n1: int, n2: int, rank: int, kappa: float, seed: int) -> tuple[torch.Tensor, ...]:
    """Return Gaussian factors with entries of the product of unit size, float32."""
    stream = Stream(seed)
    scale = (n1 * n2 / rank) ** 0.25
    values = torch.linspace(1, 1 / kappa, rank)
    left, right = (
        torch.linalg.qr(stream.normal((n, rank), side, dtype=torch.float32))[0] * scale
        for n, side in ((n1, "left"), (n2, "right"))
    )
    return left * values, right


def other_cells(n1: int, n2: int, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random cells; a share of at most ``share`` of them was observed too."""
    draw = np.random.default_rng(seed + 1)
    return (
        torch.from_numpy(draw.integers(0, n1, KEPT_ASIDE)),
        torch.from_numpy(draw.integers(0, n2, KEPT_ASIDE)),
    )


def fit(n1: int, n2: int, rank: int, kappa: float, entries: int, seed: int) -> dict[str, float]:
    """Complete one clean table and measure it."""
    left, right = factors(n1, n2, rank, kappa, seed)
    share = entries / (n1 * n2)
    rows, cols = (torch.from_numpy(a) for a in random_cells(n1, n2, share, seed))
    y = predict_cells(left, right, rows, cols)
    problem = wp.Problem(y, wp.operators.Entries(rows, cols, (n1, n2)))
    start = time.perf_counter()
    found = wp.recover(problem, wp.LowRank(rank), wp.ScaledGD(), tol=1e-5, steps=100)
    total = time.perf_counter() - start
    i, j = other_cells(n1, n2, share, seed)
    clean = predict_cells(left, right, i, j)
    error = float((found.predict(i, j) - clean).norm() / clean.norm())
    return {
        "entries": y.numel(),
        "steps": found.steps,
        "seconds": total,
        "held_out_relative_error": error,
        "peak_gigabytes": peak_gigabytes(),
    }


def step_seconds(n1: int, n2: int, rank: int, entries: int, seed: int) -> float:
    """Return the median time of one iteration."""
    left, right = factors(n1, n2, rank, 2.0, seed)
    rows, cols = (torch.from_numpy(a) for a in random_cells(n1, n2, entries / (n1 * n2), seed))
    y = predict_cells(left, right, rows, cols)
    problem = wp.Problem(y, wp.operators.Entries(rows, cols, (n1, n2)))
    method = wp.ScaledGD()
    plan = method.prepare(Task(problem, wp.LowRank(rank), dtype=y.dtype))
    state = method.init(plan, Stream(seed))
    times = []
    for _ in range(8):
        start = time.perf_counter()
        state = method.step(plan, state)
        float(state.residual)
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def scaling() -> None:
    """Print and save the run at 10^7 entries, and the time per iteration from 10^5 on."""
    n1, n2, rank = 100_000, 50_000, 5
    result = fit(n1, n2, rank, 2.0, 10**7, 0)
    print(", ".join(f"{k} {v:.4g}" for k, v in result.items()))
    sizes = [10**5, 3 * 10**5, 10**6, 3 * 10**6, 10**7]
    times = [step_seconds(n1, n2, rank, m, 0) for m in sizes]
    for m, t in zip(sizes, times, strict=True):
        print(f"{m:>10,d} entries  {1e3 * t:8.2f} ms an iteration")
    exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    print(f"exponent of the time in the entries: {exponent:.2f}")
    save("large_table", {"run": result, "sizes": sizes, "ms": times, "exponent": exponent})


def write_triplets(folder: Path, shape: tuple[int, int], count: int, sigma: float) -> None:
    """Write a noisy rank-10 table as three arrays, ordered by column as ratings often are."""
    n1, n2 = shape
    left, right = factors(n1, n2, 10, 2.0, 7)
    cols, rows = random_cells(n2, n1, count / (n1 * n2), 7)
    y = predict_cells(left, right, torch.from_numpy(rows), torch.from_numpy(cols))
    y += sigma * torch.randn(y.numel(), generator=torch.Generator().manual_seed(8))
    for name, array in (("rows", rows), ("cols", cols), ("values", y.numpy())):
        np.save(folder / f"{name}.npy", array)


def netflix(folder: Path, sigma: float = 0.5) -> None:
    """Print and save the run at the size of the Netflix prize."""
    shape, rank = (480_189, 17_770), 10
    start = time.perf_counter()
    rows, cols, values = (np.load(folder / f"{n}.npy") for n in ("rows", "cols", "values"))
    operator = wp.operators.Entries(torch.from_numpy(rows), torch.from_numpy(cols), shape)
    problem = wp.Problem(torch.from_numpy(values), operator, wp.noise.Gaussian(sigma))
    loaded = time.perf_counter() - start
    found = wp.recover(problem, wp.LowRank(rank), wp.ScaledGD(), tol=1e-3, steps=60)
    total = time.perf_counter() - start
    i, j = other_cells(*shape, 0.0, 9)
    left, right = factors(*shape, rank, 2.0, 7)
    off = found.predict(i, j) - predict_cells(left, right, i, j)
    excess = float(off.square().mean())
    result = {
        "entries": values.size,
        "steps": found.steps,
        "seconds_loading": loaded,
        "seconds_iterating": float(found.trace.seconds[-1]),
        "seconds_total": total,
        "held_out_rmse_over_noise": (1 + excess / sigma**2) ** 0.5,
        "peak_gigabytes": peak_gigabytes(),
    }
    print(", ".join(f"{k} {v:.4g}" for k, v in result.items()))
    save("netflix", result)


def main(arguments: list[str]) -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(prog="benchmarks large_table")
    parser.add_argument("--netflix", action="store_true")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.write:
        write_triplets(asked.write, (480_189, 17_770), 10**8, 0.5)
    elif asked.read:
        netflix(asked.read)
    elif asked.netflix:
        _in_two_processes()
    else:
        scaling()


def _in_two_processes() -> None:
    """Make the table in one process and fit it in another, whose memory is what counts."""
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as folder:
        for what in ("--write", "--read"):
            command = [sys.executable, "-m", "benchmarks", "large_table", what, folder]
            subprocess.run(command, check=True)
