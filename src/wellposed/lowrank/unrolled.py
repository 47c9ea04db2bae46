"""Unrolled robust PCA: a fixed number of steps with steps and thresholds of their own.

Source     H. Cai, J. Liu, W. Yin, "Learned robust PCA", NeurIPS 2021 (matrices, per layer);
           H. Dong, M. Shah, S. Donegan, Y. Chi, "Deep unfolded tensor robust PCA with
           self-supervised learning", ICASSP 2023 (tensors, four shared numbers).
Model      y = A(T) + s; T a low-rank matrix or tensor, s sparse
Update     layer t is one step of TensorRobustPCA (tensors) or of ScaledGD on the clipped residual
           (matrices) with its own step_size_t and threshold zeta_t; the start clips y at zeta_0.
           Thresholds are in robust standard deviations of y, so they hold for data of any scale.
Cost       as many steps as there are layers.
Guarantee  none of its own; with thresholds that decay as the theory asks, that of the method.
Fails      data unlike those that the numbers were tuned on: tune again, on the data themselves
           (``lowrank.tuning``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.errors import CapabilityError
from wellposed.lowrank.init import spectral_start
from wellposed.lowrank.robust_pca import spread
from wellposed.lowrank.scaled_gd import moved, scaled_directions
from wellposed.lowrank.setting import Factors, Setting, product_norm, read_task
from wellposed.lowrank.tensor_robust_pca import Plan as TensorPlan
from wellposed.lowrank.tensor_robust_pca import Scheduled, TensorParts, TensorRobustPCA, plain
from wellposed.operators.base import Misfit
from wellposed.priors.lowrank import LowRank, LowRankPlusSparse
from wellposed.priors.tucker import LowTuckerPlusSparse
from wellposed.rng import Stream
from wellposed.task import Reading, Task

Numbers = tuple[float, ...] | Tensor


class Plan(NamedTuple):
    """What the layers work on: a matrix or a tensor, and the unit of thresholds."""

    inner: Setting | TensorPlan  # of TensorRobustPCA
    unit: Tensor  # 0-d: robust standard deviation of y


class State(NamedTuple):
    """Factors of a matrix, or core and factors, after some layers."""

    value: Any  # Factors, or the state of TensorRobustPCA
    layer: int
    residual: Tensor  # 0-d
    change: Tensor  # 0-d


class MatrixParts(NamedTuple):
    """A low-rank and a sparse matrix."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    sparse: Tensor  # [n1, n2]


