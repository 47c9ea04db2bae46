"""The random problems of the low-rank papers, at any size.

Truths have singular values linear from 1 to 1 / kappa and very incoherent singular vectors, left
and right independent; ``symmetric`` draws right = left, as most of the authors' scripts do.
Dense noise is Gaussian; ``snr`` is the ratio of root mean squares of clean measurements and
noise, so 10^4 is 80 dB. ``outliers`` is the share of measurements with a gross error, uniform on
+- 10 max|y|.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import truth
from benchmarks.runs import Instance
from wellposed.lowrank.robust_pca import keep_largest
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.operators.base import MatrixOperator
from wellposed.rng import Stream

DESIGN = 1  # item of the streams that measurements are drawn from; 0 is the truth's


def sensing(
    n: int, rank: int, count: int, kappa: float = 1.0, *, seed: int = 0, symmetric: bool = False,
    **errors: float,
) -> Instance:  # fmt: skip
    """Inner products with ``count`` Gaussian n x n matrices of variance 1 / count."""
    operator = gaussian_matrices(n, count, seed)
    matrix = truth(n, n, rank, kappa, seed, symmetric=symmetric)
    return measured(operator, matrix, wp.LowRank(rank), seed, **errors)


@lru_cache(maxsize=1)
def gaussian_matrices(n: int, count: int, seed: int) -> wp.operators.DenseSensing:
    """Return Gaussian sensing matrices; the last ones are kept, for the next kappa."""
    matrices = Stream(seed, DESIGN).normal((count, n, n), "matrices")
    return wp.operators.DenseSensing(matrices.div_(count**0.5))


def semidefinite(n: int, rank: int, kappa: float, seed: int) -> Factors:
    """Return a truth X X^T."""
    left, right = truth(n, n, rank, kappa, seed, symmetric=True)
    root = right * left.norm(dim=0).sqrt()
    return Factors(root, root)


def semidefinite_sensing(
    n: int, rank: int, count: int, kappa: float = 1.0, *, columns: int | None = None,
    seed: int = 0, **errors: float,
) -> Instance:  # fmt: skip
    """Inner products with a matrix X X^T, which is fitted with ``columns`` columns."""
    prior = wp.LowRank(columns or rank, symmetric=True)
    operator = gaussian_matrices(n, count, seed)
    return measured(operator, semidefinite(n, rank, kappa, seed), prior, seed, **errors)


def quadratic(
    n: int, rank: int, count: int, kappa: float = 1.0, *, seed: int = 0, **errors: float
) -> Instance:
    """Quadratic forms of a matrix X X^T in ``count`` Gaussian vectors."""
    vectors = Stream(seed, DESIGN).normal((count, n), "vectors")
    prior = wp.LowRank(rank, symmetric=True)
    operator = wp.operators.RankOneSensing(vectors)
    return measured(operator, semidefinite(n, rank, kappa, seed), prior, seed, **errors)


def completion(
    n: int, rank: int, share: float, kappa: float = 1.0, *, seed: int = 0,
    symmetric: bool = False, **errors: float,
) -> Instance:  # fmt: skip
    """Entries of an n x n matrix, each observed with probability ``share``."""
    mask = Stream(seed, DESIGN).uniform((n, n), "mask") < share
    matrix = truth(n, n, rank, kappa, seed, symmetric=symmetric)
    operator = wp.operators.Entries.from_mask(mask)
    return measured(operator, matrix, wp.LowRank(rank), seed, **errors)


def spectral(
    n: int, rank: int, share: float, kappa: float = 1.0, *, seed: int = 0, **errors: float
) -> Instance:
    """Samples of rank / 2 cosines, each observed with probability ``share``; the lift is n x n.

    Frequencies are multiples of 1 / n, so the lift's singular values are those that were asked
    for, in pairs. The error is that of the signal, weighted as its lift is.
    """
    length, stream = 2 * n - 1, Stream(seed, DESIGN)
    tones = stream.permutation(n // 2 - 1, "frequencies")[: rank // 2] + 1
    turns = torch.outer(torch.arange(length, dtype=torch.float64), tones / n)
    phases = stream.uniform((rank // 2,), "phases")
    sizes = torch.linspace(1, 1 / kappa, rank // 2, dtype=torch.float64) * (2 / n)
    signal = (2 * math.pi * (turns + phases)).cos() @ sizes
    observed = (stream.uniform((length,), "samples") < share).nonzero()[:, 0]
    operator = wp.operators.Hankel(observed, length)
    clean = signal[observed]
    y = clean + errors_of(clean, seed, **errors)
    weights = operator.lengths.sqrt()

    def error(found: Factors) -> float:
        off = (operator.signal(*found) - signal) * weights
        return float(off.norm() / (signal * weights).norm())

    matrix = Factors(operator.lift(signal), torch.eye(n, dtype=y.dtype))
    return Instance(wp.Problem(y, operator), wp.LowRank(rank), matrix, error, clean, 2e-13)


def separation(
    n: int, rank: int, fraction: float, kappa: float = 1.0, *, seed: int = 0,
    symmetric: bool = False, **errors: float,
) -> Instance:  # fmt: skip
    """A matrix plus a sparse one, at most ``fraction`` of whose rows and columns is not zero."""
    matrix = truth(n, n, rank, kappa, seed, symmetric=symmetric)
    clean = matrix.left @ matrix.right.mT
    sparse = keep_largest(Stream(seed, DESIGN).normal((n, n), "sparse"), fraction)
    problem = wp.Problem(
        clean + sparse + errors_of(clean, seed, **errors), wp.operators.Identity((n, n))
    )
    prior = wp.LowRankPlusSparse(rank, fraction)
    return Instance(problem, prior, matrix, lambda found: relative_error(found, matrix), clean)


def measured(
    operator: MatrixOperator, matrix: Factors, prior: Any, seed: int, **errors: float
) -> Instance:
    """Measure a matrix, with errors."""
    clean = operator.on_factors(*matrix)
    told = wp.noise.SparseOutliers(errors["outliers"]) if errors.get("outliers") else None
    problem = wp.Problem(clean + errors_of(clean, seed, **errors), operator, told)
    rounding = 5e-14 if told else 1e-14  # signs of residuals keep subgradients above rounding
    return Instance(
        problem, prior, matrix, lambda found: relative_error(found, matrix), clean, rounding
    )


def errors_of(clean: Tensor, seed: int, *, snr: float = math.inf, outliers: float = 0.0) -> Tensor:
    """Return dense noise and gross errors of measurements."""
    stream = Stream(seed, DESIGN)
    dense = stream.normal(clean.shape, "noise") * (clean.square().mean().sqrt() / snr)
    return dense + wp.noise.SparseOutliers(outliers).simulate(clean, stream) - clean
