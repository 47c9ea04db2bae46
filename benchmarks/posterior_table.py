"""Posterior samplers against exact posteriors: mixtures of 25 Gaussians, bits and magnitudes.

Family     25 unit Gaussians at (8 i, 8 j, 8 i, 8 j, ...), i, j = -2, ..., 2, in d = 8, 80, 800
           dimensions, weights ~ N(0, 1)^2; y = A x + noise, A [m, d] with singular values U[0, 1],
           noise U[0, 1] max s, m = 1, 2, 4 (Cardoso et al., ICLR 2024). Each repeat draws a new
           instance. Variants with 3 and 1.5 in place of 8; one bit and magnitudes in d = 4.
Figures    sliced and max-sliced W2 of n draws to exact ones (100 directions), the total variation
           of the modes' weights, evaluations of the denoiser, seconds a thousand draws; means and
           95 % intervals over the repeats. "exact": a second exact set, the floor.
Baseline   importance sampling of 20,000 draws of the prior, which needs no posterior method.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import save
from wellposed.evaluation.distances import sliced_w2
from wellposed.evaluation.laws import mode_weights
from wellposed.rng import Stream

POOL = 20_000
TRUTH = 1_000_000


class Instance(NamedTuple):
    """A problem whose posterior is known."""

    prior: Any
    problem: wp.Problem
    law: Any  # the posterior, or None
    exact: Callable[[int, int], Tensor]  # (n, seed) -> draws


def grid_mixture(d: int, m: int, separation: float, seed: int) -> Instance:
    """Return an instance of the family."""
    stream = Stream(seed)
    places = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
    means = torch.tensor(places, dtype=torch.float64).repeat(1, d // 2) * separation
    weights = stream.normal((25,), "weights").square()
    prior = wp.GaussianMixture(weights / weights.sum(), means, 1.0)
    matrix = stream.normal((m, d), "matrix")
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    s = stream.uniform((m,), "values").sort(descending=True).values
    matrix = u @ (s[:, None] * v)
    sigma = float(stream.uniform((1,), "noise level") * s.max())
    x = prior.sample(1, seed=2**30 + seed)[0]
    y = matrix @ x + sigma * stream.normal((m,), "noise")
    problem = wp.Problem(y, wp.operators.Matrix(matrix), wp.noise.Gaussian(sigma))
    law = prior.posterior(problem)
    return Instance(prior, problem, law, lambda n, k: law.sample(n, seed=2**31 + k))


def toy(kind: str, seed: int) -> Instance:
    """Return a nonlinear instance in four dimensions, known by long importance sampling."""
    stream, d = Stream(seed), 4
    means = 0.6 * stream.normal((3, d), "means")
    weights = 0.3 + stream.uniform((3,), "weights")
    prior = wp.GaussianMixture(weights / weights.sum(), means, 0.09)
    x = prior.sample(1, seed=2**30 + seed)[0]
    operator: Any
    noise: Any
    if kind == "bits":
        operator = wp.operators.Matrix(torch.eye(d, dtype=torch.float64).repeat(3, 1))
        noise = wp.noise.OneBit(0.4)
    else:
        matrix = stream.normal((6, d), "matrix")
        operator = wp.operators.from_callable(
            lambda v: (v @ matrix.T).square().add(1e-12).sqrt(), (d,)
        )
        noise = wp.noise.Gaussian(0.2)
    y = noise.simulate(operator(x), stream)
    problem = wp.Problem(y, operator, noise)

    def exact(n: int, k: int) -> Tensor:
        return weighted(prior, problem, n, k, TRUTH)

    return Instance(prior, problem, None, exact)


def weighted(prior: Any, problem: wp.Problem, n: int, seed: int, pool: int) -> Tensor:
    """Return n draws from a pool of draws of the prior, by their likelihood."""
    x = prior.sample(pool, seed=2**32 + seed)
    assert problem.noise is not None
    logs = problem.noise.log_density(problem.y[None], problem.operator.forward(x))
    edges = torch.softmax(logs.double(), 0).cumsum(0)
    pick = Stream(seed).uniform((n,), "pick") * edges[-1]
    return x[torch.searchsorted(edges, pick).clamp(max=pool - 1)]


def methods() -> dict[str, Any]:
    """Return the methods of the table; those of other papers where the package has them."""
    table: dict[str, Any] = {
        "DPnP-DDIM 60": wp.DPnP(60),
        "DPnP-DDPM 30": wp.DPnP(30, denoiser="ddpm"),
        "DPnP-SMC": wp.DPnPSMC(),
        "DPnP-SMC 5000": wp.DPnPSMC(particles=5000),
    }
    for name, label in (("DPS", "DPS"), ("LGDMC", "LGD-MC")):
        if hasattr(wp, name):
            table[label] = getattr(wp, name)()
    return table


def measure(instance: Instance, x: Tensor, n: int, seed: int) -> list[float]:
    """Return sliced W2, max-sliced W2 and the weights' total variation."""
    found = sliced_w2(x, instance.exact(n, 7 * seed + 1), seed=seed)
    off = math.nan if instance.law is None else mode_weights(x, instance.law).tv
    return [found.mean, found.max, off]


