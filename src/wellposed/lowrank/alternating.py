"""Alternating minimisation: exact least squares in one factor, then in the other.

Source     P. Jain, P. Netrapalli, S. Sanghavi, "Low-rank matrix completion using alternating
           minimization", STOC 2013; with a ridge Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan,
           AAIM 2008.
Model      y = A(L R^T) + noise, minimise f = 1/2 ||A(L R^T) - y||^2 + ridge/2 (||L||^2 + ||R||^2)
Update     L' = argmin_L f(L, R),   R' = argmin_R f(L', R)
           Observed entries: row i solves its own r x r system,
             L_i' (sum_j R_j R_j^T + ridge I) = sum_j y_ij R_j     (j observed in row i),
           all Grams by one sparse product with the entries of R R^T, chunk by chunk, all systems
           by one batched Cholesky factorization; singular ones take the shortest solution.
           Other operators: conjugate gradients for the correction L' - L, preconditioned by
           (gain R^T R + ridge I)^-1, until the gradient has fallen by 1e-12 or 200 times.
Cost       entries: 2 m r (r + 3) + (n1 + n2) r^3 / 3 flops a half step, memory O(m + (n1 + n2) r).
           Others: two operator products per inner step, about 20 inner steps a half step.
Guarantee  f never rises; linear convergence from the spectral start, free of the condition number,
           given enough incoherent measurements.
Fails      gross errors (ScaledSubgradient); symmetric signals L L^T (ScaledGD).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.linalg import cholesky, gram
from wellposed.lowrank.init import spectral_start
from wellposed.lowrank.setting import Factors, Setting, read_task, relative_error
from wellposed.operators.entries import MaskedEntries, SortedEntries, csr_tensor
from wellposed.rng import Stream
from wellposed.task import Reading, Task

CHUNK = 1 << 22  # numbers in one batch of Grams
INNER_STEPS = 200
INNER_TOLERANCE = 1e-12


class State(NamedTuple):
    """Factors, and how the pair before the last step fitted."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    residual: Tensor  # 0-d: ||A(L R^T) - y|| / ||y||
    change: Tensor  # 0-d: ||L' R'^T - L R^T|| / ||L R^T||


@dataclass(frozen=True)
class AlternatingMinimization:
    """Exact least squares in each factor in turn; nothing to tune.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> table = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 7.0))
    >>> cells = wp.operators.Entries(*torch.ones(8, 6).tril(2).nonzero().T, (8, 6))
    >>> problem = wp.Problem(cells(table), cells)
    >>> fit = wp.recover(problem, wp.LowRank(1), wp.AlternatingMinimization())
    >>> bool((fit.signal - table).abs().max() < 1e-3)
    True
    """

    reference: ClassVar[str] = "Jain, Netrapalli & Sanghavi, STOC 2013"
    needs: ClassVar[str] = "linear operator on matrices"

    def prepare(self, task: Task) -> Setting:
        """Lay out the measurements."""
        return read_task(task, "AlternatingMinimization", ridge=True, symmetric=False)

    def init(self, plan: Setting, stream: Stream) -> State:
        """Start from the leading singular triplets of A*(y) / gain."""
        left, right = spectral_start(plan, stream)
        one = torch.ones((), dtype=left.dtype, device=left.device)
        return State(left, right, one, one)

    def step(self, plan: Setting, state: State) -> State:
        """Solve for the left factor, then for the right one."""
        old = Factors(state.left, state.right)
        residual = plan.operator.misfit(*old, plan.y).norm / plan.y_norm
        if isinstance(plan.operator, (MaskedEntries, SortedEntries)):
            left = fit_rows(plan, old.right)
            new = Factors(left, fit_rows(plan, left, transposed=True))
        else:
            left = fit_left(plan, old)
            new = Factors(left, fit_right(plan, Factors(left, old.right)))
        change = old.left.new_tensor(relative_error(new, old))
        return State(*new, residual, change)

    def read(self, plan: Setting, state: State) -> Reading:
        """Return the factors and how well the pair before them fitted."""
        return Reading(Factors(state.left, state.right), float(state.residual), float(state.change))


