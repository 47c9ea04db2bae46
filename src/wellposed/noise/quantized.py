"""Measurements of a few bits, with dither before the quantizer.

Model      OneBit      y = sign(mean + scale n), n logistic or Gaussian:
                       p(y | mean) = F(y mean / scale), F the distribution function of n
           Quantized   y = Q(mean + dither n), n Gaussian, Q(v) = step (c + 1/2) with the cell
                       c = floor(v / step) kept in [-2^(bits - 1), 2^(bits - 1) - 1]:
                       p(y | mean) = Phi(b) - Phi(a),  a, b = (ends of the cell - mean) / dither,
                       infinite at the outermost cells
Update     in log space: log(Phi(b) - Phi(a)) = log Phi(b) + log(1 - exp(log Phi(a) - log Phi(b)))
           on the side where a + b <= 0, else for (-b, -a): no difference of numbers near one.
           Sharpened: dither of variance v is dither of variance v - spread^2 that is seen through
           Gaussian errors of the mean of standard deviation ``spread``; never below v / 4.
Guarantee  both are log-concave in the mean, with curvature at most 1 / scale^2
           (1 / (4 scale^2) for the logistic law). Sharpening is exact for Gaussian dither; a
           logistic link of scale^2 - pi spread^2 / 8 (MacKay, 1992) blurs to the link itself
           within 0.004 of probability for a spread of 0.75 scale (left alone: 0.024), and within
           0.013 for any that is fully undone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from wellposed.checks import require, whole, within
from wellposed.noise.base import Likelihood, real
from wellposed.rng import Stream

LINKS = ("logistic", "probit")
LEAST = 0.25  # of the dither's variance, left by sharpening


@dataclass(frozen=True)
class OneBit(Likelihood):
    """Signs of dithered means: y is -1 or 1.

    Parameters
    ----------
    scale
        Size of the dither, > 0, in the units of the mean: the standard deviation of Gaussian
        dither, that of logistic dither times sqrt(3) / pi.
    link
        "logistic" or "probit" (Gaussian dither).

    Raises
    ------
    InputError
        A scale out of range, or another link.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> noise = wp.noise.OneBit(0.5)
    >>> round(float(noise.log_density(torch.ones(1, 1), torch.zeros(1, 1)).exp()), 4)
    0.5
    """

    scale: float
    link: str = "logistic"

    sharpens: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(
            self.scale, "scale", 0, open_low=True,
            why="without dither a sign says nothing about sizes",
        )  # fmt: skip
        require(self.link in LINKS, f"link is {self.link!r}, expected one of {', '.join(LINKS)}")

    def check(self, y: Tensor) -> None:
        """Require signs."""
        real(y, "OneBit")
        require(
            bool((y.abs() == 1).all()),
            "y holds other values than -1 and 1",
            "noise.OneBit is the law of signs",
            "map bits b to 2 b - 1",
        )

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Draw signs."""
        u = stream.uniform(mean.shape, "noise").to(mean.device)
        one, zero = mean.new_ones(()), (mean / self.scale).double()
        chance = zero.sigmoid() if self.link == "logistic" else torch.special.ndtr(zero)
        return torch.where(u < chance, one, -one)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of log F(y mean / scale) over the elements."""
        return self._log_link(y * mean / self.scale).flatten(1).sum(1)

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """y / scale times the derivative of log F."""
        t = y * mean / self.scale
        if self.link == "logistic":
            return y / self.scale * (-t).sigmoid()
        mills: Tensor = torch.special.erfcx(
            -t / math.sqrt(2)
        )  # no digits lost far on the wrong side
        return y / self.scale * math.sqrt(2 / math.pi) / mills

    @property
    def curvature_bound(self) -> float:
        """1 / (4 scale^2), or 1 / scale^2 for Gaussian dither."""
        return (0.25 if self.link == "logistic" else 1.0) / self.scale**2

    def sharpened(self, spread: float) -> OneBit:
        """Return the link whose blur by errors of the mean is this one."""
        share = math.pi / 8 if self.link == "logistic" else 1.0
        return replace(self, scale=_sharper(self.scale, math.sqrt(share) * spread))

    def _log_link(self, t: Tensor) -> Tensor:
        logistic: Tensor = torch.nn.functional.logsigmoid(t)
        return logistic if self.link == "logistic" else _log_ndtr(t)


@dataclass(frozen=True)
class Quantized(Likelihood):
    """Means rounded to 2^bits cells of equal width after Gaussian dither.

    Parameters
    ----------
    bits
        Number of bits of an element, >= 1.
    step
        Width of a cell, > 0, in the units of the mean; the middle cells meet at zero.
    dither
        Standard deviation of the Gaussian dither, > 0.

    Raises
    ------
    InputError
        A field out of range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> noise = wp.noise.Quantized(2, step=0.5, dither=0.1)
    >>> noise.levels.tolist(), noise.quantize(torch.tensor([-9.0, 0.3])).tolist()
    ([-0.75, -0.25, 0.25, 0.75], [-0.75, 0.25])
    """

    bits: int
    step: float
    dither: float

    sharpens: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole(self.bits, "bits")
        require(self.bits <= 32, f"bits is {self.bits}, expected at most 32")
        within(self.step, "step", 0, open_low=True)
        within(
            self.dither, "dither", 0, open_low=True,
            why="without dither the likelihood is zero or one",
            remedy="take a dither well below the step for nearly plain rounding",
        )  # fmt: skip

    @property
    def levels(self) -> Tensor:
        """The values that a measurement can have, [2^bits], float64, ascending."""
        return self.step * (torch.arange(2**self.bits, dtype=torch.float64) - self._half + 0.5)

    @property
    def _half(self) -> int:
        return 1 << (self.bits - 1)

    def quantize(self, value: Tensor) -> Tensor:
        """Return the middle of the cell of each value."""
        cell = (value / self.step).floor().clamp(-self._half, self._half - 1)
        return self.step * (cell + 0.5)

    def check(self, y: Tensor) -> None:
        """Require middles of cells."""
        real(y, "Quantized")
        slack = 1e-4 * self.step
        require(
            bool(((self.quantize(y) - y).abs() <= slack).all()),
            f"y holds values that are not among the {2**self.bits} levels "
            f"{self.step / 2:g} + k {self.step:g}",
            "noise.Quantized is the law of the middles of cells",
            "pass noise.quantize(y), or map codes c to step (c + 1/2 - 2^(bits - 1))",
        )

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Add dither and quantize."""
        noise = stream.normal(mean.shape, "noise", dtype=mean.dtype, device=mean.device)
        return self.quantize(mean + self.dither * noise)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of log(Phi(b) - Phi(a)) over the elements."""
        return log_interval(*self._ends(y, mean)).flatten(1).sum(1)

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """(phi(a) - phi(b)) / (dither (Phi(b) - Phi(a)))."""
        low, high = self._ends(y, mean)
        log_p = log_interval(low, high)
        return ((_log_phi(low) - log_p).exp() - (_log_phi(high) - log_p).exp()) / self.dither

    @property
    def curvature_bound(self) -> float:
        """1 / dither^2."""
        return self.dither**-2

    def sharpened(self, spread: float) -> Quantized:
        """Return the law whose blur by errors of the mean is this one."""
        return replace(self, dither=_sharper(self.dither, spread))

    def _ends(self, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b."""
        cell = (y / self.step - 0.5).round()
        low = ((cell * self.step) - mean) / self.dither
        high = ((cell + 1) * self.step - mean) / self.dither
        low = torch.where(cell <= -self._half, -math.inf, low)
        return low, torch.where(cell >= self._half - 1, math.inf, high)


def _sharper(size: float, spread: float) -> float:
    """Take a variance from that of the dither, as far as it goes."""
    return math.sqrt(max(size**2 - spread**2, LEAST * size**2))


def log_interval(low: Tensor, high: Tensor) -> Tensor:
    """Return log(Phi(high) - Phi(low)) for low < high, infinite ends allowed."""
    flip = low + high > 0
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    top = _log_ndtr(high)
    return top + (-torch.expm1(_log_ndtr(low) - top)).log()


def _log_ndtr(t: Tensor) -> Tensor:
    value: Tensor = torch.special.log_ndtr(t)
    return value


def _log_phi(t: Tensor) -> Tensor:
    """Logarithm of the standard normal density."""
    return -0.5 * t.square() - 0.5 * math.log(2 * math.pi)
