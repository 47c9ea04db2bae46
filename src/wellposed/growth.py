"""Fits of larger ranks from those of smaller ones.

Model      A fit of some ranks becomes one of larger ranks: its factors get further orthonormal
           columns, its core zeros, so the tensor stays as it is. The columns come from a spectral
           start of the larger ranks: what of it the fit does not span.
Gaps       A spectral start takes missing cells for zeros. Cells missing by chance add a little to
           every direction; a gap is a direction of its own, and a fit that starts with it keeps
           what it holds in the gap, since no observed cell contradicts. So where missing cells
           lie together ranks climb a ladder from 1, and the columns come from a start at what the
           last fit leaves over: that is near zero in the gap as elsewhere.
           (Ranks raised by the residual, of matrices: Gao & Absil, Comput. Optim. Appl., 2022.)
Cost       A fit of few steps for each rung.
Fails      where a gap takes all that a direction is seen by: it is then found nowhere, or is
           anything. Hold-out in the shape of the gaps tells (``gaps``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from wellposed.gaps import together
from wellposed.lowrank.tensor_setting import TensorSetting
from wellposed.multilinear import Tucker, expand
from wellposed.priors.tucker import LowTucker
from wellposed.rng import Stream
from wellposed.run import Driver, Outcome, Status
from wellposed.task import Method, Task

LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
STEPS = 40  # with few, a wider candidate would win by going on with its neighbour's fit
TOLERANCE = 1e-5


def short_fit(method: Method, plan: Any, state: Any) -> Outcome:
    """Make few steps.

    Raises
    ------
    KeyboardInterrupt
        The fit was interrupted: a half-fitted one must not judge, or be gone on with.
    """
    outcome = Driver(STEPS, TOLERANCE).run(method, plan, state)
    if outcome.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return outcome


def start_from(near: Tucker, method: Method, plan: Any, stream: Stream, *, rest: bool) -> Any:
    """Return the state of a method at a smaller fit, widened to the ranks of the plan.

    Parameters
    ----------
    near
        A fit whose ranks are nowhere larger.
    method, plan
        Who fits what.
    stream
        Randomness of the method's start.
    rest
        Take the new columns from what the fit leaves over, else from the data.
    """
    if rest and isinstance(plan, TensorSetting):
        plan = plan._replace(y=-plan.operator.residual(near, plan.y))
    state = method.init(plan, stream)
    wide = widened(near, Tucker(state.core, state.factors))
    return state._replace(core=wide.core, factors=wide.factors)


def first_state(method: Method, task: Task, plan: Any, stream: Stream) -> Any:
    """Return a method's own start; the grown one of a tensor whose missing cells lie together."""
    operator = None if task.problem is None else task.problem.operator
    if isinstance(task.prior, LowTucker) and together(operator) is not None:
        return grown(None, method, task, plan, stream)
    return method.init(plan, stream)


def grown(near: Tucker | None, method: Method, task: Task, plan: Any, stream: Stream) -> Any:
    """Return the state of a method at a smaller fit whose ranks climbed up to those asked.

    Parameters
    ----------
    near
        A fit whose ranks are nowhere larger; None starts with ranks of 1.
    method, task, plan
        Who fits what; the prior of the task has the ranks.
    stream
        Randomness of the method's start.
    """
    asked = tuple(task.prior.ranks)
    ranks = (1,) * len(asked) if near is None else _next(near.ranks, asked)
    while ranks != asked:
        small = method.prepare(replace(task, prior=LowTucker(ranks)))
        outcome = short_fit(method, small, _at(near, method, small, stream))
        near = None if outcome.status is Status.DIVERGED else Tucker(*outcome.reading.value)
        ranks = _next(ranks, asked)
    return _at(near, method, plan, stream)


def _at(near: Tucker | None, method: Method, plan: Any, stream: Stream) -> Any:
    if near is None:
        return method.init(plan, stream)
    return start_from(near, method, plan, stream, rest=True)


def _next(ranks: tuple[int, ...], asked: tuple[int, ...]) -> tuple[int, ...]:
    """Return the ranks a rung higher, none above those asked."""
    return tuple(min([b, *(r for r in LADDER if r > a)]) for a, b in zip(ranks, asked, strict=True))


def widened(fit: Tucker, start: Tucker) -> Tucker:
    """Return a fit with further columns: the part of a wider start that it does not span."""
    factors, core = [], start.core.new_zeros(start.core.shape)
    turns = []
    for narrow, wide in zip(fit.factors, start.factors, strict=True):
        basis, turn = torch.linalg.qr(narrow)
        rest = wide - basis @ (basis.mT @ wide)
        extra: Tensor = torch.linalg.svd(rest, full_matrices=False)[0]
        factors.append(torch.cat([basis, extra[:, : wide.shape[1] - narrow.shape[1]]], 1))
        turns.append(turn)
    core[tuple(slice(0, r) for r in fit.ranks)] = expand(fit.core, turns)
    return Tucker(core, tuple(factors))
