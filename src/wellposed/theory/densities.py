"""Exact laws of stochastic samplers on the line: densities pushed through the shipped pieces.

Model      a ``Map`` moves mass, a ``Noise(std)`` convolves with N(0, std^2). The density lives on
           an even grid u, y = unit u, and every map chooses the unit anew, so that the grid covers
           what carries mass: one grid serves every level of a walk.
Map        the masses p(u) h are put at function(unit u) / new unit; their Fourier coefficients
           give the new density. No inverse of the map is needed, and it may fold.
Noise      coefficient k is multiplied by exp(-(k std)^2 / 2): exact however small the noise is.
Accuracy   spectral: 1e-9 and better while the density is wider than two or three cells. Mass that
           leaves the grid is lost and shows in ``mass``.
Cost       a map costs size evaluations of the prior and a transform.
Fails      structure finer than the grid, and maps without noise that stretch by more than about
           1.5 at once, where the masses of neighbouring points come apart: use ``flows`` there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from wellposed.samplers.pieces import Map, Noise, Piece
from wellposed.theory.distances import Distances, relative_entropy, total_variation
from wellposed.theory.line import LineMixture, Tails
from wellposed.theory.nufft import fourier_of_masses

Floats = NDArray[np.float64]
SIZE = 1024
REACH = 9.0  # units to each side
REACHED = 7.5  # units within which a map's image lies
FELT = 1e-13  # mass of a point that counts for that
BULK = 1e-4  # density, relative to the highest, below which a stretch does not matter
ZOOM = 0.75  # well above 1 / 2, below which the masses of neighbouring points come apart
NOTHING = 1e-17  # mass of a point that is rounding
CORE = 1e-9  # tail below which a quantile of a density on a grid has no digits


@dataclass(frozen=True, eq=False)
class GridLaw:
    """A density on the line.

    Parameters
    ----------
    density
        Per unit of u, at u = -REACH + k h, k = 0, ..., size - 1, [size]; periodic.
    unit
        y = unit u.

    Examples
    --------
    >>> law = GridLaw.of(LineMixture.normal(), 1.0)
    >>> law.smoothed(0.75).distances(LineMixture.normal(0.0, 1.25)).tv < 1e-12
    True
    """

    density: Floats
    unit: float

    @classmethod
    def of(cls, law: LineMixture, unit: float, size: int = SIZE) -> GridLaw:
        """Put an exact law on the grid."""
        return cls(unit * law.density(unit * _grid(size)), unit)

    @property
    def points(self) -> Floats:
        """The grid in the sampler's own scale, y, [size]."""
        return self.unit * _grid(self.density.size)

    @property
    def spacing(self) -> float:
        """h, in units of u."""
        return 2 * REACH / self.density.size

    @property
    def mass(self) -> float:
        """Total mass."""
        return self.spacing * float(self.density.sum())

    def pushed(self, piece: Map, noise: float = 0.0) -> GridLaw:
        """Run a map.

        Parameters
        ----------
        piece
            The map.
        noise
            Standard deviation of noise that will follow: the new grid has room for it.
        """
        ends = piece(torch.from_numpy(self.points)[:, None])[:, 0].numpy()
        masses = self.spacing * self.density
        unit = max(math.hypot(_extent(ends, masses) / REACHED, noise), self._finest(ends))
        seen = (np.abs(ends) < REACH * unit) & (masses > NOTHING)
        places = (ends[seen] / unit + REACH) / (2 * REACH)
        size = self.density.size
        coefficients = fourier_of_masses(places, masses[seen], size)
        density = np.fft.irfft(coefficients, size) / self.spacing
        return GridLaw(density, unit)

    def _finest(self, ends: Floats) -> float:
        """Return the smallest unit in which the image is still a density, not single masses."""
        bulk = self.density > BULK * self.density.max()
        stretch = float(np.abs(np.gradient(ends, self.unit * self.spacing))[bulk].max())
        return ZOOM * self.unit * min(stretch, 1.0)

    def smoothed(self, std: float) -> GridLaw:
        """Add Gaussian noise of standard deviation std >= 0, in the sampler's own scale."""
        if std == 0:
            return self
        size = self.density.size
        frequencies = np.pi / REACH * np.arange(size // 2 + 1)
        damping = np.exp(-0.5 * (frequencies * std / self.unit) ** 2)
        density = np.fft.irfft(damping * np.fft.rfft(self.density), size)
        return replace(self, density=density)

    def walked(self, pieces: Sequence[Piece]) -> GridLaw:
        """Run the pieces of one step."""
        law = self
        for place, piece in enumerate(pieces):
            if isinstance(piece, Map):
                law = law.pushed(piece, _noise_after(pieces, place))
            else:
                law = law.smoothed(piece.std)
        return law

    def below(self, y: float) -> float:
        """Return the share of the law below y."""
        return float(self.distribution(np.array([y]))[0])

    def distribution(self, y: Floats) -> Floats:
        """Return the share of the law below each y, [n], inside the grid."""
        curve = CubicHermiteSpline(_grid(self.density.size), self._shares(), self.density)
        shares: Floats = curve(y / self.unit)
        return shares

    def distances(self, target: LineMixture) -> Distances:
        """Measure the law against a target in the sampler's own scale."""
        want = self.unit * target.density(self.points)
        have = np.maximum(self.density, 0)
        seen = want > 1e-11 * want.max()  # further out the density is rounding
        return Distances(
            total_variation(self.density, want, self.spacing),
            relative_entropy(have[seen], want[seen], self.spacing),
            self._w2(target),
            self.mass - 1,
        )

    def _w2(self, target: LineMixture) -> float:
        share = self._shares()
        core = (share > CORE) & (share < 1 - CORE)
        tails = Tails(np.log(share[core]), np.log1p(-share[core]))
        cost = self.density[core] * (self.points[core] - target.quantile(tails)) ** 2
        return float(np.sqrt(max(0.0, self.spacing * float(cost.sum()))))

    def _shares(self) -> Floats:
        """Return the share below each point, by integrating the Fourier series."""
        size = self.density.size
        coefficients = np.fft.rfft(self.density)
        frequencies = np.pi / REACH * np.arange(1, size // 2 + 1)
        integrated = np.concatenate([[0], coefficients[1:] / (1j * frequencies)])
        wave = np.fft.irfft(integrated, size)
        share: Floats = wave - wave[0] + self.mass / (2 * REACH) * (_grid(size) + REACH)
        return share


def _extent(ends: Floats, masses: Floats) -> float:
    return float(np.abs(ends[masses > FELT]).max())


def _noise_after(pieces: Sequence[Piece], place: int) -> float:
    """Standard deviation of the noise between a map and the next one."""
    later = takewhile(lambda piece: not isinstance(piece, Map), pieces[place + 1 :])
    return math.hypot(*(piece.std for piece in later if isinstance(piece, Noise)))


def _grid(size: int) -> Floats:
    return REACH * (2 * np.arange(size) / size - 1)
