"""What the convergence theorems assume, measured: A1 to A3 of the lecture.

A1   every score grad log q_t of the OU process is L-Lipschitz
A2   E_q |x|^2 = m^2 is finite
A3   E_{q_t} |shat_t - s_t|^2 <= eps^2 at every t; for deterministic samplers also the Jacobians,
     E_{q_t} |J shat_t - J s_t|^2
Method     draws of the exact prior. The Jacobian of the score is symmetric,
           J = (D' - I) / b^2 with D' the denoiser's, so its norm comes from power iteration with
           Jacobian-vector products and no matrix.
Fails      a maximum over draws is a lower bound of L: the steepest place may be rare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from wellposed.checks import require, whole, within
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.exact import ExactPrior
from wellposed.rng import Stream
from wellposed.schedules.processes import OU

EARLIEST = 1e-3  # times; below it D' - I has lost its digits
TIMES = tuple(EARLIEST * 4000 ** (k / 24) for k in range(25))  # to t = 4, by equal ratios
POWERS = 30


def lipschitz(
    prior: ExactPrior, times: Sequence[float] = TIMES, *, samples: int = 2000, seed: int = 0
) -> float:
    """Measure L: the largest slope of the scores over draws and times (A1).

    Parameters
    ----------
    prior
        The data.
    times
        Of the OU process, each >= 1e-3.
    samples, seed
        Draws at each time.

    Examples
    --------
    >>> from wellposed.priors import Gaussian
    >>> prior = Gaussian(torch.zeros(3, dtype=torch.float64), 0.25)
    >>> round(lipschitz(prior), 2)  # 1 / (0.25 e^-2t + 1 - e^-2t) at the earliest time
    3.98
    """
    whole(samples, "samples")
    return max(_slope_at(prior, t, samples, seed) for t in times)


def _slope_at(prior: ExactPrior, t: float, samples: int, seed: int) -> float:
    within(t, "time", EARLIEST, why="at smaller times the slope is rounding")
    x = draws(prior, t, samples, seed)
    v = Stream(seed).normal(x.shape, "direction")
    length = torch.zeros(())
    for _ in range(POWERS if x[0].numel() > 1 else 1):
        v = v / _norm(v)
        v = score_jvp(prior, x, t, v)
        length = _norm(v)
    return float(length.max())


def second_moment(prior: ExactPrior, *, samples: int = 100_000, seed: int = 0) -> float:
    """Estimate m = sqrt(E |x|^2) from draws (A2).

    Examples
    --------
    >>> from wellposed.priors import Gaussian
    >>> round(second_moment(Gaussian(torch.zeros(4, dtype=torch.float64), 1.0)), 1)
    2.0
    """
    whole(samples, "samples")
    return math.sqrt(float(prior.sample(samples, seed).double().flatten(1).square().sum(1).mean()))


def score_error(
    prior: ExactPrior, wrong: DiffusionPrior, time: float, *, samples: int = 20_000, seed: int = 0
) -> float:
    """Measure the L2 error of a score under q_t (A3).

    Parameters
    ----------
    prior
        The data.
    wrong
        Whose score is judged.
    time
        t > 0, of the OU process.
    samples, seed
        Draws of q_t.

    Examples
    --------
    >>> from wellposed.priors import Gaussian
    >>> prior = Gaussian(torch.zeros(2, dtype=torch.float64), 1.0)
    >>> score_error(prior, prior, 0.5)
    0.0
    """
    x = draws(prior, time, samples, seed)
    gap = _score(wrong, x, time) - _score(prior, x, time)
    return math.sqrt(float(gap.flatten(1).square().sum(1).mean()))


def jacobian_error(
    prior: ExactPrior, wrong: DiffusionPrior, time: float, *, samples: int = 20_000, seed: int = 0
) -> float:
    """Measure the L2 error of a score's Jacobian under q_t, in the Frobenius norm.

    From one random direction a draw: E |(J shat - J s) v|^2 = |J shat - J s|_F^2 for v ~ N(0, I);
    on the line exactly the direction 1.

    Examples
    --------
    >>> from wellposed.priors import Gaussian
    >>> prior = Gaussian(torch.zeros(2, dtype=torch.float64), 1.0)
    >>> jacobian_error(prior, prior, 0.5)
    0.0
    """
    x = draws(prior, time, samples, seed)
    v = torch.ones_like(x) if x[0].numel() == 1 else Stream(seed).normal(x.shape, "direction")
    gap = score_jvp(wrong, x, time, v) - score_jvp(prior, x, time, v)
    return math.sqrt(float(gap.flatten(1).square().sum(1).mean()))


def draws(prior: ExactPrior, time: float, samples: int, seed: int) -> Tensor:
    """Draw from q_t, the OU process at time t, [samples, *shape], float64."""
    whole(samples, "samples")
    require(time > 0, f"time is {time!r}, expected a number > 0")
    x0 = prior.sample(samples, seed).to(torch.float64)
    return OU().a(time) * x0 + OU().b(time) * Stream(seed).normal(x0.shape, "forward")


def score_jvp(prior: DiffusionPrior, x: Tensor, time: float, v: Tensor) -> Tensor:
    """Return the Jacobian of grad log q_t at x times v."""
    a, sigma = OU().a(time), OU().sigma(time)
    product: Tensor = (prior.denoise_jvp(x / a, sigma, v) - v) / (a * sigma) ** 2
    return product


def _score(prior: DiffusionPrior, x: Tensor, time: float) -> Tensor:
    a = OU().a(time)
    return prior.score(x / a, OU().sigma(time)) / a


def _norm(v: Tensor) -> Tensor:
    length: Tensor = v.flatten(1).norm(dim=1).clamp_min(1e-300)
    return length.reshape(-1, *[1] * (v.ndim - 1))
