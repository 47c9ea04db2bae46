"""Denoising diffusion probabilistic model (DDPM), the stochastic sampler of the theorems.

Source     J. Ho, A. Jain, P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020;
           G. Li, Y. Wei, Y. Chen, Y. Chi, "Towards non-asymptotic convergence for
           diffusion-based generative models", ICLR 2024.
Chain      X_t = sqrt(alpha_t) X_{t-1} + sqrt(beta_t) n,  alpha_t = 1 - beta_t.
Update     Y_{t-1} = (Y_t + beta_t s_t(Y_t)) / sqrt(alpha_t) + v_t n,  t = T, ..., 1
           v_t^2 = beta_t                                                   "beta"
                   beta_t / alpha_t                                         "scaled"
                   beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t)         "posterior"
Cost       one denoiser evaluation a step.
Guarantee  total variation at most of order d / sqrt(T) (up to logs; d^2 / sqrt(T) in the talk)
           with exact scores. On mixtures it falls like 1/T.
Fails      few steps (T < 100): use a multistep ODE solver. "beta" and "scaled" add noise in the
           last step too: the result is X_1, not X_0, so beta_1 should be small.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, get_args

from torch import Tensor

from wellposed.checks import require, whole
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.samplers.chain_score import look
from wellposed.samplers.levels import chain_levels
from wellposed.samplers.pieces import Map, Moved, Noise
from wellposed.samplers.walk import Plan, Walk, chain_walk
from wellposed.schedules import Chain, theory_chain
from wellposed.task import Task

Variance = Literal["beta", "scaled", "posterior"]


@dataclass(frozen=True)
class DDPM(Walk):
    """Stochastic sampler on a chain.

    Parameters
    ----------
    steps
        Length T of the chain; the default chain, ``theory_chain(T)``, needs T >= 17.
    variance
        Of the noise of a step: "beta" (the talks'), "scaled", or "posterior" (the variance of
        X_{t-1} given X_t and X_0).

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.DDPM(50), n=3).evaluations
    50
    """

    steps: int = 1000
    variance: Variance = "beta"

    order: ClassVar[int] = 1
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Ho, Jain & Abbeel, NeurIPS 2020"
    needs: ClassVar[str] = "denoiser"

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        known = get_args(Variance)
        require(
            self.variance in known,
            f"variance is {self.variance!r}, expected one of {', '.join(known)}",
        )

    def prepare(self, task: Task) -> Plan:
        """Lay out the chain."""
        chain = chain_levels(task, "DDPM", self.steps, theory_chain)
        return chain_walk(task, chain, [self._pieces(task.prior, chain, t) for t in chain.steps])

    def _pieces(self, prior: DiffusionPrior, chain: Chain, t: int) -> tuple[Map, Noise]:
        return Map(partial(_drift, prior, chain, t)), Noise(self._variance(chain, t) ** 0.5)

    def _variance(self, chain: Chain, t: int) -> float:
        beta = chain.beta[t]
        if self.variance == "beta":
            return beta
        if self.variance == "scaled":
            return beta / chain.alpha[t]
        return beta * (chain.b[t - 1] / chain.b[t]) ** 2


def _drift(prior: DiffusionPrior, chain: Chain, t: int, y: Tensor) -> Moved:
    """(y + beta_t s_t(y)) / sqrt(alpha_t)."""
    x0, score = look(prior, chain, y, t)
    return Moved((y + chain.beta[t] * score) / chain.alpha[t] ** 0.5, x0)
