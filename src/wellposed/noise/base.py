"""What every noise model promises.

Every noise can simulate and say which measurements it allows. A ``Likelihood`` also knows
log p(y | mean), summed over the elements of one measurement and properly normalised: its power
is one unless a ``Tempered`` says otherwise. It may have

    gradient         the derivative in the mean (``differentiable``),
    curvature_bound  L with  -d^2 log p / d mean^2 <= L  for every element,
    peak             a bound of log p over all means: the value at a perfect fit,
    gaussian_form    log p = log N(target; mean, sigma^2) up to a constant,
    sharpened        a law whose blur by Gaussian errors of the mean is this one (``sharpens``),

and a ``ScaleMixture`` is Gaussian given a scale for each element, which it can draw given the
residuals: so a Gaussian step stays exact inside a Gibbs sampler.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.rng import Stream


class GaussianForm(NamedTuple):
    """A likelihood that is Gaussian in the mean."""

    target: Tensor  # [*shape_out], or a batch of them
    sigma: float | Tensor  # standard deviation per real component: one, or one an element


class Noise(ABC):
    """What happens to the mean on its way into the measurement."""

    heavy_tailed: ClassVar[bool] = False  # gross errors occur: fit absolute deviations

    @abstractmethod
    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Draw a measurement around ``mean``, any shape."""

    def check(self, y: Tensor) -> None:
        """Raise ``InputError`` unless ``y`` can be a measurement with this noise."""
        return


class Likelihood(Noise):
    """A noise with a density."""

    differentiable: ClassVar[bool] = True
    sharpens: ClassVar[bool] = False

    @abstractmethod
    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return log p(y | mean) of each item: [B, *shape] to [B]."""

    @abstractmethod
    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return the gradient of log p(y | mean) in ``mean``, [B, *shape].

        Raises
        ------
        CapabilityError
            The likelihood has none (``differentiable`` is false).
        """

    @property
    def curvature_bound(self) -> float | None:
        """Largest curvature of -log p in an element of the mean; None where unbounded."""
        return None

    def peak(self, y: Tensor) -> Tensor:
        """Return a bound of log p(y | mean) over all means, [B]: 0, which no probability exceeds.

        Laws of continuous measurements have their own.
        """
        return y.new_zeros(len(y)).real

    def gaussian_form(self, y: Tensor) -> GaussianForm | None:
        """Return target and standard deviation where log p is Gaussian in the mean."""
        return None

    def sharpened(self, spread: float) -> Likelihood:
        """Return the law q with E q(y | mean + spread n) = p(y | mean), n ~ N(0, 1).

        Raises
        ------
        CapabilityError
            No such law is known (``sharpens`` is false).
        """
        raise CapabilityError(
            f"{type(self).__name__} noise cannot be sharpened",
            "of which law it is a blur is known for bits only",
            "look at ``sharpens`` first",
        )


class ScaleMixture(Likelihood):
    """A heavy-tailed noise that is Gaussian given a scale for each element."""

    heavy_tailed: ClassVar[bool] = True

    @abstractmethod
    def draw_scales(self, residual: Tensor, stream: Stream, step: int = 0) -> Tensor:
        """Draw the standard deviation of each element given y - mean, same shape."""

    def peak(self, y: Tensor) -> Tensor:
        """Return log p at mean = y."""
        return self.log_density(y, y)

    def check(self, y: Tensor) -> None:
        """Require real numbers."""
        real(y, type(self).__name__)


def real(y: Tensor, name: str) -> None:
    """Require real measurements."""
    require(
        not y.is_complex(),
        f"y holds {y.dtype} values, noise.{name} expects real ones",
        remedy="measure real and imaginary parts separately, or take noise.Gaussian",
    )


def no_gradient(name: str) -> CapabilityError:
    """Return the error of a likelihood that was asked for a gradient."""
    return CapabilityError(
        f"noise.{name} has no gradient",
        "only its log-likelihood is known",
        "use a method that needs the likelihood only",
    )
