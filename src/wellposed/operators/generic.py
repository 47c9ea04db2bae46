"""The two plainest operators.

Identity   y = x
Matrix     y = A x on vectors, A dense or sparse; A* y = Re(A^H y), since signals are real
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from wellposed.checks import as_tensor, finite, require, whole
from wellposed.multilinear import Tucker, dense
from wellposed.operators.base import LinearOperator, Shape, numel
from wellposed.operators.dense import DenseProducts
from wellposed.operators.entries import SparseMatrix, build_pattern
from wellposed.operators.spectral import Spectral, rowwise, singular_basis
from wellposed.operators.tensor import DenseTensorProducts
from wellposed.rng import Stream

SHORT_SIDE = 1024  # up to which a dense matrix is decomposed: a few seconds once


@dataclass(frozen=True)
class Identity(LinearOperator):
    """See the signal itself; on two or more sides also a full observation of a low-rank one.

    Parameters
    ----------
    shape
        Shape of one signal, whole numbers >= 1.

    Raises
    ------
    InputError
        A side that is not a whole number >= 1.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> wp.operators.Identity((2,))(torch.tensor([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """

    shape: Shape
    pointwise: ClassVar[bool] = True

    def __new__(cls, shape: Any = ()) -> Identity:
        """Make shapes of two or more sides operators on factors."""
        order = len(shape) if isinstance(shape, (tuple, list)) else 1
        if order >= 3:
            return super().__new__(TensorIdentity)
        return super().__new__(MatrixIdentity if order == 2 else cls)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", checked_shape(self.shape, "shape"))

    @property
    def shape_in(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    @property
    def gain(self) -> float:
        """1."""
        return 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Return the batch."""
        return x

    def backward(self, y: Tensor) -> Tensor:
        """Return the batch."""
        return y


class MatrixIdentity(DenseProducts, Identity):
    """Full observation of a matrix."""


class TensorIdentity(DenseTensorProducts, Identity):
    """Full observation of a tensor."""

    def residual(self, tucker: Tucker, y: Tensor, still: Collection[int] = ()) -> Tensor:
        """Return T - y, subtracted in place."""
        return dense(tucker, still).sub_(y)


@dataclass(frozen=True, eq=False)
class Matrix(LinearOperator):
    """Multiply a real vector by a matrix.

    Parameters
    ----------
    matrix
        A, [m, n], real or complex; dense, or anything of scipy.sparse.
    shape
        Shape of one signal, with n elements in all; by default (n,).

    Raises
    ------
    InputError
        Not two-dimensional, empty, or not finite; a shape with another number of elements.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> operator = wp.operators.Matrix([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]])
    >>> operator(torch.tensor([1.0, 1.0], dtype=torch.float64)).tolist()
    [3.0, 1.0, 1.0]
    """

    matrix: Tensor | SparseMatrix
    shape: Shape = ()

    def __post_init__(self) -> None:
        table = self.matrix
        if not isinstance(table, SparseMatrix):
            table = sparse_matrix(table) if sparse.issparse(table) else as_tensor(table, "matrix")
        require(
            len(table.shape) == 2 and min(table.shape) > 0,
            f"matrix has shape {list(table.shape)}, expected [m, n], neither of them zero",
        )
        object.__setattr__(self, "matrix", table)
        finite(self._numbers, "matrix")
        shape = checked_shape(self.shape, "shape", default=(table.shape[1],))
        require(
            numel(shape) == table.shape[1],
            f"shape {list(shape)} has {numel(shape)} elements, matrix {table.shape[1]} columns",
            "each element of the signal has a column",
        )
        object.__setattr__(self, "shape", shape)

    @property
    def _numbers(self) -> Tensor:
        return self.matrix.values if isinstance(self.matrix, SparseMatrix) else self.matrix

    @property
    def dtype(self) -> torch.dtype:
        """Type of the matrix and of the measurements."""
        return self.matrix.dtype

    @property
    def complex_values(self) -> bool:  # type: ignore[override]
        """Whether the matrix is complex."""
        return self.dtype.is_complex

    @property
    def shape_in(self) -> Shape:  # type: ignore[override]
        """The shape of one signal."""
        return self.shape

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """(m,)."""
        return (self.matrix.shape[0],)

    @cached_property
    def gain(self) -> float:
        """Squared Frobenius norm / n."""
        return float(self._numbers.abs().double().square().sum()) / self.matrix.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each real signal in the batch."""
        self._match(x, "the signal", self.dtype.to_real())
        rows = x.flatten(1).to(self.dtype)
        if isinstance(self.matrix, SparseMatrix):
            return (self.matrix @ rows.mT.contiguous()).mT
        return rowwise(rows, self.matrix.mT)

    def backward(self, y: Tensor) -> Tensor:
        """Return Re(A^H y) for each measurement in the batch."""
        self._match(y, "the measurement", self.dtype)
        rows = y.conj().resolve_conj()
        if isinstance(self.matrix, SparseMatrix):
            back = (self.matrix.T @ rows.mT.contiguous()).mT
        else:
            back = rowwise(rows, self.matrix)
        return back.real.reshape(-1, *self.shape)

    def _diagonalise(self) -> Spectral | None:
        """Return the right singular vectors of a dense matrix with a short side."""
        if isinstance(self.matrix, SparseMatrix) or min(self.matrix.shape) > SHORT_SIDE:
            return None
        return singular_basis(self.matrix).reshaped(self.shape)

    def _match(self, value: Tensor, name: str, dtype: torch.dtype) -> None:
        require(
            value.dtype == dtype and value.device == self.matrix.device,
            f"{name} is {value.dtype} on {value.device}, "
            f"expected {dtype} on {self.matrix.device} for a matrix of {self.dtype}",
            remedy="convert one of the two with .to(...)",
        )


def random_projection(
    count: int, shape: Shape, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Matrix:
    """Project a signal on random directions: entries N(0, 1 / count), so E |A x|^2 = |x|^2.

    Parameters
    ----------
    count
        Number of measurements, >= 1.
    shape
        Shape of one signal.
    seed
        Of the directions, which are part of the operator.
    dtype
        Of the matrix, and of the signals that it takes.

    Raises
    ------
    InputError
        A number out of range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.operators.random_projection(5, (3, 4, 4)).shape_out
    (5,)
    """
    whole(count, "count")
    whole(seed, "seed", 0)
    size = checked_shape(shape, "shape")
    table = Stream(seed).normal((count, numel(size)), "projection", dtype=dtype)
    return Matrix(table / count**0.5, size)


def checked_shape(
    shape: Any, name: str, *, axes: int | None = None, default: Shape | None = None
) -> Shape:
    """Require a tuple of whole numbers >= 1; one number stands for a vector.

    Where there is a default, () stands for it.
    """
    if default is not None and isinstance(shape, tuple) and not shape:
        return default
    sides = (shape,) if isinstance(shape, int) else shape
    count = len(sides) if isinstance(sides, (tuple, list)) else 0
    wanted = f"{axes} whole numbers" if axes else "whole numbers"
    require(
        count == axes if axes else count > 0,
        f"{name} is {shape!r}, expected {wanted} such as (64, 64)",
    )
    for side in sides:
        whole(side, f"a side of {name}")
    return tuple(int(side) for side in sides)


def sparse_matrix(table: Any) -> SparseMatrix:
    """Return any two-dimensional array of scipy.sparse with products from both sides."""
    require(table.ndim == 2, f"matrix has shape {list(table.shape)}, expected [m, n]")
    csr = table.tocsr(copy=True)
    csr.sum_duplicates()
    rows = torch.arange(csr.shape[0]).repeat_interleave(torch.from_numpy(np.diff(csr.indptr)))
    cols = torch.from_numpy(csr.indices.copy())
    return SparseMatrix(
        build_pattern(rows, cols, csr.shape), as_tensor(csr.data, "matrix"), csr.shape
    )
