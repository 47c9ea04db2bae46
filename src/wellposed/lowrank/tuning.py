"""Tuning the numbers of unrolled robust PCA by gradients, with a truth or on the data alone.

Modules    SharedNumbers  four numbers for all layers: start, first, ratio, step_size; layer t has
                          the threshold first * ratio^t (tensors, Dong et al., ICASSP 2023).
           LayerNumbers   a threshold and a step size a layer (matrices, Cai et al., NeurIPS 2021).
           Both pass through softplus and sigmoid, so every value is admissible.
Loss       supervised       ||T - T*||^2 / ||T*||^2
           self-supervised  ||y - A(T)||_1 / ||y||_1: what is sparse should stay sparse
Update     Adam; gradients that are not finite count as zero, others are cut. Layer by layer:
           layer t alone, then layers 0 ... t together.
           The numbers with the lowest loss are kept.
Cost       a step differentiates through all layers: about four times a run, and memory for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wellposed.checks import require, whole
from wellposed.errors import CapabilityError
from wellposed.lowrank.tensor_robust_pca import Plan as TensorPlan
from wellposed.lowrank.tensor_robust_pca import plain
from wellposed.lowrank.unrolled import UnrolledRobustPCA
from wellposed.multilinear import Tucker, dense
from wellposed.operators.tensor import DenseTensorProducts, TensorOperator
from wellposed.problem import Problem
from wellposed.rng import Stream
from wellposed.task import Task

CLIP = 1.0  # largest norm of a gradient


class Stack(NamedTuple):
    """What is learned from: a problem and its prior, and the truth where it is known."""

    problem: Problem
    prior: Any
    truth: Tensor | None = None


class SharedNumbers(nn.Module):
    """Four numbers for all layers.

    Parameters
    ----------
    depth
        Number of layers, >= 1.
    start, first
        Thresholds > 0 of the start and of layer 0, in robust standard deviations of y.
    ratio
        Decay of the threshold a layer, in (0, 1).
    step_size
        Of all layers, > 0.
    modes
        Modes whose factors move; None means all.

    Examples
    --------
    >>> numbers = SharedNumbers(20, step_size=0.5)
    >>> net = numbers.method()
    >>> len(net.thresholds), round(net.step_sizes[0].item(), 6)
    (20, 0.5)
    """

    def __init__(
        self,
        depth: int,
        start: float = 4.0,
        first: float = 3.2,
        ratio: float = 0.8,
        step_size: float = 0.5,
        modes: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        whole(depth, "depth")
        self.depth, self.modes = depth, modes
        raw = [inverse_softplus(start), inverse_softplus(first), inverse_softplus(step_size)]
        raw.append(math.log(ratio / (1 - ratio)))
        self.raw = nn.Parameter(torch.tensor(raw, dtype=torch.float64))

    def method(self) -> UnrolledRobustPCA:
        """Return the unrolled method; its numbers carry gradients."""
        start, first, size = nn.functional.softplus(self.raw[:3])
        powers = torch.arange(self.depth, dtype=self.raw.dtype)
        thresholds = first * torch.sigmoid(self.raw[3]) ** powers
        sizes = size.clamp_max(1.0).expand(self.depth)
        return UnrolledRobustPCA(start, thresholds, sizes, self.modes)


class LayerNumbers(nn.Module):
    """A threshold and a step size for each layer.

    Parameters
    ----------
    depth
        Number of layers, >= 1.
    start, first, ratio, step_size
        First values, as of ``SharedNumbers``. A threshold above all residuals has no slope, so
        they begin low.
    """

    def __init__(
        self,
        depth: int,
        start: float = 4.0,
        first: float = 2.0,
        ratio: float = 0.5,
        step_size: float = 0.5,
    ) -> None:
        super().__init__()
        whole(depth, "depth")
        self.depth = depth
        zetas = [inverse_softplus(first * ratio**t) for t in range(depth)]
        self.start = nn.Parameter(torch.tensor(inverse_softplus(start), dtype=torch.float64))
        self.zetas = nn.Parameter(torch.tensor(zetas, dtype=torch.float64))
        sizes = torch.full((depth,), inverse_softplus(step_size), dtype=torch.float64)
        self.sizes = nn.Parameter(sizes)

    def method(self, layers: int | None = None) -> UnrolledRobustPCA:
        """Return the method made of the first layers."""
        n = layers or self.depth
        softplus = nn.functional.softplus
        sizes = softplus(self.sizes[:n]).clamp_max(1.0)
        return UnrolledRobustPCA(softplus(self.start), softplus(self.zetas[:n]), sizes)


def inverse_softplus(value: float) -> float:
    """Return x with softplus(x) = value > 0."""
    require(value > 0, f"a number of the net is {value}, expected > 0")
    return value + math.log(-math.expm1(-value))


def frozen(method: UnrolledRobustPCA) -> UnrolledRobustPCA:
    """Return the method with plain numbers, which a file can hold."""
    return UnrolledRobustPCA(
        plain(method.start), tuple(map(plain, method.thresholds)),
        tuple(map(plain, method.step_sizes)), method.modes,
    )  # fmt: skip


def loss_of(method: UnrolledRobustPCA, stack: Stack) -> Tensor:
    """Return the supervised loss where the truth is known, else the self-supervised one, 0-d."""
    problem = stack.problem
    plan = method.prepare(Task(problem, stack.prior, dtype=problem.y.dtype))
    setting = plan.inner.setting if isinstance(plan.inner, TensorPlan) else plan.inner
    operator = setting.operator
    if isinstance(operator, TensorOperator) and not isinstance(operator, DenseTensorProducts):
        raise CapabilityError(
            f"tuning was given the layout {type(operator).__name__}",
            "gradients pass through dense residuals only",
            "tune on a stack of which at least an eighth is observed",
        )
    state = method.init(plan, Stream(0))
    for _ in range(len(method.thresholds)):
        state = method.step(plan, state)
    value = state.value
    tensor = isinstance(plan.inner, TensorPlan)
    signal = dense(Tucker(value.core, value.factors)) if tensor else value.left @ value.right.mT
    if stack.truth is not None:
        return (signal - stack.truth).square().sum() / stack.truth.square().sum()
    off: Tensor = problem.operator(signal) - problem.y
    return off.abs().sum() / problem.y.abs().sum()


def tune(
    module: SharedNumbers | LayerNumbers,
    stacks: Sequence[Stack],
    steps: int,
    rate: float = 0.05,
    watch: Callable[[int, float], None] | None = None,
) -> UnrolledRobustPCA:
    """Tune all numbers at once on one or more stacks in turn.

    Parameters
    ----------
    module
        The numbers to begin with; afterwards it holds the best ones.
    stacks
        With truths: supervised; without: self-supervised.
    steps
        Of Adam, >= 0.
    rate
        Of Adam, > 0.
    watch
        Called with each step and loss.

    Returns
    -------
    UnrolledRobustPCA
        With the numbers of the lowest loss.

    Examples
    --------
    >>> import wellposed as wp
    >>> low = torch.einsum("i,j,k->ijk", *(torch.arange(1.0, n).double() for n in (9, 8, 7)))
    >>> low[2, 3, 4] += 500.0
    >>> stack = Stack(wp.Problem(low, wp.operators.Identity((8, 7, 6))),
    ...               wp.LowTuckerPlusSparse((1, 1, 1)))
    >>> net = tune(SharedNumbers(8), [stack], steps=3)
    >>> len(net.thresholds)
    8
    """
    _descend(module.parameters(), module.method, stacks, steps, rate, watch)
    return frozen(module.method())


def tune_by_layers(
    module: LayerNumbers, stacks: Sequence[Stack], steps: int, rate: float = 0.05
) -> UnrolledRobustPCA:
    """Tune layer by layer: each new layer alone for ``steps``, then all so far for ``steps``.

    Returns
    -------
    UnrolledRobustPCA
        With the numbers of the lowest loss of each stage.
    """
    for layer in range(module.depth):
        make = partial(module.method, layer + 1)
        alone = (module.zetas, module.sizes)
        only = torch.zeros(module.depth, dtype=torch.float64).index_fill(0, torch.tensor(layer), 1)
        hooks = [p.register_hook(only.mul) for p in alone]  # type: ignore[no-untyped-call]
        _descend(alone, make, stacks, steps, rate)
        for hook in hooks:
            hook.remove()
        _descend(module.parameters(), make, stacks, steps, rate)
    return frozen(module.method())


def _descend(
    parameters: Iterable[nn.Parameter],
    make: Callable[[], UnrolledRobustPCA],
    stacks: Sequence[Stack],
    steps: int,
    rate: float,
    watch: Callable[[int, float], None] | None = None,
) -> None:
    weights = list(parameters)
    optimizer = torch.optim.Adam(weights, lr=rate)
    best, kept = math.inf, [w.detach().clone() for w in weights]
    for step in range(steps + 1):
        optimizer.zero_grad()
        losses = [loss_of(make(), stack) for stack in stacks]
        loss = torch.stack(losses).mean()
        now = float(loss.detach())
        if now < best:  # NaN compares false
            best, kept = now, [w.detach().clone() for w in weights]
        if watch is not None:
            watch(step, now)
        if step == steps or not bool(torch.isfinite(loss)):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        for w in weights:
            if w.grad is not None:
                w.grad.nan_to_num_(0.0, 0.0, 0.0)
        nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
    with torch.no_grad():
        for w, value in zip(weights, kept, strict=True):
            w.copy_(value)
