"""The processes of the papers; each is a clock sigma(t) in one of three frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.schedules.process import Process, VarianceExploding, VariancePreserving


@dataclass(frozen=True)
class OU(VariancePreserving):
    """Ornstein-Uhlenbeck process dX = -X dt + sqrt(2) dB: a = e^-t, b = sqrt(1 - e^-2t).

    Examples
    --------
    >>> round(OU().a(1.0), 6)
    0.367879
    >>> OU().time(OU().sigma(0.5))
    0.5
    """

    def _sigma(self, t: Tensor) -> Tensor:
        return torch.expm1(2 * t).sqrt()

    def _time(self, sigma: Tensor) -> Tensor:
        return 0.5 * torch.log1p(sigma * sigma)


@dataclass(frozen=True)
class TimeChanged(VariancePreserving):
    """OU process in another time: dX = -g^2 X dt + sqrt(2) g dB, a = exp(-int_0^t g^2).

    Parameters
    ----------
    clock
        t -> int_0^t g(u)^2 du, an increasing torch function of float64 tensors, clock(0) = 0.
    inverse
        Its inverse.

    Raises
    ------
    InputError
        The clock does not start at zero, does not increase, or ``inverse`` does not invert it
        on [0, 1].

    Examples
    --------
    >>> process = TimeChanged(lambda t: t**2, lambda tau: tau.sqrt())
    >>> round(process.a(1.0), 6)
    0.367879
    """

    clock: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        t = torch.linspace(0, 1, 9, dtype=torch.float64)
        tau = self.clock(t)
        rising = float(tau[0]) == 0 and bool((tau.diff() > 0).all())
        require(rising, f"clock([0, ..., 1]) is {tau.tolist()}, expected a rise from zero")
        off = float((self.inverse(tau) - t).abs().max())
        require(off <= 1e-9, f"inverse(clock(t)) differs from t by {off:.1e} on [0, 1]")

    def _sigma(self, t: Tensor) -> Tensor:
        return torch.expm1(2 * self.clock(t)).sqrt()

    def _time(self, sigma: Tensor) -> Tensor:
        return self.inverse(0.5 * torch.log1p(sigma * sigma))


@dataclass(frozen=True)
class VP(VariancePreserving):
    """Linear variance-preserving SDE (Song et al., ICLR 2021), t in [0, 1].

    a = exp(-t^2 (beta_max - beta_min) / 4 - t beta_min / 2).

    Parameters
    ----------
    beta_min, beta_max
        Noise rate at t = 0 and t = 1, 0 < beta_min <= beta_max.

    Examples
    --------
    >>> round(VP().a(1.0), 6)
    0.006572
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    last: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        within(self.beta_min, "beta_min", 0, open_low=True)
        within(self.beta_max, "beta_max", self.beta_min)

    def _sigma(self, t: Tensor) -> Tensor:
        twice = t * (0.5 * t * (self.beta_max - self.beta_min) + self.beta_min)
        return torch.expm1(twice).sqrt()

    def _time(self, sigma: Tensor) -> Tensor:
        twice = torch.log1p(sigma * sigma)
        slope = self.beta_max - self.beta_min
        # the root of slope t^2 / 2 + beta_min t = twice, written without a difference
        return 2 * twice / (self.beta_min + (self.beta_min**2 + 2 * slope * twice).sqrt())


@dataclass(frozen=True)
class Cosine(VariancePreserving):
    """Cosine schedule (Nichol & Dhariwal, ICML 2021), t in [0, 1).

    a = cos(u) / cos(u0),  u = (t + s) / (1 + s) * pi / 2,  u0 = u(0).

    Parameters
    ----------
    offset
        s > 0, keeps the first noise levels from being too small.

    Examples
    --------
    >>> round(Cosine().sigma(0.5), 4)
    1.0124
    """

    offset: float = 0.008
    last: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        within(self.offset, "offset", 0, open_low=True)

    @property
    def _first(self) -> float:
        return self.offset * self._rate

    @property
    def _rate(self) -> float:
        return math.pi / 2 / (1 + self.offset)

    def _sigma(self, t: Tensor) -> Tensor:
        angle = self._rate * t
        # cos^2(u0) - cos^2(u0 + angle) as a product
        square = torch.sin(angle) * torch.sin(2 * self._first + angle)
        return square.sqrt() / torch.cos(self._first + angle)

    def _time(self, sigma: Tensor) -> Tensor:
        square = sigma * sigma
        tangent = (square + (1 + square) * math.tan(self._first) ** 2).sqrt()
        return (torch.atan(tangent) - self._first) / self._rate


@dataclass(frozen=True)
class VE(VarianceExploding):
    """Geometric variance-exploding process, sigma = low (high / low)^t, t in [0, 1].

    Parameters
    ----------
    sigma_min, sigma_max
        Noise at t = 0 and t = 1, 0 < sigma_min < sigma_max.

    Examples
    --------
    >>> round(VE(0.01, 100.0).sigma(0.5), 6)
    1.0
    """

    sigma_min: float = 0.01
    sigma_max: float = 100.0
    last: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        within(self.sigma_min, "sigma_min", 0, open_low=True)
        within(self.sigma_max, "sigma_max", self.sigma_min, open_low=True)

    def _sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.exp(t * math.log(self.sigma_max / self.sigma_min))

    def _time(self, sigma: Tensor) -> Tensor:
        return torch.log(sigma / self.sigma_min) / math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class EDM(VarianceExploding):
    """The frame of Karras et al. (NeurIPS 2022): time is the noise level, sigma = t.

    Examples
    --------
    >>> EDM().a(3.0), EDM().b(3.0)
    (1.0, 3.0)
    """

    def _sigma(self, t: Tensor) -> Tensor:
        return t

    def _time(self, sigma: Tensor) -> Tensor:
        return sigma


@dataclass(frozen=True)
class RectifiedFlow(Process):
    """The straight path a = 1 - t, b = t, t in [0, 1] (Liu et al., ICLR 2023).

    Examples
    --------
    >>> RectifiedFlow().sigma(0.75)
    3.0
    """

    last: ClassVar[float] = 1.0

    def _a(self, t: Tensor) -> Tensor:
        return 1 - t

    def _b(self, t: Tensor) -> Tensor:
        return t.clone()

    def _sigma(self, t: Tensor) -> Tensor:
        return t / (1 - t)

    def _time(self, sigma: Tensor) -> Tensor:
        return sigma / (1 + sigma)

    def _scale(self, sigma: Tensor) -> Tensor:
        return 1 / (1 + sigma)
