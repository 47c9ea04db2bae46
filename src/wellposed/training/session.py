"""A training from its first step to its last, over as many sittings as it takes.

A sitting ends with the run, with an interruption, or with a kill; the next one begins at the last
checkpoint and takes the same steps, bit for bit, as if nothing had happened.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from wellposed.run import Status
from wellposed.store import RunFolder
from wellposed.training.loop import Trainer
from wellposed.training.validation import Validation

EVERY = 20  # steps of one entry of the log
SPEED = 40  # steps after which a number of minutes becomes a number of steps
LOOKS = 20  # validations over a run


class Entry(NamedTuple):
    """A line of the log: step, seconds of training so far, mean loss since the last one."""

    step: int
    seconds: float
    loss: float


@dataclass
class Session:
    """A trainer, its log, and where both are kept.

    Parameters
    ----------
    trainer
        What is trained; its ``steps`` are an upper bound where ``minutes`` is given.
    validation
        Held-out signals.
    folder
        Keeps checkpoints; None keeps nothing.
    minutes
        Length of the whole run: measured over the first steps, it is turned into a number of
        steps once, which is kept with the checkpoint.
    watch
        Called with each entry of the log and the seconds left.
    looked
        Called with step and losses by level after each validation.
    """

    trainer: Trainer
    validation: Validation
    folder: RunFolder | None = None
    minutes: float | None = None
    watch: Callable[[Entry, float], None] | None = None
    looked: Callable[[int, dict[float, float]], None] | None = None
    entries: list[Entry] = field(default_factory=list)
    looks: list[tuple[int, dict[float, float]]] = field(default_factory=list)

    def run(self) -> Status:
        """Train until the run is complete, interrupted, or diverged: a weight is not finite.

        After a divergence the average is that of the last entry of the log whose weights were
        finite.
        """
        self._begin()
        sound = _copied(self.trainer.average)
        before = self.entries[-1].seconds if self.entries else 0.0
        clock = time.perf_counter() - before
        losses: list[float] = []
        try:
            while self.trainer.step < self.trainer.training.steps:
                with _whole_steps():
                    losses.append(self.trainer.advance())
                    now = time.perf_counter() - clock
                    self._settle(now)
                    if self._at_entry():
                        self._enter(Entry(self.trainer.step, now, sum(losses) / len(losses)))
                        losses = []
                        if not _finite(self.trainer.average):
                            self._go_back(sound)
                            return Status.DIVERGED
                        sound = _copied(self.trainer.average)
                        self._look()
                        self._keep()
        except KeyboardInterrupt:
            self._keep(now=True)
            return Status.INTERRUPTED
        return Status.COMPLETE

    def averaged(self) -> nn.Module:
        """Return the denoiser with the average of its weights, for use and not for training."""
        return _Averaged(self.trainer)

    def _go_back(self, sound: dict[str, Tensor]) -> None:
        """End with the average of the last entry but one."""
        self.trainer.average = sound
        last = self.entries[-2].step if len(self.entries) > 1 else 0
        self.looks.append((last, self.validation.losses(self.averaged())))

    def _at_entry(self) -> bool:
        step, steps = self.trainer.step, self.trainer.training.steps
        return step % EVERY == 0 or step == steps

    def _enter(self, entry: Entry) -> None:
        self.entries.append(entry)
        if self.watch is not None:
            left = self.trainer.training.steps - entry.step
            self.watch(entry, left * entry.seconds / entry.step)

    def _look(self) -> None:
        step, steps = self.trainer.step, self.trainer.training.steps
        last = self.looks[-1][0] if self.looks else 0
        if step < steps and (step - last) * LOOKS < steps:
            return
        self.looks.append((step, self.validation.losses(self.averaged())))
        if self.looked is not None:
            self.looked(*self.looks[-1])

    def _settle(self, seconds: float) -> None:
        """Turn minutes into steps, once."""
        if self.minutes is None or self.trainer.step != SPEED:
            return
        steps = max(SPEED, int(self.minutes * 60 / seconds * SPEED))
        if distributed.is_initialized():  # all processes take the first one's count
            count = torch.tensor(steps)
            distributed.broadcast(count, 0)
            steps = int(count)
        self.trainer.training = replace(self.trainer.training, steps=steps)

    def _begin(self) -> None:
        kept = None if self.folder is None else self.folder.checkpoint()
        if kept is None:
            return
        state = kept["state"]
        self.trainer.restore(state["trainer"])
        self.trainer.training = replace(self.trainer.training, steps=int(state["steps"]))
        self.entries = [Entry(int(a), b, c) for a, b, c in kept["records"].tolist()]
        self.looks = [
            (int(row[0]), dict(zip(self.validation.levels, row[1:], strict=True)))
            for row in state["looks"].tolist()
        ]

    def _keep(self, *, now: bool = False) -> None:
        first = not distributed.is_initialized() or distributed.get_rank() == 0
        if self.folder is None or not first or not (now or self.folder.due()):
            return
        state = {
            "trainer": self.trainer.state(),
            "steps": self.trainer.training.steps,
            "looks": _table(self.looks),
        }
        # An interruption between two entries drops the losses since the last one, no step.
        self.folder.save(state, self.trainer.step, self.entries)


class _Averaged(nn.Module):
    """The trainer's denoiser with the average in the place of the weights."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self._trainer = (trainer,)  # in a tuple: not a submodule

    def forward(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimate of x0."""
        trainer = self._trainer[0]
        with trainer.precision():
            found: Tensor = torch.func.functional_call(
                trainer.denoiser, trainer.average, (z, sigma)
            )
        return found


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in weights.items()}


def _finite(weights: dict[str, Tensor]) -> bool:
    return bool(torch.isfinite(torch.stack([weight.sum() for weight in weights.values()])).all())


def _table(looks: list[tuple[int, dict[float, float]]]) -> Tensor:
    rows = [[float(step), *losses.values()] for step, losses in looks]
    return torch.tensor(rows, dtype=torch.float64) if rows else torch.empty(0, 0)


@contextmanager
def _whole_steps() -> Iterator[None]:
    """Hold back Ctrl-C and its like until the step is done: half a step cannot be kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handlers[number] = signal.signal(number, lambda n, _: asked.append(n))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
