"""Known matrices and measurements of them, and what the tests measure on runs."""

from typing import NamedTuple

import torch
from torch import Tensor

import wellposed as wp
from wellposed.linalg import gram
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.rng import Stream
from wellposed.task import Task

DOUBLE = torch.float64


def sign_basis(n: int, r: int, stream: Stream, name: str) -> Tensor:
    """Left singular vectors of a random +-1 matrix, [n, r]: as incoherent as can be."""
    return torch.linalg.svd(stream.normal((n, r), name).sign(), full_matrices=False)[0]


def gaussian_basis(n: int, r: int, stream: Stream, name: str) -> Tensor:
    """An orthonormal basis of a uniformly random subspace, [n, r]."""
    return torch.linalg.qr(stream.normal((n, r), name))[0]


def truth(
    n1: int, n2: int, r: int, kappa: float, seed: int, *, symmetric: bool = False, basis=sign_basis
) -> Factors:
    """Balanced factors with singular values evenly spaced from 1 to 1 / kappa.

    Left and right vectors are independent unless ``symmetric``.
    """
    stream = Stream(seed)
    root = torch.linspace(1, 1 / kappa, r, dtype=DOUBLE).sqrt()
    left = basis(n1, r, stream, "left") * root
    if symmetric:
        return Factors(left, left)
    return Factors(left, basis(n2, r, stream, "right") * root)


class Case(NamedTuple):
    """A problem with its solution."""

    problem: wp.Problem
    prior: wp.LowRank
    truth: Factors
    errors: Tensor  # [m], what was added to the measurements


def measured(operator, matrix: Factors, noise=None, symmetric=False, rank=None, seed=0) -> Case:
    clean = operator.on_factors(*matrix)
    y = clean if noise is None else noise.simulate(clean, Stream(seed, 1))
    told = None if isinstance(noise, wp.noise.Gaussian) else noise
    prior = wp.LowRank(rank or matrix.left.shape[1], symmetric=symmetric)
    return Case(wp.Problem(y, operator, told), prior, matrix, y - clean)


def completion(n, r, kappa, share, seed, *, noise=None, rank=None, basis=sign_basis) -> Case:
    """Entries of an n x n matrix, each observed with probability ``share``."""
    mask = Stream(seed, 2).uniform((n, n), "mask") < share
    matrix = truth(n, n, r, kappa, seed, basis=basis)
    return measured(wp.operators.Entries.from_mask(mask), matrix, noise, rank=rank, seed=seed)


def sensing(n, r, kappa, m, seed, *, noise=None, symmetric=False, rank=None) -> Case:
    """Inner products with m Gaussian n x n matrices of variance 1 / m."""
    matrices = Stream(seed, 2).normal((m, n, n), "matrices") / m**0.5
    matrix = truth(n, n, r, kappa, seed, symmetric=symmetric)
    operator = wp.operators.DenseSensing(matrices)
    return measured(operator, matrix, noise, symmetric, rank, seed)


def quadratic(n, r, kappa, m, seed, *, noise=None) -> Case:
    """Quadratic forms in m Gaussian vectors."""
    operator = wp.operators.RankOneSensing(Stream(seed, 2).normal((m, n), "vectors"))
    matrix = truth(n, n, r, kappa, seed, symmetric=True)
    return measured(operator, matrix, noise, True, seed=seed)


def planned(method, case: Case):
    """Plan and first state."""
    y = case.problem.y
    plan = method.prepare(Task(case.problem, case.prior, dtype=y.dtype))
    return plan, method.init(plan, Stream(0))


def errors(method, case: Case, steps: int, down_to: float = 0.0) -> list[float]:
    """Relative error before and after each step, until it is small or the steps are made."""
    plan, state = planned(method, case)
    seen = [relative_error(method.read(plan, state).value, case.truth)]
    while len(seen) <= steps and down_to < seen[-1] < 1e3:
        state = method.step(plan, state)
        seen.append(relative_error(method.read(plan, state).value, case.truth))
    return seen


def count(method, case: Case, accuracy: float, steps: int) -> int:
    """Steps until the relative error is at most ``accuracy``."""
    seen = errors(method, case, steps, accuracy)
    assert seen[-1] <= accuracy, f"error {seen[-1]:.1e} after {len(seen) - 1} steps"
    return len(seen) - 1


def aligned_distance(pair: Factors, matrix: Factors) -> float:
    """dist = min over invertible Q of (||(L Q - L*) S^1/2||^2 + ||(R Q^-T - R*) S^1/2||^2)^1/2.

    The minimum over Q by L-BFGS, from the least-squares alignment of the left factors.
    """
    weight = gram(matrix.left).diagonal().sqrt()
    q = torch.linalg.lstsq(pair.left, matrix.left).solution.contiguous().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [q],
        max_iter=60,
        tolerance_grad=1e-14,
        tolerance_change=1e-18,
        line_search_fn="strong_wolfe",
    )

    def value() -> Tensor:
        left = (pair.left @ q - matrix.left) * weight
        right = (pair.right @ torch.linalg.inv(q).mT - matrix.right) * weight
        return left.square().sum() + right.square().sum()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value()
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(value().detach().sqrt())
