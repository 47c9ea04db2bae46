"""Observed entries of a matrix.

Model      y_k = M[rows_k, cols_k],  k = 1, ..., m;  cells are distinct.
Layouts    ``Entries`` keeps the user's order. To iterate, ``canonical`` sorts once, into
           * ``SortedEntries``: CSR for the residual and its transpose's CSR (CSC) pattern,
             both built once, memory O(m); or
           * ``MaskedEntries``: a dense 0/1 mask, where that is faster (measured: a small
             table, at least a tenth observed).
Cost       a step on m entries: 2 m r flops for the residual, 2 m r for each product.
Gain       m / (n1 n2): the share of observed cells.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from wellposed.checks import as_indices, require, whole
from wellposed.errors import InputError
from wellposed.linalg import ImplicitMatrix
from wellposed.operators.base import MatrixOperator, Misfit
from wellposed.operators.masked import MaskedCells

# Torch announces on first use that its CSR tensors may still change; the tests cover our use.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")

DENSE_CELLS = 4_000_000  # above this a dense mask loses to the sparse kernels
DENSE_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Entries(MatrixOperator):
    """Read single cells of a matrix.

    Parameters
    ----------
    rows, cols
        Positions of the observed cells, [m] each, counted from zero, in any order.
    shape
        (n1, n2).

    Raises
    ------
    InputError
        A position outside the shape, a cell given twice, or no cell at all.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> cells = wp.operators.Entries([0, 1], [2, 0], (2, 3))
    >>> cells(torch.arange(6.0).reshape(2, 3)).tolist()
    [2.0, 3.0]
    """

    rows: Tensor
    cols: Tensor
    shape: tuple[int, int]
    pointwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        n1, n2 = check_shape(self.shape)
        object.__setattr__(self, "shape", (n1, n2))
        object.__setattr__(self, "rows", as_indices(self.rows, "rows", n1))
        object.__setattr__(self, "cols", as_indices(self.cols, "cols", n2))
        require(
            self.rows.numel() == self.cols.numel(),
            f"rows has {self.rows.numel()} positions, cols has {self.cols.numel()}",
            "each observed cell needs one of both",
        )
        require(self.rows.numel() > 0, "there is no observed cell", "nothing to fit")

    @classmethod
    def from_mask(cls, mask: Tensor) -> Entries:
        """Observe the cells where a boolean [n1, n2] mask is true."""
        require(mask.ndim == 2, f"the mask has shape {list(mask.shape)}, expected two dimensions")
        rows, cols = mask.nonzero(as_tuple=True)
        return cls(rows, cols, (mask.shape[0], mask.shape[1]))

    @property
    def shape_in(self) -> tuple[int, int]:  # type: ignore[override]
        """(n1, n2)."""
        return self.shape

    @property
    def shape_out(self) -> tuple[int]:  # type: ignore[override]
        """(m,)."""
        return (self.rows.numel(),)

    @property
    def gain(self) -> float:
        """Share of observed cells."""
        return self.rows.numel() / (self.shape[0] * self.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Read the observed cells of each matrix in the batch."""
        return x[:, self.rows.long(), self.cols.long()]

    def backward(self, y: Tensor) -> Tensor:
        """Write values into the observed cells of zero matrices."""
        out = y.new_zeros((y.shape[0], *self.shape))
        out[:, self.rows.long(), self.cols.long()] = y
        return out

    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the values of L R^T at the observed cells, in bounded memory."""
        return predict_cells(left, right, self.rows, self.cols)

    def adjoint_matrix(self, y: Tensor) -> ImplicitMatrix:
        """Return the sparse matrix that holds y at the observed cells."""
        operator, values = self._sorted(y)
        return operator.adjoint_matrix(values)

    def canonical(self, y: Tensor) -> tuple[MatrixOperator, Tensor]:
        """Sort the cells once; small well-filled tables become a dense mask."""
        n1, n2 = self.shape
        if n1 * n2 <= DENSE_CELLS and self.gain >= DENSE_SHARE:
            values, mask = self.backward(torch.stack([y, torch.ones_like(y)]))
            if int(mask.sum()) < y.numel():
                raise _duplicate(self.rows, self.cols, self.shape)
            return MaskedEntries(mask), values
        return self._sorted(y)

    def counts(self) -> tuple[Tensor, Tensor]:
        """Return the number of observed cells in each row [n1] and column [n2], int64."""
        n1, n2 = self.shape
        return (
            torch.bincount(self.rows, minlength=n1),
            torch.bincount(self.cols, minlength=n2),
        )

    @cached_property
    def _pattern(self) -> Pattern:
        return build_pattern(self.rows, self.cols, self.shape)

    def _sorted(self, y: Tensor) -> tuple[SortedEntries, Tensor]:
        pattern = self._pattern
        values = y if pattern.order is None else y.index_select(0, pattern.order)
        return SortedEntries(pattern, self.shape), values.contiguous()


class Pattern(NamedTuple):
    """Sorted cells: CSR, CSC, and how to go from one order to the other; int32."""

    crow: Tensor  # [n1 + 1]
    col: Tensor  # [m], sorted within each row
    ccol: Tensor  # [n2 + 1]
    row: Tensor  # [m], sorted within each column
    to_csc: Tensor  # [m], position in CSR order of the k-th cell in CSC order
    order: Tensor | None  # [m], position in the user's order; None when already sorted


def build_pattern(rows: Tensor, cols: Tensor, shape: tuple[int, int]) -> Pattern:
    """Sort cells by counting (O(m)) and refuse duplicates."""
    m, device = rows.numel(), rows.device
    where = np.arange(m, dtype=np.int32 if m < 2**31 else np.int64)
    pair = tuple(p.cpu().numpy().astype(np.int32, copy=False) for p in (rows, cols))
    csr = sparse.coo_array((where, pair), shape=shape).tocsr()
    csr.sort_indices()
    if csr.nnz < m:
        raise _duplicate(rows, cols, shape)
    order = None if bool((csr.data == where).all()) else torch.from_numpy(csr.data).to(device)
    csr.data = where
    csc = csr.tocsc()

    def move(array: Any) -> Tensor:
        return torch.from_numpy(array).to(device)

    return Pattern(
        move(csr.indptr), move(csr.indices), move(csc.indptr), move(csc.indices),
        move(csc.data), order,
    )  # fmt: skip


def _duplicate(rows: Tensor, cols: Tensor, shape: tuple[int, int]) -> InputError:
    key = rows.long() * shape[1] + cols.long()
    values, counts = torch.unique(key, return_counts=True)
    first = int(values[counts > 1][0])
    cell = divmod(first, shape[1])
    at = (key == first).nonzero().flatten().tolist()
    return InputError(
        f"cell {cell} is given {len(at)} times (positions {at[:5]}), "
        f"{int((counts > 1).sum())} cell(s) in all are repeated",
        "two values for one cell would count it twice",
        "average or drop the repeats first",
    )


@dataclass(frozen=True, eq=False)
class SortedEntries(MatrixOperator):
    """Observed cells in CSR order, with the CSC order built once."""

    pattern: Pattern
    shape: tuple[int, int]

    @property
    def shape_in(self) -> tuple[int, int]:  # type: ignore[override]
        """(n1, n2)."""
        return self.shape

    @property
    def shape_out(self) -> tuple[int]:  # type: ignore[override]
        """(m,)."""
        return (self.pattern.col.numel(),)

    @property
    def gain(self) -> float:
        """Share of observed cells."""
        return self.pattern.col.numel() / (self.shape[0] * self.shape[1])

    @cached_property
    def rows(self) -> Tensor:
        """Row of each cell, [m] int64."""
        lengths = self.pattern.crow.diff().long()
        return torch.repeat_interleave(torch.arange(self.shape[0], device=lengths.device), lengths)

    def forward(self, x: Tensor) -> Tensor:
        """Read the observed cells of each matrix in the batch."""
        return x[:, self.rows, self.pattern.col.long()]

    def backward(self, y: Tensor) -> Tensor:
        """Write values into the observed cells of zero matrices."""
        out = y.new_zeros((y.shape[0], *self.shape))
        out[:, self.rows, self.pattern.col.long()] = y
        return out

    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the values of L R^T at the observed cells."""
        return self._sampled(left, right, None)

    def adjoint_matrix(self, y: Tensor) -> SparseMatrix:
        """Return the sparse matrix that holds y at the observed cells."""
        return SparseMatrix(self.pattern, y, torch.Size(self.shape))

    def misfit(self, left: Tensor, right: Tensor, y: Tensor) -> Misfit:
        """Fuse product, sampling and subtraction into one kernel."""
        residual = self._sampled(left, right, y)
        return Misfit(self.adjoint_matrix(residual), residual.norm())

    def _sampled(self, left: Tensor, right: Tensor, y: Tensor | None) -> Tensor:
        base = left.new_zeros(()).expand(self.shape_out).contiguous() if y is None else y
        pattern = csr_tensor(self.pattern.crow, self.pattern.col, base, self.shape)
        beta = 0.0 if y is None else -1.0
        product = torch.sparse.sampled_addmm(pattern, left, right.mT.contiguous(), beta=beta)
        values: Tensor = product.values()
        return values


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A sparse [n1, n2] matrix with a shared pattern: products from both sides without sorting."""

    pattern: Pattern
    values: Tensor  # [m], CSR order
    shape: torch.Size

    @property
    def dtype(self) -> torch.dtype:
        """Type of the values."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Device of the values."""
        return self.values.device

    @property
    def T(self) -> TransposedSparse:
        """The transpose; no data is moved until it is multiplied."""
        return TransposedSparse(self)

    @cached_property
    def transposed(self) -> Tensor:
        """The transpose as a CSR tensor."""
        values = self.values.index_select(0, self.pattern.to_csc)
        shape = (self.shape[1], self.shape[0])
        return csr_tensor(self.pattern.ccol, self.pattern.row, values, shape)

    def __matmul__(self, other: Tensor) -> Tensor:
        return csr_tensor(self.pattern.crow, self.pattern.col, self.values, self.shape) @ other


