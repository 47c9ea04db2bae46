"""Tucker tensors and multilinear products.

Tucker tensor    T = S x_1 U_1 ... x_N U_N,   S [r_1, ..., r_N],  U_k [n_k, r_k],  N >= 3
Unfolding        M_k(T) [n_k, product of the other sides], the remaining modes in their order
Slopes           of 1/2 ||T - Y||^2, with Z = T - Y:
                   by the core    Z x_1 U_1^T ... x_N U_N^T
                   by factor k    M_k(Z x_{j != k} U_j^T) M_k(S)^T
Gram of mode k   M_k(S x_{j != k} U_j^T U_j) M_k(S)^T [r_k, r_k]

No Kronecker product of factors is ever formed: a product with mode k is one (batched) matrix
product on [before, n_k, after], and small modes go first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.linalg import gram

Factors = Sequence[Tensor] | Mapping[int, Tensor]


class Tucker(NamedTuple):
    """A tensor S x_1 U_1 ... x_N U_N."""

    core: Tensor  # [r_1, ..., r_N]
    factors: tuple[Tensor, ...]  # N of [n_k, r_k]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides of the tensor, (n_1, ..., n_N)."""
        return tuple(factor.shape[0] for factor in self.factors)

    @property
    def ranks(self) -> tuple[int, ...]:
        """Sides of the core, (r_1, ..., r_N)."""
        return tuple(self.core.shape)


class Slopes(NamedTuple):
    """Derivatives by the core and by some of the factors."""

    core: Tensor  # [r_1, ..., r_N]
    factors: Mapping[int, Tensor]  # mode: [n_k, r_k]


def mode_product(tensor: Tensor, matrix: Tensor, mode: int) -> Tensor:
    """Return tensor x_mode matrix: [..., n_k, ...] becomes [..., m, ...] for a matrix [m, n_k]."""
    sides = tensor.shape
    shape = (*sides[:mode], matrix.shape[0], *sides[mode + 1 :])
    if mode == tensor.ndim - 1:
        rows = tensor.reshape(-1, sides[-1])
        return (rows @ matrix.contiguous().mT).reshape(shape)  # twice as fast in this layout
    if mode == 0:
        return (matrix @ tensor.reshape(sides[0], -1)).reshape(shape)
    slabs = tensor.reshape(math.prod(sides[:mode]), sides[mode], -1)
    return (matrix @ slabs).reshape(shape)


def unfold(tensor: Tensor, mode: int) -> Tensor:
    """Return M_mode(tensor), [n_mode, product of the other sides]."""
    return tensor.movedim(mode, 0).reshape(tensor.shape[mode], -1)


def contract(tensor: Tensor, factors: Sequence[Tensor], skip: Collection[int] = ()) -> Tensor:
    """Return the tensor times U_k^T in all modes but those of ``skip``, most shrinking first."""
    todo = [k for k in range(tensor.ndim) if k not in skip]
    for k in sorted(todo, key=lambda k: factors[k].shape[1] / factors[k].shape[0]):
        tensor = mode_product(tensor, factors[k].mT, k)
    return tensor


def expand(core: Tensor, factors: Factors, skip: Collection[int] = ()) -> Tensor:
    """Return the core times U_k in all modes but those of ``skip``, least growing first."""
    todo = [k for k in range(core.ndim) if k not in skip]
    for k in sorted(todo, key=lambda k: factors[k].shape[0] / factors[k].shape[1]):
        core = mode_product(core, factors[k], k)
    return core


def dense(tucker: Tucker, still: Collection[int] = ()) -> Tensor:
    """Return the tensor, [n_1, ..., n_N], new in memory.

    The factors of the modes ``still`` are taken for the identity, unseen.
    """
    full = expand(*tucker, skip=still)
    return full.clone() if full is tucker.core else full


def slopes(z: Tensor, tucker: Tucker, modes: Collection[int], done: Collection[int] = ()) -> Slopes:
    """Return the derivatives of <z, T> by the core and by the factors of ``modes``.

    Two passes over z: one contracts the mode that shrinks it most, from which all slopes but
    that mode's own follow; the other leaves that mode for last. A single mode takes one pass.
    Modes that hardly shrink are multiplied into the core instead, which is smaller. The modes of
    ``done`` are contracted already, and have no slope here.
    """
    core, factors = tucker
    todo = [k for k in range(z.ndim) if k not in done]
    order = sorted(todo, key=lambda k: factors[k].shape[1] / factors[k].shape[0])
    if sum(k in modes for k in order) == 1:  # its own slope comes last: one pass
        order.sort(key=lambda k: k in modes)
    thick = [k for k in order if 2 * factors[k].shape[1] > factors[k].shape[0]]
    found: dict[int, Tensor] = {}
    for place, k in enumerate(order):
        if k in modes:
            wide = {j for j in order[place + 1 :] if j in thick}
            later = contract(z, factors, skip=(k, *order[:place], *done, *wide))
            partner = expand(core, factors, skip=[j for j in range(core.ndim) if j not in wide])
            found[k] = unfold(later, k) @ unfold(partner, k).mT
        z = mode_product(z, factors[k].mT, k)
    return Slopes(z, found)


