"""Gradient descent with more columns than the rank: small random, imbalanced starts.

Source     N. Xiong, L. Ding, S. S. Du, "How over-parameterization slows down gradient descent in
           matrix sensing: the curses of symmetry and initialization", ICLR 2024.
Model      y = A(F G^T) + noise,  F [n1, k],  G [n2, k],  k larger than the rank of the signal
Update     Z  = A*(A(F G^T) - y) / gain,   t = step_size / sigma_1
           F' = F - t Z G,   G' = G - t Z^T F       (both from the old pair)
           sigma_1 that of A*(y) / gain. Symmetric signals F F^T: one factor, (Z + Z^T)/2 for Z.
Start      F_0 ~ alpha N(0, sigma_1 / n1),  G_0 ~ imbalance alpha N(0, sigma_1 / n2)
One step   once the residual is small: with the thin SVD F = A S B^T,
           F' = beta sigma_1^(1/2) A B^T,   G' = G B S B^T / (beta sigma_1^(1/2)).
           The product is the same, but all singular values of F are now equal, and G is found at
           the rate of a well-conditioned least-squares problem.
Cost       per step as gradient descent with k columns.
Guarantee  symmetric: error of order 1 / T at best (linear when k is the rank); asymmetric:
           exp(-c alpha^2 T), c > 0 depending on the imbalance; after the one step, free of alpha.
Fails      as a solver: ScaledGDLambda needs far fewer steps. It is here as the baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.errors import CapabilityError
from wellposed.lowrank.gradient_descent import slopes
from wellposed.lowrank.init import small_random_start
from wellposed.lowrank.scaled_gd_lambda import largest_value, step_length
from wellposed.lowrank.setting import Factors, Setting, product_norm, read_task
from wellposed.rng import Stream
from wellposed.task import Reading, Task


class State(NamedTuple):
    """Factors, their unit, and how the pair before fitted."""

    left: Tensor  # [n1, k]: F
    right: Tensor  # [n2, k]: G
    unit: Tensor  # 0-d: sigma_1 of A*(y) / gain
    residual: Tensor  # 0-d: ||A(F G^T) - y|| / ||y||
    change: Tensor  # 0-d: ||step|| / ||F G^T||
    rebalanced: bool  # whether the one step was made


@dataclass(frozen=True)
class OverparametrizedGD:
    """Gradient descent from small random factors, with the one-step cure of its slowness.

    Parameters
    ----------
    step_size
        Step in units of 1 / sigma_1, in (0, 1].
    alpha
        Size of the start, > 0, in units of sigma_1^(1/2).
    imbalance
        Size of G_0 relative to F_0, in (0, 1]; a balanced start slows the last phase down.
    rebalance_at
        Residual ||A(F G^T) - y|| / ||y|| at which the one step is made, in (0, 1); None makes
        plain gradient descent. Asymmetric signals only.
    beta
        Singular values of F after the one step, in (0, 1], in units of sigma_1^(1/2). Those of
        G grow like 1 / beta, so that step_size (beta^2 + 1 / beta^2) has to stay below 2.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> truth = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 7.0)).double()
    >>> problem = wp.Problem(truth, wp.operators.Identity((8, 6)))
    >>> wp.recover(problem, wp.LowRank(3), wp.OverparametrizedGD()).status.value
    'converged'
    """

    step_size: float = 0.5
    alpha: float = 0.5
    imbalance: float = 1 / 3
    rebalance_at: float | None = 0.05
    beta: float = 0.7

    reference: ClassVar[str] = "Xiong, Ding & Du, ICLR 2024"
    needs: ClassVar[str] = "linear operator on matrices"

    def __post_init__(self) -> None:
        within(self.step_size, "step_size", 0, 1, open_low=True)
        within(self.alpha, "alpha", 0, open_low=True)
        within(self.imbalance, "imbalance", 0, 1, open_low=True)
        within(self.beta, "beta", 0, 1, open_low=True)
        if self.rebalance_at is None:
            return
        within(self.rebalance_at, "rebalance_at", 0, 1, open_low=True, open_high=True)
        power = self.step_size * (self.beta**2 + self.beta**-2)
        require(
            power < 2,
            f"step_size (beta^2 + 1 / beta^2) is {power:.3g}, expected less than 2",
            "after the one step gradient descent would diverge",
            "take a beta nearer to 1, or a smaller step_size",
        )

    def prepare(self, task: Task) -> Setting:
        """Lay out the measurements."""
        plan = read_task(task, "OverparametrizedGD")
        require(
            not plan.symmetric or self.rebalance_at is None,
            f"the prior is symmetric and rebalance_at is {self.rebalance_at}",
            "one factor cannot be rebalanced against the other",
            "rebalance_at=None, or LowRank(rank, symmetric=False), which is faster",
            error=CapabilityError,
        )
        return plan

    def init(self, plan: Setting, stream: Stream) -> State:
        """Start from small random factors of unequal size."""
        unit = largest_value(plan, stream)
        size = self.alpha * float(unit) ** 0.5
        n1, n2 = plan.operator.shape_in
        left, right = small_random_start((n1, n2), plan.rank, size, stream, plan.y, plan.symmetric)
        right = left if plan.symmetric else self.imbalance * right
        one = torch.ones_like(unit)
        return State(left, right, unit, one, one, False)

    def step(self, plan: Setting, state: State) -> State:
        """Move both factors from the old pair, or make the one step."""
        pair = Factors(state.left, state.right)
        misfit = plan.operator.misfit(*pair, plan.y)
        residual = misfit.norm / plan.y_norm
        due = self.rebalance_at or 0.0
        if not state.rebalanced and bool(residual <= due):
            new = rebalanced(pair, self.beta * state.unit.sqrt())
            return State(*new, state.unit, residual, torch.ones_like(residual), True)
        size, slope = self.step_size / state.unit, slopes(plan, misfit.gradient, pair)
        left = pair.left - size * slope.left
        right = left if plan.symmetric else pair.right - size * slope.right
        change = size * step_length(pair, slope) / product_norm(pair)
        return State(left, right, state.unit, residual, change, state.rebalanced)

    def read(self, plan: Setting, state: State) -> Reading:
        """Return the factors and how well the pair before them fitted."""
        return Reading(Factors(state.left, state.right), float(state.residual), float(state.change))


def rebalanced(pair: Factors, level: Tensor) -> Factors:
    """Return the same product with all singular values of the first factor equal to ``level``."""
    a, s, bt = torch.linalg.svd(pair.left, full_matrices=False)
    return Factors(level * a @ bt, pair.right @ (bt.mT * s) @ bt / level)
