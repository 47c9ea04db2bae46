"""Observed cells of a small array as a dense 0/1 mask: what matrices and tensors share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from wellposed.operators.base import LinearOperator


@dataclass(frozen=True, eq=False)
class MaskedCells(LinearOperator):
    """Measurements are an array of the signal's shape, zero outside the mask."""

    mask: Tensor  # [n_1, ..., n_N], 0 or 1, in the dtype of the measurements

    @property
    def shape_in(self) -> tuple[int, ...]:  # type: ignore[override]
        """(n_1, ..., n_N)."""
        return tuple(self.mask.shape)

    @property
    def shape_out(self) -> tuple[int, ...]:  # type: ignore[override]
        """(n_1, ..., n_N)."""
        return tuple(self.mask.shape)

    @cached_property
    def gain(self) -> float:
        """Share of observed cells."""
        return float(self.mask.mean())

    def forward(self, x: Tensor) -> Tensor:
        """Set unobserved cells to zero."""
        return x * self.mask

    def backward(self, y: Tensor) -> Tensor:
        """Set unobserved cells to zero."""
        return y * self.mask
