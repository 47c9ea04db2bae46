"""From the null vector of the linear system to gains and signals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed.bilinear.system import Bottom, System
from wellposed.checks import as_tensor, finite, require, shaped

ROUNDING = 1e3  # singular values below this many roundings of y count as zero


@dataclass(frozen=True, eq=False)
class Calibration:
    """Gains and signals, up to one factor t that no measurement shows: (t d, x / t).

    The factor is fixed by |d| having root mean square one and d[0] being real and positive.

    Attributes
    ----------
    gains
        d, [m].
    signals
        x, [n] for repeated measurements, [p, n] otherwise.
    residual
        ||d * (A_l x_l) - y|| / ||y||.
    smallest, second
        The two smallest singular values of S, relative to its largest.
    converged
        False when LSMR or the inverse iteration ran out of steps (large systems only).
    """

    gains: Tensor
    signals: Tensor
    residual: float
    smallest: float
    second: float
    converged: bool

    @property
    def gap(self) -> float:
        """1 - smallest / second, in [0, 1]: 1 is exact, near 0 the solution is arbitrary."""
        return 1 - self.smallest / self.second

    def aligned(self, gains: Tensor) -> Calibration:
        """Choose the factor t so that t d is nearest to known gains, [m]."""
        known = as_tensor(gains, "gains")
        shaped(known, "gains", tuple(self.gains.shape))
        t = (self.gains.conj() @ known.to(self.gains)) / self.gains.abs().square().sum()
        return replace(self, gains=self.gains * t, signals=self.signals / t)


def check_unique(near: Bottom, dtype: torch.dtype) -> None:
    """Require that only one singular value vanishes."""
    limit = ROUNDING * torch.finfo(dtype).eps
    require(
        near.second > limit,
        f"the two smallest singular values both vanish (the second is {near.second:.1e} of the "
        f"largest, expected more than {limit:.0e})",
        "gains and signals cannot be told apart: there is more than one solution",
        "take more, or more diverse, shots, or pass a basis of 1/d",
    )


def calibration(system: System, z: Tensor, near: Bottom, y: Tensor) -> Calibration:
    """Undo scaling and inversion, fix the free factor, and return to y's dtype and device."""
    inverse, signals = system.split(z)
    gains = 1 / inverse
    finite(gains, "the vector of gains", "leave out the sensors whose gain is not finite")
    off = (system.model.measure(gains, signals) - system.y).norm() / system.y.norm()
    factor = gains.abs().square().mean().sqrt() * gains[0] / gains[0].abs()
    kind = y.dtype.to_complex() if gains.is_complex() else y.dtype
    return Calibration(
        gains=(gains / factor).to(y.device, kind),
        signals=(signals * factor).to(y.device, kind),
        residual=float(off),
        smallest=near.smallest,
        second=near.second,
        converged=near.converged,
    )
