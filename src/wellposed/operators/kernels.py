"""Kernels of common blurs, each with sum one.

Gaussian   k_a ~ exp(-|a|^2 / (2 s^2)) at the pixels' centres.
Motion     a straight path of some length at constant speed: the share of its points nearest to
           each pixel, shared linearly between neighbours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.checks import whole, within

POINTS = 32  # points of a path per pixel of its length


def gaussian_kernel(sigma: float, size: int | None = None, axes: int = 2) -> Tensor:
    """Return a Gaussian kernel, float64, sum one.

    Parameters
    ----------
    sigma
        Standard deviation in pixels, > 0.
    size
        Side of the kernel; by default the odd number that reaches 4 sigma on each side.
    axes
        2 for images, 1 for signals on a line.

    Raises
    ------
    InputError
        A number out of range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.operators.gaussian_kernel(1.0, 3, axes=1).round(decimals=2).tolist()
    [0.27, 0.45, 0.27]
    """
    within(sigma, "sigma", 0, open_low=True)
    whole(axes, "axes")
    if size is None:
        size = 2 * math.ceil(4 * sigma) + 1
    whole(size, "size")
    line = -0.5 * ((torch.arange(size, dtype=torch.float64) - size // 2) / sigma).square()
    line = line.softmax(0)
    kernel = line
    for _ in range(axes - 1):
        kernel = kernel[..., None] * line
    return kernel


def motion_kernel(length: float, angle: float) -> Tensor:
    """Return the kernel of a straight motion, [side, side] with an odd side, float64, sum one.

    Parameters
    ----------
    length
        Length of the path in pixels, >= 0.
    angle
        Direction in degrees, from the positive horizontal axis towards the top.

    Raises
    ------
    InputError
        A number out of range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.operators.motion_kernel(2.0, 0.0).round(decimals=2)[1].tolist()
    [0.25, 0.5, 0.25]
    """
    within(length, "length", 0)
    within(angle, "angle")
    half = math.ceil(length / 2)
    count = max(1, math.ceil(length * POINTS))
    along = ((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5) * length
    row, col = (
        half - along * math.sin(math.radians(angle)),
        half + along * math.cos(math.radians(angle)),
    )
    side = torch.arange(2 * half + 1, dtype=torch.float64)
    rows, cols = ((1 - (v[:, None] - side).abs()).clamp_min(0) for v in (row, col))
    return rows.mT @ cols / count
