"""Tuning the numbers of unrolled robust PCA by gradients, with a truth or on the data alone.

Modules    SharedNumbers  four numbers for all layers: start, first, ratio, step_size; layer t has
                          the threshold first * ratio^t (tensors, Dong et al., ICASSP 2023).
           LayerNumbers   a threshold and a step size a layer (matrices, Cai et al., NeurIPS 2021).
           Thresholds pass through softplus, ratio and steps through the logistic function, so
           every value is admissible.
Loss       supervised       ||T - T*||^2 / ||T*||^2
           self-supervised  ||y - A(T)||_1 / ||y||_1: what is sparse should stay sparse
Update     Rprop: only the signs of the derivatives count, each number has a step of its own,
           longer while the sign stays, half as long when it turns. The sources use Adam, whose
           steps die out here: near its end the l1 loss falls by a millionth of what it fell by
           at first, which a mean of squared slopes remembers. Slopes that are not finite count
           as zero. Layer by layer: layer t alone, then layers 0 ... t together.
           Trials, if any, draw the numbers to begin with at random, without slopes.
           The numbers with the lowest loss are kept.
Cost       a step differentiates through all layers: about four times a run, and memory for all;
           a trial is one run.
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

FACTORS = (0.5, 1.2)  # of a step of Rprop when the sign turns, and while it stays
STEPS = (1e-6, 0.5)  # shortest and longest of them
WIDE = ((1.0, 5.0), (1.0, 5.0), (0.4, 0.95), (0.1, 1.0))  # start, first, ratio, step_size


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
        Of all layers, in (0, 1).
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
        self.raw = nn.Parameter(self._raw(start, first, ratio, step_size))

    def method(self) -> UnrolledRobustPCA:
        """Return the unrolled method; its numbers carry gradients."""
        start, first = nn.functional.softplus(self.raw[:2])
        ratio, size = torch.sigmoid(self.raw[2:])
        thresholds = first * ratio ** torch.arange(self.depth, dtype=self.raw.dtype)
        return UnrolledRobustPCA(start, thresholds, size.expand(self.depth), self.modes)

    def draw(self, stream: Stream, trial: int) -> None:
        """Take random numbers, as wide as such nets are tuned by hand."""
        u = stream.uniform((4,), "trial", trial).tolist()
        values = [low + (high - low) * x for x, (low, high) in zip(u, WIDE, strict=True)]
        with torch.no_grad():
            self.raw.copy_(self._raw(*values))

    @staticmethod
    def _raw(start: float, first: float, ratio: float, step_size: float) -> Tensor:
        raw = [inverse_softplus(start), inverse_softplus(first), logit(ratio), logit(step_size)]
        return torch.tensor(raw, dtype=torch.float64)


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
        sizes = torch.full((depth,), logit(step_size), dtype=torch.float64)
        self.sizes = nn.Parameter(sizes)

    def method(self, layers: int | None = None) -> UnrolledRobustPCA:
        """Return the method made of the first layers."""
        n = layers or self.depth
        softplus, sizes = nn.functional.softplus, torch.sigmoid(self.sizes[:n])
        return UnrolledRobustPCA(softplus(self.start), softplus(self.zetas[:n]), sizes)


def inverse_softplus(value: float) -> float:
    """Return x with softplus(x) = value > 0."""
    require(value > 0, f"a number of the net is {value}, expected > 0")
    return value + math.log(-math.expm1(-value))


def logit(value: float) -> float:
    """Return x with 1 / (1 + exp(-x)) = value in (0, 1)."""
    require(0 < value < 1, f"a number of the net is {value}, expected between 0 and 1")
    return math.log(value / (1 - value))


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
    rate: float = 0.1,
    watch: Callable[[int, float], None] | None = None,
    *,
    trials: int = 0,
    seed: int = 0,
) -> UnrolledRobustPCA:
    """Tune all numbers at once, on the mean loss of one or more stacks.

    Parameters
    ----------
    module
        The numbers to begin with; afterwards it holds the best ones.
    stacks
        With truths: supervised; without: self-supervised.
    steps
        Of Rprop, >= 0.
    rate
        Its first step, > 0.
    watch
        Called with each step and loss.
    trials
        Of random numbers to begin with, >= 0, beside those of ``SharedNumbers`` itself; about
        twice ``steps`` where the first numbers are nothing but a guess.
    seed
        Of the trials.

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
    whole(trials, "trials", 0)
    if trials and isinstance(module, SharedNumbers):
        _try(module, stacks, trials, Stream(seed))
    _descend(module.parameters(), module.method, stacks, steps, rate, watch)
    return frozen(module.method())


def tune_by_layers(
    module: LayerNumbers, stacks: Sequence[Stack], steps: int, rate: float = 0.1
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


def _try(module: SharedNumbers, stacks: Sequence[Stack], trials: int, stream: Stream) -> None:
    """Leave the best of the module's own numbers and some random ones."""
    best, kept = math.inf, module.raw.detach().clone()
    for trial in range(-1, trials):
        if trial >= 0:
            module.draw(stream, trial)
        with torch.no_grad():
            now = sum(float(loss_of(module.method(), stack)) for stack in stacks)
        if now < best:  # NaN compares false
            best, kept = now, module.raw.detach().clone()
    with torch.no_grad():
        module.raw.copy_(kept)


def _descend(
    parameters: Iterable[nn.Parameter],
    make: Callable[[], UnrolledRobustPCA],
    stacks: Sequence[Stack],
    steps: int,
    rate: float,
    watch: Callable[[int, float], None] | None = None,
) -> None:
    weights = list(parameters)
    optimizer = torch.optim.Rprop(weights, rate, etas=FACTORS, step_sizes=STEPS)
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
        optimizer.step()
    with torch.no_grad():
        for w, value in zip(weights, kept, strict=True):
            w.copy_(value)
