"""The driver's rules, on methods small enough to see through."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pytest
import torch

from wellposed.run import Driver, Status
from wellposed.task import Reading


class Count(NamedTuple):
    n: int


@dataclass(frozen=True)
class Script:
    """Reads out a prepared list of residuals, one a step."""

    residuals: tuple
    change: float | None = None
    done_at: int = 10**9
    raise_at: int = 10**9
    reference: ClassVar[str] = "a test"

    def prepare(self, task):
        return None

    def init(self, plan, stream):
        return Count(0)

    def step(self, plan, state):
        if state.n + 1 == self.raise_at:
            raise KeyboardInterrupt
        return Count(state.n + 1)

    def read(self, plan, state):
        at = min(max(state.n - 1, 0), len(self.residuals) - 1)
        return Reading(state.n, self.residuals[at], self.change, done=state.n >= self.done_at)


class Memory:
    def __init__(self, due=False):
        self.saved, self.is_due = [], due

    def due(self):
        return self.is_due

    def save(self, state, step, records):
        self.saved.append((state.n, step, len(records)))


def run(method, steps=20, tol=1e-3, **more):
    return Driver(steps, tol, **more).run(method, None, method.init(None, None))


def test_stops_when_the_data_are_fitted():
    outcome = run(Script(tuple(0.5**k for k in range(20))))
    assert outcome.status is Status.CONVERGED
    assert outcome.trace.residual[-1] <= 1e-3 < outcome.trace.residual[-2]


def test_stops_when_the_residual_has_settled_above_zero():
    outcome = run(Script((*[0.5**k + 0.3 for k in range(8)], *[0.3] * 30)), 40)
    assert outcome.status is Status.CONVERGED
    assert outcome.step < 20


def test_one_still_reading_does_not_stop_a_moving_run():
    residuals = tuple(0.9 ** (k // 2) for k in range(20))  # still at every other step
    assert run(Script(residuals)).status is Status.MAX_STEPS


def test_a_still_residual_does_not_stop_long_steps():
    assert run(Script((1.0,), change=0.3)).status is Status.MAX_STEPS
    assert run(Script((1.0,), change=0.005)).status is Status.CONVERGED


def test_a_run_stopped_before_its_verdict_gets_it_on_resuming():
    whole = run(Script(tuple(0.5**k for k in range(20))))

    def interrupt(record):
        if record.step == whole.step:
            raise KeyboardInterrupt

    script, memory = Script(tuple(0.5**k for k in range(20))), Memory()
    stopped = run(script, keeper=memory, watch=interrupt)
    assert stopped.status is Status.INTERRUPTED
    records = list(stopped.trace.records)
    again = Driver(20, 1e-3, records=records).run(script, None, stopped.state, stopped.step)
    assert (again.status, again.step) == (Status.CONVERGED, whole.step)


def test_a_value_that_is_not_finite_at_the_end_is_divergence():
    class Last(Script):
        def read(self, plan, state):
            value = torch.full((2,), math.nan if state.n == 3 else 1.0)
            return Reading(value, 0.9)

    outcome = run(Last((0.9,)), steps=3)
    assert outcome.status is Status.DIVERGED
    assert bool(torch.isfinite(outcome.reading.value).all())


def test_stops_on_a_short_step():
    assert run(Script((0.5, 0.4, 0.3), change=1e-4)).step == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, 11.0])
def test_divergence_returns_the_last_sound_state(bad):
    outcome = run(Script((0.9, 0.8, 0.7, bad)))
    assert outcome.status is Status.DIVERGED
    assert outcome.step == 4
    assert outcome.reading.value == 2  # the bad residual, read out at 4, is that of state 3
    assert not outcome.status.ok


def test_runs_out_of_steps_without_an_exception():
    outcome = run(Script((0.9, 0.8, 0.7)), steps=3)
    assert (outcome.status, outcome.step) == (Status.MAX_STEPS, 3)
    assert "more steps" in outcome.status.text


def test_without_tolerance_all_steps_are_made():
    outcome = run(Script((0.0,)), steps=7, tol=None)
    assert (outcome.status, outcome.step) == (Status.COMPLETE, 7)


def test_a_method_may_say_that_it_is_done():
    assert run(Script((0.9, 0.8, 0.7, 0.6), done_at=3)).step == 3


def test_interruption_saves_the_last_whole_step():
    memory = Memory()
    outcome = run(Script((0.9,), raise_at=4), keeper=memory, tol=None)
    assert (outcome.status, outcome.step) == (Status.INTERRUPTED, 3)
    assert memory.saved == [(3, 3, 3)]


def test_checkpoints_are_written_when_due_and_not_after_the_end():
    memory = Memory(due=True)
    run(Script((0.9, 0.8, 0.7)), steps=3, keeper=memory, tol=1e-9)
    assert [saved[1] for saved in memory.saved] == [1, 2, 3]


def test_readings_can_be_sparse():
    outcome = run(Script((0.9,)), steps=7, every=3, tol=None)
    assert outcome.trace.step.tolist() == [3, 6, 7]


def test_zero_steps_read_the_start():
    assert run(Script((0.9,)), steps=0).reading.value == 0
