"""Convolution with a kernel, with a rule for what lies beyond the edge.

Model      y_i = sum_a k_a x_{i - (a - c)},  c = (k_h // 2, k_w // 2),
           where x continues beyond its edges
             circular   periodically
             zero       by zeros (the middle of the range [-1, 1] of the shipped priors)
             reflect    as in a mirror in the middle of the last pixel: c b | a b c d | c b
             replicate  by its last pixel: a a | a b c d | d d
             valid      not at all: only pixels whose neighbourhood is known are measured.
Update     y = crop F^-1 (F k . F pad x), and A* y = pad^T F^-1 (conj(F k) . F embed y): the
           transform is long enough that nothing wraps around. Circular: no padding.
Cost       two real FFTs.
Spectral   circular only: |F k|^2 in the Hartley basis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from wellposed.checks import require
from wellposed.operators.base import Shape
from wellposed.operators.generic import checked_shape
from wellposed.operators.image import ImageOperator, real_array
from wellposed.operators.spectral import Spectral, hartley_basis

BOUNDARIES = ("circular", "zero", "reflect", "replicate", "valid")


@dataclass(frozen=True, eq=False)
class Blur(ImageOperator):
    """Convolve images, or signals on a line, with a kernel.

    Parameters
    ----------
    kernel
        k, [k_h, k_w] for images [..., H, W] or [k] for signals [..., L]; real, of any sign and
        sum, centred at position k // 2. ``gaussian_kernel`` and ``motion_kernel`` make some.
    shape
        Shape of one signal.
    boundary
        "circular", "zero", "reflect", "replicate" or "valid": what lies beyond the edge.

    Raises
    ------
    InputError
        A kernel that is empty, zero, not finite, or too large for the boundary rule.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> mean = wp.operators.Blur([0.5, 0.5], (4,), "circular")
    >>> mean(torch.tensor([1.0, 3.0, 5.0, 7.0])).round(decimals=4).tolist()
    [2.0, 4.0, 6.0, 4.0]
    """

    kernel: Tensor
    shape: Shape
    boundary: str = "reflect"

    def __post_init__(self) -> None:
        kernel = real_array(self.kernel, "kernel", (1, 2))
        shape = checked_shape(self.shape, "shape")
        require(bool(kernel.any()), "kernel holds only zeros", "such a blur measures nothing")
        require(
            self.boundary in BOUNDARIES,
            f"boundary is {self.boundary!r}, expected one of {', '.join(BOUNDARIES)}",
        )
        require(
            len(shape) >= kernel.ndim,
            f"kernel has {kernel.ndim} axes, the signal {list(shape)}",
            "a kernel acts on the last axes of the signal",
        )
        object.__setattr__(self, "kernel", kernel)
        object.__setattr__(self, "shape", shape)
        for length, side in zip(kernel.shape, self._sides, strict=True):
            self._check_length(length, side)

    def _check_length(self, length: int, side: int) -> None:
        longest = {"circular": side, "valid": side, "reflect": 2 * side - 1}
        require(
            length <= longest.get(self.boundary, length),
            f"a side of kernel has {length} elements, that of the signal {side}",
            f"with boundary {self.boundary!r} it may have {longest.get(self.boundary)}",
            'crop the kernel, or take boundary "zero" or "replicate"',
        )

    @property
    def circulant(self) -> bool:  # type: ignore[override]
        """Whether the operator commutes with circular shifts."""
        return self.boundary == "circular"

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """That of the signal, shorter by kernel - 1 on each side of a valid convolution."""
        if self.boundary != "valid":
            return self.shape
        pairs = zip(self._sides, self.kernel.shape, strict=True)
        return self.shape[: -self.kernel.ndim] + tuple(n - k + 1 for n, k in pairs)

    @property
    def _sides(self) -> Shape:
        return self.shape[len(self.shape) - self.kernel.ndim :]

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-self.kernel.ndim, 0))

    @cached_property
    def _places(self) -> list[Tensor]:
        """For each axis, the element of the signal at each place of the padded one."""
        return [
            beyond(n, k - 1 - k // 2, k // 2, self.boundary, self.kernel.device)
            for n, k in zip(self._sides, self.kernel.shape, strict=True)
        ]

    @cached_property
    def _length(self) -> tuple[int, ...]:
        """Sides of the transform."""
        if self.circulant:
            return self._sides
        return tuple(next_fast_len(len(places), real=True) for places in self._places)

    @cached_property
    def _spread(self) -> Tensor:
        """The kernel on the grid of the transform, centred at the origin where that wraps."""
        pads = [p for n, k in zip(self._length, self.kernel.shape, strict=True) for p in (n - k, 0)]
        spread = torch.nn.functional.pad(self.kernel, pads[::-1])
        if not self.circulant:
            return spread
        return spread.roll([-(k // 2) for k in self.kernel.shape], self._axes)

    @cached_property
    def _transform(self) -> Tensor:
        transform: Tensor = torch.fft.rfftn(self._spread, dim=self._axes)
        return transform

    def forward(self, x: Tensor) -> Tensor:
        """Convolve each signal in the batch."""
        for axis, places in zip(self._axes, self._places, strict=True):
            x = self._pad(x, axis, places)
        y = self._filter(x, adjoint=False)
        if self.circulant:
            return y
        for axis, k, places in zip(self._axes, self.kernel.shape, self._places, strict=True):
            y = y.narrow(axis, k - 1, len(places) - k + 1)
        return y

    def backward(self, y: Tensor) -> Tensor:
        """Correlate each measurement in the batch, and fold back what lay beyond the edge."""
        if not self.circulant:
            pads = [
                p
                for n, k, places in zip(self._length, self.kernel.shape, self._places, strict=True)
                for p in (n - len(places), k - 1)
            ]
            y = torch.nn.functional.pad(y, pads[::-1])
        x = self._filter(y, adjoint=True)
        for axis, places in zip(self._axes, self._places, strict=True):
            x = self._fold(x, axis, places)
        return x

    def _filter(self, x: Tensor, *, adjoint: bool) -> Tensor:
        image = torch.fft.rfftn(x, s=self._length, dim=self._axes)
        transform = self._transform.conj() if adjoint else self._transform
        filtered: Tensor = torch.fft.irfftn(
            image * transform.to(image), s=self._length, dim=self._axes
        )
        return filtered

    def _pad(self, x: Tensor, axis: int, places: Tensor) -> Tensor:
        if self.boundary in ("circular", "valid"):
            return x
        if self.boundary == "zero":
            x = torch.cat([x, torch.zeros_like(x.narrow(axis, 0, 1))], axis)
        return x.index_select(axis, places)

    def _fold(self, x: Tensor, axis: int, places: Tensor) -> Tensor:
        """Apply the adjoint of ``_pad``, after cropping to the padded length."""
        side = self.shape[axis]
        if self.circulant:
            return x
        x = x.narrow(axis, 0, len(places))
        if self.boundary == "valid":
            return x
        shape = list(x.shape)
        shape[axis] = side + (self.boundary == "zero")
        return x.new_zeros(shape).index_add(axis, places, x).narrow(axis, 0, side)

    def _diagonalise(self) -> Spectral | None:
        """Return |F k|^2 in the Hartley basis where the convolution wraps around."""
        if not self.circulant:
            return None
        weights = torch.fft.fftn(self._spread, dim=self._axes).abs().square()
        return hartley_basis(weights.expand(self.shape), len(self._axes))


def beyond(side: int, before: int, after: int, rule: str, device: torch.device) -> Tensor:
    """Return the element that stands at each place of a padded axis; ``side`` means zero."""
    place = torch.arange(-before, side + after, device=device)
    if rule == "reflect":
        period = max(1, 2 * (side - 1))
        place = place.remainder(period)
        return torch.where(place < side, place, period - place)
    if rule == "replicate":
        return place.clamp(0, side - 1)
    if rule == "zero":
        return torch.where((place < 0) | (place >= side), side, place)
    return torch.arange(side, device=device)
