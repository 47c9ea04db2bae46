"""Priors whose denoiser, density and samples are exact."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.priors.components import Components
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.problem import Problem
from wellposed.rng import Stream

BLOCK = 1 << 20  # numbers drawn at a time; fixed, since draws are keyed by block


class ExactPrior(DiffusionPrior):
    """A finite mixture of Gaussians, known at every noise level."""

    @property
    @abstractmethod
    def _components(self) -> Components: ...

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Of the samples."""

    @abstractmethod
    def posterior(self, problem: Problem) -> ExactPrior:
        """Return the law of the signal given a measurement."""

    @cached_property
    def sigma_data(self) -> float:  # type: ignore[override]
        """Root mean square of the coordinates' standard deviations."""
        return math.sqrt(float(self._components.variance().mean()))

    @cached_property
    def std(self) -> Tensor:
        """Standard deviation of each coordinate, ``shape``."""
        return self._components.variance().sqrt().to(self.dtype).reshape(self.shape)

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return E[x0 | x0 + sigma n = z].

        Parameters
        ----------
        z
            [B, *shape]; its dtype is that of the result.
        sigma
            Noise level >= 0 in the units of the signal, a number or [B].

        Returns
        -------
        Tensor
            [B, *shape].
        """
        self._check(z, sigma)
        return self._components.denoise(z, sigma)

    def score(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return the gradient of log p_sigma at z, [B, *shape]; arguments as in ``denoise``."""
        self._check(z, sigma)
        return self._components.score(z, sigma)

    def log_density(self, z: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Return log p_sigma(z), [B]; arguments as in ``denoise``."""
        self._check(z, sigma)
        return self._components.log_density(z, sigma)

    def denoise_jvp(self, z: Tensor, sigma: float | Tensor, v: Tensor) -> Tensor:
        """Return the derivative of the denoiser at z along v [B, *shape], in closed form.

        It is Cov(x0 | z) v / sigma^2; the Jacobian is symmetric, so this is the
        vector-Jacobian product as well.
        """
        self._check(z, sigma)
        require(v.shape == z.shape, f"v has shape {list(v.shape)}, expected {list(z.shape)} like z")
        return self._components.denoise_jvp(z, sigma, v)

    def responsibilities(self, z: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Return the probability that z came from each component, [B, K], float64.

        Their mean over exact draws is the weights. Arguments as in ``denoise``.
        """
        self._check(z, sigma)
        return self._components.responsibilities(z, sigma)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw n independent signals, [n, *shape].

        Draws are keyed by (seed, block): the first n of N draws are the same.
        """
        whole(n, "n")
        size = self._block_size
        out = torch.empty(n, *self.shape, dtype=self.dtype, device=self._components.centre.device)
        for block in range(-(-n // size)):
            rows = out[block * size : (block + 1) * size]
            drawn = self._draw(Stream(seed).at(block=block), size)[: len(rows)]
            rows.copy_(drawn.reshape(rows.shape))
        return out

    @property
    def _block_size(self) -> int:
        return max(1, min(1024, BLOCK // max(1, math.prod(self.shape))))

    def _draw(self, stream: Stream, count: int) -> Tensor:
        return self._components.draw(stream, count)
