"""Observed entries of a tensor.

Model      y_k = T[i_k],  i_k a position (i_1, ..., i_N), N >= 3;  positions are distinct.
Layouts    ``TensorEntries`` keeps the user's order. To iterate, ``canonical`` builds
           * ``FibreEntries``: the longest mode is the leaf, a fibre is a line along it, and the
             tensor becomes a sparse matrix fibre x leaf: T = V U_leaf^T, the row of V for fibre
             (i_j) being the core times the rows U_j[i_j]. Where most fibres hold an entry V is
             made by mode products over the whole grid of fibres, else fibre by fibre; or
           * ``MaskedTensor``: a dense 0/1 mask, where that is faster (measured: a small tensor,
             at least an eighth observed).
Cost       a step on m entries and F <= m fibres: 6 m r_leaf flops in sparse kernels, and for the
           fibres 6 F r_1 ... r_N (fibre by fibre) or two mode products on the grid. Memory
           O(m + F r_leaf + factors); no unfolding, no Kronecker product of factors.
Start      E[M_k(y) M_k(y)^T] = p^2 M_k M_k^T + p (1 - p) diag(M_k M_k^T), so the diagonal of
           the sparse Gram is multiplied by p before its leading eigenvectors are taken.
Gain       m / (n_1 ... n_N): the share of observed cells.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from wellposed.checks import as_indices, as_tensor, require, whole
from wellposed.multilinear import (
    Slopes,
    Tucker,
    at,
    dense,
    expand,
    leading_vectors,
    slopes,
    unfold,
)
from wellposed.operators.entries import SortedEntries, build_pattern
from wellposed.operators.masked import MaskedCells
from wellposed.operators.tensor import DenseTensorProducts, TensorOperator

DENSE_CELLS = 8_000_000  # above this a dense mask takes too much memory
DENSE_SHARE = 0.12  # below this it loses to the sparse kernels
GRID_SHARE = 0.25  # of the fibres that hold an entry, from which on the whole grid is used
GRAM_SIDE = 2048  # up to this a sparse Gram is formed; beyond, it is only multiplied with
GRAM_FILL = 50  # entries a fibre, likewise
CHUNK = 1 << 20  # numbers in one batch of fibre products


@dataclass(frozen=True, eq=False)
class TensorEntries(TensorOperator):
    """Read single cells of a tensor.

    Parameters
    ----------
    indices
        Positions of the observed cells, [m, N] with N >= 3, counted from zero, in any order.
    shape
        (n_1, ..., n_N).

    Raises
    ------
    InputError
        A position outside the shape, a cell given twice, no cell at all, or fewer than three
        modes.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> cells = wp.operators.TensorEntries([[0, 1, 2], [1, 0, 0]], (2, 2, 3))
    >>> cells(torch.arange(12.0).reshape(2, 2, 3)).tolist()
    [5.0, 6.0]
    """

    indices: Tensor
    shape: tuple[int, ...]
    pointwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        sides = check_sides(self.shape)
        table = as_tensor(self.indices, "indices", floating=False)
        require(
            table.ndim == 2 and table.shape[1] == len(sides),
            f"indices has shape {list(table.shape)}, expected [m, {len(sides)}]",
            "each observed cell has one position in each mode",
        )
        require(table.shape[0] > 0, "there is no observed cell", "nothing to fit")
        columns = [as_indices(table[:, k], f"indices[:, {k}]", n) for k, n in enumerate(sides)]
        object.__setattr__(self, "shape", sides)
        object.__setattr__(self, "indices", torch.stack(columns, 1))

    @classmethod
    def from_mask(cls, mask: Any) -> TensorEntries:
        """Observe the cells where a boolean [n_1, ..., n_N] mask is true."""
        mask = torch.as_tensor(mask)
        return cls(mask.nonzero(), tuple(mask.shape))

    @property
    def shape_in(self) -> tuple[int, ...]:  # type: ignore[override]
        """(n_1, ..., n_N)."""
        return self.shape

    @property
    def shape_out(self) -> tuple[int, ...]:  # type: ignore[override]
        """(m,)."""
        return (self.indices.shape[0],)

    @property
    def gain(self) -> float:
        """Share of observed cells."""
        return self.indices.shape[0] / math.prod(self.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Read the observed cells of each tensor in the batch."""
        return x.flatten(1)[:, self._flat]

    def backward(self, y: Tensor) -> Tensor:
        """Write values into the observed cells of zero tensors."""
        out = y.new_zeros((y.shape[0], math.prod(self.shape)))
        out[:, self._flat] = y
        return out.reshape(-1, *self.shape)

    def on_tucker(self, tucker: Tucker) -> Tensor:
        """Return the values of T at the observed cells, in bounded memory."""
        return at(tucker, self.indices)

    def slopes(
        self, residual: Tensor, tucker: Tucker, modes: Collection[int], still: Collection[int] = ()
    ) -> Slopes:
        """Return the derivatives of <A*(residual), T> by the core and the factors of ``modes``."""
        return self._fibres.slopes(self._in_order(residual), tucker, modes)

    def mode_basis(self, y: Tensor, mode: int, rank: int) -> Tensor:
        """Return leading eigenvectors of the corrected Gram of the unfolding."""
        return self._fibres.mode_basis(self._in_order(y), mode, rank)

    def canonical(self, y: Tensor) -> tuple[TensorOperator, Tensor]:
        """Sort the cells once; small well-filled tensors become a dense mask."""
        if math.prod(self.shape) <= DENSE_CELLS and self.gain >= DENSE_SHARE:
            self._check_distinct()
            values, mask = self.backward(torch.stack([y, torch.ones_like(y)]))
            return MaskedTensor(mask), values
        return self._fibres, self._in_order(y)

    def empty(self, mode: int) -> Tensor:
        """Return the positions along ``mode`` at which no cell is observed, int64."""
        counts = torch.bincount(self.indices[:, mode].long(), minlength=self.shape[mode])
        return (counts == 0).nonzero()[:, 0]

    @cached_property
    def _flat(self) -> Tensor:
        return raveled(self.indices, self.shape)

    @cached_property
    def _fibres(self) -> FibreEntries:
        self._check_distinct()
        return build_fibres(self.indices, self.shape)

    def _in_order(self, y: Tensor) -> Tensor:
        order = self._fibres.cells.pattern.order
        return y if order is None else y.index_select(0, order)

    def _check_distinct(self) -> None:
        ordered, order = self._flat.sort()
        again = (ordered.diff() == 0).nonzero()[:, 0]
        if again.numel():
            first = int(again[0])
            cell = tuple(self.indices[order[first]].tolist())
            require(
                False,
                f"cell {cell} is given more than once, {again.numel()} cell(s) in all are repeated",
                "two values for one cell would count it twice",
                "average or drop the repeats first",
            )


