"""Guidance: an unconditional walk down the noise levels that leans on the data at each step.

Model      z = x0 + sigma n. D = D(z, sigma); J = dD/dz.
Update     ancestral step from sigma to sigma' (DDPM's with the posterior variance),
               z' = D + (sigma' / sigma)^2 (z - D) + sigma' sqrt(1 - (sigma' / sigma)^2) n,
           minus weight * J^T g, g the gradient in D of a loss that a method chooses.
Misfit     M(x) = peak - L(x) >= 0, the log-likelihood lost against a perfect fit, and
               |y - A x| = sqrt(2 M(x) / c),  c the curvature bound of the noise:
           for white Gaussian noise this is the norm of the residual itself. Where c is not
           bounded (Laplace, Poisson) it is taken as 1: the norm counts standard deviations.
Weights    published step lengths hold for the variance-preserving variable a z of signals of
           order one, a = 1 / sqrt(1 + sigma^2). With u the unit in which signals are of order
           one, a step of length zeta along a norm's gradient is here
               u zeta sqrt(1 + (sigma / u)^2) sqrt(1 + (sigma' / u)^2) J^T g.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from wellposed.checks import require, whole, within
from wellposed.errors import CapabilityError
from wellposed.posterior.datafit import DataFit, column
from wellposed.posterior.dpnp import posterior_prior
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.levels import Levels, default_levels
from wellposed.samplers.walk import Path, State, frame_path
from wellposed.schedules import linear_chain
from wellposed.schedules.grids import time_uniform, with_zero
from wellposed.task import Account, Reading, Task

Grid = Literal["ddpm", "log"]
ABLE = "wp.DPnP(), which needs no derivative of the prior and works with any likelihood"


class Plan(NamedTuple):
    """What a guided walk looks at."""

    path: Path
    prior: DiffusionPrior
    fit: DataFit
    weights: Levels  # of the loss's gradient, one a step
    unit: float

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.path.steps


class Guided(ABC):
    """Guided walks: methods differ in the loss and in its weight.

    Fields of every one: ``steps``, ``grid`` ("ddpm" or "log"), ``unit`` (see ``DPS``).
    """

    steps: int
    grid: Grid
    unit: float | None

    order: ClassVar[int | None] = None
    needs: ClassVar[str] = "differentiable denoiser, operator and likelihood"

    def prepare(self, task: Task) -> Plan:
        """Lay out levels and weights."""
        name = type(self).__name__
        prior, fit = posterior_prior(task, name), DataFit.of(task, name)
        require(
            fit.differentiable,
            f"{name} cannot work with {type(fit.operator).__name__} and "
            f"{type(fit.noise).__name__} noise",
            f"it needs: {self.needs}",
            f"these can: {ABLE}",
            error=CapabilityError,
        )
        unit = prior.sigma_data if self.unit is None else self.unit
        levels = guided_levels(prior, self.steps, self.grid, unit)
        weights = tuple(self.length(*pair, unit) for pair in pairwise(levels))
        path = frame_path(task, levels, [1] * self.steps)
        return Plan(path, prior, fit, weights, unit)

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from noise."""
        return State(plan.path.begin(stream), None, 0, stream)

    def step(self, plan: Plan, state: State) -> State:
        """One ancestral step, and one against the misfit of the denoised signal."""
        k, z = state.step, state.y
        high, low = plan.path.levels[k : k + 2]
        keep = (low / high) ** 2
        at, x0 = tracked(plan.prior, z, high)
        seen = x0.detach()
        slope = torch.autograd.grad(x0, at, self.slope(plan, seen, state))[0]
        z = torch.lerp(seen, z, keep).sub_(slope, alpha=plan.weights[k])
        if low > 0:
            noise = state.stream.normal(z.shape, "step", k, dtype=z.dtype, device=z.device)
            z = z.add_(noise, alpha=low * math.sqrt(1 - keep))
        return State(z, seen, k + 1, state.stream)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return z, the denoised signal, and what was spent."""
        done = state.step
        account = Account(gradients=self.looks * done, jacobians=done)
        return plan.path.read(state.y, state.x0, done)._replace(account=account)

    @property
    def looks(self) -> int:
        """Gradients of the log-likelihood in a step."""
        return 1

    @abstractmethod
    def length(self, high: float, low: float, unit: float) -> float:
        """Return the weight of the loss's gradient between two levels."""

    @abstractmethod
    def slope(self, plan: Plan, x0: Tensor, state: State) -> Tensor:
        """Return the gradient of the loss in the denoised signal, [B, *shape]."""


