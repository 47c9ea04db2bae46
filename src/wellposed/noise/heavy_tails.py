"""Noise with heavy tails, each a Gaussian of random scale.

Model      r = y - mean,  r | tau ~ N(0, tau),  and tau from a law of its own:
             Laplace(b)      p(r) = exp(-|r| / b) / (2 b)
             Huber(s, k)     p(r) = exp(-k^2 (sqrt(1 + (r / (k s))^2) - 1)) / (2 k s K),
                             K = exp(k^2) K_1(k^2), K_1 the modified Bessel function
             StudentT(n, s)  p(r) ~ (1 + r^2 / (n s^2))^(-(n + 1) / 2)
Scales     given r, with IG(mean, shape) the inverse Gaussian law:
             Laplace         1 / tau ~ IG(1 / (b |r|), 1 / b^2)
             Huber           1 / tau ~ IG((k / s) / sqrt((k s)^2 + r^2), (k / s)^2)
             StudentT        1 / tau ~ Gamma((n + 1) / 2) 2 / (n s^2 + r^2)
Source     Andrews & Mallows, J. R. Stat. Soc. B 1974; Barndorff-Nielsen, Proc. R. Soc. A 1977
           (the hyperbolic law, Huber here); Michael, Schucany & Haas, Amer. Statist. 1976
           (draws of IG).
Why        The law whose logarithm is exactly quadratic up to k and linear beyond is no mixture
           of Gaussians: such a mixture is analytic, and this one has a seam. The hyperbolic
           law has the same quadratic middle, the same linear tails, and no seam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import k1e, stdtrit
from torch import Tensor

from wellposed.checks import within
from wellposed.noise.base import ScaleMixture
from wellposed.rng import Stream


@dataclass(frozen=True)
class Laplace(ScaleMixture):
    """Double-exponential noise: absolute deviations instead of squares.

    Parameters
    ----------
    scale
        Mean absolute deviation b, > 0, in the units of y (real measurements).

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> wp.noise.Laplace(2.0).gradient(torch.tensor([[3.0]]), torch.tensor([[1.0]])).tolist()
    [[0.5]]
    """

    scale: float

    def __post_init__(self) -> None:
        within(self.scale, "scale", 0, open_low=True)

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Add independent Laplace(scale) noise by inverting its distribution function."""
        u = stream.uniform(mean.shape, "noise", dtype=mean.dtype, device=mean.device) - 0.5
        tail = (1 - 2 * u.abs()).clamp_min(torch.finfo(mean.dtype).tiny)
        return mean - self.scale * u.sign() * tail.log()

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of log Laplace(y; mean, scale) over the elements."""
        off = (y - mean).flatten(1).abs()
        return -off.sum(1) / self.scale - off.shape[1] * math.log(2 * self.scale)

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """sign(y - mean) / scale."""
        return (y - mean).sign() / self.scale

    def draw_scales(self, residual: Tensor, stream: Stream, step: int = 0) -> Tensor:
        """Draw sqrt(tau) given y - mean."""
        mean = self.scale * residual.abs()
        return inverse_gaussian(mean, self.scale**-2, stream, step).rsqrt()


@dataclass(frozen=True)
class Huber(ScaleMixture):
    """Gaussian in the middle, exponential in the tails (smooth Huber, or hyperbolic, noise).

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian that fits the middle, > 0, in the units of y.
    threshold
        k: residuals beyond k sigma count linearly, > 0.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> noise = wp.noise.Huber(1.0, threshold=2.0)
    >>> noise.gradient(torch.tensor([[1e-3, 1e3]]), torch.zeros(1, 2)).round(decimals=4).tolist()
    [[0.0010000000474974513, 2.0]]
    """

    sigma: float
    threshold: float = 1.345

    def __post_init__(self) -> None:
        within(self.sigma, "sigma", 0, open_low=True)
        within(self.threshold, "threshold", 0, open_low=True)

    @property
    def _seam(self) -> float:
        return self.threshold * self.sigma

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Draw tau from its generalised inverse Gaussian law, then N(0, tau)."""
        from scipy.stats import geninvgauss  # slow to import, and rarely needed

        law = geninvgauss(1.0, self.threshold**2, scale=self.sigma**2)
        tau = law.rvs(size=tuple(mean.shape), random_state=_generator(stream, "noise scale"))
        scale = torch.as_tensor(tau).sqrt().to(mean)
        return mean + scale * stream.normal(mean.shape, "noise", dtype=mean.dtype).to(mean.device)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of the log densities of the elements."""
        off = ((y - mean) / self._seam).flatten(1).square()
        power = off / ((1 + off).sqrt() + 1)  # sqrt(1 + off) - 1, without loss of digits
        norm = math.log(2 * self._seam * float(k1e(self.threshold**2)))
        return -(self.threshold**2) * power.sum(1) - off.shape[1] * norm

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """r / sigma^2 / sqrt(1 + (r / (k sigma))^2)."""
        off = y - mean
        return off / self.sigma**2 / (1 + (off / self._seam).square()).sqrt()

    @property
    def curvature_bound(self) -> float:
        """1 / sigma^2."""
        return self.sigma**-2

    def draw_scales(self, residual: Tensor, stream: Stream, step: int = 0) -> Tensor:
        """Draw sqrt(tau) given y - mean."""
        rate = self.threshold / self.sigma
        distance = (self._seam**2 + residual.square()).sqrt()
        return inverse_gaussian(distance / rate, rate**2, stream, step).rsqrt()


@dataclass(frozen=True)
class StudentT(ScaleMixture):
    """Student's t noise: polynomial tails.

    Parameters
    ----------
    degrees
        Degrees of freedom, > 0; 1 is Cauchy noise, large values are Gaussian.
    scale
        > 0, in the units of y: the standard deviation for many degrees of freedom.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> cauchy = wp.noise.StudentT(1.0, 1.0)
    >>> round(float(cauchy.log_density(torch.zeros(1, 1), torch.zeros(1, 1)).exp()), 4)
    0.3183
    """

    degrees: float
    scale: float

    def __post_init__(self) -> None:
        within(self.degrees, "degrees", 0, open_low=True)
        within(self.scale, "scale", 0, open_low=True)

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Invert the distribution function."""
        u = stream.uniform(mean.shape, "noise") + 2.0**-54  # off the end of [0, 1)
        return mean + self.scale * torch.as_tensor(stdtrit(self.degrees, u.numpy())).to(mean)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of the log densities of the elements."""
        n = self.degrees
        off = ((y - mean) / self.scale).flatten(1).square()
        norm = math.lgamma(n / 2) - math.lgamma((n + 1) / 2)
        norm += 0.5 * math.log(math.pi * n) + math.log(self.scale)
        return -0.5 * (n + 1) * (off / n).log1p().sum(1) - off.shape[1] * norm

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """(n + 1) r / (n s^2 + r^2)."""
        off = y - mean
        return (self.degrees + 1) * off / (self.degrees * self.scale**2 + off.square())

    @property
    def curvature_bound(self) -> float:
        """(n + 1) / (n s^2)."""
        return (self.degrees + 1) / (self.degrees * self.scale**2)

    def draw_scales(self, residual: Tensor, stream: Stream, step: int = 0) -> Tensor:
        """Draw sqrt(tau) given y - mean."""
        draw = _generator(stream, "scales", step).standard_gamma
        gamma = torch.as_tensor(draw((self.degrees + 1) / 2, tuple(residual.shape))).to(residual)
        total = self.degrees * self.scale**2 + residual.square()
        return (0.5 * total / gamma.clamp_min(torch.finfo(gamma.dtype).tiny)).sqrt()


def inverse_gaussian(mean: Tensor, shape: float, stream: Stream, step: int = 0) -> Tensor:
    """Draw IG(1 / mean, shape), elementwise; a mean of zero is the limit shape / chi^2_1.

    The reciprocal of the mean is taken, and the roots are written without differences, so that
    nothing is lost where it is small.
    """
    kind = {"dtype": mean.dtype, "device": mean.device}
    chi = stream.normal(mean.shape, "scales", step, **kind).square() / shape  # type: ignore[arg-type]
    u = stream.uniform(mean.shape, "scale roots", step, **kind)  # type: ignore[arg-type]
    tiny = torch.finfo(mean.dtype).tiny ** 0.5
    below = 1 / (mean + 0.5 * chi + (0.25 * chi.square() + chi * mean).sqrt()).clamp_min(tiny)
    above = 1 / (mean.square() * below).clamp_min(tiny)
    return torch.where(u * (1 + mean * below) <= 1, below, above)


def _generator(stream: Stream, purpose: str, step: int = 0) -> np.random.Generator:
    """Return a generator of numpy for a law that torch cannot draw from a given one."""
    return np.random.default_rng(stream.generator(purpose, step).initial_seed())
