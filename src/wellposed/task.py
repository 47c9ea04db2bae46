"""What a method is given, and what it reads out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from wellposed.problem import Problem
from wellposed.rng import Stream


@dataclass(frozen=True, eq=False)
class Task:
    """Everything that a method may look at.

    Parameters
    ----------
    problem
        What was measured; None for unconditional generation.
    prior
        What signals look like.
    count
        How many chains the block holds (diffusion).
    sigmas
        Noise levels that override the method's own grid, descending, float64 (diffusion).
    start
        State to start from in the variance-exploding frame (diffusion).
    dtype, device
        Where the work is done.
    """

    problem: Problem | None = None
    prior: Any = None
    count: int = 1
    sigmas: Tensor | None = None
    start: Tensor | None = None
    dtype: torch.dtype = torch.float64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class Account(NamedTuple):
    """What a posterior sampler tells of a block of chains, beside its draws."""

    gradients: float = 0  # of the log-likelihood, for each draw
    likelihoods: float = 0  # log-likelihoods without gradient, for each draw
    summaries: Tensor | None = None  # [sweeps, B, S]: of the sweeps at the last coupling
    names: tuple[str, ...] = ()  # of the S numbers
    log_evidence: float | None = None  # log p(y)
    note: str = ""  # what is worth a word
    jacobians: float = 0  # backward passes through the denoiser, for each draw


class Reading(NamedTuple):
    """What a method shows of its state."""

    value: Any  # factors or signal
    residual: float | None = None  # ||A(x) - y|| / ||y|| at the last evaluated iterate
    change: float | None = None  # relative length of the last step, in the method's own metric
    evaluations: int = 0  # of the prior's denoiser
    done: bool = False  # the method knows that it has finished
    x0: Any = None  # E[x0 | z] as the last step saw it (diffusion)
    sigma: float | None = None  # noise level reached (diffusion)
    acceptance: float | None = None  # share of accepted moves (MALA)
    sound: bool = True  # every number of the state is finite
    ready: bool = True  # nothing that the method knows of speaks against stopping
    account: Account | None = None  # of a posterior sampler


@runtime_checkable
class Method(Protocol):
    """A frozen dataclass whose fields are the paper's hyper-parameters.

    A method whose answer holds more than its readings may also have ``finish(plan, state)``,
    which is called once, at the end.
    """

    reference: ClassVar[str]

    def prepare(self, task: Task) -> Any:
        """Compute once what never changes."""

    def init(self, plan: Any, stream: Stream) -> Any:
        """Return the first state."""

    def step(self, plan: Any, state: Any) -> Any:
        """Return the next state: the paper's update."""

    def read(self, plan: Any, state: Any) -> Reading:
        """Return factors or signal, residual and progress."""
