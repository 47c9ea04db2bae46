"""Fourier coefficients of point masses at any places: the push-forward of a density.

Method     c_k = sum_j m_j exp(-2 pi i k t_j), |k| < N / 2, t_j in [0, 1), by spreading the masses
           onto a grid of 2 N with the kernel exp(b (sqrt(1 - x^2) - 1)), a fast Fourier transform,
           and division by the kernel's own transform (Barnett, Magland & af Klinteberg, SIAM J.
           Sci. Comput. 41, 2019).
Cost       O(16 n + N log N).
Accuracy   about 1e-14 of the total mass.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
WIDTH = 16  # grid points under the kernel
SHARPNESS = 2.30 * WIDTH


def fourier_of_masses(places: Floats, masses: Floats, size: int) -> Complex:
    """Return the coefficients k = 0, ..., size / 2 of point masses.

    Parameters
    ----------
    places
        [n], in [0, 1).
    masses
        [n], real.
    size
        N, even.

    Examples
    --------
    >>> c = fourier_of_masses(np.array([0.25]), np.array([2.0]), 64)
    >>> bool(np.abs(c - 2 * np.exp(-0.5j * np.pi * np.arange(33))).max() < 1e-12)
    True
    """
    fine = 2 * size
    at = places * fine
    first = np.ceil(at - WIDTH / 2).astype(np.int64)
    offsets = np.arange(WIDTH)
    distance = (first - at)[:, None] + offsets
    spread = masses[:, None] * _kernel(2 * distance / WIDTH)
    cells = (first[:, None] + offsets) % fine
    grid = np.bincount(cells.ravel(), spread.ravel(), minlength=fine)
    coefficients: Complex = np.fft.rfft(grid)[: size // 2 + 1] / _transform(size)
    return coefficients


def _kernel(x: Floats) -> Floats:
    bell: Floats = np.exp(SHARPNESS * (np.sqrt(np.maximum(1 - x * x, 0.0)) - 1))
    return bell


@cache
def _transform(size: int) -> Floats:
    """Fourier transform of the kernel at the wanted frequencies, by Gauss's quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    frequencies = np.pi * WIDTH / (2 * size) * np.arange(size // 2 + 1)
    bell = weights * _kernel(nodes)
    transform: Floats = WIDTH / 2 * np.cos(np.outer(frequencies, nodes)) @ bell
    return transform
