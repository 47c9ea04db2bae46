"""Posterior samplers against exact posteriors: mixtures of 25 Gaussians, bits and magnitudes.

Problems   see ``exact_posteriors``: 25 Gaussians in d = 8, 80, 800 with m = 1, 2, 4 measurements,
           each repeat a new instance; the published instances in d = 8, each repeat new draws;
           spacings of 3 and 1.5 in place of 8; one bit and magnitudes in d = 4.
Figures    sliced and max-sliced W2 of n draws to 10,000 exact ones over 100 directions, total
           variation of the modes' weights: medians over the repeats, 95 % intervals of sliced W2
           by bootstrap. "DIV" counts runs that diverged, which count as infinitely far.
           "behind": in how many repeats the first row, the larger population, was nearer.
Baseline   importance sampling of 20,000 draws of the prior. Drawn exactly it takes no denoiser;
           the evaluations shown are those of drawing them with one (40 each).
Guidance   DPS and LGD-MC take the strength that had the least median of sliced W2 on three
           other instances, 128 draws each; the strength is printed. LGD-MC by its likelihood and
           by its norm. All methods start blind to the data.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import save
from benchmarks.exact_posteriors import Instance, grid_mixture, published, toy, weighted
from wellposed.evaluation.distances import sliced_w2
from wellposed.evaluation.laws import mode_weights

POOL, REFERENCE, START = 20_000, 10_000, 40
OURS = "DPnP-SMC, larger"
TUNING, TUNING_DRAWS = range(1000, 1003), 128
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
Make = Callable[[int], Instance]
COLUMNS = ("sliced W2", "max-sliced W2", "weights TV", "evaluations", "seconds per 1000 draws")


def methods(guided_steps: int, particles: int) -> dict[str, Any]:
    """Return the methods of the table; those with a strength as a list of candidates."""
    dps = [wp.DPS(guided_steps, zeta=s) for s in STRENGTHS]
    lgd = [wp.LGDMC(guided_steps, scale=s) for s in STRENGTHS]
    return {
        OURS: wp.DPnPSMC(particles=particles),
        "DPnP-SMC": wp.DPnPSMC(),
        "exact": None,
        "prior, weighted": None,
        "DPnP-DDIM 60": wp.DPnP(60),
        "DPnP-DDPM 30": wp.DPnP(30, denoiser="ddpm"),
        "DPS": dps,
        "LGD-MC": lgd,
        "LGD-MC norm": [replace(method, weight="norm") for method in lgd],
    }


def measure(instance: Instance, x: Tensor, seed: int) -> list[float]:
    """Return sliced W2, max-sliced W2 and the weights' total variation."""
    found = sliced_w2(x, instance.exact(REFERENCE, 7 * seed + 1), seed=seed)
    off = math.nan if instance.law is None else mode_weights(x, instance.law).tv
    return [found.mean, found.max, off]


def row(instance: Instance, name: str, method: Any, n: int, seed: int) -> list[float]:
    """Return the figures of one method on one instance."""
    if name == "exact":
        return [*measure(instance, instance.exact(n, 7 * seed + 2), seed), 0.0, 0.0]
    begin = time.process_time()
    if name == "prior, weighted":
        x = weighted(instance.prior, instance.problem, n, seed, POOL)
        seconds = time.process_time() - begin
        return [*measure(instance, x, seed), START * POOL / n, 1000 * seconds / n]
    found = wp.recover(instance.problem, instance.prior, method, draws=n, seed=seed)
    seconds = 1000 * (time.process_time() - begin) / n
    spent = found.evaluations.denoiser
    if not found.status.ok:
        return [math.inf, math.inf, math.nan, spent, seconds]
    return [*measure(instance, found.draws, seed), spent, seconds]


