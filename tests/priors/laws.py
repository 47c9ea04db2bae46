"""Mixtures of every covariance kind, and their laws written out densely."""

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.priors import Empirical, ExactPrior, Gaussian, GaussianMixture, LowRankPlusIdentity
from wellposed.rng import Stream

KINDS = ["scalar", "each", "diagonal", "tied", "dense", "low rank"]


@dataclass
class Dense:
    """sum_k w_k N(m_k, C_k), by the book: dense inverses, one component at a time."""

    weights: Tensor  # [K]
    means: Tensor  # [K, d]
    covariances: Tensor  # [K, d, d]

    def noisy(self, sigma: float) -> Tensor:
        return self.covariances + sigma**2 * torch.eye(self.means.shape[1], dtype=torch.float64)

    def logs(self, z: Tensor, sigma: float) -> Tensor:
        """log w_k + log N(z; m_k, C_k + sigma^2), [B, K]."""
        total = self.noisy(sigma)
        parts = [
            torch.distributions.MultivariateNormal(m, c, validate_args=False).log_prob(z)
            for m, c in zip(self.means, total, strict=True)
        ]
        return self.weights.log() + torch.stack(parts, 1)

    def log_density(self, z: Tensor, sigma: float) -> Tensor:
        return self.logs(z, sigma).logsumexp(1)

    def denoise(self, z: Tensor, sigma: float) -> Tensor:
        r = self.logs(z, sigma).softmax(1)
        gain = self.covariances @ torch.linalg.inv(self.noisy(sigma))
        each = self.means + torch.einsum("kij,bkj->bki", gain, z[:, None] - self.means)
        return (r[..., None] * each).sum(1)


def mixture(kind: str, d: int = 8, count: int = 3, seed: int = 5) -> tuple[GaussianMixture, Dense]:
    """A random mixture of one covariance kind, twice."""
    stream = Stream(seed)
    weights = stream.uniform((count,), "weights") + 0.3
    weights = weights / weights.sum()
    means = 1.5 * stream.normal((count, d), "means")
    given, dense = _covariances(kind, stream, count, d)
    return GaussianMixture(weights, means, given), Dense(weights, means, dense)


def gaussian(kind: str, d: int = 8, seed: int = 6) -> tuple[Gaussian, Dense]:
    """A random Gaussian of one covariance kind, twice."""
    prior, dense = mixture(kind, d, 1, seed)
    one = prior.covariances
    if kind in ("each", "diagonal", "dense", "low rank"):
        one = one[0]
    return Gaussian(dense.means[0], one), dense


def empirical(d: int = 3, count: int = 12, seed: int = 7) -> Empirical:
    return Empirical(Stream(seed).normal((count, d), "data"))


def exact_priors(d: int = 3) -> list[ExactPrior]:
    """One of each kind."""
    mixtures = [mixture(kind, d, count=4)[0] for kind in KINDS]
    return [*mixtures, *(gaussian(kind, d)[0] for kind in KINDS), empirical(d)]


def points(d: int, count: int = 7, seed: int = 8, spread: float = 2.0) -> Tensor:
    return spread * Stream(seed).normal((count, d), "points")


def random_spd(stream: Stream, count: int, d: int) -> Tensor:
    root = stream.normal((count, d, d), "root") / d**0.5
    return root @ root.mT + 0.05 * torch.eye(d, dtype=torch.float64)


def _covariances(kind: str, stream: Stream, count: int, d: int) -> tuple[object, Tensor]:
    eye = torch.eye(d, dtype=torch.float64)
    if kind == "scalar":
        return 0.4, (0.4 * eye).expand(count, d, d)
    if kind == "each":
        values = stream.uniform((count,), "values") + 0.1
        return values, values[:, None, None] * eye
    if kind == "diagonal":
        values = stream.uniform((count, d), "values") + 0.1
        return values, torch.diag_embed(values)
    if kind == "tied":
        one = random_spd(stream, 1, d)
        return one[0], one.expand(count, d, d)
    if kind == "dense":
        full = random_spd(stream, count, d)
        return full, full
    ranks = [1 + k % min(2, d) for k in range(count)]  # of different rank: padded inside
    factors = [stream.normal((d, r), f"factor {k}") for k, r in enumerate(ranks)]
    variances = (stream.uniform((count,), "values") * 0.5 + 0.1).tolist()
    given = [LowRankPlusIdentity(f, v) for f, v in zip(factors, variances, strict=True)]
    return given, torch.stack([one.dense() for one in given])
