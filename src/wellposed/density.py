"""Log-likelihood of signals under a diffusion prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, whole
from wellposed.errors import CapabilityError
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.run import Driver, Outcome, Status
from wellposed.samplers.blocks import block_size
from wellposed.samplers.likelihood import FlowLikelihood
from wellposed.schedules.grids import from_list
from wellposed.task import Task


@dataclass(frozen=True)
class LogLikelihood:
    """Log-likelihoods of signals.

    Attributes
    ----------
    value
        log p at the lowest noise level, in nats, [n].
    standard_error
        Of the trace estimate, [n]; None where the trace was exact.
    evaluations
        Denoiser evaluations and Jacobian products made for each signal.
    status
        "diverged" when a value is not finite.
    """

    value: Any
    standard_error: Any
    evaluations: int
    status: Status


def log_likelihood(
    prior: Any,
    x: Any,
    *,
    steps: int = 100,
    sigmas: Any = None,
    probes: int | None = None,
    seed: int = 0,
) -> LogLikelihood:
    """Return log p_sigma(x) at the lowest noise level, through the probability flow.

    Parameters
    ----------
    prior
        A denoiser that is differentiable in torch, or an exact prior.
    x
        Signals, [n, *shape]; numpy arrays give numpy arrays.
    steps
        Runge-Kutta steps, >= 1.
    sigmas
        steps + 1 ascending levels, the first > 0; default: log-uniform from 0.01 to 1000
        standard deviations of the signal.
    probes
        Random probes for the trace of the Jacobian, >= 2; None computes it exactly, at a cost
        that grows with the number of coordinates.
    seed
        Seed of the probes, >= 0.

    Returns
    -------
    LogLikelihood
        ``.value`` [n] in nats, ``.standard_error`` [n] or None.

    Raises
    ------
    CapabilityError
        The prior is no diffusion prior.
    InputError
        A value out of range.

    Examples
    --------
    >>> import wellposed as wp
    >>> prior = wp.Gaussian([1.0, 0.0], 0.25)
    >>> found = wp.log_likelihood(prior, [[1.0, 0.5]], steps=60)
    >>> round(float(found.value[0]), 3), round(float(prior.log_density(
    ...     torch.tensor([[1.0, 0.5]]), 0.005)[0]), 3)
    (-0.952, -0.952)
    """
    require(
        isinstance(prior, DiffusionPrior),
        f"prior is a {type(prior).__name__}, expected a diffusion prior",
        error=CapabilityError,
    )
    whole(seed, "seed", 0)
    signals = as_tensor(x, "x")
    require(
        signals.shape[1:] == prior.shape and signals.ndim > 0 and signals.is_floating_point(),
        f"x has shape {list(signals.shape)}, expected {['n', *prior.shape]} of real numbers",
    )
    finite(signals, "x", "remove such signals")
    levels = None if sigmas is None else from_list(sigmas)
    method, size = FlowLikelihood(steps, probes), block_size(prior.shape)
    outcomes = [
        _integrate(method, prior, rows, levels, Stream(seed, block=block))
        for block, rows in enumerate(torch.split(signals, size))
    ]
    return _gather(outcomes, as_numpy=not isinstance(x, Tensor), exact=probes is None)


def _integrate(
    method: FlowLikelihood, prior: DiffusionPrior, x: Tensor, sigmas: Tensor | None, stream: Stream
) -> Outcome:
    task = Task(prior=prior, count=len(x), sigmas=sigmas, start=x, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        plan = method.prepare(task)
        outcome = Driver(plan.steps, every=plan.steps).run(method, plan, method.init(plan, stream))
    if outcome.status is Status.INTERRUPTED:
        raise KeyboardInterrupt  # a half-integrated likelihood is none
    return outcome


def _gather(outcomes: list[Outcome], *, as_numpy: bool, exact: bool) -> LogLikelihood:
    columns = torch.cat([outcome.reading.value for outcome in outcomes])
    value, error = columns.mean(1), None
    if not exact:
        error = columns.std(1) / columns.shape[1] ** 0.5
    diverged = any(outcome.status is not Status.COMPLETE for outcome in outcomes)
    return LogLikelihood(
        value.cpu().numpy() if as_numpy else value,
        error.cpu().numpy() if as_numpy and error is not None else error,
        outcomes[0].reading.evaluations,
        Status.DIVERGED if diverged else Status.COMPLETE,
    )
