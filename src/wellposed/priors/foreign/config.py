"""What distinguishes the U-Nets of one family: sizes, and the habits of each code base.

Ho, Jain & Abbeel, NeurIPS 2020 (DDPM); Dhariwal & Nichol, NeurIPS 2021 (ADM);
Song et al., ICLR 2021 (DDPM++), as retrained by Karras et al., NeurIPS 2022 (EDM)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wellposed.checks import require, whole, within
from wellposed.priors.diffusion import Shape

if TYPE_CHECKING:
    from wellposed.priors.foreign.unet import ForeignUNet

Resample = Literal["conv", "block"]
Embedding = Literal["positional", "fourier"]
MOST_LEVELS, MOST_BLOCKS, MOST_CHANNELS, LARGEST_SIDE = 12, 32, 1 << 16, 1 << 13


@dataclass(frozen=True)
class ForeignConfig:
    """Architecture of a U-Net; levels run from the finest to the coarsest.

    Parameters
    ----------
    channels, out
        Of the image, and of the network's output: more than the image's where the network also
        predicts a variance, which is not used.
    widths
        Channels of each level, 1 to 12 levels.
    blocks
        Residual blocks of a level on the way down, 1 to 32; one more on the way up.
    down_attention, up_attention
        Whether a level has self-attention behind each of its blocks.
    only_last
        On the way up, attention stands behind the last block of a level only.
    down, up
        How a level changes to the next: a convolution with stride ("conv") or a residual block
        that averages or repeats pixels ("block"); one entry fewer than levels.
    middle, middle_attention
        Whether there are two blocks at the coarsest level, with attention between them.
    embedding
        Of time: "positional" (sines of t), or "fourier" (random ones of log t, and the output
        is divided by t).
    embedding_width, time_width
        Channels of the sines, >= 2, and of what is made of them.
    sine_first, frequency_shift
        Order of sines and cosines; frequency k is 10^(-4 k / (h - shift)), k < h, h half the
        width.
    scale_shift
        Whether time scales and shifts each block's second normalisation, or is added before it.
    groups, group_width
        Largest number of groups of a normalisation, and least channels of a group.
    head_width, heads
        Channels of an attention head, or number of heads where the width is None.
    middle_normalised
        Whether attention in the middle has a normalisation.
    eps
        Of normalisations, > 0.
    bridge
        A residual block that resamples has a 1 x 1 convolution beside it, even at equal width.
    rescale, middle_rescale
        Each block's output is divided by this, > 0.
    padding
        Of convolutions with stride: 1 on every side, or 0, which pads below and right.
    centre
        The network was trained on images from 0 to 1 and shifts them itself: x -> 2 x - 1.

    Raises
    ------
    InputError
        A size is out of range, or sizes do not fit each other.

    Examples
    --------
    >>> ForeignConfig(3, 3, (32, 64), down=("conv",), up=("conv",)).stride
    2
    """

    channels: int
    out: int
    widths: tuple[int, ...]
    blocks: int = 2
    down_attention: tuple[bool, ...] = ()
    up_attention: tuple[bool, ...] = ()
    only_last: bool = False
    down: tuple[Resample, ...] = ()
    up: tuple[Resample, ...] = ()
    middle: bool = True
    middle_attention: bool = True
    embedding: Embedding = "positional"
    embedding_width: int = 0
    time_width: int = 0
    sine_first: bool = False
    frequency_shift: float = 0.0
    scale_shift: bool = False
    groups: int = 32
    group_width: int = 1
    head_width: int | None = 8
    heads: int = 1
    middle_normalised: bool = True
    eps: float = 1e-5
    bridge: bool = False
    rescale: float = 1.0
    middle_rescale: float = 1.0
    padding: int = 1
    centre: bool = False

    def __post_init__(self) -> None:
        for name in ("widths", "down_attention", "up_attention", "down", "up"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        levels = len(self.widths)
        require(
            1 <= levels <= MOST_LEVELS,
            f"widths has {levels} entries, expected 1 to {MOST_LEVELS} levels",
        )
        for name, default in (
            ("down_attention", (False,) * levels),
            ("up_attention", (False,) * levels),
            ("embedding_width", self.widths[0]),
            ("time_width", 4 * self.widths[0] if isinstance(self.widths[0], int) else 0),
        ):
            object.__setattr__(self, name, getattr(self, name) or default)
        self._check_sizes()
        for name, length in (
            ("down_attention", levels), ("up_attention", levels),
            ("down", levels - 1), ("up", levels - 1),
        ):  # fmt: skip
            value = getattr(self, name)
            require(
                len(value) == length,
                f"{name} has {len(value)} entries, expected {length} for {levels} levels",
            )

    def _check_sizes(self) -> None:
        sizes = {f"widths[{k}]": width for k, width in enumerate(self.widths)} | {
            "channels": self.channels, "out": self.out, "embedding_width": self.embedding_width,
            "time_width": self.time_width, "groups": self.groups,
            "group_width": self.group_width, "heads": self.heads,
        }  # fmt: skip
        if self.head_width is not None:
            sizes["head_width"] = self.head_width
        for name, size in sizes.items():
            whole(size, name)
            within(size, name, 1, MOST_CHANNELS)
        whole(self.blocks, "blocks")
        within(self.blocks, "blocks", 1, MOST_BLOCKS)
        require(
            self.channels <= self.out,
            f"the network maps {self.channels} channels to {self.out}",
            "a denoiser returns an image like the one it was given",
        )
        for width in self.widths:
            groups = self.groups_of(width)
            require(width % groups == 0, f"{width} channels do not fall into {groups} groups")
        for name in ("eps", "rescale", "middle_rescale"):
            within(getattr(self, name), name, 0, open_low=True)
        within(self.frequency_shift, "frequency_shift", 0, 1)
        whole(self.padding, "padding", 0)
        within(self.padding, "padding", 0, 1)
        require(self.embedding_width >= 4, "embedding_width is below 4, too few frequencies")

    @property
    def stride(self) -> int:
        """By what height and width of an image must be divisible."""
        return 1 << (len(self.widths) - 1)

    def build(self) -> ForeignUNet:
        """Make the network, with new weights from torch's global generator."""
        from wellposed.priors.foreign.unet import ForeignUNet

        return ForeignUNet(self)

    def check_shape(self, shape: Shape) -> None:
        """Require that the network takes signals of this shape."""
        require(
            len(shape) == 3 and shape[0] == self.channels,
            f"shape is {tuple(shape)}, expected ({self.channels}, height, width)",
        )
        for side in shape[1:]:
            whole(side, "a side of the image")
            require(
                side % self.stride == 0 and side <= LARGEST_SIDE,
                f"the image has {side} pixels on a side, expected a multiple of "
                f"{self.stride}, at most {LARGEST_SIDE}",
                "the network halves it at every level",
            )

    def groups_of(self, width: int) -> int:
        """Return the number of groups of a normalisation of so many channels."""
        return max(1, min(self.groups, width // self.group_width))

    def heads_of(self, width: int) -> tuple[int, int]:
        """Return number and width of attention heads for so many channels."""
        if self.head_width is None:
            return self.heads, width // self.heads
        return max(1, width // self.head_width), self.head_width
