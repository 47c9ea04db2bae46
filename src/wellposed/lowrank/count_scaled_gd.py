"""ScaledGD for noisy tables that are observed unevenly: count-weighted Grams and a ridge.

Source     ours, from ScaledGD (Tong, Ma & Chi, JMLR 2021): a preconditioner per row, as
           alternating least squares would use it, but with one factorization for all rows.
Model      y = M[cells] + noise,  minimise  f = 1/2 ||A(L R^T) - y||^2 + ridge/2 (||L||^2 + ||R||^2)
Update     L_i' = L_i - t (Z R + ridge L)_i (c_i R^T R + ridge I)^-1,   c_i = count_i / n2
           R_j' = R_j - t (Z^T L + ridge R)_j (d_j L^T L + ridge I)^-1, d_j = count_j / n1
           Z = A*(A(L R^T) - y). c_i R^T R is what row i's Hessian sum_j R_j R_j^T would be on
           average, so evenly observed tables give ScaledGD back (c_i = gain). One
           eigendecomposition R^T R = Q e Q^T serves all rows: (.) Q / (c_i e + ridge) Q^T.
           A step that raises f is taken back and halved, so f never rises.
Start      spectral, times the factor that fits the data best.
Cost       per step on m entries: 6 m r + 6 (n1 + n2) r^2 flops; memory O(m + (n1 + n2) r).
Guarantee  f decreases at every accepted step. On evenly observed clean tables the rate is
           ScaledGD's, free of the condition number.
Fails      gross errors (ScaledSubgradient); patterns of missing cells that depend on the
           values themselves bias every least-squares fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import within
from wellposed.errors import CapabilityError
from wellposed.linalg import gram
from wellposed.lowrank.init import spectral_start
from wellposed.lowrank.setting import Factors, Setting, product_norm, read_task
from wellposed.operators.entries import Entries
from wellposed.rng import Stream
from wellposed.task import Reading, Task

GROWTH = 1.2  # how fast a halved step recovers


class Plan(NamedTuple):
    """The setting, and the share of observed cells in each row and column."""

    setting: Setting
    row_share: Tensor  # [n1], > 0
    col_share: Tensor  # [n2], > 0


class State(NamedTuple):
    """A trial pair, and the accepted pair and directions that it came from."""

    left: Tensor  # [n1, r], trial
    right: Tensor  # [n2, r]
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

    def __post_init__(self) -> None:
        within(self.step_size, "step_size", 0, 1, open_low=True)

    def prepare(self, task: Task) -> Plan:
        """Lay out the measurements and count them."""
        setting = read_task(task, "CountScaledGD", ridge=True, symmetric=False)
        if task.problem is None or not isinstance(task.problem.operator, Entries):
            raise CapabilityError(
                "CountScaledGD was given an operator that is not Entries",
                "it weights rows and columns by how often they were observed",
                "use ScaledGD",
            )
        operator = task.problem.operator
        rows, cols = (c.clamp_min(1).to(setting.y) for c in operator.counts())
        return Plan(setting, rows / operator.shape[1], cols / operator.shape[0])

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from the spectral pair, scaled to fit the data best."""
        setting = plan.setting
        left, right = best_scale(setting, spectral_start(setting, stream))
        one = torch.ones((), dtype=left.dtype, device=left.device)
        zero_left, zero_right = torch.zeros_like(left), torch.zeros_like(right)
        size = one * self.step_size
        return State(
            left, right, left, right, zero_left, zero_right, one * torch.inf, size, one, one, True
        )

    def step(self, plan: Plan, state: State) -> State:
        """Accept the trial pair and move on from it, or take it back and halve the step."""
        setting, pair = plan.setting, Factors(state.left, state.right)
        misfit = setting.operator.misfit(pair.left, pair.right, setting.y)
        objective = 0.5 * misfit.norm**2 + 0.5 * setting.ridge * squared_size(pair)
        if not bool(objective <= state.objective):
            return self._back(state)
        to_left, to_right = self._directions(plan, misfit.gradient, pair)
        size = (state.step_size * GROWTH).clamp_max(self.step_size)
        left, right = pair.left - size * to_left, pair.right - size * to_right
        change = size * scaled_length(plan, pair, to_left, to_right) / product_norm(pair)
        residual = misfit.norm / setting.y_norm
        return State(left, right, *pair, to_left, to_right, objective, size, residual, change, True)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return the accepted factors; a rejected trial says nothing about progress."""
        pair = Factors(state.base_left, state.base_right)
        if not state.accepted:
            return Reading(pair)
        return Reading(pair, float(state.residual), float(state.change))

    def _back(self, state: State) -> State:
        size = state.step_size / 2
        return state._replace(
            left=state.base_left - size * state.to_left,
            right=state.base_right - size * state.to_right,
            step_size=size,
            accepted=False,
        )

    def _directions(self, plan: Plan, z: object, pair: Factors) -> tuple[Tensor, Tensor]:
        ridge = plan.setting.ridge
        slope_left = z @ pair.right + ridge * pair.left  # type: ignore[operator]
        slope_right = z.T @ pair.left + ridge * pair.right  # type: ignore[attr-defined]
        return (
            solve_rows(slope_left, gram(pair.right), plan.row_share, ridge),
            solve_rows(slope_right, gram(pair.left), plan.col_share, ridge),
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


def squared_size(pair: Factors) -> Tensor:
    """Return ||L||^2 + ||R||^2, 0-d."""
    return pair.left.square().sum() + pair.right.square().sum()


def scaled_length(plan: Plan, pair: Factors, to_left: Tensor, to_right: Tensor) -> Tensor:
    """Return the scaled length of a step: (||D_L R^T||^2 + ||L D_R^T||^2)^(1/2)."""
    on_left = (gram(to_left) * gram(pair.right)).sum()
    on_right = (gram(to_right) * gram(pair.left)).sum()
    return (on_left + on_right).clamp_min(0).sqrt()
