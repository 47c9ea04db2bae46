"""Robust PCA of tensors: a low-rank tensor and a sparse one, also with missing entries.

Source     H. Dong, T. Tong, C. Ma, Y. Chi, "Fast and provable tensor robust principal component
           analysis via scaled gradient descent", Information & Inference 12 (2023).
Model      y = A(T) + s + noise; A reads all or some entries; T = S x_1 U_1 ... x_N U_N; s sparse
Update     E    = A(T) - y
           s'   = soft(-E, zeta_t)            soft(x, z) = sign(x) max(|x| - z, 0)
           E + s' is E clipped to +- zeta_t: the gradient of Huber's loss, so s is not formed.
           Core and factors take a step of TensorScaledGD for the residual E + s'.
           Start: the spectral start from y clipped to +- zeta_0.
Thresholds Scheduled  zeta_0, then zeta_t = first * ratio^t: the paper's, which needs to know
                      the largest |T|.
           Soft       zeta_0 = 4 spreads of y, zeta_t = max(ratio min(zeta, max|E|), 3 spreads of
                      E): the spread is a robust standard deviation, so nothing need be known.
Modes      ``modes`` are the ones whose factors move; the others keep their start, whose Grams
           are the identity. A mode of full rank loses nothing by that: its factor is the
           identity, and takes no part in products. Groups of modes may take turns.
Cost       per step on all entries: 2 n^N r flops to form T, as many for each of two products
           with E (one, where a single mode moves), and five passes over n^N numbers to subtract,
           sample, clip and measure. A mode of full rank that moves adds Grams and solves of
           n^3 flops. Memory: one tensor.
Guarantee  linear at the rate of the thresholds, free of the condition number, for a share of
           corruptions per fibre <~ 1 / (mu^2 r^N kappa), ratio >= 1 - 0.45 step_size.
Fails      corruptions that fill a fibre or a slice; a share above a half; a fixed threshold
           (ratio 1), which leaves a bias of its own size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.errors import CapabilityError
from wellposed.lowrank.robust_pca import (
    SPREAD,
    Soft,
    deviation,
    relative_decrease,
    sampled,
    spread,
)
from wellposed.lowrank.tensor_scaled_gd import moved, scaled
from wellposed.lowrank.tensor_setting import TensorSetting, read_tensor_task, tensor_start
from wellposed.multilinear import Tucker
from wellposed.priors.tucker import LowTucker, LowTuckerPlusSparse
from wellposed.rng import Stream
from wellposed.task import Reading, Task

Modes = tuple[int, ...] | tuple[tuple[int, ...], ...]

FIRST = 4.0  # first threshold, in spreads of y


@dataclass(frozen=True, eq=False)
class Scheduled:
    """Thresholds that are known beforehand: ``start``, then ``first * ratio^t``.

    Parameters
    ----------
    start
        Threshold of the start, > 0, in units of y; the theory wants max|T| to twice that.
    first
        Threshold of the first step, > 0, in units of y.
    ratio
        Decay per step, in (0, 1]; 1 - 0.45 * step_size in the theory. 1 fixes the threshold.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> from wellposed.lowrank.tensor_robust_pca import Scheduled
    >>> Scheduled(start=1.0, first=0.5).ratio
    0.9
    """

    start: float | Tensor
    first: float | Tensor
    ratio: float | Tensor = 0.9

    def __post_init__(self) -> None:
        within(plain(self.start), "start", 0, open_low=True)
        within(plain(self.first), "first", 0, open_low=True)
        within(plain(self.ratio), "ratio", 0, 1, open_low=True)


def plain(value: float | Tensor) -> float:
    """Return a number, also of a tensor that carries gradients."""
    return float(value.detach()) if isinstance(value, Tensor) else value


class Plan(NamedTuple):
    """The setting, and which modes move."""

    setting: TensorSetting
    turns: tuple[tuple[int, ...], ...]  # modes that move together
    fixed: tuple[int, ...]  # modes that never move: their columns are orthonormal
    still: tuple[int, ...]  # those of them of full rank: their factor is the identity


class State(NamedTuple):
    """Core and factors, the threshold that led to them, and how those before fitted."""

    core: Tensor  # [r_1, ..., r_N]
    factors: tuple[Tensor, ...]  # [n_k, r_k]
    zeta: Tensor  # 0-d, in units of y
    residual: Tensor  # 0-d: ||A(T) + s - y|| / ||y||
    change: Tensor  # 0-d
    turn: int  # of ``Plan.turns``, that moves next


class TensorParts(NamedTuple):
    """A low-rank and a sparse tensor."""

    core: Tensor  # [r_1, ..., r_N]
    factors: tuple[Tensor, ...]  # [n_k, r_k]
    sparse: Tensor  # [n_1, ..., n_N]


@dataclass(frozen=True, eq=False)
class TensorRobustPCA:
    """Separate a low-rank tensor from sparse corruptions, also with missing entries.

    Parameters
    ----------
    step_size
        Fraction of the full step, in (0, 1]; the paper proves 1/7 to 1/4.
    threshold
        ``Soft()``, estimated from the data, or the paper's ``Scheduled(start, first)``.
    modes
        Modes whose factors move, counted from zero; None means all. Groups take turns, one a
        step: with ``((1,), (2,))`` a step reads the residual once instead of twice, and as less
        moves at a time a ``step_size`` of 0.6 is borne, where all modes together bear 0.5.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> a, b, c = (torch.arange(1.0, n) / n for n in (21, 16, 13))
    >>> low = torch.einsum("i,j,k->ijk", a, b, c)
    >>> spots = 5.0 * (torch.rand(low.shape, generator=torch.Generator().manual_seed(0)) < 0.05)
    >>> problem = wp.Problem(low + spots, wp.operators.Identity((20, 15, 12)))
    >>> found = wp.recover(problem, wp.LowTuckerPlusSparse((1, 1, 1)))
    >>> bool((found.signal - low).norm() < 1e-3 * low.norm())
    True
    """

    step_size: float | Tensor = 0.3
    threshold: Soft | Scheduled = field(default_factory=lambda: Soft(ratio=0.9))
    modes: Modes | None = None

    reference: ClassVar[str] = "Dong, Tong, Ma & Chi, Information & Inference 12 (2023)"
    needs: ClassVar[str] = "all or some entries of a tensor"

    def __post_init__(self) -> None:
        within(plain(self.step_size), "step_size", 0, 1, open_low=True)
        require(
            isinstance(self.threshold, (Soft, Scheduled)),
            f"threshold is {self.threshold!r}, expected Soft() or Scheduled(start, first)",
        )

    def prepare(self, task: Task) -> Plan:
        """Lay out the measurements."""
        prior, problem = task.prior, task.problem
        if not isinstance(prior, LowTuckerPlusSparse) or problem is None:
            raise CapabilityError(
                f"TensorRobustPCA was given a {type(prior).__name__} prior",
                "it splits the signal into a low-rank and a sparse tensor",
                "use LowTuckerPlusSparse(ranks)",
            )
        inner = Task(problem, LowTucker(prior.ranks), dtype=task.dtype, device=task.device)
        setting = read_tensor_task(inner, "TensorRobustPCA")
        turns = self._turns(len(prior.ranks))
        fixed = tuple(k for k in range(len(prior.ranks)) if k not in chain(*turns))
        sides = setting.operator.shape_in
        return Plan(setting, turns, fixed, tuple(k for k in fixed if prior.ranks[k] == sides[k]))

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from the leading directions of the clipped measurements."""
        y, threshold = plan.setting.y, self.threshold
        if isinstance(threshold, Scheduled):
            zeta = torch.as_tensor(threshold.start, dtype=y.dtype, device=y.device)
            first = threshold.first / threshold.ratio
            after = torch.as_tensor(first, dtype=y.dtype, device=y.device)
        else:
            zeta = FIRST * spread(y) if threshold.first is None else y.new_tensor(threshold.first)
            after = zeta
        start = tensor_start(plan.setting._replace(y=y.clamp(-zeta, zeta)))
        one = torch.ones((), dtype=y.dtype, device=y.device)
        return State(*start, after, one, one, 0)

    def step(self, plan: Plan, state: State) -> State:
        """Clip the residual, then a scaled gradient step on what is left."""
        setting, old = plan.setting, Tucker(state.core, state.factors)
        off = setting.operator.residual(old, setting.y, plan.still)
        zeta = self._next(off, state.zeta)
        rest = clipped(off, zeta)
        found = setting.operator.slopes(rest, old, plan.turns[state.turn], plan.still)
        towards = scaled(found, old, fixed=plan.fixed)
        new = moved(old, towards, self.step_size / setting.gain)
        change = self.step_size / setting.gain * towards.length / towards.size
        # all that the threshold holds
        moves = zeta * (rest.numel() / setting.gain) ** 0.5 / towards.size
        change = torch.maximum(change, relative_decrease(state.zeta, zeta).minimum(moves))
        turn = (state.turn + 1) % len(plan.turns)
        return State(*new, zeta, rest.norm() / setting.y_norm, change, turn)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return core and factors; the sparse part is formed by ``finish``."""
        value = Tucker(state.core, state.factors)
        return Reading(value, float(state.residual), float(state.change))

    def finish(self, plan: Plan, state: State) -> TensorParts:
        """Return core, factors and the sparse part."""
        operator, y = plan.setting.operator, plan.setting.y
        off = operator.residual(Tucker(state.core, state.factors), y)
        sparse = off.clamp(-state.zeta, state.zeta) - off
        return TensorParts(state.core, state.factors, operator.adjoint(sparse))

    def _next(self, off: Tensor, zeta: Tensor) -> Tensor:
        if isinstance(self.threshold, Scheduled):
            return zeta * self.threshold.ratio
        sample = sampled(off)
        if not bool((sample > zeta).any()):  # above max|E| a threshold does nothing
            low, high = off.aminmax()
            zeta = torch.minimum(zeta, torch.maximum(-low, high))
        return torch.maximum(zeta * self.threshold.ratio, SPREAD * deviation(sample))

    def _turns(self, order: int) -> tuple[tuple[int, ...], ...]:
        """Return the groups of modes that move together."""
        if self.modes is None:
            return (tuple(range(order)),)
        groups = [tuple(k) if isinstance(k, Sequence) else (k,) for k in self.modes]
        together = not any(isinstance(k, Sequence) for k in self.modes)
        turns = (tuple(chain(*groups)),) if together else tuple(groups)
        modes = list(chain(*turns))
        require(
            all(k in range(order) for k in modes) and len(set(modes)) == len(modes),
            f"modes is {self.modes}, expected distinct numbers from 0 to {order - 1}, "
            "or groups of them",
            "they name the factors that move",
        )
        return turns


def clipped(values: Tensor, zeta: Tensor) -> Tensor:
    """Return values clipped to +- zeta; where no gradient is wanted, in their own memory."""
    if values.requires_grad or zeta.requires_grad:
        return values.clamp(-zeta, zeta)
    bound = float(zeta)  # numbers as bounds are much faster than tensors
    return values.clamp_(-bound, bound)
