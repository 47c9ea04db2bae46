"""The driver: the one loop over every method's steps.

It knows no method by name. It steps, reads, records the trace, stops, looks for non-finite
values, writes checkpoints, and turns an interruption into a result that can go on.

Stopping rules, all free of units:
* ``change`` <= tol: the method's own relative step length;
* residual <= tol: the data are fitted to that accuracy;
* the residual moved by less than tol of itself in each of 5 readings, and ``change`` is at most
  a hundredth: it has settled (a small start grows for long before the residual notices);
* residual > 10 times the larger of 1 and its first value, or a non-finite value: diverged;
* the method says that it is done, or its number of steps is reached.
A method that is not ``ready`` does not settle.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from wellposed.task import Method, Reading

DIVERGED = 10.0
SETTLED = 5
SHORT = 0.01


class Status(Enum):
    """How a run ended."""

    CONVERGED = "converged"
    COMPLETE = "complete"
    MAX_STEPS = "max_steps"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"

    @property
    def text(self) -> str:
        """A sentence for people."""
        return _TEXT[self]

    @property
    def ok(self) -> bool:
        """Whether the result is what was asked for."""
        return self in (Status.CONVERGED, Status.COMPLETE)


_TEXT = {
    Status.CONVERGED: "The stopping rule was met.",
    Status.COMPLETE: "All steps of the method were made.",
    Status.MAX_STEPS: "The steps ran out before the stopping rule was met: allow more steps, "
    "or loosen tol.",
    Status.DIVERGED: "The residual grew or became non-finite; the last sound iterate is returned. "
    "Use a smaller step_size or rank, a ridge or damping, or a method made for these data.",
    Status.INTERRUPTED: "The run was interrupted; it can be resumed from its folder.",
}


class Record(NamedTuple):
    """One line of the trace; NaN where a figure is not known."""

    step: int
    seconds: float
    residual: float
    change: float
    error: float
    sigma: float = math.nan


def as_records(table: Tensor) -> list[Record]:
    """Build records again from a stored table, one row each."""
    return [Record(int(row[0]), *row[1:]) for row in table.tolist()]


@dataclass(frozen=True)
class Trace:
    """What was seen at each reading: arrays of equal length."""

    records: tuple[Record, ...] = ()

    def __getattr__(self, name: str) -> np.ndarray[Any, Any]:
        if name not in Record._fields:
            raise AttributeError(name)
        return np.array([getattr(r, name) for r in self.records])

    def __len__(self) -> int:
        return len(self.records)


class Keeper(Protocol):
    """Where a run is kept between checkpoints."""

    def due(self) -> bool:
        """Whether it is time to save."""

    def save(self, state: Any, step: int, records: list[Record]) -> None:
        """Write a checkpoint."""


@dataclass
class Outcome:
    """Where a run stands when the driver returns."""

    state: Any
    reading: Reading
    step: int
    status: Status
    trace: Trace


@dataclass
class Driver:
    """Limits and observers of one run.

    Parameters
    ----------
    steps
        Largest number of steps, >= 0.
    tol
        Tolerance of the stopping rules; None switches them off.
    error
        Function of the reading's value: distance to a known truth, for the trace.
    watch
        Called with each record: progress.
    keeper
        Saves checkpoints; None keeps nothing.
    every
        Steps between readings.
    observe
        Called with the step and the reading: the caller's own look at the iterate.
    """

    steps: int
    tol: float | None = None
    error: Callable[[Any], float] | None = None
    watch: Callable[[Record], None] | None = None
    keeper: Keeper | None = None
    every: int = 1
    observe: Callable[[int, Reading], None] | None = None
    records: list[Record] = field(default_factory=list)

    def run(self, method: Method, plan: Any, state: Any, step: int = 0) -> Outcome:
        """Step until a rule says stop; a KeyboardInterrupt ends the run, not the program."""
        clock = time.perf_counter() - (self.records[-1].seconds if self.records else 0.0)
        reading, status = method.read(plan, state), None
        if reading.done:
            status = Status.COMPLETE
        elif self.records and self.records[-1].step == step:  # stopped before the verdict
            status = self._verdict(reading)
        sound = latest = state  # a reading may only vouch for the state before its own
        try:
            while status is None and step < self.steps:
                state, step = method.step(plan, state), step + 1
                if step % self.every == 0 or step == self.steps:
                    reading = method.read(plan, state)
                    self._record(step, time.perf_counter() - clock, reading)
                    status = self._verdict(reading)
                    if status is not Status.DIVERGED:
                        sound, latest = latest, state
                if self.keeper is not None and status is None and self.keeper.due():
                    self.keeper.save(state, step, self.records)
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        if status is Status.INTERRUPTED and self.keeper is not None:
            self.keeper.save(state, step, self.records)
        if status is None:
            status = Status.MAX_STEPS if self.tol is not None else Status.COMPLETE
        if status is not Status.INTERRUPTED and not finite(reading.value):
            status = Status.DIVERGED
        if status is Status.DIVERGED:
            state, reading = sound, method.read(plan, sound)
        return Outcome(state, reading, step, status, Trace(tuple(self.records)))

    def _record(self, step: int, seconds: float, reading: Reading) -> None:
        error = math.nan if self.error is None else self.error(reading.value)
        residual = math.nan if reading.residual is None else reading.residual
        change = math.nan if reading.change is None else reading.change
        sigma = math.nan if reading.sigma is None else reading.sigma
        record = Record(step, seconds, residual, change, error, sigma)
        self.records.append(record)
        if self.watch is not None:
            self.watch(record)
        if self.observe is not None:
            self.observe(step, reading)

    def _verdict(self, reading: Reading) -> Status | None:
        residual, change = reading.residual, reading.change
        if not reading.sound:
            return Status.DIVERGED
        if residual is not None:
            first = self.records[0].residual
            if not math.isfinite(residual) or residual > DIVERGED * max(1.0, first):
                return Status.DIVERGED
        if change is not None and not math.isfinite(change):
            return Status.DIVERGED
        if reading.done:
            return Status.COMPLETE
        return Status.CONVERGED if reading.ready and self._settled(residual, change) else None

    def _settled(self, residual: float | None, change: float | None) -> bool:
        if self.tol is None:
            return False
        if change is not None and change <= self.tol:
            return True
        if residual is None:
            return False
        if residual <= self.tol:
            return True
        if change is not None and change > SHORT:
            return False
        recent = [r.residual for r in self.records[-SETTLED - 1 :]]
        moves = [abs(a - b) for a, b in pairwise(recent)]
        return len(moves) == SETTLED and max(moves) <= self.tol * residual


def finite(value: Any) -> bool:
    """Whether all tensors in a reading's value are finite."""
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    return all(finite(part) for part in value) if isinstance(value, (tuple, list)) else True
