"""Reading what users give as means, weights and covariances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require
from wellposed.errors import InputError
from wellposed.priors.bases import Rotated, Spectral
from wellposed.priors.covariance import LowRankPlusIdentity
from wellposed.priors.families import Diagonal, Family, Isotropic


def signal_array(value: Any, name: str, least: int) -> Tensor:
    """Read a real, finite array of at least ``least`` dimensions and one element."""
    tensor = as_tensor(value, name)
    require(
        tensor.is_floating_point(), f"{name} holds {tensor.dtype} values, expected real numbers"
    )
    wanted = "[*shape]" if least == 1 else "[K, *shape]"
    require(
        tensor.ndim >= least and tensor.numel() > 0,
        f"{name} has shape {list(tensor.shape)}, expected {wanted} with at least one element",
    )
    finite(tensor, name)
    return tensor


def probabilities(value: Any, name: str, count: int) -> Tensor:
    """Read ``count`` numbers >= 0 that sum to one."""
    tensor = as_tensor(value, name)
    require(
        tuple(tensor.shape) == (count,) and tensor.is_floating_point(),
        f"{name} has shape {list(tensor.shape)}, expected [{count}] real numbers",
        "each component has one weight",
    )
    finite(tensor, name)
    require(bool((tensor >= 0).all()), f"{name} holds {float(tensor.min()):g}, expected >= 0")
    total = float(tensor.double().sum())
    require(
        abs(total - 1) <= 1e-5,
        f"{name} sum to {total:.8g}, expected 1",
        "they are probabilities",
        "divide them by their sum",
    )
    return tensor


def one_covariance(value: Any, means: Tensor, shape: Sequence[int]) -> Family:
    """Read the covariance of a single Gaussian; means [1, d]."""
    d = means.shape[1]
    if isinstance(value, LowRankPlusIdentity):
        return _low_rank([value], means)
    given = _numbers(value, "covariance", means)
    if given.ndim == 0:
        return Isotropic(means, _positive(given.expand(1), "covariance"))
    if tuple(given.shape) in ((d,), tuple(shape)):
        return Diagonal(means, _positive(given.reshape(1, d), "covariance"))
    _matches("covariance", given, (d, d), f"one number, [{d}] or [{d}, {d}]")
    values, basis = _eigen(given[None], "covariance")
    return Rotated.of(means, basis[0], values[0])


def many_covariances(value: Any, means: Tensor, shape: Sequence[int]) -> Family:
    """Read the covariances of a mixture; means [K, d]."""
    count, d = means.shape
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], LowRankPlusIdentity):
        return _low_rank(value, means)
    given = _numbers(value, "covariances", means)
    if given.ndim <= 1 and tuple(given.shape) in ((), (count,)):
        return Isotropic(means, _positive(given.expand(count), "covariances"))
    if tuple(given.shape) == (count, *shape) and not _is_matrix(given, count, d):
        return Diagonal(means, _positive(given.reshape(count, d), "covariances"))
    if tuple(given.shape) == (count, d) and not _is_matrix(given, count, d):
        return Diagonal(means, _positive(given, "covariances"))
    if tuple(given.shape) == (d, d):
        values, basis = _eigen(given[None], "covariances")
        return Rotated.of(means, basis[0], values[0])
    wanted = f"one number, [{count}], [{count}, {d}], [{d}, {d}] or [{count}, {d}, {d}]"
    _matches("covariances", given, (count, d, d), wanted)
    values, basis = _eigen(given, "covariances")
    return Spectral.of(means, basis, values, None)


def _is_matrix(given: Tensor, count: int, d: int) -> bool:
    """Tell one [d, d] matrix from K = d diagonals: variances are positive, matrices symmetric."""
    if given.ndim != 2 or count != d or d == 1:
        return False
    symmetric = bool(torch.allclose(given, given.T, rtol=1e-8, atol=0))
    if symmetric and bool((given > 0).all()):
        raise InputError(
            f"covariances of shape [{d}, {d}] are ambiguous with {count} components",
            "they could be one matrix for all, or a diagonal for each component",
            f"pass [{count}, {d}, {d}]: covariances.expand({count}, {d}, {d}) for one matrix, "
            "torch.diag_embed(covariances) for diagonals",
        )
    return symmetric


def _numbers(value: Any, name: str, means: Tensor) -> Tensor:
    tensor = as_tensor(value, name)
    require(tensor.is_floating_point(), f"{name} holds {tensor.dtype} values, expected numbers")
    finite(tensor, name)
    return tensor.to(device=means.device, dtype=torch.float64)


def _positive(values: Tensor, name: str) -> Tensor:
    require(
        bool((values > 0).all()),
        f"{name} holds the variance {float(values.min()):g}, expected > 0",
        remedy="for a discrete law use Empirical",
    )
    return values


def _matches(name: str, given: Tensor, shape: tuple[int, ...], wanted: str) -> None:
    require(
        tuple(given.shape) == shape,
        f"{name} has shape {list(given.shape)}, expected {wanted}",
        "it must fit the means",
    )


def _eigen(matrices: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Eigenvalues [K, d] and eigenvectors [K, d, d] of positive definite matrices."""
    scale = matrices.abs().amax((1, 2))
    skew = (matrices - matrices.mT).abs().amax((1, 2)) / scale
    require(
        bool((skew <= 1e-6).all()),
        f"{name} is not symmetric: mirror images differ by {float(skew.max()):.1e} of the largest",
        remedy="use (C + C^T) / 2",
    )
    values, basis = torch.linalg.eigh(0.5 * (matrices + matrices.mT))
    floor = matrices.shape[1] * torch.finfo(torch.float64).eps * values[:, -1]
    require(
        bool((values[:, 0] > floor).all()),
        f"{name} is not positive definite: the smallest eigenvalue is {float(values.min()):.3g}, "
        f"the largest {float(values.max()):.3g}",
        "a Gaussian density needs a positive variance in every direction, above rounding",
        "add a small multiple of the identity",
    )
    return values, basis


def _low_rank(given: Sequence[LowRankPlusIdentity], means: Tensor) -> Family:
    """Singular vectors of each factor, padded by zeros to the largest rank."""
    count, d = means.shape
    require(
        len(given) == count and all(isinstance(c, LowRankPlusIdentity) for c in given),
        f"covariances is a list of {len(given)}, expected {count} LowRankPlusIdentity",
    )
    rank = max(c.factor.shape[-1] for c in given)
    basis, values = means.new_zeros(count, d, rank), means.new_zeros(count, rank)
    rest = means.new_tensor([c.variance for c in given])
    for k, one in enumerate(given):
        _matches("factor", one.factor, (d, one.factor.shape[1]), f"[{d}, k]")
        left, singular, _ = torch.linalg.svd(one.factor.to(means), full_matrices=False)
        basis[k, :, : singular.numel()] = left
        values[k, : singular.numel()] = singular.square()
    return Spectral.of(means, basis, values + rest[:, None], rest)
