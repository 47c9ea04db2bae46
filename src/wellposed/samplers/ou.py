"""Exponential integrator of the reversed Ornstein-Uhlenbeck process.

Source     S. Chen, S. Chewi, J. Li, Y. Li, A. Salim, A. Zhang, "Sampling is as easy as learning
           the score", ICLR 2023, equation (5) of the lecture on it.
Model      dX = -X dt + sqrt(2) dB, law q_t at time t; reversed, dX = (X + 2 grad ln q_{T-t}) dt
           + sqrt(2) dB.
Update     with the score frozen over a step of length h, from time t to t - h,
           X' = e^h X + 2 (e^h - 1) s_t(X) + sqrt(e^(2 h) - 1) n
           On the chain alpha = e^(-2 h):  e^h = alpha^(-1/2), e^(2 h) - 1 = beta / alpha.
Cost       one denoiser evaluation a step.
Guarantee  TV <= C (sqrt(KL(q | N(0, I))) e^-T + (L sqrt(d h) + L m h) sqrt(T)), L the Lipschitz
           constant of the scores, m^2 the second moment; through Girsanov a computable bound.
Fails      data with fine structure: near t = 0 uniform steps are too long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import expm1, log
from typing import ClassVar

from torch import Tensor

from wellposed.checks import whole, within
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.samplers.chain_score import look
from wellposed.samplers.levels import chain_levels
from wellposed.samplers.pieces import Map, Moved, Noise
from wellposed.samplers.walk import Plan, Walk, chain_walk
from wellposed.schedules import Chain
from wellposed.task import Task


@dataclass(frozen=True)
class ExponentialOU(Walk):
    """Stochastic sampler with equal steps in the time of the OU process.

    Parameters
    ----------
    steps
        Number of steps N, >= 1.
    horizon
        Time T > 0 at which the walk starts, at N(0, I); it ends at time zero.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.ExponentialOU(50), n=3).evaluations
    50
    """

    steps: int = 200
    horizon: float = 4.0

    order: ClassVar[int] = 1
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Chen, Chewi, Li, Li, Salim & Zhang, ICLR 2023"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        within(self.horizon, "horizon", 0, open_low=True)

    def prepare(self, task: Task) -> Plan:
        """Lay out the times."""
        chain = chain_levels(task, "ExponentialOU", self.steps, self._chain)
        return chain_walk(task, chain, [_pieces(task.prior, chain, t) for t in chain.steps])

    def _chain(self, steps: int) -> Chain:
        h = self.horizon / steps
        return Chain.from_betas([-expm1(-2 * h)] * steps)


def _pieces(prior: DiffusionPrior, chain: Chain, t: int) -> tuple[Map, Noise]:
    h = -0.5 * log(chain.alpha[t])
    return Map(partial(_drift, prior, chain, t, expm1(h))), Noise(expm1(2 * h) ** 0.5)


def _drift(prior: DiffusionPrior, chain: Chain, t: int, growth: float, x: Tensor) -> Moved:
    """e^h x + 2 (e^h - 1) s_t(x), growth = e^h - 1."""
    x0, score = look(prior, chain, x, t)
    return Moved((1 + growth) * x + 2 * growth * score, x0)
