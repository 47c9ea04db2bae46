"""Gross errors in a share of the measurements: no likelihood, for they have no law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from wellposed.checks import within
from wellposed.noise.base import Noise
from wellposed.rng import Stream


@dataclass(frozen=True)
class SparseOutliers(Noise):
    """Gross errors of arbitrary size in a share of the measurements.

    A sparse part of the *signal* that one wants to see is a prior instead
    (``LowRankPlusSparse``).

    Parameters
    ----------
    fraction
        Share of corrupted measurements, in [0, 0.5).
    size
        Outliers are uniform on +- size * max|mean| when simulated; > 0.
    """

    fraction: float
    size: float = 10.0
    heavy_tailed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within(
            self.fraction, "fraction", 0, 0.5, open_high=True,
            why="with half of the measurements wrong the truth is not the majority",
        )  # fmt: skip
        within(self.size, "size", 0, open_low=True)

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Replace a random share of the elements' errors by gross ones."""
        kind = {"dtype": mean.dtype, "device": mean.device}
        hit = stream.uniform(mean.shape, "outlier places", **kind).flatten()  # type: ignore[arg-type]
        count = round(self.fraction * hit.numel())
        value = 2 * stream.uniform(mean.shape, "outlier values", **kind).flatten() - 1  # type: ignore[arg-type]
        gross = mean.new_zeros(hit.shape)
        where = hit.argsort()[:count]
        gross[where] = self.size * mean.abs().max() * value[where]
        return mean + gross.reshape(mean.shape)