@dataclass(frozen=True, eq=False)
class UnrolledRobustPCA:
    """Robust PCA in a fixed number of layers.

    Parameters
    ----------
    start
        Threshold of the start, > 0, in robust standard deviations of y.
    thresholds
        Threshold of each layer, > 0, in the same unit; their number is the number of layers.
    step_sizes
        Step of each layer, in (0, 1].
    modes
        Tensors: modes whose factors move; None means all.

    Raises
    ------
    InputError
        A value out of range, or not one step a threshold.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> a, b, c = (torch.arange(1.0, n) / n for n in (21, 16, 13))
    >>> low = torch.einsum("i,j,k->ijk", a, b, c)
    >>> spots = 5.0 * (torch.rand(low.shape, generator=torch.Generator().manual_seed(0)) < 0.05)
    >>> problem = wp.Problem(low + spots, wp.operators.Identity((20, 15, 12)))
    >>> net = wp.UnrolledRobustPCA()
    >>> found = wp.recover(problem, wp.LowTuckerPlusSparse((1, 1, 1)), net)
    >>> found.status.value, found.steps, bool((found.signal - low).norm() < 1e-2 * low.norm())
    ('complete', 30, True)
    """

    start: float | Tensor = 4.0
    thresholds: Numbers = tuple(3.2 * 0.8**t for t in range(30))
    step_sizes: Numbers = (0.5,) * 30
    modes: tuple[int, ...] | None = None

    reference: ClassVar[str] = "Cai et al., NeurIPS 2021; Dong et al., ICASSP 2023"
    needs: ClassVar[str] = "all or some entries of a matrix or tensor"

    def __post_init__(self) -> None:
        within(plain(self.start), "start", 0, open_low=True)
        require(
            len(self.thresholds) == len(self.step_sizes) > 0,
            f"there are {len(self.thresholds)} thresholds and {len(self.step_sizes)} step sizes",
            "each layer has one of both",
        )
        for zeta, size in zip(self.thresholds, self.step_sizes, strict=True):
            within(plain(zeta), "a threshold", 0, open_low=True)
            within(plain(size), "a step size", 0, 1, open_low=True)

    def prepare(self, task: Task) -> Plan:
        """Lay out the measurements."""
        prior = task.prior
        if isinstance(prior, LowTuckerPlusSparse):
            plan = TensorRobustPCA(modes=self.modes).prepare(task)
            return Plan(plan, spread(plan.setting.y))
        if not isinstance(prior, LowRankPlusSparse):
            raise CapabilityError(
                f"UnrolledRobustPCA was given a {type(prior).__name__} prior",
                "it splits the signal into a low-rank and a sparse part",
                "use LowRankPlusSparse(rank) or LowTuckerPlusSparse(ranks)",
            )
        inner = Task(task.problem, LowRank(prior.rank), dtype=task.dtype, device=task.device)
        setting = read_task(inner, "UnrolledRobustPCA")
        return Plan(setting, spread(setting.y))

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from the leading directions of the clipped measurements."""
        zeta = self.start * plan.unit
        one = torch.ones_like(plan.unit)
        if isinstance(plan.inner, TensorPlan):
            method = TensorRobustPCA(threshold=Scheduled(zeta, zeta, 1.0))
            return State(method.init(plan.inner, stream), 0, one, one)
        y = plan.inner.y
        pair = spectral_start(plan.inner._replace(y=y.clamp(-zeta, zeta)), stream)
        return State(pair, 0, one, one)

    def step(self, plan: Plan, state: State) -> State:
        """Apply the next layer."""
        size = self.step_sizes[state.layer]
        zeta = self.thresholds[state.layer] * plan.unit
        if isinstance(plan.inner, TensorPlan):
            method = TensorRobustPCA(size, Scheduled(zeta, zeta, 1.0))
            new = method.step(plan.inner, state.value._replace(zeta=zeta))
            return State(new, state.layer + 1, new.residual, new.change)
        return matrix_layer(plan.inner, state, size, zeta)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return factors; the sparse part is formed by ``finish``."""
        done = state.layer >= len(self.thresholds)
        value = state.value
        if isinstance(plan.inner, TensorPlan):
            value = TensorRobustPCA().read(plan.inner, value).value
        # Thresholds above all residuals change nothing at first: that is no reason to stop.
        return Reading(value, float(state.residual), float(state.change), done=done, ready=False)

    def finish(self, plan: Plan, state: State) -> TensorParts | MatrixParts:
        """Return the low-rank and the sparse part."""
        if isinstance(plan.inner, TensorPlan):
            return TensorRobustPCA().finish(plan.inner, state.value)
        operator, y = plan.inner.operator, plan.inner.y
        zeta = self.thresholds[max(state.layer - 1, 0)] * plan.unit
        off = operator.on_factors(*state.value) - y
        left, right = state.value
        return MatrixParts(left, right, operator.adjoint(off.clamp(-zeta, zeta) - off))


def matrix_layer(setting: Setting, state: State, size: float | Tensor, zeta: Tensor) -> State:
    """Return the pair after a scaled step for the residual clipped at zeta."""
    pair = Factors(*state.value)
    off = setting.operator.on_factors(*pair) - setting.y
    rest = off.clamp(-zeta, zeta)
    misfit = Misfit(setting.operator.adjoint_matrix(rest), rest.norm())
    towards = scaled_directions(setting, misfit, pair)
    new = moved(pair, towards, size / setting.gain)
    change = size / setting.gain * towards.length / product_norm(pair)
    return State(new, state.layer + 1, misfit.norm / setting.y_norm, change)
