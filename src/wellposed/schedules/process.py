"""Noising processes x_t = a(t) x0 + b(t) n, n ~ N(0, I).

A process is a clock and a frame: the clock says which noise-to-signal ratio sigma = b / a is
reached at time t, the frame in which scale x is kept at that sigma,

    variance preserving  a = 1 / sqrt(1 + sigma^2)      OU, TimeChanged, VP, Cosine
    variance exploding   a = 1                          VE, EDM
    straight path        a = 1 / (1 + sigma)            RectifiedFlow

so z = x / a is the variance-exploding variable of every one of them. Arithmetic is float64;
numbers give numbers, tensors give tensors.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, overload

import torch
from torch import Tensor
from torch.autograd import grad

from wellposed.checks import within
from wellposed.schedules.conversions import Level


class Process(ABC):
    """A pair a(t), b(t) with an increasing sigma(t) = b / a."""

    last: ClassVar[float] = math.inf  # the largest time

    @abstractmethod
    def _sigma(self, t: Tensor) -> Tensor:
        """Clock: sigma at times t, float64."""

    @abstractmethod
    def _time(self, sigma: Tensor) -> Tensor:
        """Inverse clock."""

    @abstractmethod
    def _scale(self, sigma: Tensor) -> Tensor:
        """Frame: a as a function of sigma."""

    @overload
    def sigma(self, t: float) -> float: ...
    @overload
    def sigma(self, t: Tensor) -> Tensor: ...
    def sigma(self, t: float | Tensor) -> float | Tensor:
        """Noise-to-signal ratio b / a at time t >= 0."""
        return _apply(self._sigma, t, "t", self.last)

    @overload
    def time(self, sigma: float) -> float: ...
    @overload
    def time(self, sigma: Tensor) -> Tensor: ...
    def time(self, sigma: float | Tensor) -> float | Tensor:
        """Time at which the ratio sigma >= 0 is reached."""
        return _apply(self._time, sigma, "sigma", math.inf)

    @overload
    def scale(self, sigma: float) -> float: ...
    @overload
    def scale(self, sigma: Tensor) -> Tensor: ...
    def scale(self, sigma: float | Tensor) -> float | Tensor:
        """Coefficient a at the time at which the ratio is sigma >= 0: x = scale(sigma) z."""
        return _apply(self._scale, sigma, "sigma", math.inf)

    @overload
    def a(self, t: float) -> float: ...
    @overload
    def a(self, t: Tensor) -> Tensor: ...
    def a(self, t: float | Tensor) -> float | Tensor:
        """Coefficient of the signal at time t."""
        return _apply(self._a, t, "t", self.last)

    @overload
    def b(self, t: float) -> float: ...
    @overload
    def b(self, t: Tensor) -> Tensor: ...
    def b(self, t: float | Tensor) -> float | Tensor:
        """Coefficient (standard deviation) of the noise at time t."""
        return _apply(self._b, t, "t", self.last)

    def level(self, t: float | Tensor) -> Level:
        """Return a, b and their time derivatives at time t."""
        with torch.enable_grad():
            at = torch.as_tensor(t, dtype=torch.float64).detach().requires_grad_()
            a, b = self._a(at) + 0 * at, self._b(at) + 0 * at  # constants depend on time, too
            rates = (grad(c.sum(), at, retain_graph=True)[0] for c in (a, b))
            tables = (a.detach(), b.detach(), *rates)
        return Level(*(tables if isinstance(t, Tensor) else map(float, tables)))

    def _a(self, t: Tensor) -> Tensor:
        return self._scale(self._sigma(t))

    def _b(self, t: Tensor) -> Tensor:
        sigma = self._sigma(t)
        return self._scale(sigma) * sigma


class VariancePreserving(Process):
    """The frame a^2 + b^2 = 1."""

    def _scale(self, sigma: Tensor) -> Tensor:
        return (1 + sigma * sigma).rsqrt()


class VarianceExploding(Process):
    """The frame a = 1."""

    def _scale(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)


def _apply(
    function: Callable[[Tensor], Tensor], value: float | Tensor, name: str, last: float
) -> float | Tensor:
    at = torch.as_tensor(value, dtype=torch.float64)
    if at.numel():
        low, high = (float(end) for end in torch.aminmax(at.detach()))
        within(low, name, 0, last)
        within(high, name, 0, last)
    result = function(at)
    return result if isinstance(value, Tensor) else float(result)