@dataclass(frozen=True, eq=False)
class TransposedSparse:
    """The transpose of a sparse matrix, sharing its data."""

    T: SparseMatrix

    @property
    def shape(self) -> torch.Size:
        """(n2, n1)."""
        return torch.Size((self.T.shape[1], self.T.shape[0]))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the values."""
        return self.T.dtype

    @property
    def device(self) -> torch.device:
        """Device of the values."""
        return self.T.device

    def __matmul__(self, other: Tensor) -> Tensor:
        return self.T.transposed @ other


@dataclass(frozen=True, eq=False)
class MaskedEntries(MaskedCells, MatrixOperator):
    """Observed cells of a small matrix as a dense 0/1 mask; measurements are [n1, n2]."""

    def on_factors(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the masked product L R^T."""
        return (left @ right.mT).mul_(self.mask)

    def adjoint_matrix(self, y: Tensor) -> Tensor:
        """Return the masked measurements."""
        return y * self.mask

    def misfit(self, left: Tensor, right: Tensor, y: Tensor) -> Misfit:
        """Fuse product and subtraction; y is zero outside the mask."""
        residual = torch.addmm(y, left, right.mT, beta=-1).mul_(self.mask)
        return Misfit(residual, residual.norm())


def csr_tensor(crow: Tensor, col: Tensor, values: Tensor, shape: Any) -> Tensor:
    """Wrap index arrays as a torch CSR tensor without copying or checking."""
    return torch.sparse_csr_tensor(
        crow, col, values, size=tuple(shape), check_invariants=False, device=values.device
    )


def predict_cells(
    left: Tensor, right: Tensor, rows: Tensor, cols: Tensor, chunk: int = 1 << 20
) -> Tensor:
    """Return (L R^T)[rows, cols], [m], a chunk at a time."""
    out = left.new_empty(rows.numel())
    for start in range(0, rows.numel(), chunk):
        i, j = rows[start : start + chunk], cols[start : start + chunk]
        out[start : start + chunk] = (left.index_select(0, i) * right.index_select(0, j)).sum(1)
    return out


def check_shape(shape: Any) -> tuple[int, int]:
    """Require two whole numbers >= 1 that fit 32-bit positions."""
    require(
        isinstance(shape, (tuple, list, torch.Size)) and len(shape) == 2,
        f"shape is {shape!r}, expected (n1, n2)",
    )
    for n in shape:
        whole(n, "a side of the shape")
        require(int(n) < 2**31, f"a side of the shape is {n}, expected less than 2^31")
    return int(shape[0]), int(shape[1])