def tracked(prior: DiffusionPrior, z: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return z and D(z, sigma) with the graph between them.

    Raises
    ------
    CapabilityError
        The denoiser leaves torch on the way.
    """
    with torch.enable_grad():
        at = z.detach().requires_grad_()
        x0 = prior.denoise(at, sigma)
    require(
        x0.requires_grad,
        "the denoiser cannot be differentiated",
        "guidance carries the data's gradient back through it",
        f"keep it in torch without detach() or no_grad(), or use {ABLE}",
        error=CapabilityError,
    )
    return at, x0


def misfit_norm(loss: Tensor, fit: DataFit) -> tuple[Tensor, Tensor]:
    """Return sqrt(2 loss / c) of each item, [B], and its derivative in the loss (0 at 0)."""
    bound = fit.noise.curvature_bound
    scale = 2 / (fit.power * (1.0 if bound is None else bound))
    norm = (scale * loss.clamp_min(0)).sqrt()
    return norm, torch.where(norm > 0, 0.5 * scale / norm, 0.0)


def misfit(fit: DataFit, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return M and its gradient at each item, [B] and [B, *shape]."""
    seen = fit.look(x)
    peak = fit.power * fit.noise.peak(fit.y[None]).double()
    return peak - seen.log_prob, -seen.gradient


def norm_weight(length: float, high: float, low: float, unit: float) -> float:
    """Return the weight of a norm's gradient for a published step length."""
    return length * unit * math.hypot(1, high / unit) * math.hypot(1, low / unit)


def scaled(gradient: Tensor, factor: Tensor) -> Tensor:
    """Multiply each item [B, *shape] by its own number [B]."""
    return gradient * column(factor, gradient)


def guided_levels(prior: DiffusionPrior, steps: int, grid: Grid, unit: float) -> Levels:
    """Return the steps + 1 levels of a guided walk; the last is zero.

    "ddpm": equal times of DDPM's linear chain of 1000 steps, in multiples of the unit (its very
    levels at 1000 steps); "log": as in ``wp.sample``. The ends give way where the denoiser does
    not cover them.

    Examples
    --------
    >>> import wellposed as wp
    >>> [round(s, 2) for s in guided_levels(wp.Gaussian([0.0], 1.0), 4, "ddpm", 1.0)]
    [157.41, 9.49, 1.46, 0.01, 0.0]
    """
    if grid == "log":
        return default_levels(prior, steps)
    return _chain_levels(steps, unit, prior.sigma_min, prior.sigma_max)


def check_walk(steps: int, grid: str, unit: float | None) -> None:
    """Check the fields of every guided walk."""
    whole(steps, "steps", 2)
    known = get_args(Grid)
    require(grid in known, f"grid is {grid!r}, expected one of {', '.join(known)}")
    if unit is not None:
        within(unit, "unit", 0, open_low=True)


@lru_cache
def _chain_levels(steps: int, unit: float, lowest: float, highest: float) -> Levels:
    process = linear_chain().process
    low, high = process.sigma_range
    low, high = max(low, lowest / unit), min(high, highest / unit)
    require(
        low < high,
        f"unit is {unit:g}, and the denoiser covers {highest:g} to {lowest:g}",
        "no level of the chain lies inside",
        "take the prior's spread for the unit, which is the default",
    )
    times = process.time(high), process.time(low)
    return tuple(unit * s for s in with_zero(time_uniform(process, steps, *times)).tolist())
