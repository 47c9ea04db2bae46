"""Provably accelerated deterministic sampler (training-free), analysed form and reuse form.

Source     G. Li, Y. Huang, T. Efimov, Y. Wei, Y. Chi, Y. Chen, "Accelerating convergence of
           score-based diffusion models, provably", ICML 2024.
Chain      X_t = sqrt(alpha_t) X_{t-1} + sqrt(beta_t) n,  alpha_t = 1 - beta_t,
           beta' = beta_{t+1},  alpha' = alpha_{t+1}.
Update     s       = s_t(Y_t)
           s'      = s_{t+1}(Y'),  Y' = sqrt(alpha') (Y_t - (beta' / 2) s)      analysed form
           s'      = s_{t+1}(Y_{t+1}), kept from the step before                reuse form
           Y_{t-1} = (Y_t + (beta_t / 2) s + (beta_t^2 / (4 beta')) (s - sqrt(alpha') s'))
                     / sqrt(alpha_t)
           (s - s') / beta' is the slope of the score along the flow; the factor sqrt(alpha')
           supplies beta_t^2 / 8 s, the next term of 1 - sqrt(alpha_t). Without it the sampler
           is of first order.
Cost       two denoiser evaluations a step (analysed), one (reuse; its first step is PFEuler's).
Guarantee  total variation at most of order d^6 / T^2 (up to logs) with exact scores, against
           d / T of PFEuler.
Fails      few steps (T < 50): the coefficients are linear in beta. Use AcceleratedODEExact or
           DPMSolverPP2M.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

from torch import Tensor

from wellposed.checks import whole
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.chain_score import look
from wellposed.samplers.levels import chain_levels, check_covered
from wellposed.samplers.pieces import Map, Moved
from wellposed.samplers.walk import Path, Plan, Walk, chain_path, chain_walk
from wellposed.schedules import Chain, theory_chain
from wellposed.task import Reading, Task


@dataclass(frozen=True)
class AcceleratedODE(Walk):
    """Second-order deterministic sampler in the form that the theorem is about.

    Parameters
    ----------
    steps
        Length T of the chain; the default chain, ``theory_chain(T)``, needs T >= 17. The score
        is also evaluated one level above the chain's first.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.AcceleratedODE(50), n=3).evaluations
    100
    """

    steps: int = 100

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 2
    reference: ClassVar[str] = "Li, Huang, Efimov, Wei, Chi & Chen, ICML 2024"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")

    def prepare(self, task: Task) -> Plan:
        """Lay out the chain."""
        chain = chain_levels(task, "AcceleratedODE", self.steps, theory_chain)
        check_covered(task.prior, chain.sigma[1:], "AcceleratedODE")
        pieces = [(Map(partial(_move, task.prior, chain, t), 2),) for t in chain.steps]
        return chain_walk(task, chain, pieces)


class ReusePlan(NamedTuple):
    """A chain, and the path along it."""

    path: Path
    prior: DiffusionPrior
    chain: Chain

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.path.steps


class Memory(NamedTuple):
    """Where the chains are, and the score of the step before: the state of both reuse forms."""

    y: Tensor  # [B, *shape], the chain's own scale
    score: Tensor | None  # [B, *shape]: s_{t+1}(Y_{t+1})
    x0: Tensor | None  # [B, *shape]: E[X_0 | Y_{t+1}]
    step: int


@dataclass(frozen=True)
class AcceleratedODEReuse:
    """Second-order deterministic sampler that reuses the score of the step before.

    Parameters
    ----------
    steps
        Length T of the chain; the default chain, ``theory_chain(T)``, needs T >= 17.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.AcceleratedODEReuse(50), n=3).evaluations
    50
    """

    steps: int = 100

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Li, Huang, Efimov, Wei, Chi & Chen, ICML 2024"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")

    def prepare(self, task: Task) -> ReusePlan:
        """Lay out the chain."""
        chain = chain_levels(task, "AcceleratedODEReuse", self.steps, theory_chain)
        return ReusePlan(chain_path(task, chain, [1] * chain.length), task.prior, chain)

    def init(self, plan: ReusePlan, stream: Stream) -> Memory:
        """Start from noise, or from the given start."""
        return Memory(plan.path.begin(stream), None, None, 0)

    def step(self, plan: ReusePlan, state: Memory) -> Memory:
        """Extrapolate the score from this point and the one before."""
        t = plan.chain.length - state.step
        x0, score = look(plan.prior, plan.chain, state.y, t)
        y = _extrapolate(plan.chain, t, state.y, score, state.score)
        return Memory(y, score, x0, state.step + 1)

    def read(self, plan: ReusePlan, state: Memory) -> Reading:
        """Return z and the last estimate of x0."""
        return plan.path.read(state.y, state.x0, state.step)


def _move(prior: DiffusionPrior, chain: Chain, t: int, y: Tensor) -> Moved:
    """One step of the analysed form."""
    x0, score = look(prior, chain, y, t)
    above = chain.alpha[t + 1] ** 0.5 * (y - chain.beta[t + 1] / 2 * score)
    return Moved(_extrapolate(chain, t, y, score, look(prior, chain, above, t + 1).score), x0)


def _extrapolate(chain: Chain, t: int, y: Tensor, score: Tensor, above: Tensor | None) -> Tensor:
    """Y_{t-1} from s_t(y) and s_{t+1}; without the latter, PFEuler's step."""
    beta, beta_above = chain.beta[t], chain.beta[t + 1]
    moved = y.add(score, alpha=beta / 2)
    if above is not None:
        slope = score.sub(above, alpha=chain.alpha[t + 1] ** 0.5)
        moved = moved.add(slope, alpha=beta**2 / (4 * beta_above))
    return moved.div(chain.alpha[t] ** 0.5)
