"""Mean, row and column offsets of a table: y_ij = mean + row_i + col_j + rest.

Offsets are posterior means under independent zero-mean laws whose variance is 1/``SHRINKAGE``
of the noise's, found by exact alternation (each half is a closed form). A row or column
without any observation gets offset zero: it is predicted by the rest of the model.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.operators.entries import Entries

SHRINKAGE = 5.0
SWEEPS = 20


class Biases(NamedTuple):
    """Offsets of a table."""

    mean: float
    rows: Tensor  # [n1]
    cols: Tensor  # [n2]

    def at(self, rows: Tensor, cols: Tensor) -> Tensor:
        """Return mean + row + column offset of each cell, [m]."""
        return self.mean + self.rows[rows] + self.cols[cols]


def no_biases(shape: tuple[int, int], like: Tensor) -> Biases:
    """Return offsets that are all zero."""
    return Biases(0.0, like.new_zeros(shape[0]), like.new_zeros(shape[1]))


def fit_biases(operator: Entries, y: Tensor) -> Biases:
    """Fit the offsets to the observed cells.

    Parameters
    ----------
    operator
        Which cells were observed.
    y
        Their values, [m].
    """
    rows, cols = operator.rows.long(), operator.cols.long()
    weight_rows, weight_cols = (c.to(y) + SHRINKAGE for c in operator.counts())
    mean = float(y.mean())
    on_rows, on_cols = y.new_zeros(operator.shape[0]), y.new_zeros(operator.shape[1])
    centred = y - mean
    for _ in range(SWEEPS):
        on_rows = torch.zeros_like(on_rows).index_add_(0, rows, centred - on_cols[cols])
        on_rows /= weight_rows
        on_cols = torch.zeros_like(on_cols).index_add_(0, cols, centred - on_rows[rows])
        on_cols /= weight_cols
    return Biases(mean, on_rows, on_cols)
