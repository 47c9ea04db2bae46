"""Noise levels of a sampler: its own grid, or the caller's, checked against prior and method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.schedules import Chain
from wellposed.schedules.grids import from_list, log_uniform, with_zero
from wellposed.task import Task

Levels = tuple[float, ...]
HIGH, LOW = 80.0, 0.02  # ends of the default grid, in standard deviations of the signal


def default_levels(prior: DiffusionPrior, steps: int) -> Levels:
    """Return the default grid: log-uniform from 80 to 0.02 standard deviations, then zero.

    The ends give way where the denoiser does not cover them.

    Examples
    --------
    >>> from wellposed.priors import Gaussian
    >>> [round(s, 3) for s in default_levels(Gaussian([0.0], 1.0), 3)]
    [80.0, 1.265, 0.02, 0.0]
    """
    high = min(HIGH * prior.sigma_data, prior.sigma_max)
    return _log_levels(steps, high, max(LOW * prior.sigma_data, prior.sigma_min))


def frame_levels(task: Task, name: str, steps: int, *, encodes: bool) -> Levels:
    """Return the steps + 1 levels of a sampler in the variance-exploding frame.

    Parameters
    ----------
    task
        Its ``sigmas`` are the caller's levels; None takes the default grid.
    name
        Of the method, for messages.
    steps
        Its number of steps.
    encodes
        Whether the method can walk from low levels to high ones.

    Raises
    ------
    InputError
        Another number of levels; levels that ascend where the method cannot encode, or that
        ascend from zero or without a start.
    CapabilityError
        The prior is no diffusion prior, or a measurement was given.
    """
    prior = diffusion_prior(task, name)
    if task.sigmas is None:
        return default_levels(prior, steps)
    levels = given_levels(task.sigmas, name, steps)
    if levels[0] < levels[-1]:
        _check_encoding(task, name, levels, encodes=encodes)
    return levels


def chain_levels(task: Task, name: str, steps: int, make: Callable[[int], Chain]) -> Chain:
    """Return the chain of a sampler that is defined on one.

    Parameters
    ----------
    task, name, steps
        As in ``frame_levels``.
    make
        Builds the default chain of a given length.
    """
    prior = diffusion_prior(task, name)
    if task.sigmas is None:
        chain = make(steps)
    else:
        levels = given_levels(task.sigmas, name, steps)
        require(
            levels[0] > levels[-1],
            f"sigmas ascend from {levels[0]:g} to {levels[-1]:g}: {name} cannot encode",
            "it is defined on a chain that is walked from noise to signal",
            "encode with DDIM(steps), Heun(steps) or DPMSolverPP2M(steps)",
        )
        chain = Chain.from_sigmas(levels)
    check_covered(prior, chain.sigma[1 : chain.length + 1], name)
    return chain


def given_levels(sigmas: Tensor, name: str, steps: int) -> Levels:
    """Check the caller's levels: sorted, and steps + 1 of them."""
    levels = from_list(sigmas)
    require(
        levels.numel() == steps + 1,
        f"sigmas has {levels.numel()} levels, expected {steps + 1} for {name}(steps={steps})",
        "n steps run between n + 1 levels",
        f"{name}(steps={levels.numel() - 1}, ...)",
    )
    return tuple(levels.tolist())


def check_covered(prior: DiffusionPrior, levels: Iterable[float], name: str) -> None:
    """Require that the prior's denoiser covers the levels at which a method evaluates it."""
    low, high = min(levels), max(levels)
    slack = 1e-6
    require(
        low >= prior.sigma_min * (1 - slack) and high <= prior.sigma_max * (1 + slack),
        f"{name} evaluates the denoiser from sigma = {high:g} to {low:g}, "
        f"the prior covers {prior.sigma_max:g} to {prior.sigma_min:g}",
        "outside its range a denoiser is not E[x0 | z]",
        "pass sigmas= inside that range",
    )


def diffusion_prior(task: Task, name: str) -> DiffusionPrior:
    """Return the prior of an unconditional task."""
    prior = task.prior
    require(
        isinstance(prior, DiffusionPrior),
        f"{name} was given a {type(prior).__name__} prior, expected a diffusion prior",
        "it draws with the help of a denoiser",
        "wp.GaussianMixture(...), or wp.Denoiser(function, shape)",
        error=CapabilityError,
    )
    require(
        task.problem is None,
        f"{name} was given a measurement",
        "it draws from the prior and does not look at data",
        "use it with wp.sample, or a posterior sampler with wp.recover",
        error=CapabilityError,
    )
    checked: DiffusionPrior = prior
    return checked


@lru_cache
def _log_levels(steps: int, high: float, low: float) -> Levels:
    if steps == 1:
        return (high, 0.0)
    return tuple(with_zero(log_uniform(steps, high, low)).tolist())


def _check_encoding(task: Task, name: str, levels: Levels, *, encodes: bool) -> None:
    require(
        encodes,
        f"sigmas ascend from {levels[0]:g} to {levels[-1]:g}: {name} cannot encode with these "
        "settings",
        "only a deterministic sampler can be run backwards",
        "encode with DDIM(steps), Heun(steps) or DPMSolverPP2M(steps)",
    )
    require(
        levels[0] > 0,
        "sigmas ascend from zero, expected a positive first level",
        "at sigma = 0 the probability flow stands still in sigma: no step leads away from it",
        "start at a small level, such as a thousandth of the signal's standard deviation",
    )
    require(
        task.start is not None,
        "sigmas ascend and there is no start",
        "encoding leads given signals to noise",
        "pass start=signals, [n, *shape]",
    )
