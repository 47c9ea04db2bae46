"""Small problems, one for each kind of operator and layout."""

import torch
from ground_truth import Case, measured, truth

import wellposed as wp
from wellposed.lowrank.setting import Factors
from wellposed.rng import Stream


def entries(n1, n2, r, share, seed=0, **more) -> Case:
    mask = Stream(seed, 3).uniform((n1, n2), "mask") < share
    return measured(wp.operators.Entries.from_mask(mask), truth(n1, n2, r, 3.0, seed), **more)


def masked(**more) -> Case:
    """A dense 0/1 layout."""
    return entries(12, 10, 2, 0.7, **more)


def sparse(**more) -> Case:
    """A CSR layout: under a tenth observed."""
    return entries(40, 30, 2, 0.09, **more)


def dense_sensing(scale=3.0, symmetric=False, **more) -> Case:
    n2 = 7 if symmetric else 6
    matrices = scale * Stream(1, 3).normal((90, 7, n2), "matrices")
    matrix = truth(7, n2, 2, 3.0, 1, symmetric=symmetric)
    return measured(wp.operators.DenseSensing(matrices), matrix, symmetric=symmetric, **more)


def quadratic_sensing(**more) -> Case:
    vectors = 0.5 * Stream(2, 3).normal((80, 8), "vectors")
    matrix = truth(8, 8, 2, 3.0, 2, symmetric=True)
    return measured(wp.operators.RankOneSensing(vectors), matrix, symmetric=True, **more)


def full(**more) -> Case:
    return measured(wp.operators.Identity((7, 6)), truth(7, 6, 2, 3.0, 3), **more)


def running_sums(**more) -> Case:
    """A user's function."""
    operator = wp.operators.from_callable(lambda x: x.cumsum(-1).flip(-2), (7, 6), linear=True)
    return measured(operator, truth(7, 6, 2, 3.0, 4), **more)


def hankel(**more) -> Case:
    times = torch.arange(31, dtype=torch.float64)
    signal = torch.cos(0.7 * times)
    observed = Stream(4).permutation(31, "observed")[:20].sort().values
    operator = wp.operators.Hankel(observed, 31)
    lift = operator.lift(signal)
    u, s, vt = torch.linalg.svd(lift)
    root = s[:2].sqrt()
    return measured(operator, Factors(u[:, :2] * root, vt[:2].mT * root), **more)


ASYMMETRIC = (masked, sparse, dense_sensing, full, running_sums)
SYMMETRIC = (quadratic_sensing, lambda: dense_sensing(symmetric=True))
