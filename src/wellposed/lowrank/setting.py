"""What every low-rank method works with: factors, the problem in iterating layout, measures.

The scaled metric  g^2 = <Z R, Z R (R^T R)^-1> + <Z^T L, Z^T L (L^T L)^-1>  is the squared length
of the gradient Z on the tangent space of rank-r matrices. It does not change when (L, R) is
replaced by (L Q, R Q^-T), nor when y or A are rescaled, once divided by gain * ||L R^T||.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.errors import CapabilityError
from wellposed.linalg import check_rank
from wellposed.operators.base import MatrixOperator
from wellposed.priors.lowrank import LowRank
from wellposed.task import Task


class Factors(NamedTuple):
    """A matrix M = left right^T; a symmetric one holds the same tensor twice."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]


class Setting(NamedTuple):
    """The part of a plan that all low-rank methods share."""

    operator: MatrixOperator
    y: Tensor
    y_norm: Tensor  # 0-d
    gain: float
    rank: int
    symmetric: bool
    ridge: float


def read_task(
    task: Task, who: str, *, ridge: bool = False, symmetric: bool | None = None
) -> Setting:
    """Check that a task is low-rank matrix recovery, and lay out its measurements.

    Parameters
    ----------
    task
        Problem and prior.
    who
        Name of the method, for the errors.
    ridge
        Whether the method honours the prior's ridge.
    symmetric
        What the method needs: True, False, or None for either.
    """
    problem, prior = task.problem, task.prior
    if problem is None or not isinstance(prior, LowRank):
        raise CapabilityError(
            f"{who} was given a {type(prior).__name__} prior",
            "it recovers a LowRank matrix from a problem",
            "pass prior=LowRank(rank)",
        )
    operator = problem.operator
    if not isinstance(operator, MatrixOperator):
        raise CapabilityError(
            f"{who} was given the operator {type(operator).__name__}",
            "it needs a linear operator on matrices [n1, n2]",
            "use Entries, DenseSensing, RankOneSensing, Hankel, or from_callable(..., linear=True) "
            "on a two-dimensional shape",
        )
    whole(prior.rank, "rank", 1, remedy="wp.recover chooses it by hold-out when it is None")
    n1, n2 = operator.shape_in
    rank = int(prior.rank or 0)
    check_rank(rank, (n1, n2))
    _check_prior(prior, who, (n1, n2), ridge, symmetric)
    layout, y = operator.canonical(problem.y.to(task.device, task.dtype))
    return Setting(layout, y, y.norm(), layout.gain, rank, prior.symmetric, prior.ridge)


def _check_prior(
    prior: LowRank, who: str, shape: tuple[int, int], ridge: bool, symmetric: bool | None
) -> None:
    require(
        not prior.symmetric or shape[0] == shape[1],
        f"the prior is symmetric but the matrix is {shape[0]} x {shape[1]}",
        remedy="leave symmetric out",
    )
    require(
        ridge or prior.ridge == 0,
        f"the prior has ridge={prior.ridge}, which {who} does not use",
        remedy="take CountScaledGD or AlternatingMinimization, or ridge=0",
        error=CapabilityError,
    )
    require(
        symmetric is None or symmetric == prior.symmetric,
        f"{who} needs symmetric={symmetric}, the prior has symmetric={prior.symmetric}",
        remedy=f"LowRank(..., symmetric={symmetric})",
        error=CapabilityError,
    )


def product_norm(factors: Factors) -> Tensor:
    """Return ||L R^T||_F from the Grams, 0-d."""
    left, right = factors
    return ((left.mT @ left) * (right.mT @ right)).sum().clamp_min(0).sqrt()


def symmetrize(matrix: Any, thin: Tensor) -> Tensor:
    """Return (Z + Z^T)/2 times a thin matrix."""
    both: Tensor = matrix @ thin + matrix.T @ thin
    return 0.5 * both


def relative_error(factors: Factors, truth: Tensor | Factors) -> float:
    """Return ||L R^T - M||_F / ||M||_F, accurate down to rounding.

    A factored truth costs (n1 + n2) r^2: the difference is [L, L*] [R, -R*]^T, whose norm is
    that of the product of two triangular factors.
    """
    if isinstance(truth, Tensor):
        off = torch.addmm(truth, factors.left, factors.right.mT, beta=-1)
        return float(off.norm() / truth.norm())
    wide = torch.linalg.qr(torch.cat([factors.left, truth.left], 1), mode="r")[1]
    tall = torch.linalg.qr(torch.cat([factors.right, -truth.right], 1), mode="r")[1]
    return float((wide @ tall.mT).norm() / product_norm(truth))


def singular_values(factors: Factors) -> Tensor:
    """Return the singular values of L R^T, [r], descending, through two thin QRs."""
    wide = torch.linalg.qr(factors.left, mode="r")[1]
    tall = torch.linalg.qr(factors.right, mode="r")[1]
    values: Tensor = torch.linalg.svdvals(wide @ tall.mT)
    return values
