"""Subgradient descent on absolute deviations: low-rank recovery despite gross errors.

Source     V. Charisopoulos et al., "Low-rank matrix recovery with composite optimization: good
           conditioning and rapid convergence", Found. Comput. Math. 21 (2021); X. Li, Z. Zhu,
           A. M.-C. So, R. Vidal, "Nonconvex robust low-rank matrix recovery", SIAM J. Optim. 30
           (2020). Truncated start: Y. Li, Y. Chi, H. Zhang, Y. Liang, "Non-convex low-rank
           matrix recovery with arbitrary outliers via median-truncated gradient descent",
           Information and Inference 9 (2020).
Model      y = A(L R^T) + gross errors in a share of the measurements (+ noise),
           minimise  f = ||A(L R^T) - y||_1
Update     Z  = A*(sign(A(L R^T) - y))
           L' = L - t Z R,   R' = R - t Z^T L       (both from the old pair)
           t by Polyak's rule, with (||Z R||^2 + ||Z^T L||^2)^(1/2) for the length, or geometric.
           Symmetric signals L L^T: one factor, with (Z + Z^T)/2 for Z.
Start      leading singular triplets of A*(y), the largest |y_k| left out.
Cost       per step on m measurements: as gradient descent, and a median.
Guarantee  O(kappa / (1 - 2 share)^2 log 1/accuracy) steps for sensing matrices of Gaussian kind,
           rank times more for quadratic sensing.
Fails      large condition numbers kappa (ScaledSubgradient); observed entries, where the last
           wrong rows and columns are found only at a sublinear rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.lowrank.init import spectral_start
from wellposed.lowrank.scaled_gd import Directions, moved
from wellposed.lowrank.setting import Factors, Setting, read_task, symmetrize
from wellposed.lowrank.step_rules import Geometric, Pace, Polyak, median_size
from wellposed.noise import SparseOutliers
from wellposed.operators.hankel import HankelFit
from wellposed.rng import Stream
from wellposed.task import Reading, Task

MULTIPLE = 3.0  # measurements beyond this multiple of the median are left out of the start


class Plan(NamedTuple):
    """The setting, and what the start leaves out."""

    setting: Setting
    fraction: float | None  # share of gross errors, where the noise states it
    middle: Tensor  # 0-d: median of |y|


class State(NamedTuple):
    """Factors, the memory of the step rule, and how the pair before fitted."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    pace: Pace
    residual: Tensor  # 0-d: median |A(L R^T) - y| / median |y|
    change: Tensor  # 0-d: ||step|| / size, both in the direction's metric


@dataclass(frozen=True)
class Subgradient:
    """Subgradient descent on both factors for absolute deviations.

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
    >>> found = wp.recover(wp.Problem(y, sensing), wp.LowRank(1), wp.Subgradient())
    >>> bool((found.signal - truth).abs().max() < 1e-2)
    True
    """

    steps: Polyak | Geometric = field(default_factory=Polyak)

    reference: ClassVar[str] = "Charisopoulos et al., FoCM 21 (2021); Li et al., SIOPT 30 (2020)"
    needs: ClassVar[str] = "linear operator on matrices"

    def __post_init__(self) -> None:
        check_rule(self.steps)

    def prepare(self, task: Task) -> Plan:
        """Lay out the measurements."""
        return robust_plan(task, "Subgradient")

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from the leading triplets of the measurements without the largest."""
        pair = truncated_start(plan, stream)
        return first_state(pair, self.steps.begin(factor_norm(pair)))

    def step(self, plan: Plan, state: State) -> State:
        """Move both factors from the old pair."""
        pair = Factors(state.left, state.right)
        off = plan.setting.operator.on_factors(*pair) - plan.setting.y
        towards = plain_directions(plan.setting, off.sign(), pair)
        size, pace = self.steps.step(state.pace, off, towards.length)
        change = size * towards.length / factor_norm(pair)
        return State(*moved(pair, towards, size), pace, median_size(off) / plan.middle, change)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return the factors and how well the pair before them fitted."""
        return Reading(Factors(state.left, state.right), float(state.residual), float(state.change))


def plain_directions(setting: Setting, signs: Tensor, pair: Factors) -> Directions:
    """Return the subgradient Z R, Z^T L and its length."""
    z = setting.operator.adjoint_matrix(signs)
    if setting.symmetric:
        both = symmetrize(z, pair.left)
        return Directions(both, both, 2**0.5 * both.norm())
    to_left, to_right = z @ pair.right, z.T @ pair.left
    length = (to_left.square().sum() + to_right.square().sum()).sqrt()
    return Directions(to_left, to_right, length)


def robust_plan(task: Task, who: str) -> Plan:
    """Lay out a problem with gross errors."""
    setting = read_task(task, who)
    require(
        not isinstance(setting.operator, HankelFit),
        f"{who} was given the operator Hankel",
        "its fit couples samples and Hankel structure, and only the samples have gross errors",
        "use ScaledGD, or DenseSensing for a short signal",
        error=CapabilityError,
    )
    noise = None if task.problem is None else task.problem.noise
    fraction = noise.fraction if isinstance(noise, SparseOutliers) else None
    return Plan(setting, fraction, median_size(setting.y))


def truncated_start(plan: Plan, stream: Stream) -> Factors:
    """Return balanced factors of A*(y) / gain from the measurements that are not the largest.

    Left out is the share that the noise states, else what exceeds three times the median.
    """
    y = plan.setting.y
    size = y.abs()
    seen = size[size != 0]  # zeros weigh nothing, and stand for cells that were not observed
    if seen.numel() == 0:
        return spectral_start(plan.setting, stream)
    bound = MULTIPLE * plan.middle
    if plan.fraction is not None:
        count = seen.numel() - int(plan.fraction * seen.numel())
        bound = seen.kthvalue(count).values
    kept = float((seen <= bound).to(y.dtype).mean())
    trimmed = torch.where(size <= bound, y, 0.0) / kept
    return spectral_start(plan.setting._replace(y=trimmed), stream)


def first_state(pair: Factors, pace: Pace) -> State:
    """Return the state before any step."""
    one = torch.ones((), dtype=pair.left.dtype, device=pair.left.device)
    return State(*pair, pace, one, one)


def factor_norm(pair: Factors) -> Tensor:
    """Return (||L||^2 + ||R||^2)^(1/2), 0-d."""
    return (pair.left.square().sum() + pair.right.square().sum()).sqrt()


def check_rule(rule: object) -> None:
    """Require a step rule of this package."""
    require(
        isinstance(rule, (Polyak, Geometric)),
        f"steps is {rule!r}, expected Polyak() or Geometric()",
        remedy="from wellposed.lowrank.step_rules import Geometric, Polyak",
    )