@dataclass(frozen=True, eq=False)
class FibreEntries(TensorOperator):
    """Observed cells as a sparse matrix, fibre x leaf; measurements in its order."""

    cells: SortedEntries  # [fibres, n_leaf]
    fibres: Tensor | None  # [fibres, N - 1]: position in the other modes; None: the whole grid
    leaf: int
    shape: tuple[int, ...]

    @property
    def shape_in(self) -> tuple[int, ...]:  # type: ignore[override]
        """(n_1, ..., n_N)."""
        return self.shape

    @property
    def shape_out(self) -> tuple[int, ...]:  # type: ignore[override]
        """(m,)."""
        return self.cells.shape_out

    @property
    def gain(self) -> float:
        """Share of observed cells."""
        return self.shape_out[0] / math.prod(self.shape)

    @property
    def others(self) -> list[int]:
        """The modes that a fibre has a position in."""
        return [k for k in range(len(self.shape)) if k != self.leaf]

    @cached_property
    def indices(self) -> Tensor:
        """Position of each cell, [m, N] int64."""
        rows, sides = self.cells.rows, [self.shape[k] for k in self.others]
        if self.fibres is None:
            columns = list(torch.unravel_index(rows, sides))
        else:
            columns = list(self.fibres[rows].unbind(1))
        columns.insert(self.leaf, self.cells.pattern.col.long())
        return torch.stack(columns, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Read the observed cells of each tensor in the batch."""
        return x.flatten(1)[:, raveled(self.indices, self.shape)]

    def backward(self, y: Tensor) -> Tensor:
        """Write values into the observed cells of zero tensors."""
        out = y.new_zeros((y.shape[0], math.prod(self.shape)))
        out[:, raveled(self.indices, self.shape)] = y
        return out.reshape(-1, *self.shape)

    def on_tucker(self, tucker: Tucker) -> Tensor:
        """Return the values of T at the observed cells."""
        return self.cells.on_factors(self.rows(tucker), tucker.factors[self.leaf])

    def residual(self, tucker: Tucker, y: Tensor, still: Collection[int] = ()) -> Tensor:
        """Fuse product, sampling and subtraction into one kernel."""
        values: Tensor = self.cells.misfit(
            self.rows(tucker), tucker.factors[self.leaf], y
        ).gradient.values
        return values

    def rows(self, tucker: Tucker) -> Tensor:
        """Return V [fibres, r_leaf] with T = V U_leaf^T on the fibres."""
        core, factors = tucker
        if self.fibres is None:
            grid = expand(core, factors, skip=(self.leaf,))
            return grid.movedim(self.leaf, -1).reshape(-1, core.shape[self.leaf])
        flat = unfold(core, self.leaf).mT
        out = core.new_empty(self.fibres.shape[0], core.shape[self.leaf])
        for part in self._chunks(flat.shape[0]):
            out[part] = products(self._factor_rows(factors, part)) @ flat
        return out

    def slopes(
        self, residual: Tensor, tucker: Tucker, modes: Collection[int], still: Collection[int] = ()
    ) -> Slopes:
        """Return the derivatives of <A*(residual), T> by the core and the factors of ``modes``."""
        z = self.cells.adjoint_matrix(residual)
        factors = tucker.factors
        along = z @ factors[self.leaf]  # [fibres, r_leaf]: the residual times U_leaf
        rest = [k for k in modes if k != self.leaf]
        if self.fibres is None:
            sides = [self.shape[k] for k in self.others]
            grid = along.reshape(*sides, -1).movedim(-1, self.leaf)
            to_core, found = slopes(grid, tucker, rest, done=(self.leaf,))
            found = dict(found)
        else:
            to_core, found = self._by_fibre(along, tucker, rest)
        if self.leaf in modes:
            found[self.leaf] = z.T @ self.rows(tucker)
        return Slopes(to_core, found)

    def mode_basis(self, y: Tensor, mode: int, rank: int) -> Tensor:
        """Return leading eigenvectors of the sparse Gram with its diagonal times p."""
        n, p = self.shape[mode], self.gain
        others = [k for k in range(len(self.shape)) if k != mode]
        columns = raveled(self.indices[:, others], [self.shape[k] for k in others])
        column, count = compressed(columns.cpu().numpy())
        where = (self.indices[:, mode].cpu().numpy(), column)
        flat = sparse.coo_array((y.double().cpu().numpy(), where), shape=(n, count)).tocsr()
        energy = np.asarray(flat.multiply(flat).sum(1)).ravel()
        if n <= GRAM_SIDE and flat.nnz <= GRAM_FILL * count:
            small = torch.from_numpy((flat @ flat.T).toarray())
            small.diagonal().sub_(torch.from_numpy((1 - p) * energy))
            return leading_vectors(small, rank).to(y)
        product = LinearOperator(
            (n, n), matvec=lambda x: flat @ (flat.T @ x) - (1 - p) * energy * x.ravel(),
            dtype=np.float64,
        )  # fmt: skip
        start = np.full(n, n**-0.5)
        vectors = eigsh(product, k=rank, which="LA", v0=start)[1][:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(vectors)).to(y)

    def _by_fibre(
        self, along: Tensor, tucker: Tucker, modes: Collection[int]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        core, factors = tucker
        flat = unfold(core, self.leaf)  # [r_leaf, product of the others]
        ranks = [core.shape[k] for k in self.others]
        to_core = torch.zeros_like(flat)
        found = {k: torch.zeros_like(factors[k]) for k in modes}
        for part in self._chunks(flat.shape[1]):
            rows = self._factor_rows(factors, part)
            to_core.addmm_(along[part].mT, products(rows))
            spread = (along[part] @ flat).reshape(-1, *ranks)
            for place, k in enumerate(self.others):
                if k in found and self.fibres is not None:
                    found[k].index_add_(0, self.fibres[part, place], leave_one(spread, rows, place))
        return to_core.reshape(-1, *ranks).movedim(0, self.leaf).contiguous(), found

    def _factor_rows(self, factors: tuple[Tensor, ...], part: slice) -> list[Tensor]:
        if self.fibres is None:
            return []
        return [factors[k][self.fibres[part, j]] for j, k in enumerate(self.others)]

    def _chunks(self, width: int) -> list[slice]:
        count, step = self.cells.shape[0], max(1, CHUNK // width)
        return [slice(s, min(s + step, count)) for s in range(0, count, step)]


@dataclass(frozen=True, eq=False)
class MaskedTensor(MaskedCells, DenseTensorProducts):
    """Observed cells of a small tensor as a dense 0/1 mask; measurements are a tensor."""

    def residual(self, tucker: Tucker, y: Tensor, still: Collection[int] = ()) -> Tensor:
        """Subtract; y is zero outside the mask."""
        return dense(tucker, still).sub_(y).mul_(self.mask)

    def slopes(
        self, residual: Tensor, tucker: Tucker, modes: Collection[int], still: Collection[int] = ()
    ) -> Slopes:
        """Contract the residual, which is zero outside the mask."""
        return slopes(residual, tucker, modes, done=still)

    def mode_basis(self, y: Tensor, mode: int, rank: int) -> Tensor:
        """Return leading eigenvectors of the Gram with its diagonal times p."""
        flat = unfold(y, mode)
        small = flat @ flat.mT
        small.diagonal().mul_(self.gain)
        return leading_vectors(small, rank)


def build_fibres(indices: Tensor, shape: tuple[int, ...]) -> FibreEntries:
    """Lay distinct cells out along the longest mode."""
    leaf = max(range(len(shape)), key=lambda k: shape[k])
    others = [k for k in range(len(shape)) if k != leaf]
    sides = [shape[k] for k in others]
    keys = raveled(indices[:, others], sides)
    grid = math.prod(sides)
    fibres, rows, count = None, keys, grid
    short, place = np.unique(keys.cpu().numpy(), return_inverse=True)
    if len(short) < GRID_SHARE * grid:
        rows, count = torch.from_numpy(place).to(keys.device), len(short)
        fibres = torch.stack(torch.unravel_index(torch.from_numpy(short).to(keys), sides), 1)
    pair = (count, shape[leaf])
    pattern = build_pattern(rows, indices[:, leaf], pair)
    return FibreEntries(SortedEntries(pattern, pair), fibres, leaf, shape)


def products(rows: list[Tensor]) -> Tensor:
    """Return the products of all pairs of entries, row by row: [c, r_1 r_2 ...]."""
    out = rows[0]
    for more in rows[1:]:
        out = (out[:, :, None] * more[:, None]).flatten(1)
    return out


def leave_one(spread: Tensor, rows: list[Tensor], place: int) -> Tensor:
    """Contract [c, r_1, r_2, ...] with a row a mode, all but one: [c, r_place]."""
    for row in reversed(rows[place + 1 :]):
        spread = torch.einsum("c...r,cr->c...", spread, row)
    for row in rows[:place]:
        spread = torch.einsum("cr...,cr->c...", spread, row)
    return spread


def raveled(indices: Tensor, shape: Any) -> Tensor:
    """Return positions in row order, [m] int64, of indices [m, N]."""
    flat = torch.zeros_like(indices[:, 0], dtype=torch.int64)
    for k, n in enumerate(shape):
        flat = flat * n + indices[:, k]
    return flat


def compressed(keys: Any) -> tuple[Any, int]:
    """Number distinct keys from zero; return each key's number, and how many there are."""
    known, place = np.unique(keys, return_inverse=True)
    return place.astype(np.int64), len(known)


def check_sides(shape: Any) -> tuple[int, ...]:
    """Require at least three whole sides whose product fits 63 bits."""
    require(
        isinstance(shape, (tuple, list, torch.Size)) and len(shape) >= 3,
        f"shape is {shape!r}, expected at least three sides, (n1, n2, n3, ...)",
        remedy="for matrices take Entries",
    )
    for n in shape:
        whole(n, "a side of the shape")
    require(
        math.prod(int(n) for n in shape) < 2**62,
        f"the shape {tuple(shape)} has more cells than can be numbered (2^62)",
    )
    return tuple(int(n) for n in shape)
