"""A compact U-Net that works on images of any size divisible by its stride.

Model      x [B, C, H, W] -> space-to-depth by ``patch`` -> levels of width ``widths[l]`` at
           1 / (patch 2^l) of the resolution, down, through, and up again with skips added.
Block      x + conv(SiLU(conv(SiLU(a(e) * norm(x) + b(e))))), e an embedding of the noise level
Norm       over the channels of one pixel: no statistics of the picture enter, so what is learnt
           on crops holds on whole images, and a distant pixel changes nothing.
Cost       for widths (80, 112, 128, 128) and patch 2: 0.5 MFLOP a pixel, 4 M parameters
Fails      where structure spans more than the receptive field, about 200 pixels for patch 2 and
           four levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from wellposed.checks import require
from wellposed.priors.diffusion import Shape
from wellposed.priors.network.configs import DEEPEST, LARGEST, sized, zeroed
from wellposed.priors.network.embedding import LevelEmbedding


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a U-Net.

    Parameters
    ----------
    channels
        Of the image: 1 grey, 3 colour.
    widths
        Feature channels of each level, finest first, each a multiple of 8.
    down, up
        Residual blocks of each level on the way down and on the way up.
    patch
        Side of the pixel squares that the finest level takes as one position, >= 1.
    embedding
        Size of the embedding of the noise level.
    """

    channels: int = 3
    widths: tuple[int, ...] = (80, 112, 128, 128)
    down: tuple[int, ...] = (2, 2, 1, 1)
    up: tuple[int, ...] = (3, 2, 2, 1)
    patch: int = 2
    embedding: int = 64

    def __post_init__(self) -> None:
        for name in ("channels", "patch", "embedding"):
            sized(getattr(self, name), name)
        for name, largest in (("widths", LARGEST), ("down", DEEPEST), ("up", DEEPEST)):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            for level, size in enumerate(getattr(self, name)):
                sized(size, f"{name}[{level}]", largest)
        levels = len(self.widths)
        require(
            1 <= levels <= 10 and len(self.down) == levels == len(self.up),
            f"widths, down and up have {levels}, {len(self.down)} and {len(self.up)} entries, "
            "expected one of each for each of 1 to 10 levels",
        )

    @property
    def stride(self) -> int:
        """What height and width must be divisible by."""
        return int(self.patch * 2 ** (len(self.widths) - 1))

    def check_shape(self, shape: Shape) -> None:
        """Require [channels, H, W] with H and W divisible by the stride."""
        fits = len(shape) == 3 and shape[0] == self.channels
        require(
            fits and all(n % self.stride == 0 for n in shape[1:]),
            f"shape is {list(shape)}, expected [{self.channels}, H, W] with H and W divisible by "
            f"{self.stride}",
            "each level of the U-Net halves the picture",
            "crop the picture, or pad it",
        )

    def build(self) -> UNet:
        """Make the network, with new weights from torch's global generator."""
        return UNet(self)


class PixelNorm(nn.Module):
    """Normalisation over the channels of each pixel, [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = (channels,)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with mean 0 and variance 1 over the channels of each pixel."""
        last = functional.layer_norm(x.permute(0, 2, 3, 1), self.channels)
        return last.permute(0, 3, 1, 2)


class Block(nn.Module):
    """A residual block whose normalised input is scaled and shifted by the noise level."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.norm = PixelNorm(width)
        self.modulation = nn.Linear(embedding, 2 * width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        zeroed(self.modulation, self.second)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Return x [B, width, H, W] refined, for a level embedding [B, embedding]."""
        scale, shift = self.modulation(level).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm(x), scale + 1)
        h = self.first(functional.silu(h))
        refined: Tensor = x + self.second(functional.silu(h))
        return refined


class UNet(nn.Module):
    """The network of a ``UNetConfig``."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        pixels = config.channels * config.patch**2
        self.level = LevelEmbedding(config.embedding)
        self.enter = nn.Conv2d(pixels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(map(self._stack, widths, config.down))
        self.up = nn.ModuleList(map(self._stack, widths, config.up))
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.grow = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairs)
        self.leave = nn.Conv2d(widths[0], pixels, 3, padding=1)
        self.norm = PixelNorm(widths[0])
        zeroed(self.leave)

    def _stack(self, width: int, count: int) -> nn.ModuleList:
        return nn.ModuleList(Block(width, self.config.embedding) for _ in range(count))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return [B, C, H, W] for x [B, C, H, W] and noise [B], the logarithm of sigma / 4."""
        level = self.level(noise)
        h = self.enter(functional.pixel_unshuffle(x, self.config.patch))
        skips: list[Tensor] = []
        for depth, blocks in enumerate(self.down):
            h = _through(blocks, h, level)
            if depth < len(self.shrink):
                skips.append(h)
                h = self.shrink[depth](h)
        for depth in reversed(range(len(self.up))):
            h = _through(self.up[depth], h, level)
            if depth:
                h = skips[depth - 1] + functional.pixel_shuffle(self.grow[depth - 1](h), 2)
        h = self.leave(functional.silu(self.norm(h)))
        return functional.pixel_shuffle(h, self.config.patch)


def _through(blocks: nn.Module, h: Tensor, level: Tensor) -> Tensor:
    for block in blocks.children():
        h = block(h, level)
    return h
