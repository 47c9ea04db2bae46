"""The embedding of a noise level that all networks share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_WAVES = 16
_SLOW, _FAST = 0.25, 16.0  # half turns per unit of ln(sigma) / 4


class LevelEmbedding(nn.Module):
    """Sines and cosines of ln(sigma) / 4 at geometric frequencies, then two linear layers."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * _WAVES, size)
        self.second = nn.Linear(size, size)

    def forward(self, noise: Tensor) -> Tensor:
        """Return [B, size] for noise [B] = ln(sigma) / 4, whose waves are taken in float32."""
        rates = torch.logspace(
            math.log10(_SLOW), math.log10(_FAST), _WAVES, dtype=torch.float64, device=noise.device
        )
        angles = noise.float()[:, None] * (math.pi * rates).float()
        waves = torch.cat([angles.sin(), angles.cos()], dim=1).to(self.first.weight.dtype)
        hidden = nn.functional.silu(self.first(waves))
        return nn.functional.silu(self.second(hidden))
