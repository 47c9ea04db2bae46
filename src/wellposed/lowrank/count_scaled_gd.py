"""ScaledGD for noisy tables that are observed unevenly: count-weighted Grams and a ridge.

Source     ours, from ScaledGD (Tong, Ma & Chi, JMLR 2021): a preconditioner per row, as
           alternating least squares would use it, but with one factorization for all rows.
Model      y = M[cells] + noise,  minimise  f = 1/2 ||A(L R^T) - y||^2 + ridge/2 (||L||^2 + ||R||^2)
           With biases, M = mean + b 1^T + 1 c^T + L R^T: the pair is [L | b | 1], [R | 1 | c], and
           f gains  shrinkage/2 (||b||^2 + ||c||^2).
Update     L_i' = L_i - t (Z R + ridge L)_i (c_i R^T R + ridge I)^-1,   c_i = count_i / n2
           R_j' = R_j - t (Z^T L + ridge R)_j (d_j L^T L + ridge I)^-1, d_j = count_j / n1
           Z = A*(A(L R^T) - y). c_i R^T R is what row i's Hessian sum_j R_j R_j^T would be on
           average, so evenly observed tables give ScaledGD back (c_i = gain). One
           eigendecomposition R^T R = Q e Q^T serves all rows: (.) Q / (c_i e + ridge) Q^T.
           b_i' = b_i - t ((Z 1)_i + shrinkage b_i) / (count_i + shrinkage), and c likewise.
           A step that raises f is taken back and halved, so f never rises.
Start      spectral, times the factor that fits the data best.
Cost       per step on m entries: 6 m r + 6 (n1 + n2) r^2 flops; memory O(m + (n1 + n2) r).
Guarantee  f decreases at every accepted step. On evenly observed clean tables the rate is
           ScaledGD's, free of the condition number.
Fails      gross errors (ScaledSubgradient); patterns of missing cells that depend on the
           values themselves bias every least-squares fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import within
from wellposed.errors import CapabilityError
from wellposed.linalg import gram
from wellposed.lowrank.biases import SHRINKAGE, Biases, fit_biases
from wellposed.lowrank.init import spectral_start
from wellposed.lowrank.setting import Factors, Setting, product_norm, read_task
from wellposed.operators.entries import Entries
from wellposed.rng import Stream
from wellposed.task import Reading, Task

GROWTH = 1.2  # how fast a halved step recovers


class Plan(NamedTuple):
    """The setting, the share of observed cells in each row and column, and the mean."""

    setting: Setting  # y less the mean
    row_share: Tensor  # [n1], > 0
    col_share: Tensor  # [n2], > 0
    mean: float | None  # None: no biases
    start: Biases | None  # where the offsets start


class State(NamedTuple):
    """A trial pair, and the accepted pair and directions that it came from.

    With biases there are two more columns: [L | b | 1] and [R | 1 | c].
    """

    left: Tensor  # [n1, r] or [n1, r + 2], trial
    right: Tensor  # [n2, r] or [n2, r + 2]
    base_left: Tensor  # accepted
    base_right: Tensor
    to_left: Tensor  # directions at the accepted pair
    to_right: Tensor
    objective: Tensor  # 0-d, f at the accepted pair
    step_size: Tensor  # 0-d, that led to the trial
    residual: Tensor  # 0-d, at the accepted pair
    change: Tensor  # 0-d, of the last accepted step
    accepted: bool  # whether the last trial was taken


@dataclass(frozen=True)
class CountScaledGD:
    """ScaledGD with count-weighted preconditioning, a ridge, and steps that never ascend.

    Parameters
    ----------
    step_size
        Largest fraction of the full step, in (0, 1].

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> table = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 7.0))
    >>> cells = wp.operators.Entries(*torch.ones(8, 6).tril(2).nonzero().T, (8, 6))
    >>> fit = wp.recover(wp.Problem(cells(table), cells), wp.LowRank(1), wp.CountScaledGD())
    >>> bool((fit.signal - table).abs().max() < 1e-3)
    True
    """

    step_size: float = 0.5

    reference: ClassVar[str] = "this package, after Tong, Ma & Chi, JMLR 22 (2021)"
    needs: ClassVar[str] = "observed entries of a matrix"
    fits_biases: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(self.step_size, "step_size", 0, 1, open_low=True)

    def prepare(self, task: Task) -> Plan:
        """Lay out the measurements and count them."""
        read_task(task, "CountScaledGD", ridge=True, symmetric=False)
        if task.problem is None or not isinstance(task.problem.operator, Entries):
            raise CapabilityError(
                "CountScaledGD was given an operator that is not Entries",
                "it weights rows and columns by how often they were observed",
                "use ScaledGD",
            )
        operator, y = task.problem.operator, task.problem.y
        start = fit_biases(operator, y) if task.prior.biases else None
        if start is not None:
            task = replace(task, problem=replace(task.problem, y=y - start.mean))
        setting = read_task(task, "CountScaledGD", ridge=True, symmetric=False)
        rows, cols = (c.clamp_min(1).to(setting.y) for c in operator.counts())
        n1, n2 = operator.shape
        return Plan(setting, rows / n2, cols / n1, start and start.mean, start)

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from the spectral pair, scaled to fit the data best."""
        setting, offsets = plan.setting, None
        if plan.start is not None:
            offsets = offset_columns(plan.start, setting.y)
            setting = setting._replace(y=setting.y - setting.operator.on_factors(*offsets))
        pair = best_scale(setting, spectral_start(setting, stream))
        if offsets is not None:
            pair = Factors(*(torch.cat(both, 1) for both in zip(pair, offsets, strict=True)))
        one = torch.ones((), dtype=pair.left.dtype, device=pair.left.device)
        none = Factors(torch.zeros_like(pair.left), torch.zeros_like(pair.right))
        return State(*pair, *pair, *none, one * torch.inf, one * self.step_size, one, one, True)

    def step(self, plan: Plan, state: State) -> State:
        """Accept the trial pair and move on from it, or take it back and halve the step."""
        setting, pair = plan.setting, Factors(state.left, state.right)
        misfit = setting.operator.misfit(pair.left, pair.right, setting.y)
        objective = 0.5 * misfit.norm**2 + 0.5 * penalty(plan, pair)
        if not bool(objective <= state.objective):
            return self._back(state)
        towards = directions(plan, misfit.gradient, pair)
        size = (state.step_size * GROWTH).clamp_max(self.step_size)
        left, right = pair.left - size * towards.left, pair.right - size * towards.right
        change = size * scaled_length(pair, towards) / product_norm(pair)
        residual = misfit.norm / setting.y_norm
        return State(left, right, *pair, *towards, objective, size, residual, change, True)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return the accepted factors; a rejected trial says nothing about progress."""
        pair = Factors(state.base_left, state.base_right)
        if plan.mean is not None:  # the mean joins the offsets of the rows
            left = pair.left.clone()
            left[:, plan.setting.rank] += plan.mean
            pair = pair._replace(left=left)
        if not state.accepted:
            return Reading(pair)
        return Reading(pair, float(state.residual), float(state.change))

    def finish(self, plan: Plan, state: State) -> Factors | Biased:
        """Return the factors, and the offsets apart from them."""
        left, right, r = state.base_left, state.base_right, plan.setting.rank
        if plan.mean is None:
            return Factors(left, right)
        biases = Biases(plan.mean, left[:, r].clone(), right[:, r + 1].clone())
        return Biased(left[:, :r].contiguous(), right[:, :r].contiguous(), biases)

    def _back(self, state: State) -> State:
        size = state.step_size / 2
        return state._replace(
            left=state.base_left - size * state.to_left,
            right=state.base_right - size * state.to_right,
            step_size=size,
            accepted=False,
        )


class Biased(NamedTuple):
    """Factors and offsets of a table."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    biases: Biases


