"""A progress line for people; silent unless asked for."""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wellposed.run import Record
    from wellposed.selection import Candidate
    from wellposed.selection_tensor import RankCandidate


class Progress:
    """Show steps, residual and time left on the terminal.

    Parameters
    ----------
    steps
        Largest number of steps.
    shown
        Whether to show anything.
    label
        What is going on.
    """

    def __init__(self, steps: int, *, shown: bool, label: str = "recover") -> None:
        self.steps, self.shown, self.label = steps, shown, label

    def __enter__(self) -> Progress:
        if self.shown:
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("elapsed,"),
                progress.TimeRemainingColumn(),
                progress.TextColumn("left  {task.fields[note]}"),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.steps, note="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.shown:
            self._bar.stop()

    def record(self, record: Record) -> None:
        """Show a step of the method."""
        if self.shown:
            known = [
                f"{name} {value:.2e}"
                for name, value in (("residual", record.residual), ("change", record.change))
                if not math.isnan(value)
            ]
            self._bar.update(self._task, completed=record.step, note="  ".join(known))

    def advance(self, done: int) -> None:
        """Show how much is done, in units of ``steps``."""
        if self.shown:
            self._bar.update(self._task, completed=done)

    def candidate(self, candidate: Candidate | RankCandidate) -> None:
        """Show a candidate of the hold-out search."""
        if self.shown:
            told = (
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in candidate._asdict().items()
            )
            self._bar.update(self._task, note="hold-out: " + ", ".join(told))


class TrainingProgress:
    """Show steps, loss and time left of a training on the terminal.

    Parameters
    ----------
    shown
        Whether to show anything.
    """

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown

    def __enter__(self) -> TrainingProgress:
        if self.shown:
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("train"),
                progress.BarColumn(),
                progress.TextColumn("{task.fields[note]}"),
                progress.TimeElapsedColumn(),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("train", total=None, note="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.shown:
            self._bar.stop()

    def entry(self, step: int, steps: int, loss: float, left: float) -> None:
        """Show the end of some steps: of how many, their mean loss, and seconds left."""
        if self.shown:
            hours, minutes = int(left) // 3600, int(left) // 60 % 60
            note = f"{step:,}/{steps:,}  loss {loss:.4f}  {hours}:{minutes:02d} h left"
            self._bar.update(self._task, completed=step, total=steps, note=note)
