"""The U-Net of DDPM and its heirs, in one description.

Source     J. Ho, A. Jain, P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020;
           P. Dhariwal, A. Nichol, "Diffusion models beat GANs on image synthesis", NeurIPS 2021.
Model      levels of residual blocks that halve the image, a middle, and as many levels back up,
           each block there fed with its mirror image's output; every block sees the time.
           block    h = conv(act(norm(x))) + time,  y = (x + conv(act(norm(h)))) / rescale
Names      of the parameters are those of diffusers' UNet2DModel, so its files load as they are;
           tables bring the files of other code bases to these names.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from wellposed.priors.foreign.config import ForeignConfig, Resample


class ForeignUNet(nn.Module):
    """A U-Net that maps x [B, C, H, W] and times [B] to [B, out, H, W].

    Parameters
    ----------
    config
        Its architecture. H and W must be divisible by ``config.stride``.

    Examples
    --------
    >>> config = ForeignConfig(1, 1, (8, 16), 1, down=("conv",), up=("block",), groups=4)
    >>> ForeignUNet(config)(torch.zeros(2, 1, 8, 8), torch.tensor([1.0, 7.5])).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self, config: ForeignConfig) -> None:
        super().__init__()
        self.config = config
        first, last = config.widths[0], config.widths[-1]
        self.conv_in = nn.Conv2d(config.channels, first, 3, padding=1)
        if config.embedding == "fourier":
            self.time_proj = Fourier(config)
        self.time_embedding = TimeEmbedding(config)
        self.down_blocks = nn.ModuleList(_descent(config))
        self.mid_block = Middle(config, last) if config.middle else None
        self.up_blocks = nn.ModuleList(_ascent(config))
        self.conv_norm_out = _norm(config, first)
        self.conv_out = nn.Conv2d(first, config.out, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the network's prediction at times t."""
        fourier = self.config.embedding == "fourier"
        sines = self.time_proj(t) if fourier else _sines(self.config, t)
        time = self.time_embedding(sines.to(x.dtype))
        y = self.conv_in(2 * x - 1 if self.config.centre else x)
        skips = [y]
        for down in self.down_blocks:
            y = down(y, time, skips)
        if self.mid_block is not None:
            y = self.mid_block(y, time)
        for up in self.up_blocks:
            y = up(y, time, skips)
        y = self.conv_out(functional.silu(self.conv_norm_out(y)))
        return cast(Tensor, y / t.reshape(-1, 1, 1, 1) if fourier else y)


class Fourier(nn.Module):
    """Sines and cosines of log t at random frequencies."""

    def __init__(self, config: ForeignConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(config.embedding_width), requires_grad=False)

    def forward(self, t: Tensor) -> Tensor:
        """Return [B, 2 width] for times [B]."""
        angles = 2 * math.pi * t.log()[:, None] * self.weight
        return torch.cat([angles.sin(), angles.cos()], 1)


class TimeEmbedding(nn.Module):
    """Two layers from sines of the time to what the blocks see."""

    def __init__(self, config: ForeignConfig) -> None:
        super().__init__()
        width = config.embedding_width * (2 if config.embedding == "fourier" else 1)
        self.linear_1 = nn.Linear(width, config.time_width)
        self.linear_2 = nn.Linear(config.time_width, config.time_width)

    def forward(self, sines: Tensor) -> Tensor:
        """Return [B, time_width], through the last activation: every block begins with it."""
        return functional.silu(self.linear_2(functional.silu(self.linear_1(sines))))


class Residual(nn.Module):
    """A residual block that sees the time, and may halve or double the image."""

    def __init__(
        self, config: ForeignConfig, width_in: int, width: int, rescale: float, change: float = 1
    ) -> None:
        super().__init__()
        self.change, self.rescale, self.scale_shift = change, rescale, config.scale_shift
        self.norm1 = _norm(config, width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1)
        self.time_emb_proj = nn.Linear(config.time_width, width * (2 if self.scale_shift else 1))
        self.norm2 = _norm(config, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        bridged = width_in != width or (change != 1 and config.bridge)
        self.conv_shortcut = nn.Conv2d(width_in, width, 1) if bridged else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return [B, width, H', W'] for x [B, width_in, H, W]."""
        h = self.conv1(_resized(functional.silu(self.norm1(x)), self.change))
        x = _resized(x, self.change)
        time = self.time_emb_proj(time)[:, :, None, None]
        if self.scale_shift:
            scale, shift = time.chunk(2, 1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + time)
        h = self.conv2(functional.silu(h))
        if self.conv_shortcut is not None:
            x = self.conv_shortcut(x)
        return cast(Tensor, (x + h) / self.rescale)


class Attention(nn.Module):
    """Self-attention between all places of an image."""

    def __init__(
        self, config: ForeignConfig, width: int, rescale: float, *, normalised: bool = True
    ) -> None:
        super().__init__()
        self.rescale = rescale
        self.heads, head = config.heads_of(width)
        self.group_norm = _norm(config, width) if normalised else nn.Identity()
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, self.heads * head) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(self.heads * head, width)])

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, H, W] like x."""
        places = self.group_norm(x).flatten(2).transpose(1, 2)  # [B, H W, C]
        parts = (to(places) for to in (self.to_q, self.to_k, self.to_v))
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out = self.to_out[0](seen).transpose(1, 2).unflatten(2, x.shape[2:])
        return cast(Tensor, (x + out) / self.rescale)


class Stage(nn.Module):
    """Blocks of one level, with attention behind some; the base of what goes down and up."""

    def __init__(
        self, config: ForeignConfig, widths: list[tuple[int, int]], attention: list[bool]
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Residual(config, *w, config.rescale) for w in widths)
        if any(attention):
            self.attentions = nn.ModuleList(
                Attention(config, w[1], config.rescale) if wanted else nn.Identity()
                for w, wanted in zip(widths, attention, strict=True)
            )

    def block(self, k: int, x: Tensor, time: Tensor) -> Tensor:
        """Run block k and its attention."""
        x = self.resnets[k](x, time)
        return cast(Tensor, self.attentions[k](x) if hasattr(self, "attentions") else x)


class Down(Stage):
    """A level on the way down; keeps what every block returns."""

    def __init__(self, config: ForeignConfig, level: int) -> None:
        width = config.widths[level]
        before = config.widths[max(level - 1, 0)]
        inputs = [before] + [width] * (config.blocks - 1)
        attention = [config.down_attention[level]] * config.blocks
        super().__init__(config, [(w, width) for w in inputs], attention)
        if level < len(config.down):
            self.downsamplers = nn.ModuleList([_resampler(config, config.down[level], width, 0.5)])

    def forward(self, x: Tensor, time: Tensor, skips: list[Tensor]) -> Tensor:
        """Return the input of the next level."""
        for k in range(len(self.resnets)):
            x = self.block(k, x, time)
            skips.append(x)
        if hasattr(self, "downsamplers"):
            x = self.downsamplers[0](x, time)
            skips.append(x)
        return x


class Up(Stage):
    """A level on the way up; takes what its mirror image kept, last things first."""

    def __init__(self, config: ForeignConfig, level: int) -> None:
        widths, count = config.widths, config.blocks + 1
        width, finer = widths[level], widths[max(level - 1, 0)]
        below = widths[min(level + 1, len(widths) - 1)]
        inputs = [below] + [width] * (count - 1)
        kept = [width] * (count - 1) + [finer]
        wanted = config.up_attention[level]
        attention = [wanted and (not config.only_last or k == count - 1) for k in range(count)]
        pairs = [(a + b, width) for a, b in zip(inputs, kept, strict=True)]
        super().__init__(config, pairs, attention)
        if level > 0:
            self.upsamplers = nn.ModuleList([_resampler(config, config.up[level - 1], width, 2)])

    def forward(self, x: Tensor, time: Tensor, skips: list[Tensor]) -> Tensor:
        """Return the input of the next level."""
        for k in range(len(self.resnets)):
            x = self.block(k, torch.cat([x, skips.pop()], 1), time)
        return self.upsamplers[0](x, time) if hasattr(self, "upsamplers") else x


class Middle(nn.Module):
    """Two blocks at the coarsest level, with attention between them."""

    def __init__(self, config: ForeignConfig, width: int) -> None:
        super().__init__()
        rescale = config.middle_rescale
        self.resnets = nn.ModuleList(Residual(config, width, width, rescale) for _ in range(2))
        if config.middle_attention:
            attention = Attention(config, width, rescale, normalised=config.middle_normalised)
            self.attentions = nn.ModuleList([attention])

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return [B, C, H, W] like x."""
        x = self.resnets[0](x, time)
        if hasattr(self, "attentions"):
            x = self.attentions[0](x)
        return cast(Tensor, self.resnets[1](x, time))


class Strided(nn.Module):
    """Halve an image by a convolution with stride."""

    def __init__(self, config: ForeignConfig, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=config.padding)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return [B, C, H / 2, W / 2]; the time is not used."""
        return cast(
            Tensor, self.conv(x if self.conv.padding[0] else functional.pad(x, (0, 1, 0, 1)))
        )


class Repeated(nn.Module):
    """Double an image by repeating pixels, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return [B, C, 2 H, 2 W]; the time is not used."""
        return cast(Tensor, self.conv(_resized(x, 2)))


def _descent(config: ForeignConfig) -> list[nn.Module]:
    return [Down(config, level) for level in range(len(config.widths))]


def _ascent(config: ForeignConfig) -> list[nn.Module]:
    return [Up(config, level) for level in reversed(range(len(config.widths)))]


def _resampler(config: ForeignConfig, kind: Resample, width: int, change: float) -> nn.Module:
    if kind == "block":
        return Residual(config, width, width, config.rescale, change)
    return Repeated(width) if change > 1 else Strided(config, width)


def _resized(x: Tensor, change: float) -> Tensor:
    """Average pairs of pixels (1/2), repeat them (2), or leave them (1)."""
    if change == 1:
        return x
    return (
        functional.avg_pool2d(x, 2) if change < 1 else functional.interpolate(x, scale_factor=2.0)
    )


def _norm(config: ForeignConfig, width: int) -> nn.GroupNorm:
    return nn.GroupNorm(config.groups_of(width), width, config.eps)


def _sines(config: ForeignConfig, t: Tensor) -> Tensor:
    """Return the positional embedding of times [B], [B, embedding_width], in single precision.

    As trained: at t = 1000 the rounding of the angles is part of what a network has learnt.
    """
    half = config.embedding_width // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * (-math.log(1e4) * steps / (half - config.frequency_shift)).exp()
    sines, cosines = angles.sin(), angles.cos()
    both = (sines, cosines) if config.sine_first else (cosines, sines)
    return functional.pad(torch.cat(both, 1), (0, config.embedding_width % 2))
