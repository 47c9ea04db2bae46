"""Runs against a known truth: what every figure of a paper is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

import wellposed as wp
from wellposed.lowrank.setting import Factors
from wellposed.rng import Stream
from wellposed.run import Driver, Status, Trace
from wellposed.task import Method, Reading, Task

BURST = 10  # steps between looks at whether the error is down to rounding
LOST = 1e3  # relative error from which on a run has failed


class Instance(NamedTuple):
    """A problem whose solution is known."""

    problem: wp.Problem
    prior: Any
    truth: Factors
    error: Callable[[Factors], float]  # relative, of an iterate
    clean: Tensor  # measurements without any error
    rounding: float = 1e-14  # error from which on nothing is left to gain

    @property
    def deviation(self) -> float:
        """Sum of the absolute errors of the measurements: what absolute deviations end at."""
        return float((self.problem.y - self.clean).abs().sum())


class Run(NamedTuple):
    """Errors from the start on (position = steps made), and the seconds of the steps alone."""

    errors: np.ndarray  # [steps + 1]
    seconds: np.ndarray  # [steps + 1]
    trace: Trace
    last: Factors  # the last sound iterate


class Meter:
    """Measures errors, and how long that took."""

    def __init__(self, error: Callable[[Factors], float]) -> None:
        self.error, self.spent = error, [0.0]

    def __call__(self, value: Any) -> float:
        """Return the error of an iterate."""
        start = time.perf_counter()
        found = self.error(value)
        self.spent.append(self.spent[-1] + time.perf_counter() - start)
        return found


def run(
    instance: Instance,
    method: Method,
    steps: int,
    *,
    seed: int = 0,
    change: Callable[[Any], Any] = lambda state: state,
    observe: Callable[[int, Reading], None] | None = None,
) -> Run:
    """Run a method by the driver, until its steps are made or nothing is left to gain.

    Parameters
    ----------
    instance
        Problem and truth.
    method, steps
        What to run, and for how long at most.
    seed
        Of the start.
    change
        Applied to the first state, to start elsewhere.
    observe
        Sees the start and each iterate.
    """
    task = Task(instance.problem, instance.prior, dtype=instance.problem.y.dtype)
    plan = method.prepare(task)
    state = change(method.init(plan, Stream(seed)))
    reading = method.read(plan, state)
    if observe is not None:
        observe(0, reading)
    meter, first = Meter(instance.error), instance.error(reading.value)
    driver, step, now = Driver(0, error=meter, observe=observe), 0, first
    status = Status.COMPLETE
    while step < steps and instance.rounding < now < LOST and status is Status.COMPLETE:
        driver.steps = min(step + BURST, steps)
        outcome = driver.run(method, plan, state, step)
        state, step, status = outcome.state, outcome.step, outcome.status
        reading, now = outcome.reading, driver.records[-1].error
    trace = Trace(tuple(driver.records))
    seconds = np.concatenate([[0.0], trace.seconds - np.array(meter.spent[: len(trace)])])
    return Run(np.concatenate([[first], trace.error]), seconds, trace, reading.value)


Methods = Callable[[Instance], Mapping[str, Method]]


def sweep(
    make: Callable[[Any], Instance],
    values: Mapping[str, Any],
    methods: Methods,
    steps: int,
    **options: Any,
) -> dict[tuple[str, str], Run]:
    """Run several methods on one instance for each value of a parameter.

    Returns the runs by (name of the method, name of the value).
    """
    found = {}
    for value_name, value in values.items():
        instance = make(value)
        for name, method in methods(instance).items():
            found[name, value_name] = run(instance, method, steps, **options)
    return found
