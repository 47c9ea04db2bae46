"""Where training signals come from: arrays of one shape, or crops of pictures of many sizes.

A batch is a pure function of (seed, step): a run that was stopped sees the same signals again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wellposed.checks import require
from wellposed.rng import Stream

SHRINK = math.sqrt(0.5)  # from one level of a pyramid to the next


class Source(Protocol):
    """Gives the clean signals of a training step."""

    def batch(self, stream: Stream, step: int) -> Tensor:
        """Return signals [B, *shape], float32, in the prior's range."""
        ...


@dataclass(frozen=True)
class Rows:
    """Signals of one shape, drawn with replacement.

    Parameters
    ----------
    values
        [n, *shape]; bytes are read as [-1, 1], other numbers as they are.
    count
        Signals of a batch.
    flips
        Mirror the last axis of half of them.
    """

    values: Tensor
    count: int
    flips: bool = False

    def batch(self, stream: Stream, step: int) -> Tensor:
        """Return signals [count, *shape]."""
        chosen = stream.uniform((self.count,), "rows", step) * len(self.values)
        x = as_range(self.values[chosen.long()])
        if self.flips:
            mirrored = stream.uniform((self.count,), "flips", step) < 0.5
            x[mirrored] = x[mirrored].flip(-1)
        return x


@dataclass(frozen=True)
class Crops:
    """Square crops of pictures, of one size a step and several over the steps.

    Parameters
    ----------
    pyramids
        Bytes [C, H, W], each picture at several resolutions; each entry is drawn from with a
        probability proportional to the square root of its pixels.
    sizes
        Sides of the crops, drawn with equal probability.
    pixels
        Of a batch: a batch of large crops has fewer of them.
    flips
        Mirror half of the crops.
    """

    pyramids: tuple[Tensor, ...]
    sizes: tuple[int, ...]
    pixels: int
    flips: bool = True

    def __post_init__(self) -> None:
        largest = max(self.sizes)
        fitting = [min(p.shape[1:]) >= largest for p in self.pyramids]
        require(
            any(fitting),
            f"no picture has {largest} pixels on both sides",
            "crops of that size cannot be cut",
            "give smaller crop sizes, or larger pictures",
        )

    def batch(self, stream: Stream, step: int) -> Tensor:
        """Return crops [B, C, size, size]."""
        pick = int(stream.uniform((1,), "size", step) * len(self.sizes))
        size = self.sizes[pick]
        fitting = [p for p in self.pyramids if min(p.shape[1:]) >= size]
        roots = torch.tensor([float(p[0].numel()) for p in fitting]).sqrt().double()
        count = max(1, self.pixels // size**2)
        u = stream.uniform((count, 4), "crops", step)
        places = torch.searchsorted(roots.cumsum(0) / roots.sum(), u[:, 0].contiguous())
        crops = []
        for place, (_, top, left, mirror) in zip(places.tolist(), u.tolist(), strict=True):
            picture = fitting[min(place, len(fitting) - 1)]
            i = int(top * (picture.shape[1] - size + 1))
            j = int(left * (picture.shape[2] - size + 1))
            crop = picture[:, i : i + size, j : j + size]
            crops.append(crop.flip(-1) if self.flips and mirror < 0.5 else crop)
        return as_range(torch.stack(crops))


def as_range(values: Tensor) -> Tensor:
    """Return float32; bytes 0..255 become [-1, 1]."""
    if values.dtype == torch.uint8:
        return values.float() / 127.5 - 1
    return values.float()


def pyramid(picture: NDArray[np.uint8], largest: int, smallest: int) -> list[Tensor]:
    """Return a picture at several resolutions, each a factor sqrt(1/2) smaller on a side.

    Parameters
    ----------
    picture
        Bytes [H, W] or [H, W, 3].
    largest
        Longest side of the first one, in pixels; a smaller picture stays as it is.
    smallest
        Shortest side of the last one, in pixels; a smaller picture gives nothing.

    Returns
    -------
    list of Tensor
        Bytes [C, H, W], by Lanczos resampling.
    """
    image = Image.fromarray(picture)
    scale = min(1.0, largest / max(image.size))
    levels: list[Tensor] = []
    while min(image.size) * scale >= smallest:
        size = round(image.width * scale), round(image.height * scale)
        small = image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)
        levels.append(torch.from_numpy(np.atleast_3d(np.asarray(small)).copy()).movedim(-1, 0))
        scale *= SHRINK
    return levels


def held_out(names: Sequence[str], every: int) -> list[bool]:
    """Tell which of the named things are set aside for validation: one in ``every``, by name."""
    order = sorted(range(len(names)), key=lambda i: names[i])
    chosen = set(order[every // 2 :: every])
    return [i in chosen for i in range(len(names))]
