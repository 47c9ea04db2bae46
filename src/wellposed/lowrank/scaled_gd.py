"""Scaled gradient descent (ScaledGD) for low-rank matrix recovery.

Source     T. Tong, C. Ma, Y. Chi, "Accelerating ill-conditioned low-rank matrix estimation via
           scaled gradient descent", JMLR 22 (2021).
Model      y = A(L R^T) + noise,  L [n1, r],  R [n2, r],  A linear.
Update     Z  = A*(A(L R^T) - y) / gain            (gain: A* A is gain * identity on average)
           L' = L - step_size * Z   R (R^T R)^-1
           R' = R - step_size * Z^T L (L^T L)^-1   (both from the old pair)
           Symmetric signals L L^T: one factor, with (Z + Z^T)/2 for Z. Observed entries may be
           followed by the scaled projection of the paper (``projection``), which bounds the
           rows of L R^T.
Cost       per step on m observed entries: 6 m r flops for the residual and the two products,
           4 (n1 + n2) r^2 for the Grams and solves; memory O(m + (n1 + n2) r).
Guarantee  from the spectral start the error shrinks by a constant factor a step that does not
           depend on the condition number, given enough incoherent measurements.
Fails      rank over-stated (singular Grams: ScaledGDLambda); gross errors in y
           (ScaledSubgradient); strongly non-uniform, noisy entries (CountScaledGD).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import within
from wellposed.linalg import gram, solve_gram
from wellposed.lowrank.init import spectral_start
from wellposed.lowrank.setting import Factors, Setting, product_norm, read_task, symmetrize
from wellposed.operators.base import Misfit
from wellposed.rng import Stream
from wellposed.task import Reading, Task


class State(NamedTuple):
    """Factors, and how the pair before the last step fitted."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    residual: Tensor  # 0-d: ||A(L R^T) - y|| / ||y||
    change: Tensor  # 0-d: ||step||_scaled / ||L R^T||


class Directions(NamedTuple):
    """Preconditioned gradient of a pair."""

    left: Tensor  # Z R (R^T R)^-1
    right: Tensor  # Z^T L (L^T L)^-1
    length: Tensor  # 0-d: scaled metric of Z


@dataclass(frozen=True)
class ScaledGD:
    """Gradient descent on the factors, preconditioned by their Grams.

    Parameters
    ----------
    step_size
        Fraction of the full (Newton-like) step, in (0, 1]; the paper uses 0.5. Relative to the
        operator's gain, so rescaling y or A changes nothing.
    projection
        Bound on each row and column norm of L R^T, as a multiple >= 1 of their root mean
        square (for mu-incoherent signals about sqrt(mu)); None, as in the reference code,
        projects nothing.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> truth = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 7.0))
    >>> mask = torch.rand(8, 6, generator=torch.Generator().manual_seed(0)) < 0.7
    >>> problem = wp.Problem(truth[mask], wp.operators.Entries.from_mask(mask))
    >>> wp.recover(problem, wp.LowRank(1), wp.ScaledGD()).status.value
    'converged'
    """

    step_size: float = 0.5
    projection: float | None = None

    reference: ClassVar[str] = "Tong, Ma & Chi, JMLR 22 (2021)"
    needs: ClassVar[str] = "linear operator on matrices"

    def __post_init__(self) -> None:
        within(
            self.step_size, "step_size", 0, 1, open_low=True,
            why="larger steps leave the region where the method contracts",
            remedy="use 0.5 unless you have a reason",
        )  # fmt: skip
        if self.projection is not None:
            within(self.projection, "projection", 1)

    def prepare(self, task: Task) -> Setting:
        """Lay out the measurements."""
        return read_task(task, "ScaledGD")

    def init(self, plan: Setting, stream: Stream) -> State:
        """Start from the leading singular triplets of A*(y) / gain."""
        left, right = self._project(spectral_start(plan, stream))
        one = torch.ones((), dtype=left.dtype, device=left.device)
        return State(left, right, one, one)

    def step(self, plan: Setting, state: State) -> State:
        """Move both factors from the old pair."""
        old = Factors(state.left, state.right)
        misfit = plan.operator.misfit(old.left, old.right, plan.y)
        towards = scaled_directions(plan, misfit, old)
        new = self._project(moved(old, towards, self.step_size / plan.gain))
        change = self.step_size / plan.gain * towards.length / product_norm(old)
        return State(*new, misfit.norm / plan.y_norm, change)

    def read(self, plan: Setting, state: State) -> Reading:
        """Return the factors and how well the pair before them fitted."""
        return Reading(Factors(state.left, state.right), float(state.residual), float(state.change))

    def _project(self, factors: Factors) -> Factors:
        return factors if self.projection is None else project_rows(factors, self.projection)


def scaled_directions(plan: Setting, misfit: Misfit, factors: Factors) -> Directions:
    """Return the gradient of the pair times the inverse Grams, and its scaled length."""
    left, right = factors
    if plan.symmetric:
        slope = symmetrize(misfit.gradient, left)
        towards = solve_gram(left, slope)
        return Directions(towards, towards, (2 * (slope * towards).sum()).clamp_min(0).sqrt())
    to_left, to_right = misfit.gradient @ right, misfit.gradient.T @ left
    on_left, on_right = solve_gram(right, to_left), solve_gram(left, to_right)
    squared = (to_left * on_left).sum() + (to_right * on_right).sum()
    return Directions(on_left, on_right, squared.clamp_min(0).sqrt())


def moved(factors: Factors, towards: Directions, step: float | Tensor) -> Factors:
    """Return the pair after a step against the directions; a symmetric pair stays one."""
    left = factors.left - step * towards.left
    if factors.left is factors.right:
        return Factors(left, left)
    return Factors(left, factors.right - step * towards.right)


def project_rows(factors: Factors, multiple: float) -> Factors:
    """Scale down rows whose part of L R^T is longer than ``multiple`` times the mean square.

    The projection P_B of the paper: row i of L is multiplied by
    min(1, B / (sqrt(n1) ||L_i R^T||)), both factors from the old pair, B = multiple ||L R^T||.
    """

    def shrink(rows: Tensor, other: Tensor) -> Tensor:
        energy = ((rows @ gram(other)) * rows).sum(1).clamp_min(0)  # ||row_i other^T||^2
        bound = multiple * energy.mean().sqrt()
        return (
            rows
            * (bound / energy.sqrt().clamp_min(torch.finfo(rows.dtype).tiny)).clamp_max(1.0)[
                :, None
            ]
        )

    left = shrink(factors.left, factors.right)
    if factors.left is factors.right:
        return Factors(left, left)
    return Factors(left, shrink(factors.right, factors.left))
