"""Photographs that the prior ``photo`` has not seen: those of scikit-image and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

NAMES = ("astronaut", "coffee", "chelsea", "rocket", "motorcycle", "china", "flower")
FLAT = 0.15  # standard deviation of a tile's numbers below which there is little to recover


def photograph(name: str) -> Tensor:
    """Return a photograph by its name, [3, H, W] in [0, 1]."""
    if name in ("china", "flower"):
        import sklearn

        folder = Path(sklearn.__file__).parent / "datasets" / "images"
        pixels = np.asarray(Image.open(folder / f"{name}.jpg"))
    else:
        import skimage.data

        pair = name == "motorcycle"
        pixels = skimage.data.stereo_motorcycle()[0] if pair else getattr(skimage.data, name)()
    return torch.from_numpy(np.array(pixels[..., :3])).movedim(-1, 0).float() / 255


def tiles(photo: Tensor, side: int = 64) -> Tensor:
    """Halve a photograph and cut it into squares that are not flat, [N, 3, side, side], -1 to 1."""
    x = interpolate(2 * photo[None] - 1, scale_factor=0.5, mode="bicubic", antialias=True)[0]
    x = x[:, : x.shape[1] // side * side, : x.shape[2] // side * side].clamp(-1, 1)
    cut = x.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4)
    cut = cut.reshape(-1, 3, side, side)
    return cut[cut.flatten(1).std(1) > FLAT]