def row(instance: Instance, name: str, method: Any, n: int, seed: int) -> list[float]:
    """Return the figures of one method on one instance."""
    if name == "exact":
        return [*measure(instance, instance.exact(n, 7 * seed + 2), n, seed), 0.0, 0.0]
    begin = time.process_time()
    if name == "prior, weighted":
        x = weighted(instance.prior, instance.problem, n, seed, POOL)
        seconds = time.process_time() - begin
        return [*measure(instance, x, n, seed), 0.0, 1000 * seconds / n]
    found = wp.recover(instance.problem, instance.prior, method, draws=n, seed=seed)
    seconds = 1000 * (time.process_time() - begin) / n
    if not found.status.ok:
        return [math.inf, math.inf, math.nan, found.evaluations.denoiser, seconds]
    return [*measure(instance, found.draws, n, seed), found.evaluations.denoiser, seconds]


def study(title: str, make: Callable[[int], Instance], repeats: int, n: int) -> dict[str, Any]:
    """Print and return the figures of all methods on one kind of instance."""
    rows: dict[str, Any] = {"exact": None, "prior, weighted": None} | methods()
    print(f"\n{title}: {repeats} instances, {n} draws")
    heads = f"{'sliced W2':>20}{'max-sliced W2':>20}{'weights TV':>12}{'evaluations':>12}"
    print(f"{'':18}{heads}{'s':>8}")
    result = {}
    for name, method in rows.items():
        table = np.array([row(make(k), name, method, n, k) for k in range(repeats)])
        mean, half = table.mean(0), 1.96 * table.std(0, ddof=1) / repeats**0.5
        result[name] = {"mean": mean.tolist(), "half": half.tolist(), "all": table.tolist()}
        print(
            f"{name:18}{mean[0]:11.3f} ± {half[0]:6.3f}{mean[1]:11.3f} ± {half[1]:6.3f}"
            f"{mean[2]:12.3f}{mean[3]:12.0f}{mean[4]:8.2f}",
            flush=True,
        )
    return result


def studies(*, quick: bool) -> dict[str, Callable[[int], Instance]]:
    """Return the kinds of instances by title."""
    pairs = [(d, m) for d in (8, 80, 800) for m in (1, 2, 4)]
    pairs = [(8, 4)] if quick else pairs
    found: dict[str, Callable[[int], Instance]] = {}
    for d, m in pairs:
        found[f"d = {d}, m = {m}"] = lambda k, d=d, m=m: grid_mixture(d, m, 8.0, k)  # type: ignore[misc]
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
    parser.add_argument("--only", help="run the kinds whose title contains this text")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    repeats, n = (2, 256) if given.quick else (given.repeats, given.draws)
    data = {
        title: study(title, make, repeats, n)
        for title, make in studies(quick=given.quick).items()
        if given.only is None or given.only in title
    }
    columns = ["sliced W2", "max-sliced W2", "weights TV", "evaluations", "seconds per 1000 draws"]
    save("posterior_table", {"columns": columns, "draws": n, "kinds": data})
