"""Log-likelihood of given signals through the probability flow.

Source     R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, "Neural ordinary differential
           equations", NeurIPS 2018; Y. Song et al., ICLR 2021.
Model      in t = log sigma the flow is dz/dt = z - D(z, sigma), and along it
           d log p_sigma(z) / dt = -div (z - D) = -(d - tr D'),  so with z_low = x
           log p_low(x) = log p_high(z_high) + int (d - tr D') dt
           p_high is taken to be N(D(0, high), c_high^2 I),  c^2 = sigma^2 + sigma_data^2.
Update     u = z / c stands nearly still at both ends, and so does what is left of the integral:
           du/dt = (u sigma_data^2 / c - D) / c
           log p_low(x) = -|u_high - D(0, high) / c_high|^2 / 2 - d log(sqrt(2 pi) c_low)
                          + int (d sigma_data^2 / c^2 - tr D') dt
           Fourth-order Runge-Kutta in t for u and the integral at once.
           Trace: exact, by d Jacobian products; or Hutchinson's estimate v^T D' v with random
           signs v that are kept along the whole path, so each probe is unbiased.
Cost       per step 4 evaluations and 4 d (or 4 probes) Jacobian products.
Guarantee  exact up to the steps (error of order steps^-4) and to p_high (order high^-2).
Fails      levels that the denoiser does not cover; data on a manifold as low goes to zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.errors import InputError
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.levels import Levels, check_covered, diffusion_prior, given_levels
from wellposed.samplers.walk import all_finite
from wellposed.schedules.grids import log_uniform
from wellposed.task import Reading, Task

LOW, HIGH = 0.01, 1000.0  # ends of the default grid, in standard deviations of the signal
BUDGET = 1 << 18  # numbers in a batch of Jacobian products


class Plan(NamedTuple):
    """Levels, and where the flow starts."""

    prior: DiffusionPrior
    levels: Levels  # ascending
    start: Tensor  # x, [B, *shape]
    cost: int  # evaluations and Jacobian products of a step

    def c(self, sigma: float) -> float:
        """Scale of z at a level."""
        return math.hypot(sigma, self.prior.sigma_data)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.levels) - 1


class State(NamedTuple):
    """Signals on their way to noise."""

    u: Tensor  # z / c, [B, *shape]
    gained: Tensor  # [B, probes] or [B, 1]: the integral so far
    signs: Tensor | None  # [probes, B, *shape]
    step: int


class Slope(NamedTuple):
    """What the flow does at one point."""

    u: Tensor  # [B, *shape]
    gained: Tensor  # d sigma_data^2 / c^2 - tr D', [B, probes] or [B, 1]


@dataclass(frozen=True)
class FlowLikelihood:
    """Integrate the log-likelihood along the probability flow.

    Parameters
    ----------
    steps
        Runge-Kutta steps, >= 1.
    probes
        Random signs per signal for the trace, >= 2; None computes it exactly.

    Raises
    ------
    InputError
        A field outside its range.
    """

    steps: int = 100
    probes: int | None = None

    reference: ClassVar[str] = "Song et al., ICLR 2021"
    needs: ClassVar[str] = "denoiser and its Jacobian"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        if self.probes is not None:
            whole(self.probes, "probes", 2, "fewer give no standard error")

    def prepare(self, task: Task) -> Plan:
        """Check levels and signals."""
        prior = diffusion_prior(task, "FlowLikelihood")
        if task.start is None:
            raise InputError("FlowLikelihood was given no signals", remedy="wp.log_likelihood")
        levels = self._levels(task, prior)
        check_covered(prior, levels, "FlowLikelihood")
        traces = math.prod(prior.shape) if self.probes is None else self.probes
        return Plan(prior, levels, task.start, 4 * (1 + traces))

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start at the signals; draw the signs that stay for the whole path."""
        x = plan.start
        columns = 1 if self.probes is None else self.probes
        signs = None
        if self.probes is not None:
            uniform = stream.uniform((self.probes, *x.shape), "signs", dtype=x.dtype)
            signs = torch.where(uniform < 0.5, -1.0, 1.0).to(x)
        return State(x / plan.c(plan.levels[0]), x.new_zeros(len(x), columns), signs, 0)

    def step(self, plan: Plan, state: State) -> State:
        """One step of the classical Runge-Kutta method in log sigma."""
        low, high = plan.levels[state.step : state.step + 2]
        h, middle = math.log(high / low), math.sqrt(low * high)
        u, gained, signs, k = state
        first = self._slope(plan, signs, u, low)
        second = self._slope(plan, signs, u + h / 2 * first.u, middle)
        third = self._slope(plan, signs, u + h / 2 * second.u, middle)
        fourth = self._slope(plan, signs, u + h * third.u, high)
        along, gain = (
            (a + 2 * b + 2 * c + d) / 6
            for a, b, c, d in zip(first, second, third, fourth, strict=True)
        )
        return State(u + h * along, gained + h * gain, signs, k + 1)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return the log-likelihood, one column a probe, valid after the last step."""
        value = state.gained + _log_start(plan, state)[:, None]
        return Reading(
            value,
            evaluations=state.step * plan.cost,
            done=state.step == plan.steps,
            sigma=plan.levels[state.step],
            sound=all_finite(value),
        )

    def _levels(self, task: Task, prior: DiffusionPrior) -> Levels:
        if task.sigmas is None:
            low = max(LOW * prior.sigma_data, prior.sigma_min)
            high = min(HIGH * prior.sigma_data, prior.sigma_max)
            return tuple(log_uniform(self.steps + 1, high, low).flip(0).tolist())
        levels = given_levels(task.sigmas, "FlowLikelihood", self.steps)
        require(
            all(0 < low < high for low, high in pairwise(levels)),
            f"sigmas run from {levels[0]:g} to {levels[-1]:g}, expected positive, ascending levels",
            "the likelihood is gained on the way from signal to noise",
        )
        return levels

    @staticmethod
    def _slope(plan: Plan, signs: Tensor | None, u: Tensor, sigma: float) -> Slope:
        c, variance = plan.c(sigma), plan.prior.sigma_data**2
        z = u * c
        if signs is None:
            traces = _exact_trace(plan.prior, z, sigma)[:, None]
        else:
            traces = torch.stack([_along(plan.prior, z, sigma, v) for v in signs], 1)
        d = math.prod(plan.prior.shape)
        along = (u * (variance / c) - plan.prior.denoise(z, sigma)) / c
        return Slope(along, d * variance / c**2 - traces)


def _along(prior: DiffusionPrior, z: Tensor, sigma: float, v: Tensor) -> Tensor:
    """v^T D' v, [B]."""
    return (v * prior.denoise_jvp(z, sigma, v)).flatten(1).sum(1)


def _exact_trace(prior: DiffusionPrior, z: Tensor, sigma: float) -> Tensor:
    """tr D', [B], by a Jacobian product for each coordinate, many at a time."""
    d, count = math.prod(prior.shape), len(z)
    many = max(1, BUDGET // max(1, z.numel()))
    total = z.new_zeros(count)
    for begin in range(0, d, many):
        rows = torch.eye(d, dtype=z.dtype, device=z.device)[begin : begin + many]
        units = rows.repeat_interleave(count, 0).reshape(-1, *prior.shape)
        points = z.repeat(len(rows), *[1] * (z.ndim - 1))
        total += _along(prior, points, sigma, units).reshape(len(rows), count).sum(0)
    return total


def _log_start(plan: Plan, state: State) -> Tensor:
    """All but the integral, [B]."""
    low, high = plan.levels[0], plan.levels[-1]
    mean = plan.prior.denoise(torch.zeros_like(state.u[:1]), high)
    distance = (state.u - mean / plan.c(high)).flatten(1).square().sum(1)
    d = math.prod(plan.prior.shape)
    return -0.5 * distance - d * math.log(math.sqrt(2 * math.pi) * plan.c(low))