def fit_rows(plan: Setting, other: Tensor, transposed: bool = False) -> Tensor:
    """Return the least-squares factor of observed entries, row by row (or column by column)."""
    z = plan.operator.adjoint_matrix(plan.y)
    target = (z.T if transposed else z) @ other  # [n, r]
    rank = other.shape[1]
    step = max(1, CHUNK // rank**2)
    fitted = torch.empty_like(target)
    for start in range(0, target.shape[0], step):
        rows = slice(start, min(start + step, target.shape[0]))
        grams = row_grams(observed_pattern(plan.operator, rows, transposed), other)
        grams.diagonal(dim1=-2, dim2=-1).add_(plan.ridge)
        fitted[rows] = solve_each(grams, target[rows])
    return fitted


def observed_pattern(operator: object, rows: slice, transposed: bool) -> Tensor:
    """Return the 0/1 pattern of some rows (or columns) as a matrix, dense or CSR."""
    if isinstance(operator, MaskedEntries):
        return (operator.mask.mT if transposed else operator.mask)[rows]
    crow, col, width = operator.pattern.crow, operator.pattern.col, operator.shape[1]  # type: ignore[attr-defined]
    if transposed:
        crow, col, width = operator.pattern.ccol, operator.pattern.row, operator.shape[0]  # type: ignore[attr-defined]
    bounds = crow[rows.start : rows.stop + 1]
    first, last = int(bounds[0]), int(bounds[-1])
    ones = torch.ones(last - first, dtype=torch.float64, device=col.device)
    return csr_tensor(bounds - first, col[first:last], ones, (rows.stop - rows.start, width))


def row_grams(pattern: Tensor, factor: Tensor) -> Tensor:
    """Return sum_j F_j F_j^T over the j observed in each row, [rows, r, r]."""
    rank = factor.shape[1]
    grams = factor.new_empty(pattern.shape[0], rank, rank)
    pattern = pattern.to(factor.dtype)
    for p in range(rank):
        half = pattern @ (factor[:, p:] * factor[:, p : p + 1])
        grams[:, p, p:], grams[:, p:, p] = half, half
    return grams


def solve_each(grams: Tensor, target: Tensor) -> Tensor:
    """Return each row of ``target`` [n, r] times the inverse of its Gram [n, r, r].

    A Gram that is singular to working precision gives the shortest least-squares solution.
    """
    if not bool(torch.isfinite(grams).all()):
        return torch.full_like(target, torch.nan)
    lower, info = torch.linalg.cholesky_ex(grams)
    limit = grams.shape[-1] * torch.finfo(grams.dtype).eps
    size = grams.diagonal(dim1=-2, dim2=-1).mean(-1)
    pivots = lower.diagonal(dim1=-2, dim2=-1)
    bad = (info > 0) | ~(pivots.amin(-1).square() > limit * size)
    lower[bad] = torch.eye(grams.shape[-1], dtype=grams.dtype, device=grams.device)
    solved = torch.cholesky_solve(target[:, :, None], lower)[:, :, 0]
    if bool(bad.any()):
        values, vectors = torch.linalg.eigh(grams[bad])
        keep = values > limit * values[:, -1:]
        inverse = torch.where(keep, 1 / values.clamp_min(torch.finfo(values.dtype).tiny), 0.0)
        along = (target[bad][:, None] @ vectors)[:, 0] * inverse
        solved[bad] = (along[:, None] @ vectors.mT)[:, 0]
    return solved


def fit_left(plan: Setting, pair: Factors) -> Tensor:
    """Return argmin over L of f(L, R) for a general operator."""
    operator, (left, right), ridge = plan.operator, pair, plan.ridge
    zero = torch.zeros_like(plan.y)
    slope = operator.misfit(left, right, plan.y).gradient @ right + ridge * left

    def apply(step: Tensor) -> Tensor:
        return operator.misfit(step, right, zero).gradient @ right + ridge * step  # type: ignore[no-any-return]

    return left - conjugate_gradients(apply, plan.gain * gram(right), ridge, slope)


def fit_right(plan: Setting, pair: Factors) -> Tensor:
    """Return argmin over R of f(L, R) for a general operator."""
    operator, (left, right), ridge = plan.operator, pair, plan.ridge
    zero = torch.zeros_like(plan.y)
    slope = operator.misfit(left, right, plan.y).gradient.T @ left + ridge * right

    def apply(step: Tensor) -> Tensor:
        return operator.misfit(left, step, zero).gradient.T @ left + ridge * step  # type: ignore[no-any-return]

    return right - conjugate_gradients(apply, plan.gain * gram(left), ridge, slope)


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor], mean: Tensor, ridge: float, target: Tensor
) -> Tensor:
    """Solve apply(x) = target [n, r], preconditioned by (mean + ridge I)^-1 on the right."""
    lower = cholesky(mean + ridge * torch.eye(mean.shape[0], dtype=mean.dtype, device=mean.device))
    limit = max(INNER_TOLERANCE, 10 * torch.finfo(target.dtype).eps)
    x, rest = torch.zeros_like(target), target
    eased = torch.cholesky_solve(rest.mT, lower).mT
    along, power = eased, (rest * eased).sum()
    first = power
    for _ in range(INNER_STEPS):
        if not bool(power > limit**2 * first):
            break
        image = apply(along)
        size = power / (along * image).sum()
        x, rest = x + size * along, rest - size * image
        eased = torch.cholesky_solve(rest.mT, lower).mT
        before, power = power, (rest * eased).sum()
        along = eased + power / before * along
    return x.contiguous()  # as it would come back from a file
