"""The probability-flow Euler step, the deterministic sampler of the theorems.

Source     Y. Song et al., "Score-based generative modeling through stochastic differential
           equations", ICLR 2021; G. Li, Y. Wei, Y. Chen, Y. Chi, ICLR 2024; G. Li, Y. Wei,
           Y. Chi, Y. Chen, "A sharp convergence theory for the probability flow ODEs of
           diffusion models", arXiv:2408.02320.
Chain      X_t = sqrt(alpha_t) X_{t-1} + sqrt(beta_t) n,  alpha_t = 1 - beta_t.
Update     Y_{t-1} = (Y_t + (beta_t / 2) s_t(Y_t)) / sqrt(alpha_t),  t = T, ..., 1
           The theorems call it DDIM-type; it differs from DDIM by O(beta_t^2) a step, since it
           takes beta_t / 2 for 1 - sqrt(alpha_t).
Cost       one denoiser evaluation a step.
Guarantee  total variation at most of order d / T (up to logs) with exact scores.
Fails      few steps: beta_t must be small. DDIM has the same order and a smaller error.
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
from wellposed.samplers.pieces import Map, Moved
from wellposed.samplers.walk import Plan, Walk, chain_walk
from wellposed.schedules import Chain, theory_chain
from wellposed.task import Task


@dataclass(frozen=True)
class PFEuler(Walk):
    """Euler steps of the probability flow on a chain, exactly as in the talks.

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
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.PFEuler(50), n=3).evaluations
    50
    """

    steps: int = 200

    order: ClassVar[int] = 1
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Li, Wei, Chen & Chi, ICLR 2024"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")

    def prepare(self, task: Task) -> Plan:
        """Lay out the chain."""
        chain = chain_levels(task, "PFEuler", self.steps, theory_chain)
        pieces = [(Map(partial(_move, task.prior, chain, t)),) for t in chain.steps]
        return chain_walk(task, chain, pieces)


def _move(prior: DiffusionPrior, chain: Chain, t: int, y: Tensor) -> Moved:
    """(y + (beta_t / 2) s_t(y)) / sqrt(alpha_t)."""
    x0, score = look(prior, chain, y, t)
    return Moved((y + chain.beta[t] / 2 * score) / chain.alpha[t] ** 0.5, x0)
