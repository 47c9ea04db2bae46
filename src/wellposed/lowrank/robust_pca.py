"""Robust PCA by ScaledGD: a low-rank background and a sparse foreground.

Source     Tong, Ma & Chi, JMLR 22 (2021), sec. 3.2 (hard thresholds); Dong, Tong, Ma & Chi,
           Information & Inference 12 (2023) (soft thresholds that decay), for matrices.
Model      y = A(L R^T) + s + noise; A reads all or some entries; s sparse.
Update     E  = A(L R^T) - y
           s' = T(-E)                      (T: a threshold, below)
           Z  = A*(E + s') / gain
           L' = L - step_size * Z R (R^T R)^-1,   R' = R - step_size * Z^T L (L^T L)^-1
Hard       T_a keeps an entry iff it is among the a n2 largest of its row and the a n1 largest of
           its column, in absolute value. a = fraction at the start, 2 fraction afterwards.
Soft       T(x) = sign(x) max(|x| - zeta, 0), zeta' = max(ratio min(zeta, max|E|), 3 * spread of
           E), the spread being a robust standard deviation. E + T(-E) is E clipped to +- zeta:
           the gradient of Huber's loss, so s need not be formed. While most of a row or column
           is clipped, its background lags behind, and the threshold falls more slowly.
Start      the SVD of y without its entries beyond the first threshold; with hard thresholds
           only those of them that T_fraction keeps.
Stopping   The residual is relative to the background, so gross corruptions do not hide it. The
           change counts what the threshold still moves. A run has not settled while a falling
           threshold clips most of a line, nor while a direction of the background is spent on
           one line alone (leverage near 1): it then fits that line's corruptions.
Cost       per step on n1 x n2: 6 n1 n2 r flops and some passes; hard thresholds add one
           selection per row and column.
Guarantee  hard: linear, free of the condition number, for fraction <~ 1 / (mu r^1.5 kappa).
Fails      the sparse part hides a whole row or column; an outlier share above a half. Hard
           thresholds stall beyond their guarantee where corruptions are of the background's own
           size (500 x 500, rank 10, kappa 20, a tenth corrupted); soft ones do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.errors import CapabilityError
from wellposed.linalg import solve_gram
from wellposed.lowrank.init import spectral_start
from wellposed.lowrank.scaled_gd import moved, scaled_directions
from wellposed.lowrank.setting import Factors, Setting, product_norm, read_task
from wellposed.operators.base import Misfit
from wellposed.operators.entries import Entries, MaskedEntries
from wellposed.priors.lowrank import LowRank, LowRankPlusSparse
from wellposed.problem import Problem
from wellposed.rng import Stream
from wellposed.task import Reading, Task

SAMPLE = 20_000  # elements that the spread is estimated from
SPREAD = 3.0
FIRST = 2.0  # first threshold, in spreads of y
SLOW = 0.25  # power of the ratio by which the threshold falls while a line is mostly clipped
ALONE = 0.9  # leverage from which on a direction is spent on one line
TO_SIGMA = 1.4826  # median absolute value of a Gaussian, inverted


@dataclass(frozen=True)
class Hard:
    """Keep the largest entries of each row and column; needs the prior's ``fraction``.

    Parameters
    ----------
    multiple
        Share kept in the loop, as a multiple >= 1 of the prior's fraction; the paper uses 2.
    """

    multiple: float = 2.0

    def __post_init__(self) -> None:
        within(self.multiple, "multiple", 1)


@dataclass(frozen=True)
class Soft:
    """Shrink towards zero by a threshold that decays to the noise.

    Parameters
    ----------
    first
        First threshold, > 0, in units of y; the start leaves out entries beyond it. None means
        2 robust standard deviations of y.
    ratio
        Decay per step, in (0, 1); not below 1 - 0.45 * step_size in the theory.
    """

    first: float | None = None
    ratio: float = 0.8

    def __post_init__(self) -> None:
        if self.first is not None:
            within(self.first, "first", 0, open_low=True)
        within(self.ratio, "ratio", 0, 1, open_low=True, open_high=True)


class Plan(NamedTuple):
    """The setting, the share of non-zeros where it is known, and how many cells a line has."""

    setting: Setting
    fraction: float | None
    row_cells: Tensor  # [n1, 1], observed
    col_cells: Tensor  # [n2, 1]


class State(NamedTuple):
    """Factors, the threshold that led to them, and how the pair before fitted."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    zeta: Tensor  # 0-d; soft thresholds only
    crowded: Tensor  # 0-d, bool: most of a row or column was clipped
    settled: Tensor  # 0-d, bool: nothing but the step's length speaks against stopping
    residual: Tensor  # 0-d: ||A(L R^T) + s - y|| / ||A(L R^T)||
    change: Tensor  # 0-d


