"""The accelerated deterministic sampler with exactly integrated coefficients, for few steps.

Source     "Scheme 2" of G. Li, Y. Huang, T. Efimov, Y. Wei, Y. Chi, Y. Chen, "Accelerating
           convergence of score-based diffusion models, provably", ICML 2024, before its
           coefficients are linearised; the integrals are ours.
Chain      X_t = sqrt(alpha_t) X_{t-1} + sqrt(beta_t) n; g = alpha_bar is the time of the flow.
Update     X(g) = X(g_t) sqrt(g / g_t) + (sqrt(g) / 2) int_{g_t}^g s_u(X(u)) u^(-3/2) du,
           s_u = s + (u - g_t) (s - s') / (g_t - g_{t+1}),  s' kept from the step before:
           Y_{t-1} = Y_t / sqrt(alpha_t) + (sqrt(g) / 2) (I0 s + I1 (s - s') / (g_t - g_{t+1}))
           I0 = 2 (g_t^(-1/2) - g^(-1/2)),  I1 = 2 (sqrt(g) - sqrt(g_t))^2 / sqrt(g),
           g = alpha_bar_{t-1}. The first step has no s' and drops I1.
Cost       one denoiser evaluation a step.
Guarantee  second order. The theorem of the paper is about the linearised form.
Fails      from about ten steps on DPMSolverPP2M, which extrapolates the denoiser in log sigma at
           the same cost, is more accurate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import torch

from wellposed.checks import whole
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.accelerated_ode import Memory
from wellposed.samplers.chain_score import look
from wellposed.samplers.levels import chain_levels, default_levels
from wellposed.samplers.walk import Path, chain_path
from wellposed.schedules import Chain
from wellposed.task import Reading, Task


class Plan(NamedTuple):
    """Coefficients of y, s and s' - one row a step, t = T, ..., 1."""

    path: Path
    prior: DiffusionPrior
    chain: Chain
    table: tuple[tuple[float, float, float], ...]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.path.steps


@dataclass(frozen=True)
class AcceleratedODEExact:
    """Second-order deterministic sampler, usable from five steps on.

    Parameters
    ----------
    steps
        Number of steps, >= 1; without ``sigmas`` they are log-uniform in the noise level.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.AcceleratedODEExact(10), n=3).evaluations
    10
    """

    steps: int = 20

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Li, Huang, Efimov, Wei, Chi & Chen, ICML 2024"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")

    def prepare(self, task: Task) -> Plan:
        """Integrate the coefficients."""
        make = partial(_log_uniform_chain, task)
        chain = chain_levels(task, "AcceleratedODEExact", self.steps, make)
        table = tuple(_coefficients(chain, t) for t in chain.steps)
        return Plan(chain_path(task, chain, [1] * chain.length), task.prior, chain, table)

    def init(self, plan: Plan, stream: Stream) -> Memory:
        """Start from noise, or from the given start."""
        return Memory(plan.path.begin(stream), None, None, 0)

    def step(self, plan: Plan, state: Memory) -> Memory:
        """Integrate the line through this score and the one before."""
        x0, score = look(plan.prior, plan.chain, state.y, plan.chain.length - state.step)
        keep, drift, slope = plan.table[state.step]
        y = torch.add(keep * state.y, score, alpha=drift)
        if state.score is not None:
            y = y.add(score - state.score, alpha=slope)
        return Memory(y, score, x0, state.step + 1)

    def read(self, plan: Plan, state: Memory) -> Reading:
        """Return z and the last estimate of x0."""
        return plan.path.read(state.y, state.x0, state.step)


def _coefficients(chain: Chain, t: int) -> tuple[float, float, float]:
    """Coefficients of y, s, and s - s'."""
    root, root_to = chain.a[t], chain.a[t - 1]  # sqrt(g_t), sqrt(g)
    frozen = 2 * (1 / root - 1 / root_to)
    sloped = 2 * (root_to - root) ** 2 / root_to
    gap = chain.alpha_bar[t] - chain.alpha_bar[t + 1]
    return chain.alpha[t] ** -0.5, root_to / 2 * frozen, root_to / 2 * sloped / gap


def _log_uniform_chain(task: Task, steps: int) -> Chain:
    return Chain.from_sigmas(default_levels(task.prior, steps))
