"""LPIPS: distance of two images in the features of a network that was trained on photographs.

Source     Zhang, Isola, Efros, Shechtman & Wang, "The unreasonable effectiveness of deep features
           as a perceptual metric", CVPR 2018 (version 0.1).
Model      f_l: features of layer l after its activation, [C_l, h, w], scaled to length one over
           channels at each place; w_l >= 0 the head's weight of each channel.
Score      sum over layers of the mean over places of  sum_c w_lc (f_lc(x) - f_lc(y))^2
Cost       one pass of AlexNet (or VGG16, fifteen times as much) for each image.
Fails      images under about 63 pixels for AlexNet: enlarge them first, and say so. Images
           unlike photographs: it is a number, not a judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d

from wellposed.checks import as_tensor, finite, require, shaped
from wellposed.datasets.lpips import Net, lpips_weights
from wellposed.errors import FileError

_MEAN, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_TINY = 1e-10
SMALLEST = {"alex": 63, "vgg": 32}
# Each layer: convolution number, stride, padding; "pool" and its window; "tap" hands features out.
_ALEX = ((0, 4, 2), "tap", 3, (1, 1, 2), "tap", 3, (2, 1, 1), "tap", (3, 1, 1), "tap",
         (4, 1, 1), "tap")  # fmt: skip
_VGG = (
    (0, 1, 1), (1, 1, 1), "tap", 2, (2, 1, 1), (3, 1, 1), "tap", 2,
    (4, 1, 1), (5, 1, 1), (6, 1, 1), "tap", 2, (7, 1, 1), (8, 1, 1), (9, 1, 1), "tap", 2,
    (10, 1, 1), (11, 1, 1), (12, 1, 1), "tap",
)  # fmt: skip


@dataclass(frozen=True)
class LPIPS:
    """The metric with one of its networks.

    Parameters
    ----------
    net
        "alex" or "vgg".
    enlarge
        Factor >= 1 by which images are enlarged first (nearest pixel), for small ones.

    Raises
    ------
    FileError
        The weights are not in the cache; the remedy fetches them.

    Examples
    --------
    >>> import torch
    >>> if available():  # the weights are fetched on request only
    ...     metric = LPIPS("alex")
    ...     image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ...     assert float(metric(image, image)) == 0 < float(metric(image, -image))
    """

    net: Net = "alex"
    enlarge: int = 1

    def __post_init__(self) -> None:
        require(self.net in SMALLEST, f"net is {self.net!r}, expected alex or vgg")
        require(self.enlarge >= 1, f"enlarge is {self.enlarge!r}, expected a whole number >= 1")
        _ = self._weights

    def __call__(self, estimate: Any, truth: Any) -> Tensor:
        """Return the distance of each image from the true one.

        Parameters
        ----------
        estimate, truth
            [C, H, W] or [B, C, H, W] in [-1, 1], C 1 or 3; grey ones are repeated.

        Returns
        -------
        Tensor
            0-d or [B], float32, >= 0.
        """
        x, y = as_tensor(estimate, "estimate").float(), as_tensor(truth, "truth").float()
        shaped(x, "estimate", y.shape)
        require(
            y.ndim in (3, 4) and y.shape[-3] in (1, 3),
            f"truth has shape {list(y.shape)}, expected [C, H, W] or [B, C, H, W], C 1 or 3",
        )
        least = SMALLEST[self.net]
        require(
            min(y.shape[-2:]) * self.enlarge >= least,
            f"the images have {y.shape[-2]} x {y.shape[-1]} pixels, expected at least {least}",
            "the network's last layers would see nothing",
            "LPIPS(enlarge=2) doubles them first: say so beside the figures",
        )
        finite(x, "estimate")
        finite(y, "truth")
        with torch.no_grad():
            scores = self._distance(self._prepared(x), self._prepared(y))
        return scores[0] if y.ndim == 3 else scores

    @cached_property
    def _weights(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(a) for name, a in lpips_weights(self.net).items()}

    def _prepared(self, x: Tensor) -> Tensor:
        x = (x[None] if x.ndim == 3 else x).expand(-1, 3, -1, -1)
        mean, scale = (x.new_tensor(v)[:, None, None] for v in (_MEAN, _SCALE))
        x = (x - mean) / scale
        return interpolate(x, scale_factor=self.enlarge) if self.enlarge > 1 else x

    def _distance(self, x: Tensor, y: Tensor) -> Tensor:
        total = x.new_zeros(len(x))
        pairs = zip(self._features(x), self._features(y), strict=True)
        for k, (left, right) in enumerate(pairs):
            off = (_unit(left) - _unit(right)).square()
            head = self._weights[f"heads/{k}"].to(x.device)
            total = total + torch.einsum("bchw,c->bhw", off, head).mean((1, 2))
        return total

    def _features(self, x: Tensor) -> list[Tensor]:
        taps: list[Tensor] = []
        for layer in _ALEX if self.net == "alex" else _VGG:
            if layer == "tap":
                taps.append(x)
            elif isinstance(layer, int):
                x = max_pool2d(x, layer, 2)
            elif isinstance(layer, tuple):
                number, stride, padding = layer
                kernel, bias = (
                    self._weights[f"features/{number}/{part}"].to(x.device)
                    for part in ("kernel", "bias")
                )
                x = conv2d(x, kernel, bias, stride, padding).relu()
        return taps


def available() -> bool:
    """Tell whether the weights are in the cache.

    Examples
    --------
    >>> available() in (True, False)
    True
    """
    try:
        lpips_weights("alex")
        lpips_weights("vgg")
    except FileError:
        return False
    return True


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + _TINY).sqrt()
