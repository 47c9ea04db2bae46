"""Anyone's denoiser as a prior."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.checks import require, whole, within
from wellposed.priors.diffusion import DiffusionPrior, Shape


@dataclass(frozen=True)
class Denoiser(DiffusionPrior):
    """A function (z, sigma) -> E[x0 | x0 + sigma n = z] as a prior.

    Parameters
    ----------
    function
        Takes z [B, *shape] and sigma [B] of the same dtype and device; returns [B, *shape].
    shape
        Shape of one signal.
    sigma_data
        Standard deviation of a coordinate of the signal, > 0, in its units.
    sigma_min, sigma_max
        Noise levels that the function covers, 0 <= sigma_min < sigma_max.

    Raises
    ------
    InputError
        A bad shape or range; z, sigma or the function's result has a wrong shape; sigma lies
        outside its range.

    Examples
    --------
    >>> import torch
    >>> wiener = lambda z, sigma: z / (1 + sigma[:, None] ** 2)
    >>> prior = Denoiser(wiener, (2,))
    >>> prior.denoise(torch.tensor([[1.0, 2.0]]), 1.0)
    tensor([[0.5000, 1.0000]])
    >>> prior.score(torch.tensor([[1.0, 2.0]]), 1.0)
    tensor([[-0.5000, -1.0000]])
    """

    function: Callable[[Tensor, Tensor], Tensor]
    shape: Shape
    sigma_data: float = 1.0
    sigma_min: float = 0.0
    sigma_max: float = math.inf

    def __post_init__(self) -> None:
        require(callable(self.function), f"function is {self.function!r}, expected a function")
        require(
            isinstance(self.shape, (tuple, list)),
            f"shape is {self.shape!r}, expected a tuple of whole numbers",
        )
        object.__setattr__(self, "shape", tuple(self.shape))
        for axis, size in enumerate(self.shape):
            whole(size, f"shape[{axis}]")
        within(self.sigma_data, "sigma_data", 0, open_low=True)
        within(self.sigma_min, "sigma_min", 0)
        require(
            self.sigma_max > self.sigma_min,
            f"sigma_max is {self.sigma_max!r}, expected more than sigma_min = {self.sigma_min!r}",
        )

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return E[x0 | z], [B, *shape], for z [B, *shape] and sigma a number or [B]."""
        self._check(z, sigma)
        if isinstance(sigma, Tensor):
            levels = sigma.to(dtype=z.dtype, device=z.device).expand(z.shape[0])
        else:
            levels = torch.full((z.shape[0],), sigma, dtype=z.dtype, device=z.device)
        x0 = self.function(z, levels)
        if x0.shape != z.shape:
            require(
                False,
                f"the denoiser returned shape {list(x0.shape)}, expected {list(z.shape)}",
                "it must return one estimate for each signal",
            )
        return x0
