"""What every diffusion prior promises.

Model      z = x0 + sigma n, n ~ N(0, I): the variance-exploding frame, whatever network or
           formula is inside.
Denoiser   D(z, sigma) = E[x0 | z]
Tweedie    score = grad log p_sigma(z) = (D - z) / sigma^2
Jacobian   dD/dz = Cov(x0 | z) / sigma^2, symmetric for an exact denoiser
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.autograd.functional import jvp

from wellposed.checks import require, within

Shape = tuple[int, ...]


class DiffusionPrior(ABC):
    """A denoiser at every noise level.

    Attributes
    ----------
    shape
        Shape of one signal.
    sigma_data
        Standard deviation of a coordinate of the signal, in its units.
    sigma_min, sigma_max
        Noise levels that the denoiser covers.
    """

    shape: Shape
    sigma_data: float
    sigma_min: float = 0.0
    sigma_max: float = math.inf

    @abstractmethod
    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return E[x0 | z], [B, *shape], for z [B, *shape] and sigma a number or [B]."""

    def score(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return the gradient of log p_sigma at z, [B, *shape], for sigma > 0."""
        return (self.denoise(z, sigma) - z) / _over_signal(sigma, z) ** 2

    def denoise_jvp(self, z: Tensor, sigma: float | Tensor, v: Tensor) -> Tensor:
        """Return the derivative of the denoiser at z along v, [B, *shape].

        By two backward passes: the denoiser must be twice differentiable in torch.
        """
        both: tuple[Tensor, Tensor] = jvp(  # type: ignore[no-untyped-call]
            lambda at: self.denoise(at, sigma), z, v
        )
        return both[1]

    def _check(self, z: Tensor, sigma: float | Tensor) -> None:
        """Require z [B, *shape] and a noise level that is covered, a number or [B]."""
        if z.shape[1:] != self.shape or z.ndim == 0:
            wanted = ", ".join(map(str, ("B", *self.shape)))
            require(False, f"z has shape {list(z.shape)}, expected [{wanted}]")
        require(z.is_floating_point(), f"z holds {z.dtype} values, expected real numbers")
        if isinstance(sigma, Tensor):
            require(
                tuple(sigma.shape) in ((), (z.shape[0],)),
                f"sigma has shape {list(sigma.shape)}, expected one number or [{z.shape[0]}]",
            )
            low, high = (float(s) for s in torch.aminmax(sigma.detach())) if len(z) else (0, 0)
        else:
            low = high = sigma
        if not (self.sigma_min <= low and high <= self.sigma_max and math.isfinite(high)):
            slack = 1e-6  # a level of a float32 grid may round over the edge
            bounds = self.sigma_min * (1 - slack), self.sigma_max * (1 + slack)
            why = "the denoiser does not cover other noise levels"
            within(low, "sigma", *bounds, why=why)
            within(high, "sigma", *bounds, why=why)


def _over_signal(sigma: float | Tensor, z: Tensor) -> float | Tensor:
    """Let [B] levels broadcast with [B, *shape]."""
    if isinstance(sigma, Tensor) and sigma.ndim:
        return sigma.to(z.dtype).reshape(-1, *[1] * (z.ndim - 1))
    return sigma
