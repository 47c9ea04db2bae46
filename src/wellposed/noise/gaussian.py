"""Gaussian noise, white or with a standard deviation for each element."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.checks import as_tensor, require, within
from wellposed.noise.base import GaussianForm, Likelihood
from wellposed.rng import Stream


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Independent Gaussian noise.

    Parameters
    ----------
    sigma
        Standard deviation of each real component, > 0, in the units of y: one number, or one
        for each element of a measurement, [*shape_out].

    Raises
    ------
    InputError
        A sigma that is not positive and finite.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> wp.noise.Gaussian(2.0).gradient(torch.tensor([[3.0]]), torch.tensor([[1.0]])).tolist()
    [[0.5]]
    """

    sigma: float | Tensor

    def __post_init__(self) -> None:
        if isinstance(self.sigma, (int, float)):
            remedy = "leave noise out if there is none"
            within(self.sigma, "sigma", 0, open_low=True, remedy=remedy)
            return
        sigma = as_tensor(self.sigma, "sigma")
        if sigma.ndim == 0 and not sigma.is_complex():
            object.__setattr__(self, "sigma", float(sigma))
            return self.__post_init__()
        require(
            not sigma.is_complex()
            and sigma.numel() > 0
            and bool((sigma > 0).all())
            and bool(torch.isfinite(sigma).all()),
            "sigma holds values that are not positive and finite",
            "each is a standard deviation",
            "leave unmeasured elements out of the operator",
        )
        object.__setattr__(self, "sigma", sigma)

    def check(self, y: Tensor) -> None:
        """Require a sigma for each element, where there are several."""
        if isinstance(self.sigma, Tensor):
            have, want = tuple(self.sigma.shape), tuple(y.shape)
            require(
                have == want,
                f"sigma has shape {list(have)}, y {list(want)}",
                "each element of the measurement has its own standard deviation",
                "one number for all, or an array like y",
            )

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Add independent N(0, sigma^2) to each real component."""
        noise = stream.normal(mean.shape, "noise", dtype=mean.dtype, device=mean.device)
        return mean + self._spread(mean) * (math.sqrt(2) * noise if mean.is_complex() else noise)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Sum of log N(y; mean, sigma^2) over the real components."""
        spread = self._spread(mean)
        off = ((y - mean) / spread).flatten(1)
        parts = 2 if off.is_complex() else 1
        count = parts * off.shape[1]
        logs = torch.as_tensor(spread, dtype=torch.float64).log().expand(mean.shape[1:]).sum()
        norm = parts * float(logs) + 0.5 * count * math.log(2 * math.pi)
        return -0.5 * off.abs().square().sum(1) - norm

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """(y - mean) / sigma^2."""
        return (y - mean) / self._spread(mean) ** 2

    @property
    def curvature_bound(self) -> float:
        """1 / sigma^2, of the smallest sigma."""
        return float(torch.as_tensor(self.sigma, dtype=torch.float64).min()) ** -2

    def peak(self, y: Tensor) -> Tensor:
        """Return log p at mean = y."""
        return self.log_density(y, y)

    def gaussian_form(self, y: Tensor) -> GaussianForm:
        """Return y and sigma."""
        return GaussianForm(y, self._spread(y))

    def _spread(self, like: Tensor) -> float | Tensor:
        if isinstance(self.sigma, Tensor):
            return self.sigma.to(like.device, like.dtype.to_real())
        return self.sigma
