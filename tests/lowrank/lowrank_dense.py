"""An independent dense implementation of each update, in numpy, from the formulas alone.

The operator is a table of all A_i, [m, n1, n2]; nothing of the package's kernels is used. Each
function takes (problem, left, right) and returns the new pair.
"""

from typing import NamedTuple

import numpy as np
import torch
from ground_truth import Case, planned

import wellposed as wp
from wellposed.lowrank.setting import Factors
from wellposed.rng import Stream


class Dense(NamedTuple):
    table: np.ndarray  # [m, n1, n2]
    y: np.ndarray  # [m]
    gain: float
    rank: int


def dense(case: Case) -> Dense:
    """Apply the operator to all unit matrices."""
    operator, y = case.problem.operator, case.problem.y.double().numpy()
    n1, n2 = operator.shape_in
    units = torch.eye(n1 * n2, dtype=torch.float64).reshape(-1, n1, n2)
    table = operator.forward(units).reshape(n1 * n2, -1).numpy().T.reshape(-1, n1, n2)
    if isinstance(operator, wp.operators.RankOneSensing):
        return quadratic(table, y, case.prior.rank)
    return Dense(table, y.reshape(-1), float((table**2).sum()) / (n1 * n2), case.prior.rank)


def quadratic(table, y, rank) -> Dense:
    """Quadratic sensing fits the mean of y with weight 2 / n, and sees symmetric matrices only."""
    m, n = len(y), table.shape[1]
    weigh = np.eye(m) - (1 - (2 / n) ** 0.5) / m  # the mean times (2 / n)^(1/2), the rest kept
    table = np.einsum("kl,lij->kij", weigh, table)
    return Dense(table, weigh @ y, float((table**2).sum()) / (n * (n + 1) / 2), rank)


def residual(d: Dense, left, right):
    return np.einsum("kij,ir,jr->k", d.table, left, right) - d.y


def back(d: Dense, values):
    return np.einsum("k,kij->ij", values, d.table)


def gradient(d: Dense, left, right):
    return back(d, residual(d, left, right)) / d.gain


def inverse(matrix):
    return np.linalg.inv(matrix)


def random_pair(case: Case, seed: int = 0) -> Factors:
    """Factors near the truth, neither balanced nor aligned with it."""
    stream = Stream(seed, 9)
    n1, n2 = case.problem.operator.shape_in
    rank = case.prior.rank
    left = stream.normal((n1, rank), "left") / n1**0.5
    if case.prior.symmetric:
        return Factors(left, left)
    return Factors(left, 2 * stream.normal((n2, rank), "right") / n2**0.5)


def step_gap(method, case: Case, reference, seed: int = 0, **fields) -> float:
    """Relative distance between the method's step and the reference's, from a random pair."""
    pair = random_pair(case, seed)
    plan, state = planned(method, case)
    new = method.step(plan, state._replace(left=pair.left, right=pair.right, **fields))
    expected = reference(dense(case), pair.left.numpy(), pair.right.numpy())
    gaps = [
        np.linalg.norm(got.numpy() - want) / np.linalg.norm(want)
        for got, want in zip((new.left, new.right), expected, strict=True)
    ]
    return float(max(gaps))
