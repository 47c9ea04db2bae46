"""The loop over blocks of chains: driving each, watching it, and keeping what is finished.

Draws from a prior and draws from a posterior differ in one thing: whether there is a problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wellposed.draws import Draws, Moments, View
from wellposed.problem import Problem
from wellposed.progress import Progress
from wellposed.rng import Stream
from wellposed.run import Driver, Outcome, Record, Status, Trace
from wellposed.samplers.blocks import block_size, rows_of
from wellposed.shards import Shelf, Tally, UnderWay, averaged, merged
from wellposed.task import Reading, Task

HELD = 1 << 28  # numbers of all draws that are kept in memory: 2 GB in float64
SPARSE = 16  # steps between looks for non-finite numbers where nobody watches
Callback = Callable[[View], None]


@dataclass(frozen=True, eq=False)
class Request:
    """All that determines the draws."""

    prior: Any
    method: Any
    n: int
    seed: int
    sigmas: Tensor | None
    start: Tensor | None  # [n, *shape]
    dtype: torch.dtype
    device: torch.device
    trace: bool = False
    as_numpy: bool = False  # what the caller gets back
    problem: Problem | None = None  # None: draws from the prior

    @property
    def size(self) -> int:
        """Chains in a block; a population that interacts is one block."""
        population = getattr(self.method, "population", None)
        return block_size(self.prior.shape) if population is None else int(population(self.n))

    @property
    def held(self) -> bool:
        """Whether all draws fit into memory."""
        return bool(self.n * math.prod(self.prior.shape) <= HELD)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.n // self.size)

    def empty(self, rows: int | None = None) -> Tensor:
        """Return room for all draws, or for so many, [rows, *shape]."""
        rows = self.n if rows is None else rows
        return torch.empty(rows, *self.prior.shape, dtype=self.dtype, device=self.device)

    def prepare(self, block: int) -> Any:
        """Return the method's plan for a block of chains."""
        start = None if self.start is None else rows_of(self.start, block, self.size)
        return self.method.prepare(Task(
            problem=self.problem, prior=self.prior, count=self.size, sigmas=self.sigmas,
            start=start, dtype=self.dtype, device=self.device,
        ))  # fmt: skip


@dataclass
class Generation:
    """One run of a request.

    Parameters
    ----------
    request
        What is asked for.
    x
        Room for the draws, [n, *shape], or for a shard of them where they do not fit.
    shelf
        Where draws are kept on disk; None keeps nothing.
    callback
        Looks at each step of each block.
    """

    request: Request
    x: Tensor
    shelf: Shelf | None = None
    callback: Callback | None = None

    @property
    def label(self) -> str:
        """What is going on."""
        return "sample" if self.request.problem is None else "recover"

    def run(self, *, progress: bool = False) -> Draws:
        """Run all blocks that are not finished."""
        at = UnderWay() if self.shelf is None else self.shelf.load()
        status, note = Status.COMPLETE, ""
        plan = self.request.prepare(min(at.tally.blocks, self.request.blocks - 1))
        with Progress(plan.steps * self.request.blocks, shown=progress, label=self.label) as bar:
            while at.tally.blocks < self.request.blocks:
                if self.request.start is not None:
                    plan = self.request.prepare(at.tally.blocks)
                outcome = self._drive(plan, at, bar)
                status = outcome.status
                if status is not Status.COMPLETE:
                    note = self._what_happened(at.tally.blocks, outcome)
                    break
                at = UnderWay(self._add(at.tally, outcome))
        return self._draws(at.tally, status, note)

    def _drive(self, plan: Any, at: UnderWay, bar: Progress) -> Outcome:
        """Run the block under way to its end."""
        method, block = self.request.method, at.tally.blocks
        watched = self.request.trace or self.callback is not None
        driver = Driver(
            plan.steps, keeper=self.shelf, every=1 if watched else SPARSE, records=at.records,
            watch=_shifted(bar, plan.steps * block) if bar.shown else None,
            observe=None if self.callback is None else self._observer(self.callback, block),
        )  # fmt: skip
        state = at.state
        if state is None:
            state = method.init(plan, Stream(self.request.seed, block=block))
        return driver.run(method, plan, state, at.step)

    def _observer(self, callback: Callback, block: int) -> Callable[[int, Reading], None]:
        first = block * self.request.size
        rows = min(self.request.size, self.request.n - first)

        def observe(step: int, reading: Reading) -> None:
            x0 = None if reading.x0 is None else reading.x0[:rows]
            sigma = math.nan if reading.sigma is None else reading.sigma
            callback(View(step, sigma, first, reading.value[:rows], x0))

        return observe

    def _add(self, tally: Tally, outcome: Outcome) -> Tally:
        """Keep a finished block."""
        reading, first = outcome.reading, tally.blocks * self.request.size
        count = min(self.request.size, self.request.n - first)
        room = first % len(self.x)  # a shard is filled from its beginning
        rows = self.x[room : room + count]
        rows.copy_(reading.value[:count])
        share = reading.acceptance
        tally = Tally(
            tally.blocks + 1,
            reading.evaluations,
            None if share is None else (tally.acceptance or 0.0) + share,
            tally.trace if tally.blocks else outcome.trace.records,
            merged(tally.account, reading.account, count),
            None if self.request.held else Moments.of(rows).after(tally.moments),
        )
        if self.shelf is not None:
            self.shelf.add(tally)
        return tally

    def _draws(self, tally: Tally, status: Status, note: str) -> Draws:
        share = tally.acceptance
        count = min(tally.blocks * self.request.size, self.request.n)
        return Draws(
            self.x[:count] if self.request.held else None,
            tally.evaluations,
            status,
            None if share is None else share / tally.blocks,
            Trace(tally.trace) if self.request.trace else None,
            note,
            tally.account if tally.account is None else averaged(tally.account, tally.blocks),
            tally.moments,
            count,
        )

    def _what_happened(self, block: int, outcome: Outcome) -> str:
        first = block * self.request.size
        last = min(first + self.request.size, self.request.n) - 1
        if outcome.status is Status.INTERRUPTED:
            return f"interrupted in step {outcome.step + 1} of draws {first} to {last}"
        sigma = outcome.reading.sigma
        return (
            f"draws {first} to {last} became NaN or infinite by step {outcome.step}, after "
            f"sigma = {math.nan if sigma is None else sigma:g}: check the denoiser there, or "
            "take shorter steps"
        )


def _shifted(bar: Progress, done: int) -> Callable[[Record], None]:
    """Show a block's steps after those of the blocks before."""
    return lambda record: bar.record(record._replace(step=done + record.step))