def tuned(candidates: list[Any], make: Make) -> Any:
    """Return the candidate with the least median on other instances."""
    problems = [make(k) for k in TUNING]

    def median(method: Any) -> float:
        found = [
            row(p, "", method, TUNING_DRAWS, k)[0] for k, p in zip(TUNING, problems, strict=True)
        ]
        return float(np.median(found))

    return min(candidates, key=median)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the bootstrap's 95 % interval of a median."""
    pick = np.random.default_rng(0).integers(0, len(values), (2000, len(values)))
    low, high = np.quantile(np.median(values[pick], 1), (0.025, 0.975), method="nearest")
    return float(low), float(high)


def study(title: str, make: Make, table: dict[str, Any], repeats: int, n: int) -> dict[str, Any]:
    """Print and return the figures of all methods on one kind of instance."""
    print(f"\n{title}: {repeats} repeats, {n} draws")
    heads = f"{'sliced W2':>11}{'interval':>20}{'max':>8}{'TV':>7}{'DIV':>5}{'behind':>8}"
    print(f"{'':24}{heads}{'evaluations':>13}{'s':>8}")
    result: dict[str, Any] = {}
    best = np.zeros(repeats)
    for name, given in table.items():
        method = tuned(given, make) if isinstance(given, list) else given
        strength = getattr(method, "zeta", getattr(method, "scale", None))
        rows = np.array([row(make(k), name, method, n, k) for k in range(repeats)])
        first, off = rows[:, 0], rows[:, 2]
        best = first if name == OURS else best
        middle, (low, high) = np.median(rows, 0), interval(first)
        lost, behind = int(np.isinf(first).sum()), int((first > best).sum())
        weights = float(np.median(off[~np.isinf(first)])) if lost < repeats else math.nan
        result[name] = {
            "strength": strength, "median": middle.tolist(), "interval": [low, high],
            "diverged": lost, "behind": behind, "all": rows.tolist(),
        }  # fmt: skip
        label = name if strength is None else f"{name} {strength:g}"
        print(
            f"{label:24}{middle[0]:11.3g}{f'[{low:.3g}, {high:.3g}]':>20}{middle[1]:8.3g}"
            f"{weights:7.3f}{lost:5d}{behind:8d}{middle[3]:13.0f}{middle[4]:8.2f}",
            flush=True,
        )
    return result


def studies(*, quick: bool) -> dict[str, Make]:
    """Return the kinds of instances by title."""
    found: dict[str, Make] = {}
    pairs = [(8, 4)] if quick else [(d, m) for d in (8, 80, 800) for m in (1, 2, 4)]
    for d, m in pairs:
        found[f"d = {d}, m = {m}"] = lambda k, d=d, m=m: grid_mixture(d, m, 8.0, k)  # type: ignore[misc]
    for m in () if quick else (1, 2, 4):
        found[f"published, d = 8, m = {m}"] = lambda k, m=m: published(m)  # type: ignore[misc]
    for gap in () if quick else (3.0, 1.5):
        found[f"d = 8, m = 4, spacing {gap:g}"] = lambda k, gap=gap: grid_mixture(8, 4, gap, k)  # type: ignore[misc]
    found["one bit"] = lambda k: toy("bits", k)
    if not quick:
        found["magnitudes"] = lambda k: toy("magnitudes", k)
    return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks posterior_table")
    parser.add_argument("--quick", action="store_true", help="two kinds, two instances, 256 draws")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--guided-steps", type=int, default=100, help="of DPS and LGD-MC")
    parser.add_argument("--particles", type=int, default=5000, help="of the larger population")
    parser.add_argument("--only", default="", help="the kinds whose title begins like this")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    repeats, n = (2, 256) if given.quick else (given.repeats, given.draws)
    table = methods(given.guided_steps, given.particles)
    data = {
        title: study(title, make, table, repeats, n)
        for title, make in studies(quick=given.quick).items()
        if title.startswith(given.only)
    }
    save("posterior_table", {"columns": COLUMNS, "draws": n, "kinds": data})
