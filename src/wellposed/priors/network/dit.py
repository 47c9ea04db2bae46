"""A Diffusion Transformer: attention between the patches of an image of one size.

Source     Peebles, Xie, "Scalable diffusion models with transformers", ICCV 2023 (adaLN-Zero)
Model      patches -> tokens t of size ``width`` plus fixed sine positions, and one token that is
           linear in the whole image -> blocks
           t += g1 attention(a1 norm(t) + b1);  t += g2 mlp(a2 norm(t) + b2)
           -> patches, plus an image linear in the last token, with a, b, g linear in an embedding
           of the noise level, g = 0 at first
           Beyond the source is the token of the whole: at high noise E[x0 | z] is near a linear map
           of few directions of the whole image, which patches alone take long to learn.
Cost       12 depth width^2 multiplications a token, attention quadratic in their number, and
           2 width multiplications and weights a pixel for the token of the whole
Fails      on images of another size than it was trained on, which it refuses; needs more data
           than a U-Net, since nothing in it says that neighbours belong together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wellposed.checks import require
from wellposed.priors.diffusion import Shape
from wellposed.priors.network.configs import DEEPEST, sized, zeroed
from wellposed.priors.network.embedding import LevelEmbedding


@dataclass(frozen=True)
class DiTConfig:
    """The shape of a transformer.

    Parameters
    ----------
    channels, height, width_pixels
        Of the image.
    patch
        Side of the squares that become tokens; it divides both sides of the image.
    width
        Of a token, a multiple of 4 and of ``heads``.
    depth, heads
        Blocks, and attention heads of each.
    embedding
        Size of the embedding of the noise level.
    """

    channels: int = 1
    height: int = 32
    width_pixels: int = 32
    patch: int = 2
    width: int = 128
    depth: int = 6
    heads: int = 4
    embedding: int = 64

    def __post_init__(self) -> None:
        for name in ("channels", "height", "width_pixels", "patch", "width", "embedding"):
            sized(getattr(self, name), name)
        for name in ("depth", "heads"):
            sized(getattr(self, name), name, DEEPEST)
        require(
            self.height % self.patch == 0 == self.width_pixels % self.patch,
            f"patch is {self.patch}, expected a divisor of {self.height} and {self.width_pixels}",
        )
        require(
            self.width % self.heads == 0 == self.width % 4,
            f"width is {self.width}, expected a multiple of 4 and of heads = {self.heads}",
        )

    @property
    def tokens(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return self.height // self.patch, self.width_pixels // self.patch

    def check_shape(self, shape: Shape) -> None:
        """Require [channels, height, width_pixels]."""
        wanted = (self.channels, self.height, self.width_pixels)
        require(
            tuple(shape) == wanted,
            f"shape is {list(shape)}, expected {list(wanted)}",
            "a transformer knows the places of its training images only",
        )

    def build(self) -> DiT:
        """Make the network, with new weights from torch's global generator."""
        return DiT(self)


class TokenBlock(nn.Module):
    """Attention and a perceptron, each scaled, shifted and gated by the noise level."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.modulation = nn.Linear(config.embedding, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.first = nn.Linear(width, 4 * width)
        self.second = nn.Linear(4 * width, width)
        zeroed(self.modulation)

    def forward(self, t: Tensor, level: Tensor) -> Tensor:
        """Return tokens [B, n, width] refined, for a level embedding [B, embedding]."""
        a1, b1, g1, a2, b2, g2 = self.modulation(level)[:, None].chunk(6, dim=2)
        t = t + g1 * self._attend(_modulated(t, a1, b1))
        hidden = functional.gelu(self.first(_modulated(t, a2, b2)))
        refined: Tensor = t + g2 * self.second(hidden)
        return refined

    def _attend(self, t: Tensor) -> Tensor:
        batch, count, width = t.shape
        qkv = self.qkv(t).reshape(batch, count, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        # Written out: torch's fused attention on the CPU has no second derivative.
        mixed = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[3]), dim=3) @ v
        found: Tensor = self.mixed(mixed.transpose(1, 2).reshape(batch, count, width))
        return found


class DiT(nn.Module):
    """The network of a ``DiTConfig``."""

    positions: Tensor

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.channels * config.patch**2
        self.level = LevelEmbedding(config.embedding)
        self.enter = nn.Linear(pixels, config.width)
        self.enter_whole = nn.Linear(pixels * math.prod(config.tokens), config.width)
        self.blocks = nn.ModuleList(TokenBlock(config) for _ in range(config.depth))
        self.last = nn.Linear(config.embedding, 2 * config.width)
        self.leave = nn.Linear(config.width, pixels)
        self.leave_whole = nn.Linear(config.width, pixels * math.prod(config.tokens))
        zeroed(self.last, self.leave, self.leave_whole)
        self.register_buffer("positions", _positions(config), persistent=False)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return [B, C, H, W] for x [B, C, H, W] and noise [B], the logarithm of sigma / 4."""
        level = self.level(noise)
        squares = functional.pixel_unshuffle(x, self.config.patch)
        t = self.enter(squares.flatten(2).transpose(1, 2))
        t = t + self.positions.to(t.dtype)
        t = torch.cat([t, self.enter_whole(x.flatten(1))[:, None]], dim=1)
        for block in self.blocks:
            t = block(t, level)
        scale, shift = self.last(level)[:, None].chunk(2, dim=2)
        t = _modulated(t, scale, shift)
        squares = self.leave(t[:, :-1]).transpose(1, 2).unflatten(2, self.config.tokens)
        whole: Tensor = self.leave_whole(t[:, -1]).reshape(x.shape)
        return whole + functional.pixel_shuffle(squares, self.config.patch)


def _modulated(t: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift, functional.layer_norm(t, t.shape[2:]), scale + 1)


def _positions(config: DiTConfig) -> Tensor:
    """Return [tokens, width]: sines and cosines of row and column."""
    rows, columns = (_waves(n, config.width // 2) for n in config.tokens)
    pairs = [rows[:, None].expand(-1, len(columns), -1), columns.expand(len(rows), -1, -1)]
    return torch.cat(pairs, dim=2).flatten(0, 1)


def _waves(count: int, size: int) -> Tensor:
    """Return [count, size] sines and cosines of 0..count-1 at geometric frequencies."""
    rates = torch.logspace(0, -4, size // 2, dtype=torch.float64)
    angles = torch.arange(count, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()
