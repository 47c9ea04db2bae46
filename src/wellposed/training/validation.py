"""The loss at each noise level on signals that were held out, always with the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wellposed.rng import Stream
from wellposed.training.objective import loss_of_each

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 8.0, 20.0)


@dataclass(frozen=True)
class Validation:
    """Held-out signals.

    Parameters
    ----------
    batches
        Signals [B, *shape], each batch of one shape.
    sigma_data
        As in training.
    levels
        Noise levels, > 0.
    """

    batches: tuple[Tensor, ...]
    sigma_data: float
    levels: Sequence[float] = LEVELS

    @torch.no_grad()
    def losses(self, denoiser: nn.Module) -> dict[float, float]:
        """Return the weighted loss of each level; 1 is what an untrained network has."""
        return {sigma: self._at(denoiser, k, sigma) for k, sigma in enumerate(self.levels)}

    def _at(self, denoiser: nn.Module, k: int, sigma: float) -> float:
        total, count = 0.0, 0
        for number, x0 in enumerate(self.batches):
            stream = Stream(0, item=k, block=number)
            noise = stream.normal(x0.shape, "validation", dtype=x0.dtype)
            levels = torch.full((len(x0),), sigma)
            total += float(loss_of_each(denoiser, x0, levels, noise, self.sigma_data).sum())
            count += len(x0)
        return total / count
