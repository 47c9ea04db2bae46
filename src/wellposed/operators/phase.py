"""Phase retrieval: magnitudes of the oversampled Fourier transform of a coded signal.

Model      y = |F pad(c . (x + b))|,  c the code (mask), b the offset, pad to sqrt(oversample)
           times each side, F the orthonormal transform with the zero frequency in the middle.
Gradient   of |z| in z is z / |z|, and 0 at z = 0, where the magnitude has a kink. So the pullback
           of v is  c* . crop(F* (v z / |z|)), its real part.
Cost       a transform forward, two for the pullback; under a real code the spectrum of a real
           signal is Hermitian, and one half of it is computed.
Ambiguity  without an offset x and -x have the same magnitudes; without a code so do shifts and
           reflections that stay inside the frame. Scores have to allow for them.
Source     codes: Candes, Li & Soltanolkotabi, Appl. Comput. Harmon. Anal. 2015.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, whole, within
from wellposed.operators.base import Operator, Shape
from wellposed.operators.generic import checked_shape
from wellposed.operators.image import trailing
from wellposed.rng import Stream


@dataclass(frozen=True, eq=False)
class PhaseRetrieval(Operator):
    """See the magnitudes of a real signal's coded Fourier transform.

    Parameters
    ----------
    mask
        Code c, [H, W] for one look or [looks, H, W], real or complex; ones for no code.
    oversample
        Number of frequencies / number of pixels, >= 1: each side is padded to its length times
        the square root, rounded up.
    shape
        Shape of one signal, [..., H, W]; by default (H, W).
    offset
        Added to each number of the signal, finite: 1 makes pictures in [-1, 1] non-negative.

    Raises
    ------
    InputError
        A mask that is zero, not finite, or does not fit, or an oversampling below one.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> look = wp.operators.PhaseRetrieval(torch.ones(2, 2), oversample=4)
    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> look(x).shape, bool(torch.equal(look(x), look(-x)))
    (torch.Size([4, 4]), True)
    """

    mask: Tensor
    oversample: float = 4.0
    shape: Shape = ()
    offset: float = 0.0
    complex_values: ClassVar[bool | None] = False

    def __post_init__(self) -> None:
        mask = as_tensor(self.mask, "mask")
        require(
            mask.ndim in (2, 3) and mask.numel() > 0,
            f"mask has shape {list(mask.shape)}, expected [H, W] or [looks, H, W]",
        )
        finite(mask, "mask")
        require(
            bool(mask.any()),
            "mask is empty: it holds only zeros",
            "nothing is seen",
            "phases such as -1, 1, or ones",
        )
        within(self.oversample, "oversample", 1)
        within(self.offset, "offset")
        sides = tuple(mask.shape[-2:])
        shape = checked_shape(self.shape, "shape", default=sides)
        trailing(shape, sides, "mask")
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "shape", shape)

    @property
    def shape_in(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """[..., H', W'], or [..., looks, H', W']."""
        return (*self.shape[:-2], *self.mask.shape[:-2], *self._padded)

    @cached_property
    def _padded(self) -> Shape:
        stretch = math.sqrt(self.oversample)
        return tuple(math.ceil(side * stretch - 1e-9) for side in self.mask.shape[-2:])

    def transform(self, x: Tensor) -> Tensor:
        """Return F pad(c . (x + b)), complex, for each signal in the batch."""
        spectrum = torch.fft.fft2(self._coded(x), s=self._padded, norm="ortho")
        centred: Tensor = torch.fft.fftshift(spectrum, dim=(-2, -1))
        return centred

    def forward(self, x: Tensor) -> Tensor:
        """Return the magnitudes for each signal in the batch."""
        if self.mask.is_complex():
            return self.transform(x).abs()
        half = torch.fft.rfft2(self._coded(x), s=self._padded, norm="ortho").abs().flatten(-2)
        whole: Tensor = half[..., self._whole.to(x.device)]
        return whole.reshape(*half.shape[:-1], *self._padded)

    def pullback(self, x: Tensor, v: Tensor) -> Tensor:
        """Return the derivative of <A(x), v> in x, for each item of the batch."""
        if self.mask.is_complex():
            return super().pullback(x, v)
        half = torch.fft.rfft2(self._coded(x), s=self._padded, norm="ortho")
        near, far = (v.flatten(-2)[..., places.to(x.device)] for places in self._pairs)
        even = (0.5 * (near + far)).reshape(half.shape)
        back: Tensor = torch.fft.irfft2(even * half.sgn(), s=self._padded, norm="ortho")
        high, wide = self.mask.shape[-2:]
        back = self.mask.to(x.device, x.dtype) * back[..., :high, :wide]
        return back.sum(-3) if self._many else back

    def _coded(self, x: Tensor) -> Tensor:
        dtype = x.dtype.to_complex() if self.mask.is_complex() else x.dtype
        x = x.unsqueeze(-3) if self._many else x
        coded: Tensor = self.mask.to(x.device, dtype) * (x + self.offset)
        return coded

    @property
    def _many(self) -> bool:
        return self.mask.ndim == 3

    @cached_property
    def _whole(self) -> Tensor:
        """Where in the half spectrum each centred frequency is: itself, or its opposite."""
        high, wide = self._padded
        k = (torch.arange(high)[:, None] - high // 2) % high
        j = (torch.arange(wide) - wide // 2) % wide
        near = j <= wide // 2
        rows, columns = torch.where(near, k, -k % high), torch.where(near, j, wide - j)
        return (rows * (wide // 2 + 1) + columns).flatten()

    @cached_property
    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Where each frequency of the half spectrum is among the centred ones; its opposite."""
        high, wide = self._padded
        k, j = torch.arange(high)[:, None], torch.arange(wide // 2 + 1)
        near, far = (
            ((sign * k + high // 2) % high * wide + (sign * j + wide // 2) % wide).flatten()
            for sign in (1, -1)
        )
        return near, far


def coded_mask(sides: tuple[int, int], *, looks: int = 1, seed: int = 0) -> Tensor:
    """Draw codes that are -1, 0 and 1 with probabilities 1/8, 6/8 and 1/8.

    Parameters
    ----------
    sides
        (H, W).
    looks
        Number of codes, >= 1.
    seed
        Of the draw.

    Returns
    -------
    Tensor
        [H, W], or [looks, H, W] for more than one look, float64.

    Examples
    --------
    >>> import wellposed as wp
    >>> code = wp.operators.coded_mask((64, 64))
    >>> sorted(code.unique().tolist()), round(float(code.abs().mean()), 2)
    ([-1.0, 0.0, 1.0], 0.25)
    """
    height, width = checked_shape(sides, "sides", axes=2)
    whole(looks, "looks")
    whole(seed, "seed", 0)
    u = Stream(seed).uniform((looks, height, width), "code")
    codes = (u < 1 / 8).double() - (u >= 7 / 8).double()
    return codes if looks > 1 else codes[0]
