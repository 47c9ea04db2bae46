"""Problems whose posteriors can be drawn from exactly, for posterior_table and long tests.

Family     25 unit Gaussians at (8 i, 8 j, 8 i, 8 j, ...), i, j = -2, ..., 2, weights ~ N(0, 1)^2;
           y = A x + noise, A [m, d] with singular values U[0, 1], noise U[0, 1] max s (Cardoso,
           Janati El Idrissi, Le Corff & Moulines, ICLR 2024). Variants have other spacings.
Published  the very instance of that paper's public comparison: seed 27 of torch's generator in
           single precision, numbers drawn in its order.
Toys       a mixture of three in four dimensions seen through signs or magnitudes; the posterior
           is drawn by weighting a million draws of the prior.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

import wellposed as wp
from wellposed.rng import Stream

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
    prior = _grid(stream.normal((25,), "weights").square(), d, separation)
    s = stream.uniform((m,), "values").sort(descending=True).values
    matrix = _with_values(stream.normal((m, d), "matrix"), s)
    sigma = float(stream.uniform((1,), "noise level") * s.max())
    x = prior.sample(1, seed=2**30 + seed)[0]
    return _linear(prior, matrix, matrix @ x + sigma * stream.normal((m,), "noise"), sigma)


def published(m: int, d: int = 8, seed: int = 27) -> Instance:
    """Return the instance of the public comparison with m measurements."""
    source = torch.Generator().manual_seed(seed)
    weights = torch.randn(25, generator=source).square()
    prior = _grid(weights.double(), d, -8.0)
    table = torch.randn(m, d, generator=source)
    s = torch.rand(m, generator=source).sort(descending=True).values
    matrix = _with_values(table, s)
    mode = torch.multinomial(weights, 1, replacement=True, generator=source)
    x = prior.means.float() + torch.randn(25, d, generator=source)
    sigma = torch.rand(1, generator=source) * s.max()
    y = matrix @ x[mode[0]] + torch.randn(m, generator=source) * sigma
    return _linear(prior, matrix.double(), y.double(), float(sigma))


def toy(kind: str, seed: int) -> Instance:
    """Return a nonlinear instance: "bits", three dithered signs a coordinate, or "magnitudes"."""
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
    problem = wp.Problem(noise.simulate(operator(x), stream), operator, noise)
    return Instance(prior, problem, None, lambda n, k: weighted(prior, problem, n, k, TRUTH))


def weighted(prior: Any, problem: wp.Problem, n: int, seed: int, pool: int) -> Tensor:
    """Return n draws from a pool of draws of the prior, by their likelihood."""
    x = prior.sample(pool, seed=2**32 + seed)
    assert problem.noise is not None
    logs = problem.noise.log_density(problem.y[None], problem.operator.forward(x))
    edges = torch.softmax(logs.double(), 0).cumsum(0)
    pick = Stream(seed).uniform((n,), "pick") * edges[-1]
    return x[torch.searchsorted(edges, pick).clamp(max=pool - 1)]


def _grid(weights: Tensor, d: int, separation: float) -> Any:
    places = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
    means = torch.tensor(places, dtype=torch.float64).repeat(1, d // 2) * separation
    return wp.GaussianMixture(weights / weights.sum(), means, 1.0)


def _with_values(matrix: Tensor, s: Tensor) -> Tensor:
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ (s[:, None] * v)


def _linear(prior: Any, matrix: Tensor, y: Tensor, sigma: float) -> Instance:
    problem = wp.Problem(y, wp.operators.Matrix(matrix), wp.noise.Gaussian(sigma))
    law = prior.posterior(problem)
    return Instance(prior, problem, law, lambda n, k: law.sample(n, seed=2**31 + k))