def mode_gram(core: Tensor, grams: Mapping[int, Tensor], mode: int) -> Tensor:
    """Return M_k(S x_{j != k} G_j) M_k(S)^T, [r_k, r_k], G_j a factor's Gram or else identity."""
    skip = [k for k in range(core.ndim) if k == mode or k not in grams]
    return unfold(expand(core, grams, skip), mode) @ unfold(core, mode).mT


def norm(tucker: Tucker) -> Tensor:
    """Return ||T||_F from the Grams, 0-d."""
    grams = [gram(factor) for factor in tucker.factors]
    squared: Tensor = (expand(tucker.core, grams) * tucker.core).sum()
    return squared.clamp_min(0).sqrt()


def at(tucker: Tucker, indices: Tensor, chunk: int = 1 << 21) -> Tensor:
    """Return T at the positions ``indices`` [m, N], [m], in bounded memory."""
    core, factors = tucker
    out = core.new_empty(indices.shape[0])
    step = max(1, chunk // math.prod(core.shape))
    for start in range(0, indices.shape[0], step):
        here = indices[start : start + step].long()
        part = factors[0][here[:, 0]] @ core.reshape(core.shape[0], -1)
        for k in range(1, core.ndim):
            part = part.reshape(len(here), core.shape[k], -1)
            part = (factors[k][here[:, k]][:, None] @ part)[:, 0]
        out[start : start + step] = part[:, 0]
    return out


def orthogonal(tucker: Tucker) -> Tucker:
    """Return the same tensor with orthonormal factors."""
    parts = [torch.linalg.qr(factor) for factor in tucker.factors]
    return Tucker(expand(tucker.core, [r for _, r in parts]), tuple(q for q, _ in parts))


def mode_spectra(tucker: Tucker) -> list[Tensor]:
    """Return the singular values of each unfolding, [r_k], descending (squares: energy).

    Non-finite input is returned as NaN, for the driver to see.
    """
    core = orthogonal(tucker).core
    if not bool(torch.isfinite(core.sum())):
        return [unfold(core, k).diagonal() * torch.nan for k in range(core.ndim)]
    return [torch.linalg.svdvals(unfold(core, k)) for k in range(core.ndim)]


def relative_error(tucker: Tucker, truth: Tensor | Tucker) -> float:
    """Return ||T - T*||_F / ||T*||_F, accurate down to rounding.

    For a truth in Tucker form nothing dense is made: the difference has the factors
    [U_k, U_k*] and a block-diagonal core, whose norm follows from the triangular parts.
    """
    if isinstance(truth, Tensor):
        return float((dense(tucker) - truth).norm() / truth.norm())
    core = tucker.core.new_zeros([a + b for a, b in zip(tucker.ranks, truth.ranks, strict=True)])
    core[tuple(slice(0, a) for a in tucker.ranks)] = tucker.core
    core[tuple(slice(a, None) for a in tucker.ranks)] = -truth.core
    both = zip(tucker.factors, truth.factors, strict=True)
    small = [torch.linalg.qr(torch.cat(pair, 1), mode="r")[1] for pair in both]
    gap: Tensor = expand(core, small)
    return float(gap.norm() / norm(truth))


def leading_vectors(matrix: Tensor, count: int) -> Tensor:
    """Return orthonormal eigenvectors of the largest eigenvalues of a symmetric matrix.

    The largest entry of each is positive. Non-finite input is returned as NaN, for the driver
    to see.
    """
    if not bool(torch.isfinite(matrix.sum())):
        return matrix.new_full((matrix.shape[0], count), torch.nan)
    vectors = torch.linalg.eigh(matrix).eigenvectors[:, -count:].flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0)[None])
    signed: Tensor = vectors * torch.sign(largest)
    return signed.contiguous()


def hosvd(tensor: Tensor, ranks: Sequence[int]) -> Tucker:
    """Return the truncated higher-order SVD: leading left vectors of each unfolding.

    Source: De Lathauwer, De Moor & Vandewalle, SIAM J. Matrix Anal. 21 (2000). Its error is at
    most sqrt(N) times that of the best approximation of these ranks.
    """
    check_ranks(ranks, tuple(tensor.shape))
    factors = []
    for k, rank in enumerate(ranks):
        flat = unfold(tensor, k)
        factors.append(leading_vectors(flat @ flat.mT, rank))
    return Tucker(contract(tensor, factors), tuple(factors))


def check_ranks(ranks: Sequence[int], shape: Sequence[int]) -> None:
    """Require one rank a mode, each from 1 to the side and to the product of the others."""
    require(
        len(ranks) == len(shape),
        f"there are {len(ranks)} ranks {tuple(ranks)} for a tensor of order {len(shape)}",
        "each mode has a rank of its own",
        f"give {len(shape)} ranks, one for each side of {tuple(shape)}",
    )
    for k, (rank, side) in enumerate(zip(ranks, shape, strict=True)):
        whole(rank, f"the rank of mode {k}")
        require(
            rank <= side,
            f"the rank of mode {k} is {rank}, expected at most {side}",
            f"that side of the tensor {tuple(shape)} is {side}",
            "lower the rank",
        )
