"""A table with missing cells: the observed ones as triplets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["triplets", "wide"]


@dataclass(frozen=True, eq=False)
class Table:
    """The observed cells of an n1 x n2 table.

    Parameters
    ----------
    rows, cols
        [m] positions of the cells, counted from 0; each cell occurs once.
    values
        [m] float64, finite.
    shape
        (n1, n2).
    row_labels, col_labels
        What the file calls the rows and columns, in order; None when it counts them from 0.
    layout
        How the file was read: "triplets" (a line a cell) or "wide" (a line a row).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "ratings.csv"
    >>> _ = path.write_text("user,film,stars\\nann,Heat,4\\nbob,Heat,5\\nbob,Brazil,3\\n")
    >>> from wellposed.io import read_table
    >>> table = read_table(path)
    >>> table.shape, table.row_labels, table.col_labels, table.values.tolist()
    ((2, 2), ('ann', 'bob'), ('Brazil', 'Heat'), [4.0, 5.0, 3.0])
    """

    rows: NDArray[np.integer]
    cols: NDArray[np.integer]
    values: NDArray[np.float64]
    shape: tuple[int, int]
    row_labels: tuple[str, ...] | None = None
    col_labels: tuple[str, ...] | None = None
    layout: Layout = "triplets"

    @property
    def density(self) -> float:
        """Share of the cells that are observed, in [0, 1]."""
        return self.values.size / (self.shape[0] * self.shape[1])

    @property
    def empty_rows(self) -> NDArray[np.intp]:
        """Positions of the rows without any observed cell."""
        return np.flatnonzero(np.bincount(self.rows, minlength=self.shape[0]) == 0)

    @property
    def empty_cols(self) -> NDArray[np.intp]:
        """Positions of the columns without any observed cell."""
        return np.flatnonzero(np.bincount(self.cols, minlength=self.shape[1]) == 0)
