"""The chains of the papers: DDPM's linear one, the cosine, the theorems', and uniform log-SNR."""

from __future__ import annotations

import math
from itertools import pairwise

import torch

from wellposed.checks import whole, within
from wellposed.schedules.chain import Chain
from wellposed.schedules.grids import theory_betas


def linear_chain(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Chain:
    """DDPM's chain (Ho et al., NeurIPS 2020): beta_t linear from ``first`` to ``last``.

    Parameters
    ----------
    steps
        T >= 2.
    first, last
        beta_1 and beta_T, in (0, 1).

    Examples
    --------
    >>> chain = linear_chain()
    >>> round(chain.sigma[1], 4), round(chain.sigma[1000], 1)
    (0.01, 157.4)
    """
    whole(steps, "steps", 2)
    slope = (last - first) / (steps - 1)
    betas = [first + slope * t for t in range(steps)]
    return Chain((0.0, *betas, min(last + slope, 0.5 * (1 + last))))


def cosine_chain(steps: int = 1000, offset: float = 0.008, largest: float = 0.999) -> Chain:
    """Cosine chain (Nichol & Dhariwal, ICML 2021): alpha_bar a squared cosine, beta capped.

    Parameters
    ----------
    steps
        T >= 2.
    offset
        s > 0: keeps the first betas from being too small.
    largest
        Cap on beta_t, in (0, 1).

    Examples
    --------
    >>> chain = cosine_chain()
    >>> round(chain.alpha_bar[500], 4), round(chain.beta[1000], 6)
    (0.4938, 0.999)
    """
    whole(steps, "steps", 2)
    within(offset, "offset", 0, open_low=True)
    within(largest, "largest", 0, 1, open_low=True, open_high=True)
    rate = math.pi / 2 / (1 + offset)
    angles = [rate * (t / steps + offset) for t in range(steps + 1)]
    # 1 - cos^2(v) / cos^2(u) as a product, exact for small steps
    betas = [
        min(math.sin(v - u) * math.sin(u + v) / math.cos(u) ** 2, largest)
        for u, v in pairwise(angles)
    ]
    return Chain((0.0, *betas, betas[-1]))


def theory_chain(steps: int, c0: float = 2.0, c1: float = 6.0) -> Chain:
    """The schedule of the convergence theorems (Li, Wei, Chen & Chi, ICLR 2024).

    beta_1 = T^-c0,  beta_t = h min(beta_1 (1 + h)^t, 1) for t >= 2,  h = c1 log(T) / T:
    beta grows by the factor 1 + h until it reaches h, then stays there, so that
    alpha_bar_T is about T^-(c1 - c0). Analysed samplers stop at t = 1.

    Parameters
    ----------
    steps
        T, large enough for h < 1: T >= 17 at the default c1.
    c0
        > 0: T^-c0 is the noise variance left at t = 1.
    c1
        > c0; the law of X_T differs from N(0, I) by about T^-((c1 - c0) / 2), so take
        c1 - c0 >= 2 for a first-order and >= 4 for a second-order sampler.

    Raises
    ------
    InputError
        h >= 1, c0 <= 0 or c1 <= c0.

    Examples
    --------
    >>> chain = theory_chain(50)
    >>> round(chain.beta[50], 4), round(chain.beta[1], 6)
    (0.4694, 0.0004)
    """
    return Chain((0.0, *theory_betas(steps, c0, c1)))


def log_snr_chain(steps: int, low: float = -10.0, high: float = 6.0) -> Chain:
    """Chain with log(alpha_bar / (1 - alpha_bar)) uniform on [low, high], T + 1 levels.

    Parameters
    ----------
    steps
        T >= 1.
    low, high
        Log signal-to-noise ratio at t = T and t = 0, low < high.

    Examples
    --------
    >>> chain = log_snr_chain(100)
    >>> round(chain.sigma[100], 3), round(chain.sigma[0], 6)
    (148.413, 0.049787)
    """
    whole(steps, "steps")
    within(high, "high", low, open_low=True)
    return Chain.from_sigmas(
        torch.linspace(-0.5 * low, -0.5 * high, steps + 1, dtype=torch.float64).exp()
    )