class Parts(NamedTuple):
    """A background left right^T and a sparse foreground."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    sparse: Tensor  # [n1, n2]


@dataclass(frozen=True)
class RobustPCA:
    """Separate a low-rank matrix from sparse corruptions, also with missing entries.

    Parameters
    ----------
    step_size
        Fraction of the full step, in (0, 1]; the paper uses 0.5.
    threshold
        ``Hard()`` as in the paper, or ``Soft()``, which needs no fraction.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> draw = torch.Generator().manual_seed(0)
    >>> low = torch.randn(60, 1, generator=draw) @ torch.randn(1, 50, generator=draw)
    >>> spots = 10.0 * (torch.rand(60, 50, generator=draw) < 0.05)
    >>> problem = wp.Problem(low + spots, wp.operators.Identity((60, 50)))
    >>> found = wp.recover(problem, wp.LowRankPlusSparse(1))
    >>> bool((found.signal - low).norm() < 1e-3 * low.norm())
    True
    """

    step_size: float = 0.5
    threshold: Hard | Soft = field(default_factory=Soft)

    reference: ClassVar[str] = "Tong, Ma & Chi, JMLR 22 (2021); Dong et al., I&I 12 (2023)"
    needs: ClassVar[str] = "all or some entries of a matrix"

    def __post_init__(self) -> None:
        within(self.step_size, "step_size", 0, 1, open_low=True)
        require(
            isinstance(self.threshold, (Hard, Soft)),
            f"threshold is {self.threshold!r}, expected Hard() or Soft()",
        )

    def prepare(self, task: Task) -> Plan:
        """Lay out the measurements; hard thresholds need rows and columns, so a dense layout."""
        prior, problem = task.prior, task.problem
        if not isinstance(prior, LowRankPlusSparse) or problem is None:
            raise CapabilityError(
                f"RobustPCA was given a {type(prior).__name__} prior",
                "it splits the signal into a low-rank and a sparse part",
                "use LowRankPlusSparse(rank); for gross errors of measurements "
                "use noise SparseOutliers with ScaledSubgradient",
            )
        require(
            isinstance(self.threshold, Soft) or prior.fraction is not None,
            "hard thresholds were asked for but the prior has no fraction",
            "they keep a given share of each row and column",
            "LowRankPlusSparse(rank, fraction=0.1), or threshold=Soft()",
        )
        inner = Task(problem, LowRank(prior.rank), dtype=task.dtype, device=task.device)
        setting = read_task(inner, "RobustPCA")
        if isinstance(problem.operator, Entries) and isinstance(self.threshold, Hard):
            setting = _dense(setting, problem.operator, problem)
        seen = setting.operator.adjoint_matrix(torch.ones_like(setting.y))
        return Plan(setting, prior.fraction, *line_sums(seen, setting))

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from the leading triplets of the measurements without their largest part."""
        y = plan.setting.y
        zeta = self._first(plan)
        gross = y if isinstance(self.threshold, Soft) else keep_largest(y, self._share(plan, 1.0))
        trimmed = y - torch.where(gross.abs() > zeta, gross, 0.0)
        left, right = spectral_start(plan.setting._replace(y=trimmed), stream)
        one = torch.ones((), dtype=left.dtype, device=left.device)
        return State(left, right, zeta, one < 0, one > 0, one, one)

    def step(self, plan: Plan, state: State) -> State:
        """Split off the sparse part, then a scaled gradient step on the rest."""
        setting, pair = plan.setting, Factors(state.left, state.right)
        off = setting.operator.on_factors(*pair) - setting.y
        zeta = self._next(off, state)
        rest = self._rest(plan, off, zeta)
        misfit = Misfit(setting.operator.adjoint_matrix(rest), rest.norm())
        towards = scaled_directions(setting, misfit, pair)
        new = moved(pair, towards, self.step_size / setting.gain)
        size = product_norm(pair)
        seen = size * setting.gain**0.5  # ||A(L R^T)||, on average
        change = self.step_size / setting.gain * towards.length / size
        settled = ~spent_on_one_line(pair)
        crowded = state.crowded
        if isinstance(self.threshold, Soft):
            fall = relative_decrease(state.zeta, zeta)
            change = torch.maximum(change, torch.minimum(fall, zeta * rest.numel() ** 0.5 / seen))
            crowded = self._crowded(plan, off, zeta)
            settled &= ~crowded | (fall <= 0)
        return State(*new, zeta, crowded, settled, misfit.norm / seen, change)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return the factors; the sparse part is formed by ``finish``."""
        pair = Factors(state.left, state.right)
        ready = bool(state.settled)
        return Reading(pair, float(state.residual), float(state.change), ready=ready)

    def finish(self, plan: Plan, state: State) -> Parts:
        """Return background factors and the sparse part [n1, n2]."""
        operator, y = plan.setting.operator, plan.setting.y
        off = operator.on_factors(state.left, state.right) - y
        sparse = self._rest(plan, off, state.zeta) - off  # T(-E) = (E + T(-E)) - E
        return Parts(state.left, state.right, operator.adjoint(sparse))

    def _first(self, plan: Plan) -> Tensor:
        y = plan.setting.y
        if isinstance(self.threshold, Soft) and self.threshold.first is not None:
            return y.new_tensor(self.threshold.first)
        return FIRST * spread(y)

    def _next(self, off: Tensor, state: State) -> Tensor:
        if isinstance(self.threshold, Hard):
            return state.zeta
        # Above max|E| a threshold does nothing, and a start from the SVD would look settled.
        low, high = off.aminmax()
        bound = torch.minimum(state.zeta, torch.maximum(-low, high))
        ratio = self.threshold.ratio ** torch.where(state.crowded, SLOW, 1.0)
        return torch.maximum(bound * ratio, SPREAD * spread(off))

    def _crowded(self, plan: Plan, off: Tensor, zeta: Tensor) -> Tensor:
        """Whether most of the observed cells of some row or column are clipped, 0-d."""
        clipped = plan.setting.operator.adjoint_matrix((off.abs() > zeta).to(off))
        in_row, in_col = line_sums(clipped, plan.setting)
        return (2 * in_row > plan.row_cells).any() | (2 * in_col > plan.col_cells).any()

    def _rest(self, plan: Plan, off: Tensor, zeta: Tensor) -> Tensor:
        """E + T(-E): what the sparse part leaves."""
        if isinstance(self.threshold, Soft):
            return off.clamp(-zeta, zeta)
        return off - keep_largest(off, self._share(plan, self.threshold.multiple))

    def _share(self, plan: Plan, multiple: float) -> float:
        """Share of all cells of a row that hold a visible corruption, times the multiple."""
        return min(multiple * (plan.fraction or 0.0), 1.0) * plan.setting.gain


def line_sums(matrix: Any, setting: Setting) -> tuple[Tensor, Tensor]:
    """Return the sums of the rows, [n1, 1], and of the columns, [n2, 1]."""
    n1, n2 = setting.operator.shape_in
    return matrix @ setting.y.new_ones(n2, 1), matrix.T @ setting.y.new_ones(n1, 1)


def spent_on_one_line(pair: Factors) -> Tensor:
    """Whether some line takes a direction of its factor for itself, 0-d bool.

    The leverage of row i, L_i (L^T L)^-1 L_i^T, is r / n on average and 1 where a direction
    lives in that row alone; the bound lies between the two.
    """
    found = [
        (solve_gram(a, a) * a).sum(1).max() > ALONE + (1 - ALONE) * a.shape[1] / a.shape[0]
        for a in pair
    ]
    return found[0] | found[1]


def spread(values: Tensor) -> Tensor:
    """Return a robust standard deviation (from the median of |x|) of an even subsample, 0-d."""
    return deviation(sampled(values))


def deviation(sizes: Tensor) -> Tensor:
    """Return the standard deviation of a Gaussian with these absolute values, 0-d."""
    return TO_SIGMA * sizes.median() if sizes.numel() else sizes.new_zeros(())


def sampled(values: Tensor) -> Tensor:
    """Return |x| of an even subsample, one-dimensional.

    Exact zeros, which stand for cells that were not observed, do not count.
    """
    flat = values.flatten()
    stride = max(1, flat.numel() // SAMPLE)
    while math.gcd(stride, values.shape[-1]) > 1:  # or only a few columns would be seen
        stride -= 1
    size = flat[::stride].abs()
    seen = size > 0
    return size if bool(seen.all()) else size[seen]


def relative_decrease(old: Tensor, new: Tensor) -> Tensor:
    """Return 1 - new / old, and zero where both are zero, 0-d."""
    return (old - new) / old.clamp_min(torch.finfo(old.dtype).tiny)


def keep_largest(x: Tensor, share: float) -> Tensor:
    """Return T_share(x) for x [n1, n2]: entries large in both their row and their column."""
    n1, n2 = x.shape
    in_row, in_col = int(share * n2), int(share * n1)
    if in_row == 0 or in_col == 0:
        return torch.zeros_like(x)
    size = x.abs()
    row_bound = size.kthvalue(max(n2 - in_row + 1, 1), dim=1, keepdim=True).values
    col_bound = size.kthvalue(max(n1 - in_col + 1, 1), dim=0, keepdim=True).values
    return torch.where((size >= row_bound) & (size >= col_bound), x, 0.0)


def _dense(setting: Setting, cells: Entries, problem: Problem) -> Setting:
    """Lay observed entries out as a dense mask, whatever their number."""
    y = problem.y.to(setting.y)
    values, mask = cells.backward(torch.stack([y, torch.ones_like(y)]))
    operator = MaskedEntries(mask)
    return setting._replace(operator=operator, y=values, gain=operator.gain)
