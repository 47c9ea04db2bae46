"""What ``wp.recover`` returns for low-rank priors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.checks import as_indices, require
from wellposed.lowrank.biases import Biases
from wellposed.lowrank.setting import Factors, singular_values
from wellposed.operators.entries import predict_cells
from wellposed.run import Status, Trace

SIGNAL_LIMIT = 200_000_000  # elements: beyond this the dense matrix is refused


@dataclass(frozen=True)
class Recovery:
    """A recovered low-rank matrix.

    Attributes
    ----------
    left, right
        Factors [n1, r] and [n2, r]: the signal is left right^T (plus biases).
    sparse
        The sparse part, [n1, n2], where the prior has one, else None.
    biases
        Mean, row and column offsets, where the prior has them, else None.
    status
        How the run ended; ``status.ok`` is false when it did not converge.
    steps
        Steps made.
    trace
        Step, seconds, residual, change and error at each reading, as arrays.
    rank, ridge, method
        What was used, also where it was chosen for you.
    choice
        The settings that were tried, and their errors on held-out cells.
    doubts
        Sentences: rows and columns of which no cell is observed, gaps that no rank could be
        chosen for.
    """

    left: Any
    right: Any
    status: Status
    steps: int
    trace: Trace
    sparse: Any = None
    biases: Biases | None = None
    rank: int = 0
    ridge: float = 0.0
    method: Any = None
    choice: tuple[Any, ...] = field(default=(), repr=False)
    doubts: tuple[str, ...] = ()

    @property
    def factors(self) -> tuple[Any, Any]:
        """(left, right)."""
        return self.left, self.right

    @property
    def shape(self) -> tuple[int, int]:
        """(n1, n2)."""
        return self.left.shape[0], self.right.shape[0]

    @property
    def signal(self) -> Any:
        """The dense matrix [n1, n2], with biases, without the sparse part.

        Raises
        ------
        InputError
            It would have more than 2e8 elements: use ``predict``.
        """
        n1, n2 = self.shape
        require(
            n1 * n2 <= SIGNAL_LIMIT,
            f"the dense signal would have {n1} x {n2} elements, the limit is {SIGNAL_LIMIT}",
            "it may not fit in memory",
            "ask for the cells you need: .predict(rows, cols)",
        )
        dense = self.left @ self.right.T
        if self.biases is not None:
            dense = dense + self.biases.mean + self.biases.rows[:, None] + self.biases.cols
        return dense

    @property
    def singular_values(self) -> Any:
        """Singular values of left right^T, [r], descending."""
        values = singular_values(Factors(_torch(self.left), _torch(self.right)))
        return values.numpy() if isinstance(self.left, np.ndarray) else values

    def predict(self, rows: Any, cols: Any) -> Any:
        """Return the signal at given cells.

        Parameters
        ----------
        rows, cols
            Positions counted from zero, [m] each.
        """
        i, j = as_indices(rows, "rows", self.shape[0]), as_indices(cols, "cols", self.shape[1])
        require(i.numel() == j.numel(), f"rows has {i.numel()} positions, cols {j.numel()}")
        left, right = _torch(self.left), _torch(self.right)
        i, j = i.to(left.device).long(), j.to(left.device).long()
        values = predict_cells(left, right, i, j)
        if self.biases is not None:
            on_rows, on_cols = _torch(self.biases.rows), _torch(self.biases.cols)
            values = values + self.biases.mean + on_rows[i] + on_cols[j]
        return values.numpy() if isinstance(self.left, np.ndarray) else values

    def as_numpy(self) -> Recovery:
        """Return the same recovery with numpy arrays in place of tensors."""
        biases = self.biases
        if biases is not None:
            biases = Biases(biases.mean, _numpy(biases.rows), _numpy(biases.cols))
        return replace(
            self,
            left=_numpy(self.left),
            right=_numpy(self.right),
            sparse=_numpy(self.sparse),
            biases=biases,
        )


def _torch(array: Any) -> Tensor:
    return array if isinstance(array, Tensor) else torch.from_numpy(array)


def _numpy(tensor: Any) -> Any:
    return tensor.cpu().numpy() if isinstance(tensor, Tensor) else tensor
