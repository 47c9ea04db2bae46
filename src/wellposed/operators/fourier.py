"""Fourier samples of real signals: magnetic resonance imaging, one coil or several.

Model      y = (F x)[mask]           one coil,
           y_c = (F (s_c . x))[mask] coil c with complex sensitivity s_c,
           F the orthonormal transform along the sides of the mask, zero frequency first (as
           torch.fft orders them; apply ifftshift to a mask that has it in the middle).
Adjoint    A* y = Re sum_c conj(s_c) . F^H (y_c written into zeros): signals are real, the
           inner product of measurements is Re <., .>.
Spectral   one coil: the mean of mask(k) and mask(-k), in the Hartley basis, since a real
           signal's frequencies k and -k carry the same numbers. Several coils: none.
Cost       one complex FFT a coil.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, whole, within
from wellposed.operators.base import Shape
from wellposed.operators.generic import checked_shape
from wellposed.operators.image import ImageOperator, boolean_mask, trailing
from wellposed.operators.spectral import Spectral, hartley_basis
from wellposed.rng import Stream


@dataclass(frozen=True, eq=False)
class Fourier(ImageOperator):
    """Read some frequencies of a real signal.

    Parameters
    ----------
    mask
        Which frequencies, [H, W] for images or [L] for signals on a line; booleans, or zeros
        and ones; zero frequency first.
    shape
        Shape of one signal, [..., H, W]; by default that of the mask.
    maps
        Sensitivities of the coils, [coils, H, W], complex or real; None for a single coil that
        sees everything alike.

    Raises
    ------
    InputError
        No frequency at all, sides that do not fit, or coils that see nothing.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> mean = wp.operators.Fourier([[True, False], [False, False]])
    >>> mean(torch.ones(2, 2)).tolist(), mean.adjoint(torch.ones(1) * (1 + 1j)).tolist()
    ([(2+0j)], [[0.5, 0.5], [0.5, 0.5]])
    """

    mask: Tensor
    shape: Shape = ()
    maps: Tensor | None = None
    complex_values: ClassVar[bool | None] = True

    def __post_init__(self) -> None:
        mask = boolean_mask(self.mask)
        require(
            mask.ndim <= 2,
            f"mask has shape {list(mask.shape)}, expected [H, W] or [L]",
            "all channels and coils are read at the same frequencies",
        )
        shape = checked_shape(self.shape, "shape", default=tuple(mask.shape))
        trailing(shape, tuple(mask.shape), "mask")
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "shape", shape)
        if self.maps is not None:
            object.__setattr__(self, "maps", coil_maps(self.maps, tuple(mask.shape)))

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """[..., frequencies], or [..., coils, frequencies]."""
        lead = self.shape[: len(self.shape) - self.mask.ndim]
        coils = () if self.maps is None else (self.maps.shape[0],)
        return (*lead, *coils, self._places.numel())

    @cached_property
    def _places(self) -> Tensor:
        return self.mask.flatten().nonzero()[:, 0]

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-self.mask.ndim, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Transform each signal in the batch, coil by coil, and read the frequencies."""
        if self.maps is not None:
            maps = self.maps.to(x.device, x.dtype.to_complex())
            x = x.unsqueeze(-1 - self.mask.ndim) * maps
        image: Tensor = torch.fft.fftn(x, dim=self._axes, norm="ortho")
        return image.flatten(-self.mask.ndim).index_select(-1, self._places)

    def backward(self, y: Tensor) -> Tensor:
        """Write the frequencies into zeros, transform back, and add up the coils."""
        spread = y.new_zeros(*y.shape[:-1], self.mask.numel()).index_copy(-1, self._places, y)
        grid = spread.reshape(*y.shape[:-1], *self.mask.shape)
        image: Tensor = torch.fft.ifftn(grid, dim=self._axes, norm="ortho")
        if self.maps is None:
            return image.real
        maps = self.maps.to(image.device, image.dtype)
        return (maps.conj() * image).sum(-1 - self.mask.ndim).real

    def _diagonalise(self) -> Spectral | None:
        """Return the mask made even, for a single coil."""
        if self.maps is not None:
            return None
        mask = self.mask.double()
        opposite = mask.flip(self._axes).roll([1] * mask.ndim, self._axes)
        return hartley_basis((0.5 * (mask + opposite)).expand(self.shape), mask.ndim)


def coil_maps(value: object, sides: Shape) -> Tensor:
    """Require finite sensitivities [coils, *sides] that see something."""
    maps = as_tensor(value, "maps")
    require(
        maps.ndim == len(sides) + 1 and maps.shape[0] > 0 and tuple(maps.shape[1:]) == sides,
        f"maps has shape {list(maps.shape)}, expected [coils, {', '.join(map(str, sides))}]",
        "each coil has a sensitivity for each pixel",
    )
    finite(maps, "maps")
    require(bool(maps.any()), "maps holds only zeros", "such coils see nothing")
    return maps.to(torch.complex128)


def cartesian_mask(
    shape: tuple[int, int], acceleration: float, *, centre: float = 0.08, seed: int = 0
) -> Tensor:
    """Choose columns of frequencies: the lowest ones, and others at random.

    Parameters
    ----------
    shape
        (H, W).
    acceleration
        W / number of columns that are read, >= 1.
    centre
        Share of W that is read around the zero frequency, in [0, 1 / acceleration].
    seed
        Of the choice of the other columns.

    Returns
    -------
    Tensor
        Booleans [H, W], zero frequency first.

    Raises
    ------
    InputError
        A number out of range.

    Examples
    --------
    >>> import wellposed as wp
    >>> mask = wp.operators.cartesian_mask((4, 40), 4, centre=0.1)
    >>> mask.shape, int(mask[0].sum()), mask[0, [-2, -1, 0, 1]].tolist()
    (torch.Size([4, 40]), 10, [True, True, True, True])
    """
    height, width = checked_shape(shape, "shape", axes=2)
    within(acceleration, "acceleration", 1)
    within(centre, "centre", 0, 1 / acceleration)
    whole(seed, "seed", 0)
    wanted = max(1, round(width / acceleration))
    low = min(wanted, round(centre * width))
    column = (torch.arange(width) - width // 2).roll(-(width // 2))  # 0, 1, ..., -1
    kept = (column >= -(low // 2)) & (column < low - low // 2)
    others = (~kept).nonzero()[:, 0]
    order = Stream(seed).permutation(len(others), "columns")
    kept[others[order[: wanted - low]]] = True
    return kept.expand(height, width).clone()
