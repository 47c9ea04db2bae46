"""What all samplers share: a path of noise levels, and a walk along it by pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.rng import Stream
from wellposed.samplers.levels import Levels
from wellposed.samplers.pieces import Map, Piece, advance
from wellposed.schedules import Chain
from wellposed.task import Reading, Task


class Path(NamedTuple):
    """Levels from the start to the end of a sampler, and how it starts.

    Entry k of a table holds after k steps. A sampler works in its own scale y = a z, z the
    variable of the variance-exploding frame.
    """

    shape: tuple[int, ...]  # [B, *shape]
    levels: Levels  # sigma
    scales: Levels  # a
    spent: tuple[int, ...]  # denoiser evaluations made
    std: float  # of the start noise, in the sampler's own scale
    start: Tensor | None  # z at levels[0], [B, *shape]
    dtype: torch.dtype
    device: torch.device

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.levels) - 1

    def begin(self, stream: Stream) -> Tensor:
        """Return the first y: the given start, or noise."""
        if self.start is not None:
            return self.start * self.scales[0]
        noise = stream.normal(self.shape, "start", dtype=self.dtype, device=self.device)
        return noise * self.std

    def read(self, y: Tensor, x0: Tensor | None, step: int) -> Reading:
        """Return z, the estimate of x0, and progress."""
        scale = self.scales[step]
        return Reading(
            y if scale == 1 else y / scale,
            evaluations=self.spent[step],
            done=step == self.steps,
            x0=x0,
            sigma=self.levels[step],
            sound=all_finite(y),
        )


class Plan(NamedTuple):
    """The steps of a walk, as pieces."""

    path: Path
    pieces: tuple[tuple[Piece, ...], ...]  # one tuple a step

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.path.steps


class State(NamedTuple):
    """Where the chains of a walk are."""

    y: Tensor  # [B, *shape], the sampler's own scale
    x0: Tensor | None  # [B, *shape]: E[x0 | y] as the last step saw it
    step: int
    stream: Stream


class Walk:
    """Samplers whose step is a list of pieces: they differ in ``prepare`` only."""

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from noise, or from the given start."""
        return State(plan.path.begin(stream), None, 0, stream)

    def step(self, plan: Plan, state: State) -> State:
        """Run the pieces of this step."""
        y, x0 = advance(plan.pieces[state.step], state.y, state.x0, state.stream, state.step)
        return State(y, x0, state.step + 1, state.stream)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return z and the last estimate of x0."""
        return plan.path.read(state.y, state.x0, state.step)


def frame_walk(task: Task, levels: Levels, pieces: Sequence[tuple[Piece, ...]]) -> Plan:
    """Return the plan of a walk on z itself."""
    return Plan(frame_path(task, levels, _costs(pieces)), tuple(pieces))


def chain_walk(task: Task, chain: Chain, pieces: Sequence[tuple[Piece, ...]]) -> Plan:
    """Return the plan of a walk on a chain."""
    return Plan(chain_path(task, chain, _costs(pieces)), tuple(pieces))


def frame_path(task: Task, levels: Levels, costs: Sequence[int]) -> Path:
    """Return the path of a sampler on z itself, starting at N(0, sigma^2 + sigma_data^2).

    Parameters
    ----------
    task
        Prior, start, count, dtype, device.
    levels
        sigma, steps + 1 of them.
    costs
        Denoiser evaluations of each step.
    """
    std = (levels[0] ** 2 + task.prior.sigma_data**2) ** 0.5
    return _path(task, levels, (1.0,) * len(levels), costs, std)


def chain_path(task: Task, chain: Chain, costs: Sequence[int]) -> Path:
    """Return the path of a sampler on a chain, starting at Y_T ~ N(0, I)."""
    order = range(chain.length, -1, -1)
    levels, scales = (tuple(table[t] for t in order) for table in (chain.sigma, chain.a))
    return _path(task, levels, scales, costs, 1.0)


def all_finite(y: Tensor) -> bool:
    """Whether no number is NaN or infinite."""
    # A sum is finite unless a number is not, or it overflows: one pass and no mask.
    return math.isfinite(float(y.sum())) or bool(torch.isfinite(y).all())


def _costs(pieces: Sequence[tuple[Piece, ...]]) -> list[int]:
    return [sum(p.evaluations for p in group if isinstance(p, Map)) for group in pieces]


def _path(task: Task, levels: Levels, scales: Levels, costs: Sequence[int], std: float) -> Path:
    shape = (task.count, *task.prior.shape)
    start = task.start
    if start is not None:
        require(
            tuple(start.shape) == shape,
            f"start has shape {list(start.shape)}, expected {list(shape)}",
            "it holds one z for each chain",
        )
        start = start.to(dtype=task.dtype, device=task.device)
    spent = (0, *accumulate(costs))
    return Path(shape, levels, scales, spent, std, start, task.dtype, task.device)
