"""Scaled subgradient descent: gross errors and ill-conditioning at once.

Source     T. Tong, C. Ma, Y. Chi, "Low-rank matrix recovery with scaled subgradient methods: fast
           and robust convergence without the condition number", IEEE Trans. SP 69 (2021).
Model      y = A(L R^T) + gross errors in a share of the measurements (+ noise),
           minimise  f = ||A(L R^T) - y||_1
Update     Z  = A*(sign(A(L R^T) - y))
           L' = L - t Z R   (R^T R)^-1
           R' = R - t Z^T L (L^T L)^-1              (both from the old pair)
           t by Polyak's rule, with (<Z R, Z R (R^T R)^-1> + <Z^T L, Z^T L (L^T L)^-1>)^(1/2) for
           the length, or geometric. Symmetric signals L L^T: one factor, with (Z + Z^T)/2 for Z.
Start      leading singular triplets of A*(y), the largest |y_k| left out.
Cost       per step on m measurements: as ScaledGD, and a median.
Guarantee  O(1 / (1 - 2 share)^2 log 1/accuracy) steps, free of the condition number, for sensing
           matrices of Gaussian kind; rank times more for quadratic sensing.
Fails      observed entries, where the last wrong rows and columns are found only at a sublinear
           rate; rank over-stated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from wellposed.lowrank.scaled_gd import moved, scaled_directions
from wellposed.lowrank.setting import Factors, product_norm
from wellposed.lowrank.step_rules import Geometric, Polyak, median_size
from wellposed.lowrank.subgradient import (
    Plan,
    State,
    check_rule,
    first_state,
    robust_plan,
    truncated_start,
)
from wellposed.operators.base import Misfit
from wellposed.rng import Stream
from wellposed.task import Reading, Task


@dataclass(frozen=True)
class ScaledSubgradient:
    """Subgradient descent for absolute deviations, preconditioned by the factors' Grams.

    Its ``residual`` is the median of |A(L R^T) - y| over that of |y|, which gross errors do not
    move.

    Parameters
    ----------
    steps
        ``Polyak()``, which needs no knowledge of the errors; ``Polyak(optimum)`` where the sum
        of their sizes is known; or ``Geometric(first, ratio)``.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> draw = torch.Generator().manual_seed(0)
    >>> sensing = wp.operators.DenseSensing(torch.randn(400, 8, 7, generator=draw))
    >>> truth = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 8.0))
    >>> y = sensing(truth)
    >>> y[:40] = 1e4
    >>> problem = wp.Problem(y, sensing, wp.noise.SparseOutliers(0.1))
    >>> found = wp.recover(problem, wp.LowRank(1), wp.ScaledSubgradient())
    >>> bool((found.signal - truth).abs().max() < 1e-2)
    True
    """

    steps: Polyak | Geometric = field(default_factory=Polyak)

    reference: ClassVar[str] = "Tong, Ma & Chi, IEEE Trans. SP 69 (2021)"
    needs: ClassVar[str] = "linear operator on matrices"

    def __post_init__(self) -> None:
        check_rule(self.steps)

    def prepare(self, task: Task) -> Plan:
        """Lay out the measurements."""
        return robust_plan(task, "ScaledSubgradient")

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from the leading triplets of the measurements without the largest."""
        pair = truncated_start(plan, stream)
        return first_state(pair, self.steps.begin(product_norm(pair)))

    def step(self, plan: Plan, state: State) -> State:
        """Move both factors from the old pair."""
        setting, pair = plan.setting, Factors(state.left, state.right)
        off = setting.operator.on_factors(*pair) - setting.y
        signs = Misfit(setting.operator.adjoint_matrix(off.sign()), off.norm())
        towards = scaled_directions(setting, signs, pair)
        size, pace = self.steps.step(state.pace, off, towards.length)
        change = size * towards.length / product_norm(pair)
        return State(*moved(pair, towards, size), pace, median_size(off) / plan.middle, change)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return the factors and how well the pair before them fitted."""
        return Reading(Factors(state.left, state.right), float(state.residual), float(state.change))
