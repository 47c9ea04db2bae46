"""Methods that only serve as baselines of a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.lowrank.robust_pca import Hard, Plan, RobustPCA, keep_largest
from wellposed.lowrank.setting import Factors
from wellposed.rng import Stream
from wellposed.task import Reading, Task

START = RobustPCA(threshold=Hard())


class State(NamedTuple):
    """Factors, the step, and how the pair before fitted."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    size: Tensor  # 0-d: step_size / sigma_1(start)
    residual: Tensor  # 0-d


@dataclass(frozen=True)
class ThresholdedGD:
    """Robust PCA with hard thresholds by gradient descent instead of ScaledGD.

    s' = T(y - L R^T), keeping twice the prior's fraction of each row and column,
    Z = L R^T + s' - y,  L' = L - t Z R,  R' = R - t Z^T L,  t = step_size / sigma_1(start).
    """

    step_size: float = 0.5

    reference: ClassVar[str] = "the baseline of Tong, Ma & Chi, JMLR 22 (2021), fig. 2"

    def prepare(self, task: Task) -> Plan:
        """Lay out the measurements."""
        return START.prepare(task)

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start as RobustPCA does."""
        first = START.init(plan, stream)
        largest = torch.linalg.matrix_norm(first.left, 2) ** 2
        return State(first.left, first.right, self.step_size / largest, torch.ones_like(largest))

    def step(self, plan: Plan, state: State) -> State:
        """Split off the sparse part, then a gradient step."""
        y, (left, right) = plan.setting.y, state[:2]
        off = left @ right.mT - y
        z = off - keep_largest(off, min(2 * (plan.fraction or 0.0), 1.0))
        moved = left - state.size * (z @ right), right - state.size * (z.mT @ left)
        return State(*moved, state.size, z.norm() / plan.setting.y_norm)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return the factors and how well the pair before them fitted."""
        return Reading(Factors(state.left, state.right), float(state.residual))
