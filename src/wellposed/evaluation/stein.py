"""Kernel Stein discrepancy: draws against a law of which only the score is known.

Source     Liu, Lee & Jordan, ICML 2016; Chwialkowski, Strathmann & Gretton, ICML 2016;
           Gorham & Mackey, ICML 2017 (the inverse multiquadric kernel).
Model      k(x, y) = (c^2 + |x - y|^2)^(-1/2), s the score of the law,
           h(x, y) = s(x).s(y) k + s(x).grad_y k + s(y).grad_x k + tr(grad_x grad_y k)
Statistic  KSD^2 = mean of h over all pairs; E h(x, y) = 0 under the law for every x. The p-value
           comes from B sign flips, mean of w_i w_j h_ij, w = +-1: independent draws.
Score      of a posterior: the prior's at a small noise level, plus the gradient of log p(y | x).
           No truth and no exact draw is needed.
Cost       n^2 d
Guarantee  the p-value is asymptotically uniform under the law.
Fails      weights of modes that are far apart: the score does not know them. Many dimensions:
           the kernel sees all pairs as equally far, and power falls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, shaped, whole, within
from wellposed.errors import CapabilityError
from wellposed.noise import Likelihood
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.problem import Problem
from wellposed.rng import Stream


class Stein(NamedTuple):
    """A kernel Stein discrepancy.

    Attributes
    ----------
    discrepancy
        KSD >= 0, per unit of the score.
    p_value
        Share of sign flips that reach it: uniform on [0, 1] for independent exact draws.
    """

    discrepancy: float
    p_value: float


def stein_discrepancy(
    draws: Any,
    score: Callable[[Tensor], Tensor],
    *,
    scale: float | None = None,
    flips: int = 500,
    seed: int = 0,
) -> Stein:
    """Measure how far draws are from the law with this score.

    Parameters
    ----------
    draws
        [n, *shape], n >= 2, independent.
    score
        Gradient of the log density, [n, *shape] to [n, *shape].
    scale
        c of the kernel, > 0, in the units of the draws; None: their median distance.
    flips
        Sign flips behind the p-value, >= 1.
    seed
        Of the flips.

    Raises
    ------
    InputError
        Too few draws, or values that are not finite.

    Examples
    --------
    >>> import wellposed as wp
    >>> law = wp.Gaussian([0.0, 0.0], 1.0)
    >>> score = lambda x: law.score(x, 0.0)
    >>> draws = law.sample(200, seed=1)
    >>> stein_discrepancy(draws, score).p_value > 0.01
    True
    >>> stein_discrepancy(draws + 0.5, score).p_value < 0.01
    True
    """
    x = as_tensor(draws, "draws")
    require(
        x.ndim >= 2 and len(x) >= 2,
        f"draws have shape {list(x.shape)}, expected [n, ...] with n >= 2",
    )
    finite(x, "draws")
    whole(flips, "flips")
    s = score(x)
    shaped(s, "the score", x.shape)
    finite(s, "the score")
    flat = x.flatten(1).double()
    scale = float(torch.pdist(flat).median()) if scale is None else scale
    within(scale, "scale", 0, open_low=True)
    h = _stein_kernel(flat, s.flatten(1).double(), scale)
    total = float(h.mean())
    signs = 2 * (Stream(seed).uniform((flips, len(h)), "flips") < 0.5).double() - 1
    null = torch.einsum("bi,ij,bj->b", signs, h, signs) / len(h) ** 2
    beyond = int((null >= total).sum())
    return Stein(math.sqrt(max(total, 0.0)), (1 + beyond) / (1 + flips))


def posterior_score(
    problem: Problem, prior: DiffusionPrior, sigma: float | None = None
) -> Callable[[Tensor], Tensor]:
    """Return the score of the posterior as a function.

    Parameters
    ----------
    problem
        Its noise has a density, its operator can be differentiated.
    prior
        Its score is taken at the noise level ``sigma``.
    sigma
        >= the prior's smallest; None: that one, or a hundredth of its standard deviation where
        it knows no limit (the law is then the posterior of the slightly blurred prior).

    Raises
    ------
    CapabilityError
        The noise has no density.
    """
    noise, operator = problem.noise, problem.operator
    if not isinstance(noise, Likelihood):
        raise CapabilityError(
            f"the noise is {noise!r}, expected one with a density",
            "a posterior needs p(y | x)",
        )
    level = max(prior.sigma_min, 0.01 * prior.sigma_data) if sigma is None else sigma

    def score(x: Tensor) -> Tensor:
        pull = noise.gradient(problem.y[None].expand(len(x), *problem.y.shape), operator.forward(x))
        return prior.score(x, level) + operator.pullback(x, pull)

    return score


def _stein_kernel(x: Tensor, s: Tensor, c: float) -> Tensor:
    """All pairs of h, [n, n]."""
    square = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square() + c * c
    k = square.rsqrt()
    # grad_x k = -(x - y) k^3; tr(grad_x grad_y k) = d k^3 - 3 |x - y|^2 k^5
    along = (s * x).sum(1)[:, None] - s @ x.T  # s(x).(x - y)
    cross = k**3 * (along + along.T)
    trace = x.shape[1] * k**3 - 3 * (square - c * c) * k**5
    return (s @ s.T) * k + cross + trace
