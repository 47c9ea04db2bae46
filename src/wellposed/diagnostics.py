"""How well chains have mixed: split R-hat, effective sample size, Monte Carlo standard error.

Source     Vehtari, Gelman, Simpson, Carpenter & Buerkner, Bayesian Analysis 16(2), 2021;
           Geyer, Statistical Science 7, 1992 (initial monotone sequence).
Model      chains [M, N, *shape] of a stationary law; each is cut in two halves of n = N // 2.
R-hat      sqrt((n - 1) / n + B / (n W)), W the mean variance within halves, B n times the
           variance of their means; of the normal scores of the ranks, and of those of the
           distances from the median: the larger of the two is returned.
ESS        2 M n / tau, tau = -1 + 2 sum_k P_k (+ one last even term if positive): sums P_k of
           neighbouring autocorrelations, while they are positive, made non-increasing.
MCSE       standard deviation / sqrt(ESS)
Cost       a sort and a Fourier transform an element.
Fails      chains that never left one mode of several and all started in it: nothing that looks
           at chains alone can see that.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from scipy.stats import rankdata
from torch import Tensor

from wellposed.checks import finite, require

Kind = Literal["mean", "bulk", "tail"]
TAIL = (0.05, 0.95)


def r_hat(chains: Tensor) -> Tensor:
    """Return the rank-normalised split R-hat of each element: 1 where the chains agree.

    Parameters
    ----------
    chains
        [M, N, *shape], finite, N >= 4.

    Returns
    -------
    Tensor
        [*shape], float64; infinite where every chain stands still at a value of its own, 1
        where all stand still at the same.

    Raises
    ------
    InputError
        Too few draws, or a value that is not finite.

    Examples
    --------
    >>> from wellposed.rng import Stream
    >>> chains = Stream(0).normal((4, 500), "example")
    >>> round(float(r_hat(chains)), 2), bool(r_hat(chains + torch.arange(4)[:, None]) > 1.5)
    (1.0, True)
    """
    halves = _halves(_checked(chains))
    folded = (halves - halves.flatten(0, 1).quantile(0.5, dim=0)).abs()
    return torch.maximum(_plain_r_hat(_scores(halves)), _plain_r_hat(_scores(folded)))


def ess(chains: Tensor, kind: Kind = "mean") -> Tensor:
    """Return how many independent draws each element's chains are worth.

    Parameters
    ----------
    chains
        [M, N, *shape], finite, N >= 4.
    kind
        "mean": for the mean. "bulk": of the normal scores, which need no variance. "tail": the
        smaller one of the indicators of the 5 % and 95 % quantiles.

    Returns
    -------
    Tensor
        [*shape], float64; more than M N where draws are anti-correlated.

    Raises
    ------
    InputError
        Too few draws, a value that is not finite, or another kind.

    Examples
    --------
    >>> from wellposed.rng import Stream
    >>> white = Stream(0).normal((4, 1000), "example")
    >>> walk = white.cumsum(1)
    >>> bool(ess(white) > 3000), bool(ess(walk) < 100)
    (True, True)
    """
    chains = _checked(chains)
    require(kind in ("mean", "bulk", "tail"), f"kind is {kind!r}, expected mean, bulk or tail")
    if kind == "tail":
        edges = chains.flatten(0, 1).quantile(torch.tensor(TAIL, dtype=chains.dtype), dim=0)
        return torch.stack([_plain_ess(_halves((chains <= e).double())) for e in edges]).amin(0)
    halves = _halves(chains)
    return _plain_ess(_scores(halves) if kind == "bulk" else halves)


def mcse(chains: Tensor) -> Tensor:
    """Return the standard error of the chains' mean, [*shape], in the units of the draws.

    Parameters
    ----------
    chains
        [M, N, *shape], finite, N >= 4.

    Raises
    ------
    InputError
        Too few draws, or a value that is not finite.

    Examples
    --------
    >>> from wellposed.rng import Stream
    >>> round(float(mcse(Stream(0).normal((4, 2500), "example"))), 3)
    0.01
    """
    chains = _checked(chains)
    return chains.flatten(0, 1).std(0) / ess(chains).sqrt()


def _checked(chains: Tensor) -> Tensor:
    require(
        chains.ndim >= 2 and chains.shape[0] >= 1 and chains.shape[1] >= 4,
        f"chains have shape {list(chains.shape)}, expected [chains, draws, ...] with >= 4 draws",
        "each chain is cut in two, and a variance needs two draws",
    )
    finite(chains, "chains", "leave diverged chains out, and say so")
    return chains.double()


def _halves(chains: Tensor) -> Tensor:
    """[M, N, ...] to [2 M, N // 2, ...]; the middle draw of an odd number is left out."""
    half = chains.shape[1] // 2
    return torch.cat([chains[:, :half], chains[:, -half:]])


def _scores(halves: Tensor) -> Tensor:
    """Normal scores of the ranks over all chains, equal values sharing theirs."""
    flat = halves.flatten(0, 1)
    ranks = torch.from_numpy(rankdata(flat.cpu().numpy(), axis=0)).to(flat.device)
    scores: Tensor = torch.special.ndtri((ranks - 0.375) / (len(flat) + 0.25))
    return scores.reshape(halves.shape)


def _plain_r_hat(halves: Tensor) -> Tensor:
    n = halves.shape[1]
    within, between = halves.var(1).mean(0), n * halves.mean(1).var(0)
    still = torch.where(between > 0, math.inf, 1.0)
    moving = ((between / within + n - 1) / n).sqrt()
    return torch.where(within > 0, moving, still.to(halves.dtype))


def _plain_ess(halves: Tensor) -> Tensor:
    m, n = halves.shape[:2]
    covariance = _autocovariance(halves).mean(1)  # [n, ...]
    within = covariance[0] * n / (n - 1)
    total = covariance[0] + halves.mean(1).var(0)
    rho = 1 - (within - covariance) / total
    rho[0] = 1
    pairs = (n - 1) // 2 if n > 3 else 1  # the last even term needs a neighbour to be judged by
    sums = rho[0 : 2 * pairs : 2] + rho[1 : 2 * pairs : 2]
    kept = (sums > 0).cumprod(0).bool()
    kept[-1] = False
    first_left = kept.sum(0)[None]
    last = rho[0 : 2 * pairs : 2].gather(0, first_left)[0].clamp_min(0)
    falling = sums.cummin(0).values.where(kept, torch.zeros(()))
    tau = -1 + 2 * falling.sum(0) + last
    tau = tau.clamp_min(1 / math.log10(m * n))
    return torch.where(total > 0, m * n / tau, float(m * n))


def _autocovariance(halves: Tensor) -> Tensor:
    """[m, n, ...] to [n, m, ...]: sums over n - t products, divided by n."""
    n = halves.shape[1]
    off = (halves - halves.mean(1, keepdim=True)).transpose(0, 1)
    size = 1 << (2 * n - 1).bit_length()
    power = torch.fft.rfft(off, size, dim=0).abs().square()
    sums: Tensor = torch.fft.irfft(power, size, dim=0)[:n]
    return sums / n
