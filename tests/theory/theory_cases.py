"""Laws on the line, and samplers that are wrong on purpose."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from wellposed.rng import Stream
from wellposed.samplers.chain_score import look
from wellposed.samplers.levels import chain_levels
from wellposed.samplers.pieces import Map, Moved, Noise
from wellposed.samplers.walk import Walk, chain_walk
from wellposed.schedules import theory_chain
from wellposed.theory.line import LineMixture, random_mixture


def two_modes():
    """Unequal modes, neither centred nor of unit variance."""
    return LineMixture(np.array([0.7, 0.3]), np.array([-1.0, 2.0]), np.array([0.5, 0.3]))


def drawn_mixtures(count, seed):
    """Mixtures of three Gaussians with unit variance, as the measurements use them."""
    return [random_mixture(Stream(seed, item=k)) for k in range(count)]


@dataclass(frozen=True)
class WithoutAlpha(Walk):
    """AcceleratedODE without the factor sqrt(alpha_{t+1}) in the correction: first order."""

    steps: int

    def prepare(self, task):
        chain = chain_levels(task, "WithoutAlpha", self.steps, theory_chain)
        move = partial(_without_alpha, task.prior, chain)
        return chain_walk(task, chain, [(Map(partial(move, t), 2),) for t in chain.steps])


def _without_alpha(prior, chain, t, y):
    x0, score = look(prior, chain, y, t)
    above = chain.alpha[t + 1] ** 0.5 * (y - chain.beta[t + 1] / 2 * score)
    gap = score - look(prior, chain, above, t + 1).score
    weight = chain.beta[t] ** 2 / (4 * chain.beta[t + 1])
    return Moved((y + chain.beta[t] / 2 * score + weight * gap) / chain.alpha[t] ** 0.5, x0)


@dataclass(frozen=True)
class WithoutSecondNoise(Walk):
    """AcceleratedSDE with all its noise before the score: no order at all."""

    steps: int

    def prepare(self, task):
        chain = chain_levels(task, "WithoutSecondNoise", self.steps, theory_chain)
        return chain_walk(task, chain, [_all_before(task.prior, chain, t) for t in chain.steps])


def _all_before(prior, chain, t):
    return Noise(chain.beta[t] ** 0.5), Map(partial(_full_drift, prior, chain, t))


def _full_drift(prior, chain, t, u):
    x0, score = look(prior, chain, u, t)
    return Moved((u + chain.beta[t] * score) / chain.alpha[t] ** 0.5, x0)