def directions(plan: Plan, z: object, pair: Factors) -> Factors:
    """Return the preconditioned gradient of f; columns of ones do not move."""
    left, right = pair
    slopes = Factors(z @ right, z.T @ left)  # type: ignore[operator, attr-defined]
    r = plan.setting.rank
    to_left = solve_factor(plan, slopes.left[:, :r], left[:, :r], right[:, :r], plan.row_share)
    to_right = solve_factor(plan, slopes.right[:, :r], right[:, :r], left[:, :r], plan.col_share)
    if plan.mean is None:
        return Factors(to_left, to_right)
    counts = plan.row_share * len(right), plan.col_share * len(left)
    on_rows = (slopes.left[:, r] + SHRINKAGE * left[:, r]) / (counts[0] + SHRINKAGE)
    on_cols = (slopes.right[:, r + 1] + SHRINKAGE * right[:, r + 1]) / (counts[1] + SHRINKAGE)
    return Factors(
        torch.cat([to_left, torch.stack([on_rows, torch.zeros_like(on_rows)], 1)], 1),
        torch.cat([to_right, torch.stack([torch.zeros_like(on_cols), on_cols], 1)], 1),
    )


def solve_factor(plan: Plan, slope: Tensor, own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Return the direction of one factor."""
    ridge = plan.setting.ridge
    return solve_rows(slope + ridge * own, gram(other), share, ridge)


def penalty(plan: Plan, pair: Factors) -> Tensor:
    """Return twice the penalty of f, 0-d."""
    r = plan.setting.rank
    squares = pair.left[:, :r].square().sum() + pair.right[:, :r].square().sum()
    if plan.mean is None:
        return plan.setting.ridge * squares
    offsets = pair.left[:, r].square().sum() + pair.right[:, r + 1].square().sum()
    return plan.setting.ridge * squares + SHRINKAGE * offsets


def offset_columns(biases: Biases, like: Tensor) -> Factors:
    """Return [b | 1] and [1 | c]: the product of the two is the offset of each cell."""
    rows, cols = biases.rows.to(like), biases.cols.to(like)
    return Factors(
        torch.stack([rows, torch.ones_like(rows)], 1), torch.stack([torch.ones_like(cols), cols], 1)
    )


def solve_rows(slope: Tensor, matrix: Tensor, share: Tensor, ridge: float) -> Tensor:
    """Return row i of ``slope`` times (share_i * matrix + ridge I)^-1, for all i at once.

    Eigenvalues below rounding are lifted to it, so a singular Gram without ridge gives a long
    step (which is taken back if it does harm), not a division by zero.
    """
    if not bool(torch.isfinite(matrix).all()):
        return torch.full_like(slope, torch.nan)
    values, vectors = torch.linalg.eigh(matrix)
    floor = values[-1] * values.numel() * torch.finfo(values.dtype).eps
    values = values.clamp_min(float(floor) or 1.0)
    solved: Tensor = (slope @ vectors) / (share[:, None] * values + ridge) @ vectors.mT
    return solved


def best_scale(setting: Setting, pair: Factors) -> Factors:
    """Multiply the pair so that c L R^T fits y best: c = <A(L R^T), y> / ||A(L R^T)||^2."""
    image = setting.operator.on_factors(*pair)
    power = float(image.square().sum())
    if power == 0:
        return pair
    scale = max(float((image * setting.y).sum()) / power, 0.0) ** 0.5
    return Factors(pair.left * scale, pair.right * scale)


def scaled_length(pair: Factors, towards: Factors) -> Tensor:
    """Return the scaled length of a step: (||D_L R^T||^2 + ||L D_R^T||^2)^(1/2)."""
    on_left = (gram(towards.left) * gram(pair.right)).sum()
    on_right = (gram(towards.right) * gram(pair.left)).sum()
    return (on_left + on_right).clamp_min(0).sqrt()
