"""ScaledGD(lambda): scaled gradient descent when the rank is over-stated.

Source     X. Xu, Y. Shen, Y. Chi, C. Ma, "The power of preconditioning in overparameterized
           low-rank matrix sensing", ICML 2023 (fixed damping, symmetric); G. Zhang, S. Fattahi,
           R. Y. Zhang, "Preconditioned gradient descent for overparameterized nonconvex
           Burer-Monteiro factorization", JMLR 24 (2023) (damping by the residual).
Model      y = A(L R^T) + noise,  L [n1, k],  R [n2, k],  k at least the rank of the signal
Update     Z  = A*(A(L R^T) - y) / gain
           L' = L - step_size * Z   R (R^T R + lambda I)^-1
           R' = R - step_size * Z^T L (L^T L + lambda I)^-1     (both from the old pair)
           Symmetric signals L L^T: one factor, with (Z + Z^T)/2 for Z.
Damping    residual: lambda_t = factor ||A(L R^T) - y|| / gain^(1/2), an estimate of ||L R^T - M||;
           fixed:    lambda   = level sigma_1,  sigma_1 that of A*(y) / gain.
Start      spectral, or small random: entries N(0, alpha^2 sigma_1 / n).
Cost       per step as ScaledGD with k columns.
Guarantee  fixed damping of the order of the least singular value, small random start, symmetric
           Gaussian sensing: O(log kappa log(kappa n) + log 1/accuracy) steps down to a floor that
           falls with alpha. Residual damping from the spectral start: locally linear, free of
           the condition number, to rounding.
Fails      few measurements: with fixed damping, directions beyond the true rank then grow by
           1 + step_size delta / lambda a step (delta: how far A* A is from isotropic). Observed
           entries: columns beyond the rank fit single cells, which no damping forbids; choose
           the rank by hold-out, with a ridge (CountScaledGD).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.linalg import gram, randomized_svd, solve_gram
from wellposed.lowrank.init import small_random_start, spectral_start
from wellposed.lowrank.setting import Factors, Setting, product_norm, read_task, symmetrize
from wellposed.operators.base import Misfit
from wellposed.rng import Stream
from wellposed.task import Reading, Task


@dataclass(frozen=True)
class ResidualDamping:
    """Damping in proportion to the residual.

    Parameters
    ----------
    factor
        lambda as a multiple > 0 of ||A(L R^T) - y|| / gain^(1/2).
    """

    factor: float = 0.1

    def __post_init__(self) -> None:
        within(self.factor, "factor", 0, open_low=True)


@dataclass(frozen=True)
class FixedDamping:
    """The same damping in all steps, as in the paper.

    Parameters
    ----------
    level
        lambda as a share > 0 of the largest singular value of A*(y) / gain; the paper asks for
        the order of the signal's least singular value, so about 1 / kappa.
    """

    level: float

    def __post_init__(self) -> None:
        within(self.level, "level", 0, open_low=True)


@dataclass(frozen=True)
class Spectral:
    """Start from the leading singular triplets of A*(y) / gain."""


@dataclass(frozen=True)
class SmallRandom:
    """Start from small Gaussian factors, as in the paper.

    Parameters
    ----------
    alpha
        Size > 0: entries are N(0, alpha^2 sigma_1 / n).
    """

    alpha: float = 1e-6

    def __post_init__(self) -> None:
        within(self.alpha, "alpha", 0, open_low=True)


class State(NamedTuple):
    """Factors, the fixed part of the damping, and how the pair before fitted."""

    left: Tensor  # [n1, k]
    right: Tensor  # [n2, k]
    damping: Tensor  # 0-d: fixed lambda, in units of M; 0 where it follows the residual
    residual: Tensor  # 0-d: ||A(L R^T) - y|| / ||y||
    change: Tensor  # 0-d: ||step|| / ||L R^T||


@dataclass(frozen=True)
class ScaledGDLambda:
    """Scaled gradient descent with damped Grams, for a rank that is only an upper bound.

    Parameters
    ----------
    step_size
        Fraction of the full step, in (0, 1]. Relative to the operator's gain.
    damping
        ``ResidualDamping()``, or ``FixedDamping(level)`` as in the paper.
    start
        ``Spectral()``, or ``SmallRandom(alpha)`` as in the paper.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> truth = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 7.0)).double()
    >>> problem = wp.Problem(truth, wp.operators.Identity((8, 6)))
    >>> wp.recover(problem, wp.LowRank(3), wp.ScaledGDLambda()).status.value
    'converged'
    """

    step_size: float = 0.5
    damping: ResidualDamping | FixedDamping = field(default_factory=ResidualDamping)
    start: Spectral | SmallRandom = field(default_factory=Spectral)

    reference: ClassVar[str] = "Xu, Shen, Chi & Ma, ICML 2023; Zhang et al., JMLR 24 (2023)"
    needs: ClassVar[str] = "linear operator on matrices"

    def __post_init__(self) -> None:
        within(self.step_size, "step_size", 0, 1, open_low=True)
        require(
            isinstance(self.damping, (ResidualDamping, FixedDamping)),
            f"damping is {self.damping!r}, expected ResidualDamping() or FixedDamping(level)",
        )
        require(
            isinstance(self.start, (Spectral, SmallRandom)),
            f"start is {self.start!r}, expected Spectral() or SmallRandom(alpha)",
        )

    def prepare(self, task: Task) -> Setting:
        """Lay out the measurements."""
        return read_task(task, "ScaledGDLambda")

    def init(self, plan: Setting, stream: Stream) -> State:
        """Start from the spectral or a small random pair."""
        if isinstance(self.start, Spectral):
            pair = spectral_start(plan, stream)
        else:
            pair = random_start(plan, self.start.alpha, stream)
        one = torch.ones((), dtype=pair.left.dtype, device=pair.left.device)
        if isinstance(self.damping, FixedDamping):
            return State(*pair, self.damping.level * largest_value(plan, stream), one, one)
        return State(*pair, 0 * one, one, one)

    def step(self, plan: Setting, state: State) -> State:
        """Move both factors from the old pair."""
        pair = Factors(state.left, state.right)
        misfit = plan.operator.misfit(*pair, plan.y)
        damping = state.damping
        if isinstance(self.damping, ResidualDamping):
            damping = self.damping.factor / plan.gain**0.5 * misfit.norm
        towards = damped_directions(plan, misfit, pair, damping)
        left = pair.left - self.step_size * towards.left
        right = left if plan.symmetric else pair.right - self.step_size * towards.right
        change = self.step_size * step_length(pair, towards) / product_norm(pair)
        return State(left, right, state.damping, misfit.norm / plan.y_norm, change)

    def read(self, plan: Setting, state: State) -> Reading:
        """Return the factors and how well the pair before them fitted."""
        return Reading(Factors(state.left, state.right), float(state.residual), float(state.change))


def damped_directions(plan: Setting, misfit: Misfit, pair: Factors, damping: Tensor) -> Factors:
    """Return Z R (R^T R + lambda I)^-1 and Z^T L (L^T L + lambda I)^-1, Z over the gain."""
    z, (left, right) = misfit.gradient, pair
    if plan.symmetric:
        both = solve_gram(left, symmetrize(z, left), damping) / plan.gain
        return Factors(both, both)
    return Factors(
        solve_gram(right, z @ right, damping) / plan.gain,
        solve_gram(left, z.T @ left, damping) / plan.gain,
    )


def step_length(pair: Factors, towards: Factors) -> Tensor:
    """Return (||D_L R^T||^2 + ||L D_R^T||^2)^(1/2): how far a step of the pair moves L R^T."""
    on_left = (gram(towards.left) * gram(pair.right)).sum()
    on_right = (gram(towards.right) * gram(pair.left)).sum()
    squared: Tensor = on_left + on_right
    return squared.clamp_min(0).sqrt()


def largest_value(plan: Setting, stream: Stream) -> Tensor:
    """Return sigma_1 of A*(y) / gain, 0-d: the unit that sizes and dampings are given in."""
    return randomized_svd(plan.operator.start_matrix(plan.y), 1, stream).s[0] / plan.gain


def random_start(plan: Setting, alpha: float, stream: Stream) -> Factors:
    """Return factors with N(0, alpha^2 sigma_1 / n) entries."""
    n1, n2 = plan.operator.shape_in
    size = alpha * float(largest_value(plan, stream)) ** 0.5
    return small_random_start((n1, n2), plan.rank, size, stream, plan.y, plan.symmetric)
