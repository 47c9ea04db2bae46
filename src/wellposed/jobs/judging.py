"""An honest figure for a completed table: cells that nothing was fitted to or chosen by.

split     a share of the observed cells is set aside before anything else happens: by chance, or in
          the shape of the gaps where missing cells lie together
model     rank, ridge and offsets are chosen on a part of the rest, the factors are fitted
          to all of the rest, and the cells set aside are predicted
baselines the mean; the mean with row and column offsets: fitted to the same rest
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wellposed.gaps import split
from wellposed.io import Table
from wellposed.lowrank.biases import Biases, fit_biases
from wellposed.operators.entries import Entries
from wellposed.problem import Problem
from wellposed.result import Recovery
from wellposed.rng import Stream

Floats = NDArray[np.float64]


class Observed(NamedTuple):
    """Cells of a table and their values."""

    cells: Entries
    y: Tensor  # [m]

    @property
    def problem(self) -> Problem:
        """The same, for a method."""
        return Problem(self.y, self.cells)


class Parts(NamedTuple):
    """Observed cells that may be fitted, and those that judge."""

    fit: Observed
    rows: Tensor  # [t] of the cells that judge
    cols: Tensor
    y: Tensor
    alike: bool  # they have the shape of the gaps


class Score(NamedTuple):
    """Errors of predictions."""

    rmse: float
    rmse_error: float  # standard error of the rmse
    mae: float


class Predictor(NamedTuple):
    """A fitted model that falls back on the baseline where it has seen nothing."""

    recovery: Recovery
    baseline: Biases
    empty_rows: Tensor  # [n1] bool
    empty_cols: Tensor  # [n2] bool

    def at(self, rows: Tensor, cols: Tensor) -> Tensor:
        """Predict cells, [m]; a position of -1 is a row or column that was never seen."""
        lost_row, lost_col = rows < 0, cols < 0
        i, j = rows.clamp_min(0), cols.clamp_min(0)
        on_rows = torch.where(lost_row, 0.0, self.baseline.rows[i])
        on_cols = torch.where(lost_col, 0.0, self.baseline.cols[j])
        blind = lost_row | lost_col | self.empty_rows[i] | self.empty_cols[j]
        model = torch.as_tensor(self.recovery.predict(i, j))
        return torch.where(blind, self.baseline.mean + on_rows + on_cols, model)


def observed(table: Table) -> Observed:
    """Return the observed cells of a table."""
    rows, cols = torch.from_numpy(table.rows), torch.from_numpy(table.cols)
    return Observed(Entries(rows, cols, table.shape), torch.from_numpy(table.values))


def set_aside(known: Observed, share: float, seed: int) -> Parts:
    """Set aside a share of the observed cells, by chance or in the shape of the gaps.

    Raises
    ------
    InputError
        There are too few cells.
    """
    cells, y = known
    remedy = "use --holdout 0 and give --rank and --ridge"
    how = split(cells, share, Stream(seed), "cells that judge", remedy)
    kept, judge = how.kept, how.judge
    fit = Observed(Entries(cells.rows[kept], cells.cols[kept], cells.shape), y[kept])
    return Parts(fit, cells.rows[judge].long(), cells.cols[judge].long(), y[judge], how.alike)


def predictor(recovery: Recovery, known: Observed) -> Predictor:
    """Pair a model with the baseline of the cells that it was fitted to."""
    rows, cols = known.cells.counts()
    return Predictor(recovery, fit_biases(*known), rows == 0, cols == 0)


def score(predicted: Tensor, truth: Tensor) -> Score:
    """Return root mean square error with its standard error, and mean absolute error."""
    squared = (predicted - truth).square()
    rmse = float(squared.mean().sqrt())
    spread = float(squared.std()) if squared.numel() > 1 else 0.0
    error = spread / (2 * rmse * squared.numel() ** 0.5) if rmse else 0.0
    return Score(rmse, error, float((predicted - truth).abs().mean()))


def judge(model: Predictor, parts: Parts) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Score a model and its baselines on the cells that were set aside.

    Returns
    -------
    table, cells
        The scores by name; truth and predictions of each cell.
    """
    baseline = model.baseline
    mean = torch.full_like(parts.y, float(parts.fit.y.mean()))
    predicted = {
        "model": model.at(parts.rows, parts.cols),
        "offsets": baseline.at(parts.rows, parts.cols),
        "mean": mean,
    }
    table = {name: score(values, parts.y)._asdict() for name, values in predicted.items()}
    cells = {"rows": parts.rows, "columns": parts.cols, "truth": parts.y} | predicted
    return table, {name: values.numpy() for name, values in cells.items()}
