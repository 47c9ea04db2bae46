"""Starting points.

Spectral start     L_0 = U sqrt(S), R_0 = V sqrt(S) with U S V^T the leading triplets of
                   A*(y) / gain, an unbiased estimate of M (Tong, Ma & Chi, JMLR 2021).
Truncated start    the same from the measurements that are not gross: |y_k| below a quantile
                   (Tong, Ma & Chi, TSP 2021) or a multiple of the median (Li et al., 2020).
Small random start X_0 ~ alpha N(0, 1/n) (Xu, Shen, Chi & Ma, ICML 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.linalg import randomized_svd
from wellposed.lowrank.setting import Factors, Setting, symmetrize
from wellposed.rng import Stream


def spectral_start(setting: Setting, stream: Stream, keep: Tensor | None = None) -> Factors:
    """Return balanced factors of the rank-r part of A*(y) / gain.

    Parameters
    ----------
    setting
        Operator, measurements, gain, rank.
    stream
        Randomness of the SVD's first block.
    keep
        0/1 weights of the measurements, in the shape of y; the others are left out.
    """
    y, share = setting.y, 1.0
    if keep is not None:
        y, share = y * keep, float(keep.mean())
        require(share > 0, "no measurement is left for the spectral start")
    matrix = setting.operator.start_matrix(y)
    scale = 1 / (setting.gain * share)
    if setting.symmetric:
        return _positive_part(matrix, setting.rank, scale, stream)
    u, s, v = randomized_svd(matrix, setting.rank, stream)
    root = (s * scale).sqrt()
    return Factors(u * root, v * root)


def _positive_part(matrix: object, rank: int, scale: float, stream: Stream) -> Factors:
    """Leading non-negative eigenpairs of (Z + Z^T)/2, by Rayleigh-Ritz on a Krylov block."""
    n = matrix.shape[0]  # type: ignore[attr-defined]
    extra = min(rank + 5, n)
    basis = randomized_svd(matrix, extra, stream).u  # type: ignore[arg-type]
    small = basis.mT @ symmetrize(matrix, basis)
    values, vectors = torch.linalg.eigh((small + small.mT) / 2)
    top = values.argsort(descending=True)[:rank]
    factor = basis @ vectors[:, top] * (values[top].clamp_min(0) * scale).sqrt()
    factor = factor.contiguous()
    return Factors(factor, factor)


def quantile_keep(y: Tensor, fraction: float) -> Tensor:
    """Return 1 for all but the ``fraction`` largest |y|, else 0."""
    within(fraction, "fraction", 0, 1, open_high=True)
    count = y.numel() - int(fraction * y.numel())
    bound = y.abs().flatten().kthvalue(count).values
    return (y.abs() <= bound).to(y.dtype)


def median_keep(y: Tensor, multiple: float = 3.0) -> Tensor:
    """Return 1 where |y| <= multiple * median|y|, else 0."""
    within(multiple, "multiple", 0, open_low=True)
    return (y.abs() <= multiple * y.abs().median()).to(y.dtype)


def small_random_start(
    shape: tuple[int, int], rank: int, alpha: float, stream: Stream, like: Tensor, symmetric: bool
) -> Factors:
    """Return factors with N(0, alpha^2 / n) entries."""
    kind = {"dtype": like.dtype, "device": like.device}
    left = stream.normal((shape[0], rank), "left", **kind) * (alpha / shape[0] ** 0.5)  # type: ignore[arg-type]
    if symmetric:
        return Factors(left, left)
    right = stream.normal((shape[1], rank), "right", **kind) * (alpha / shape[1] ** 0.5)  # type: ignore[arg-type]
    return Factors(left, right)
