"""DPM-Solver++(2M): the second-order multistep solver, the practical default.

Source     C. Lu, Y. Zhou, F. Bao, J. Chen, C. Li, J. Zhu, "DPM-Solver++: fast solver for guided
           sampling of diffusion probabilistic models", arXiv:2211.01095.
Model      dz / d lambda = D(z, sigma) - z  in  lambda = -log sigma, variance-exploding frame.
Update     h = log(sigma / sigma'), h_last that of the step before, D_last its denoiser value:
           B  = D + (h / (2 h_last)) (D - D_last)      the denoiser half a step ahead
           z' = B + (sigma' / sigma) (z - B)           exact for a constant B
           The first step, and a last step to zero, take B = D.
Cost       one denoiser evaluation a step, two vector operations.
Guarantee  second order.
Fails      very few steps over a wide range: below five, nothing extrapolates well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import whole
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.levels import Levels, check_covered, frame_levels
from wellposed.samplers.walk import Path, frame_path
from wellposed.task import Reading, Task


class Plan(NamedTuple):
    """Coefficients, one entry a step."""

    path: Path
    prior: DiffusionPrior
    ahead: Levels  # 1 + h / (2 h_last): B = D_last + ahead (D - D_last)
    keep: Levels  # sigma' / sigma

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.path.steps


class State(NamedTuple):
    """Where the chains are, and what the denoiser saw last."""

    z: Tensor  # [B, *shape]
    x0: Tensor | None  # [B, *shape]: the denoiser's value of the step before
    step: int


@dataclass(frozen=True)
class DPMSolverPP2M:
    """Second-order sampler with one evaluation a step; able to encode.

    Parameters
    ----------
    steps
        Number of steps, >= 1.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.DPMSolverPP2M(10), n=3).evaluations
    10
    """

    steps: int = 20

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Lu, Zhou, Bao, Chen, Li & Zhu, arXiv:2211.01095"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")

    def prepare(self, task: Task) -> Plan:
        """Tabulate the coefficients."""
        levels = frame_levels(task, "DPMSolverPP2M", self.steps, encodes=True)
        check_covered(task.prior, levels[:-1], "DPMSolverPP2M")
        keep = tuple(to / sigma for sigma, to in pairwise(levels))
        path = frame_path(task, levels, [1] * self.steps)
        return Plan(path, task.prior, _ahead(keep), keep)

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start from noise, or from the given start."""
        return State(plan.path.begin(stream), None, 0)

    def step(self, plan: Plan, state: State) -> State:
        """Extrapolate the denoiser by half a step, then step as if it were constant."""
        z, last, k = state
        x0 = plan.prior.denoise(z, plan.path.levels[k])
        middle = x0 if last is None else torch.lerp(last, x0, plan.ahead[k])
        return State(torch.lerp(middle, z, plan.keep[k]), x0, k + 1)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return z and the last estimate of x0."""
        return plan.path.read(state.z, state.x0, state.step)


def _ahead(keep: Levels) -> Levels:
    """Return 1 + h / (2 h_last); 1 in the first step and in a step to zero."""
    later = [1 + log(now) / (2 * log(before)) if now > 0 else 1.0 for before, now in pairwise(keep)]
    return (1.0, *later)
