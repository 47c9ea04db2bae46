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
           are the identity. A mode of full rank loses nothing by that.
Cost       per step on all entries: three passes of 2 n^N r flops and a few of clipping.
Guarantee  linear at the rate of the thresholds, free of the condition number, for a share of
           corruptions per fibre <~ 1 / (mu^2 r^N kappa), ratio >= 1 - 0.45 step_size.
Fails      corruptions that fill a fibre or a slice; a share above a half; a fixed threshold
           (ratio 1), which leaves a bias of its own size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.errors import CapabilityError
from wellposed.lowrank.robust_pca import SPREAD, Soft, relative_decrease, spread
from wellposed.lowrank.tensor_scaled_gd import moved, scaled
from wellposed.lowrank.tensor_setting import TensorSetting, read_tensor_task, tensor_start
from wellposed.multilinear import Tucker, norm
from wellposed.priors.tucker import LowTucker, LowTuckerPlusSparse
from wellposed.rng import Stream
from wellposed.task import Reading, Task

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
    """The setting, and the modes that move."""

    setting: TensorSetting
    modes: tuple[int, ...]


class State(NamedTuple):
    """Core and factors, the threshold that led to them, and how those before fitted."""

    core: Tensor  # [r_1, ..., r_N]
    factors: tuple[Tensor, ...]  # [n_k, r_k]
    zeta: Tensor  # 0-d, in units of y
    residual: Tensor  # 0-d: ||A(T) + s - y|| / ||y||
    change: Tensor  # 0-d


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
        Modes whose factors move, counted from zero; None means all.

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
    modes: tuple[int, ...] | None = None

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
        order = len(prior.ranks)
        modes = tuple(range(order)) if self.modes is None else tuple(self.modes)
        require(
            all(k in range(order) for k in modes) and len(set(modes)) == len(modes),
            f"modes is {modes}, expected distinct numbers from 0 to {order - 1}",
            "they name the factors that move",
        )
        return Plan(setting, modes)

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
        return State(*start, after, one, one)

    def step(self, plan: Plan, state: State) -> State:
        """Clip the residual, then a scaled gradient step on what is left."""
        setting, old = plan.setting, Tucker(state.core, state.factors)
        off = setting.operator.residual(old, setting.y)
        zeta = self._next(off, state.zeta)
        rest = off.clamp(-zeta, zeta)
        found = setting.operator.slopes(rest, old, plan.modes)
        towards = scaled(found, old)
        new = moved(old, towards, self.step_size / setting.gain)
        size = norm(old)
        change = self.step_size / setting.gain * towards.length / size
        moves = zeta * (rest.numel() / setting.gain) ** 0.5 / size  # all that the threshold holds
        change = torch.maximum(change, relative_decrease(state.zeta, zeta).minimum(moves))
        return State(*new, zeta, rest.norm() / setting.y_norm, change)

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
        low, high = off.aminmax()  # above max|E| a threshold does nothing
        bound = torch.minimum(zeta, torch.maximum(-low, high))
        return torch.maximum(bound * self.threshold.ratio, SPREAD * spread(off))
