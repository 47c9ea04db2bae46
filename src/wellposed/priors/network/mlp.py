"""A residual multi-layer perceptron for vectors.

Model      x [B, d] -> linear -> blocks h + W2 SiLU(W1 SiLU(a(e) * norm(h) + b(e))) -> linear,
           e an embedding of the noise level
Cost       2 d width + 2 depth width^2 multiplications a signal
Fails      on signals with a spatial layout, which it would have to learn by heart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wellposed.checks import require
from wellposed.priors.diffusion import Shape
from wellposed.priors.network.configs import DEEPEST, sized, zeroed
from wellposed.priors.network.embedding import LevelEmbedding


@dataclass(frozen=True)
class MLPConfig:
    """The shape of a perceptron.

    Parameters
    ----------
    size
        Coordinates of a signal.
    width, depth
        Features, and residual blocks.
    embedding
        Size of the embedding of the noise level.
    """

    size: int
    width: int = 128
    depth: int = 4
    embedding: int = 32

    def __post_init__(self) -> None:
        sized(self.size, "size", 1 << 20)
        sized(self.width, "width")
        sized(self.depth, "depth", DEEPEST)
        sized(self.embedding, "embedding")

    def check_shape(self, shape: Shape) -> None:
        """Require [size]."""
        require(tuple(shape) == (self.size,), f"shape is {list(shape)}, expected [{self.size}]")

    def build(self) -> MLP:
        """Make the network, with new weights from torch's global generator."""
        return MLP(self)


class Layer(nn.Module):
    """A residual block whose normalised input is scaled and shifted by the noise level."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(embedding, 2 * width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        zeroed(self.modulation, self.second)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return x [B, width] refined, for a level embedding [B, embedding]."""
        scale, shift = self.modulation(level).chunk(2, dim=1)
        h = torch.addcmul(shift, functional.layer_norm(x, x.shape[1:]), scale + 1)
        refined: Tensor = x + self.second(functional.silu(self.first(functional.silu(h))))
        return refined


class MLP(nn.Module):
    """The network of an ``MLPConfig``."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.level = LevelEmbedding(config.embedding)
        self.enter = nn.Linear(config.size, config.width)
        self.layers = nn.ModuleList(
            Layer(config.width, config.embedding) for _ in range(config.depth)
        )
        self.leave = nn.Linear(config.width, config.size)
        zeroed(self.leave)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return [B, size] for x [B, size] and noise [B], the logarithm of sigma / 4."""
        level = self.level(noise)
        h = self.enter(x)
        for layer in self.layers:
            h = layer(h, level)
        found: Tensor = self.leave(functional.silu(h))
        return found
