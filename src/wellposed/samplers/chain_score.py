"""The score on a chain, through the denoiser: what every chain method looks at."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from wellposed.priors.diffusion import DiffusionPrior
from wellposed.schedules import Chain


class Look(NamedTuple):
    """One evaluation of the denoiser at (y, t), read in two ways."""

    x0: Tensor  # [B, *shape]: E[X_0 | X_t = y]
    score: Tensor  # [B, *shape]: gradient of log p(X_t = y)


def look(prior: DiffusionPrior, chain: Chain, y: Tensor, t: int) -> Look:
    """Return E[X_0 | X_t = y] and the score s_t(y) = (a_t x0 - y) / b_t^2.

    The score goes through x0, not the other way round: its rounding error of about
    eps |y| / b^2 only ever meets factors of at most b^2, while x0 from the score would cancel
    at large noise.

    Examples
    --------
    >>> import torch
    >>> from wellposed.priors import Gaussian
    >>> look(Gaussian([0.0], 1.0), Chain.from_betas([0.5]), torch.tensor([[2.0]]), 1).score
    tensor([[-2.]])
    """
    x0 = chain.denoise(prior, y, t)
    return Look(x0, (chain.a[t] * x0 - y) / chain.b[t] ** 2)
