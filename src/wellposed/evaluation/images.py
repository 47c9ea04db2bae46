"""Scores of an image against the true one, and the ambiguities to resolve before scoring.

PSNR       10 log10(range^2 / mean squared error)
SSIM       Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 2004: with Gaussian-weighted local means m,
           variances v and covariance c (11 x 11, standard deviation 1.5),
           (2 m m' + C1) (2 c + C2) / ((m^2 + m'^2 + C1) (v + v' + C2)), averaged over the
           windows that lie inside and over channels; C1 = (0.01 range)^2, C2 = (0.03 range)^2
Alignment  magnitudes of Fourier coefficients do not see a global sign, a rotation by 180 degrees,
           or a circular shift of a real image; a mask in front takes the last two away. ``align``
           picks, among those allowed, the one nearest to the truth; by FFT over all shifts.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from wellposed.checks import as_tensor, finite, require, shaped, within

WINDOW, SPREAD = 11, 1.5


def psnr(estimate: Any, truth: Any, data_range: float = 2.0) -> Tensor:
    """Return the peak signal-to-noise ratio of each image, in decibels.

    Parameters
    ----------
    estimate, truth
        [C, H, W] or [B, C, H, W], finite.
    data_range
        White minus black, > 0: 2 for the priors' units, 1 for [0, 1].

    Returns
    -------
    Tensor
        0-d or [B], float64; infinite for equal images.

    Raises
    ------
    InputError
        Shapes that differ, or values that are not finite.

    Examples
    --------
    >>> import torch
    >>> round(float(psnr(torch.full((1, 4, 4), 0.1), torch.zeros(1, 4, 4), 1.0)), 6)
    20.0
    """
    x, y, single = _images(estimate, truth)
    within(data_range, "data_range", 0, open_low=True)
    error = (x - y).square().flatten(1).mean(1)
    return _given(10 * (data_range**2 / error).log10(), single)


def ssim(estimate: Any, truth: Any, data_range: float = 2.0) -> Tensor:
    """Return the structural similarity of each image, 1 for equal ones.

    Parameters
    ----------
    estimate, truth
        [C, H, W] or [B, C, H, W], finite, H and W >= 11.
    data_range
        White minus black, > 0: 2 for the priors' units, 1 for [0, 1].

    Raises
    ------
    InputError
        Shapes that differ or are too small, or values that are not finite.

    Examples
    --------
    >>> import torch
    >>> image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> float(ssim(image, image, 1.0)), float(ssim(1 - image, image, 1.0)) < 0
    (1.0, True)
    """
    x, y, single = _images(estimate, truth)
    within(data_range, "data_range", 0, open_low=True)
    require(
        min(x.shape[-2:]) >= WINDOW,
        f"the images have {x.shape[-2]} x {x.shape[-1]} pixels, expected at least "
        f"{WINDOW} x {WINDOW}",
        "that is the window of the structural similarity",
    )
    channels = x.shape[1]
    x, y = x.flatten(0, 1)[:, None], y.flatten(0, 1)[:, None]
    means = [_blurred(part) for part in (x, y, x * x, y * y, x * y)]
    mx, my, xx, yy, xy = means
    first, second = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    alike = (2 * mx * my + first) * (2 * (xy - mx * my) + second)
    size = (mx * mx + my * my + first) * (xx - mx * mx + yy - my * my + second)
    scores = (alike / size).flatten(1).mean(1)
    return _given(scores.reshape(-1, channels).mean(1), single)


def centre_crop(image: Any, size: tuple[int, int]) -> Tensor:
    """Return the middle [..., h, w] of images [..., H, W].

    Examples
    --------
    >>> import torch
    >>> centre_crop(torch.arange(16.0).reshape(4, 4), (2, 2)).tolist()
    [[5.0, 6.0], [9.0, 10.0]]
    """
    x = as_tensor(image, "image")
    high, wide = x.shape[-2:]
    h, w = size
    require(
        1 <= h <= high and 1 <= w <= wide,
        f"size is {h} x {w}, expected at most {high} x {wide} like the image",
    )
    top, left = (high - h) // 2, (wide - w) // 2
    return x[..., top : top + h, left : left + w]


def align(
    estimate: Any,
    truth: Any,
    *,
    sign: bool = True,
    flip: bool = False,
    shift: bool = False,
    by_channel: bool = False,
) -> Tensor:
    """Return the equivalent image nearest to the truth, in mean square.

    Do so for every method alike, before any score.

    Parameters
    ----------
    estimate, truth
        [C, H, W] or [B, C, H, W], finite.
    sign, flip, shift
        Which ambiguities the measurement has: x and -x; x(i, j) and x(-i, -j); circular
        shifts.
    by_channel
        Whether each channel was measured by itself, so that each has ambiguities of its own.

    Examples
    --------
    >>> import torch
    >>> image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> other = -image.flip(-2, -1).roll((2, 3), (-2, -1))
    >>> bool((align(other, image, flip=True, shift=True) - image).abs().max() < 1e-6)
    True
    """
    x, y, single = _images(estimate, truth)
    shape = x.shape
    if by_channel:
        x, y = x.reshape(-1, 1, *shape[2:]), y.reshape(-1, 1, *shape[2:])
    best, least = x, (x - y).square().flatten(1).sum(1)
    for mark, turned in itertools.product((1, -1) if sign else (1,), (False, True)[: 1 + flip]):
        other = mark * (x.flip(-2, -1) if turned else x)
        if shift:
            other = _rolled(other, y)
        error = (other - y).square().flatten(1).sum(1)
        nearer = error < least
        best = torch.where(nearer[:, None, None, None], other, best)
        least = torch.where(nearer, error, least)
    kept = best.reshape(shape).to(as_tensor(estimate, "estimate").dtype)
    return kept[0] if single else kept


def _rolled(x: Tensor, y: Tensor) -> Tensor:
    """Shift each image circularly to where its correlation with the other is largest."""
    product = torch.fft.rfft2(x).conj() * torch.fft.rfft2(y)
    overlap = torch.fft.irfft2(product.sum(1), s=x.shape[-2:])
    places = overlap.flatten(1).argmax(1).tolist()
    wide = x.shape[-1]
    moved = [part.roll((p // wide, p % wide), (-2, -1)) for part, p in zip(x, places, strict=True)]
    return torch.stack(moved)


def _images(estimate: Any, truth: Any) -> tuple[Tensor, Tensor, bool]:
    """Both as float64 [B, C, H, W], and whether it was one image."""
    x, y = as_tensor(estimate, "estimate"), as_tensor(truth, "truth")
    shaped(x, "estimate", y.shape)
    require(
        y.ndim in (3, 4) and y.numel() > 0,
        f"truth has shape {list(y.shape)}, expected [C, H, W] or [B, C, H, W]",
    )
    finite(x, "estimate")
    finite(y, "truth")
    single = y.ndim == 3
    return (x[None] if single else x).double(), (y[None] if single else y).double(), single


def _given(scores: Tensor, single: bool) -> Tensor:
    return scores[0] if single else scores


def _blurred(x: Tensor) -> Tensor:
    """Gaussian-weighted means over the windows that lie inside, [N, 1, H, W]."""
    at = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    kernel = (-0.5 * (at / SPREAD).square()).exp()
    kernel = kernel / kernel.sum()
    return conv2d(conv2d(x, kernel.reshape(1, 1, -1, 1)), kernel.reshape(1, 1, 1, -1))
