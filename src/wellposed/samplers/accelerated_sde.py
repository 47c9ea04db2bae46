"""Provably accelerated stochastic sampler (training-free, one score a step).

Source     G. Li, Y. Huang, T. Efimov, Y. Wei, Y. Chi, Y. Chen, "Accelerating convergence of
           score-based diffusion models, provably", ICML 2024.
Chain      X_t = sqrt(alpha_t) X_{t-1} + sqrt(beta_t) n,  alpha_t = 1 - beta_t.
Update     u       = Y_t + sqrt(beta_t / 2) n1
           Y_{t-1} = (u + beta_t s_t(u) + sqrt(beta_t / 2) n2) / sqrt(alpha_t)
           The score at the noised point u supplies the Jacobian term of the paper's covariance,
           beta_t (I + (beta_t / 2) J)^2 with J the Jacobian of s_t, without forming it.
Cost       one denoiser evaluation a step.
Guarantee  total variation at most of order d^3 / T (up to logs) with exact scores; DDPM's bound
           is d / sqrt(T). On mixtures both fall like 1/T, this one with a smaller constant; on
           Gaussian data like 1/T^2.
Fails      few steps (T < 50): use a multistep ODE solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from wellposed.checks import whole
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.samplers.chain_score import look
from wellposed.samplers.levels import chain_levels
from wellposed.samplers.pieces import Map, Moved, Noise, Piece
from wellposed.samplers.walk import Plan, Walk, chain_walk
from wellposed.schedules import Chain, theory_chain
from wellposed.task import Task


@dataclass(frozen=True)
class AcceleratedSDE(Walk):
    """Stochastic sampler with a second-order covariance.

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
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.AcceleratedSDE(50), n=3).evaluations
    50
    """

    steps: int = 200

    order: ClassVar[int] = 1
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Li, Huang, Efimov, Wei, Chi & Chen, ICML 2024"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")

    def prepare(self, task: Task) -> Plan:
        """Lay out the chain."""
        chain = chain_levels(task, "AcceleratedSDE", self.steps, theory_chain)
        return chain_walk(task, chain, [_pieces(task.prior, chain, t) for t in chain.steps])


def _pieces(prior: DiffusionPrior, chain: Chain, t: int) -> tuple[Piece, ...]:
    half = (chain.beta[t] / 2) ** 0.5
    drift = partial(_drift, prior, chain, t)
    return Noise(half), Map(drift), Noise(half / chain.alpha[t] ** 0.5)


def _drift(prior: DiffusionPrior, chain: Chain, t: int, u: Tensor) -> Moved:
    """(u + beta_t s_t(u)) / sqrt(alpha_t)."""
    x0, score = look(prior, chain, u, t)
    return Moved((u + chain.beta[t] * score) / chain.alpha[t] ** 0.5, x0)
