"""Gradient descent on the factors, with and without balancing: the baseline.

Source     S. Tu, R. Boczar, M. Simchowitz, M. Soltanolkotabi, B. Recht, "Low-rank solutions of
           linear matrix equations via Procrustes flow", ICML 2016; without balancing C. Ma, Y. Li,
           Y. Chi, "Beyond Procrustes", IEEE Trans. SP 69 (2021).
Model      y = A(L R^T) + noise,  minimise  f = 1/2 ||A(L R^T) - y||^2 / gain
                                              + balancing/4 ||L^T L - R^T R||^2
Update     Z  = A*(A(L R^T) - y) / gain,   D = L^T L - R^T R,   t = step_size / sigma_1(start)
           L' = L - t (Z R   + balancing L D)
           R' = R - t (Z^T L - balancing R D)      (both from the old pair)
           Symmetric signals L L^T: one factor, with (Z + Z^T)/2 for Z.
Cost       per step on m observed entries: 6 m r flops; another 4 (n1 + n2) r^2 for the measure
           of progress; memory O(m + (n1 + n2) r).
Guarantee  from the spectral start, O(kappa log 1/accuracy) steps, given enough incoherent
           measurements.
Fails      large condition numbers kappa: the count of steps grows with them, and the step has
           to shrink with the imbalance of the factors (ScaledGD: neither).
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
from wellposed.rng import Stream
from wellposed.task import Reading, Task


class State(NamedTuple):
    """Factors, the step, and how the pair before fitted."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    size: Tensor  # 0-d: step_size / sigma_1(start), in units of 1 / M
    residual: Tensor  # 0-d: ||A(L R^T) - y|| / ||y||
    change: Tensor  # 0-d: step_size ||Z||_scaled / ||L R^T||


@dataclass(frozen=True)
class GradientDescent:
    """Gradient descent on both factors, with one step size for all directions.

    Its ``change`` is the length that a step of ``ScaledGD`` would have from the same pair, so a
    tolerance means the same accuracy for both, whatever the condition number.

    Parameters
    ----------
    step_size
        Step in units of 1 / sigma_1, in (0, 1]; the reference uses 0.5.
    balancing
        Weight >= 0 of the term that keeps L^T L and R^T R equal; 0.5 in Tu et al. The spectral
        start is balanced, and 0 keeps it nearly so. From 1 / (2 step_size) on the term itself
        makes the iteration unstable.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> truth = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 7.0))
    >>> problem = wp.Problem(truth, wp.operators.Identity((8, 6)))
    >>> wp.recover(problem, wp.LowRank(1), wp.GradientDescent()).status.value
    'converged'
    """

    step_size: float = 0.5
    balancing: float = 0.0

    reference: ClassVar[str] = "Tu et al., ICML 2016; Ma, Li & Chi, IEEE Trans. SP 69 (2021)"
    needs: ClassVar[str] = "linear operator on matrices"

    def __post_init__(self) -> None:
        within(
            self.step_size, "step_size", 0, 1, open_low=True,
            why="steps longer than 1 / sigma_1 overshoot along the largest singular vectors",
            remedy="use 0.5 unless you have a reason",
        )  # fmt: skip
        within(self.balancing, "balancing", 0)

    def prepare(self, task: Task) -> Setting:
        """Lay out the measurements."""
        return read_task(task, "GradientDescent")

    def init(self, plan: Setting, stream: Stream) -> State:
        """Start from the leading singular triplets of A*(y) / gain."""
        left, right = spectral_start(plan, stream)
        one = torch.ones((), dtype=left.dtype, device=left.device)
        largest = torch.linalg.matrix_norm(left, 2) * torch.linalg.matrix_norm(right, 2)
        return State(left, right, self.step_size / largest, one, one)

    def step(self, plan: Setting, state: State) -> State:
        """Move both factors from the old pair."""
        pair = Factors(state.left, state.right)
        misfit = plan.operator.misfit(*pair, plan.y)
        slope = slopes(plan, misfit.gradient, pair)
        uneven = self.balancing * (gram(pair.left) - gram(pair.right))
        left = pair.left - state.size * (slope.left + pair.left @ uneven)
        right = pair.right - state.size * (slope.right - pair.right @ uneven)
        change = self.step_size * scaled_length(pair, slope) / product_norm(pair)
        new = Factors(left, left if plan.symmetric else right)
        return State(*new, state.size, misfit.norm / plan.y_norm, change)

    def read(self, plan: Setting, state: State) -> Reading:
        """Return the factors and how well the pair before them fitted."""
        return Reading(Factors(state.left, state.right), float(state.residual), float(state.change))


def slopes(plan: Setting, z: object, pair: Factors) -> Factors:
    """Return Z R and Z^T L, both over the gain; for a symmetric pair (Z + Z^T)/2 L twice."""
    if plan.symmetric:
        both = symmetrize(z, pair.left) / plan.gain
        return Factors(both, both)
    to_left, to_right = z @ pair.right, z.T @ pair.left  # type: ignore[operator, attr-defined]
    return Factors(to_left / plan.gain, to_right / plan.gain)


def scaled_length(pair: Factors, slope: Factors) -> Tensor:
    """Return the length of Z on the tangent space, from its products with the factors."""
    on_left = (slope.left * solve_gram(pair.right, slope.left)).sum()
    on_right = (slope.right * solve_gram(pair.left, slope.right)).sum()
    return (on_left + on_right).clamp_min(0).sqrt()
