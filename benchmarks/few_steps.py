"""Few evaluations, shown honestly: the accelerated samplers beside DDIM and DPM-Solver++(2M).

    python -m benchmarks few_steps [--quick]

Random mixtures on the line (3 modes) and in 2, 16 and 256 dimensions (5 modes). All samplers get
the same start noise and the same number of denoiser evaluations on the default grid (log-uniform,
closed with zero); the truth is the exact flow from that noise (DPM-Solver++(2M), 500 steps). The
error is the distance of the two clouds: W2 on the line, sliced W2 (200 directions) elsewhere;
geometric mean over the mixtures, with the smallest and the largest. The floor is the distance of
two independent exact samples of the same size: an error below it cannot be seen in draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import save
from benchmarks.plots import curves
from wellposed.evaluation.distances import sliced_w2
from wellposed.rng import Stream
from wellposed.samplers.levels import default_levels

SIZES = ((1, 3), (2, 5), (16, 5), (256, 5))  # dimensions, modes
BUDGETS = (5, 10, 20, 40)
SAMPLERS: dict[str, Callable[[int], Any]] = {
    "DDIM": wp.DDIM,
    "accelerated, two evaluations": lambda n: wp.AcceleratedODE(n // 2),
    "accelerated, reuse": wp.AcceleratedODEReuse,
    "accelerated, exact integral": wp.AcceleratedODEExact,
    "Heun": lambda n: wp.Heun((n + 1) // 2),
    "DPM-Solver++(2M)": wp.DPMSolverPP2M,
}


def mixture(d: int, modes: int, seed: int) -> wp.GaussianMixture:
    """Return a random mixture of unit mean variance, centred."""
    stream = Stream(seed)
    weights = stream.uniform((modes,), "weights") + 0.3
    weights = weights / weights.sum()
    means = stream.normal((modes, d), "means")
    variances = 0.02 + 0.1 * stream.uniform((modes,), "variances")
    means = means - weights @ means
    size = (weights @ means.square()).mean() + weights @ variances
    return wp.GaussianMixture(weights, means / size**0.5, variances / size)


def distance(x: Tensor, y: Tensor) -> float:
    """Return the sliced W2 of two clouds [n, d]; W2 on the line."""
    return sliced_w2(x, y, directions=200 if x.shape[1] > 1 else 1).mean


def errors(prior: wp.GaussianMixture, n: int, seed: int) -> dict[str, list[float]]:
    """Return each sampler's errors at the budgets, and the floor."""
    high = default_levels(prior, 2)[0]
    start = high * Stream(seed).normal((n, *prior.shape), "noise")
    truth = wp.sample(prior, wp.DPMSolverPP2M(500), n=n, start=start).x
    found = {"floor": [distance(prior.sample(n, seed=seed), prior.sample(n, seed=seed + 1000))]}
    for name, make in SAMPLERS.items():
        found[name] = []
        for budget in BUDGETS:
            method = make(budget)
            levels = default_levels(prior, method.steps)
            draws = wp.sample(prior, method, n=n, start=start, sigmas=levels)
            found[name].append(distance(draws.x, truth))
    return found


def study(d: int, modes: int, mixtures: int, n: int) -> dict[str, Any]:
    """Print and return the errors over random mixtures."""
    tables = [errors(mixture(d, modes, seed), n, seed) for seed in range(mixtures)]
    print(f"\n{d} dimension(s), {mixtures} mixtures, {n} draws: error (smallest to largest)")
    print(f"{'evaluations':30}" + "".join(f"{b:>26}" for b in BUDGETS))
    result: dict[str, Any] = {}
    for name in SAMPLERS:
        values = np.array([table[name] for table in tables])
        centre = np.exp(np.log(values).mean(0))
        result[name] = {"mean": centre.tolist(), "all": values.tolist()}
        cells = [
            f"{c:10.4f} ({low:.4f} to {high:.4f})"
            for c, low, high in zip(centre, values.min(0), values.max(0), strict=True)
        ]
        print(f"{name:30}" + "".join(f"{cell:>26}" for cell in cells))
    floor = float(np.exp(np.mean([np.log(table["floor"][0]) for table in tables])))
    print(f"{'floor: exact against exact':30}{floor:10.4f}")
    return {"floor": floor, "samplers": result}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks few_steps")
    parser.add_argument("--quick", action="store_true", help="two mixtures, 500 draws")
    quick = parser.parse_args(arguments).quick
    torch.set_num_threads(1)
    mixtures, n = (2, 500) if quick else (6, 2000)
    data = {str(d): study(d, modes, mixtures, n) for d, modes in SIZES}
    for d, found in data.items():
        lines = {
            name: list(zip(BUDGETS, row["mean"], strict=True))
            for name, row in found["samplers"].items()
        }
        lines["exact against exact"] = [(BUDGETS[0], found["floor"]), (BUDGETS[-1], found["floor"])]
        name = "W2" if d == "1" else "sliced W2"
        curves(
            f"few_steps_{d}d", lines, "denoiser evaluations", f"{name} to the exact flow",
            log_x=True, title=f"few evaluations, mixtures in {d} dimension(s)",
        )  # fmt: skip
    save("few_steps", {"evaluations": BUDGETS, "dimensions": data})
