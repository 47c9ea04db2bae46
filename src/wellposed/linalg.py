"""Small solves, implicit matrices and truncated singular value decompositions.

An implicit matrix is anything with ``shape``, ``dtype``, ``device``, ``@`` (times a thin dense
matrix) and ``.T``: a dense tensor, a sparse residual, a Hankel lift. Methods write ``Z @ R``
and ``Z.T @ L`` and never ask what Z is.

Truncated SVD, both forms matrix-free and deterministic given the stream:
randomised block Krylov (Musco & Musco, NeurIPS 2015, algorithm 2) and Lanczos (ARPACK).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, svds
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import InputError
from wellposed.rng import Stream


class ImplicitMatrix(Protocol):
    """A matrix [n1, n2] known through its products with thin dense matrices."""

    @property
    def shape(self) -> torch.Size:
        """[n1, n2]."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the entries."""

    @property
    def device(self) -> torch.device:
        """Where the entries are."""

    @property
    def T(self) -> Any:
        """The transpose, again implicit."""

    def __matmul__(self, other: Tensor, /) -> Tensor: ...


class SVD(NamedTuple):
    """Leading singular triplets, in descending order."""

    u: Tensor  # [n1, r]
    s: Tensor  # [r]
    v: Tensor  # [n2, r]


class Callback(NamedTuple):
    """An implicit matrix made of two functions."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    times: Any  # [n2, k] -> [n1, k]
    transpose_times: Any  # [n1, k] -> [n2, k]

    @property
    def T(self) -> Callback:
        """The transpose."""
        flipped = torch.Size((self.shape[1], self.shape[0]))
        return Callback(flipped, self.dtype, self.device, self.transpose_times, self.times)

    def __matmul__(self, other: Tensor) -> Tensor:
        product: Tensor = self.times(other)
        return product


def gram(factor: Tensor) -> Tensor:
    """Return F^T F, [r, r]."""
    return factor.mT @ factor


def cholesky(matrix: Tensor) -> Tensor:
    """Factor a symmetric positive semi-definite [r, r] matrix, damped only when it must be.

    A matrix that is singular to working precision gets eps * trace / r on its diagonal,
    multiplied by ten until the factorization succeeds. Non-finite input is returned as NaN,
    for the driver to see.
    """
    limit = torch.finfo(matrix.dtype).eps
    size = matrix.shape[-1]
    scale = matrix.detach().diagonal().mean()
    if not bool(torch.isfinite(scale)):
        return torch.full_like(matrix, torch.nan)
    if float(scale) <= 0:
        return torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    damping = 0.0
    while True:
        trial = matrix.clone()
        trial.diagonal().add_(damping * scale)
        lower, info = torch.linalg.cholesky_ex(trial)
        pivots = lower.detach().diagonal()
        sound = int(info) == 0 and float(pivots.min()) ** 2 > limit * float(scale)
        if sound or damping > 1:
            return torch.as_tensor(lower)
        damping = max(10 * damping, size * limit)


def solve_right(matrix: Tensor, right_side: Tensor) -> Tensor:
    """Return B (matrix)^-1 for symmetric positive definite ``matrix`` [r, r] and B [n, r].

    The result is stored by rows: products round differently for other layouts, and a state
    that comes back from a file is stored by rows.
    """
    return torch.cholesky_solve(right_side.mT, cholesky(matrix)).mT.contiguous()


def solve_gram(factor: Tensor, right_side: Tensor, damping: float | Tensor = 0.0) -> Tensor:
    """Return B (F^T F + damping I)^-1 for F [n', r] and B [n, r]."""
    matrix = gram(factor)
    matrix.diagonal().add_(damping)
    return solve_right(matrix, right_side)


def randomized_svd(
    matrix: ImplicitMatrix, rank: int, stream: Stream, depth: int = 4, oversample: int = 10
) -> SVD:
    """Return the leading triplets by randomised block Krylov iteration.

    Parameters
    ----------
    matrix
        [n1, n2], dense or implicit.
    rank
        Number of triplets, in [1, min(n1, n2)].
    stream
        Source of the random block.
    depth
        Number of powers of (Z Z^T) in the Krylov space; each costs two products.
    oversample
        Extra columns of the block.
    """
    check_rank(rank, matrix.shape)
    n1, n2 = matrix.shape
    width, short = rank + oversample, min(n1, n2)
    if width * (depth + 1) > short:  # a full block costs no more than the Krylov space would
        width, depth = short, 0
    start = stream.normal((n2, width), "svd", dtype=matrix.dtype, device=matrix.device)
    basis = [torch.linalg.qr(matrix @ start)[0]]
    for _ in range(depth):
        block = matrix @ (matrix.T @ basis[-1])
        for _ in range(2):  # twice is enough to stay orthogonal
            for known in basis:
                block = block - known @ (known.mT @ block)
        basis.append(torch.linalg.qr(block)[0])
    q = torch.cat(basis, 1)
    small = matrix.T @ q  # [n2, k]: Z^T Q
    v, s, ut = torch.linalg.svd(small, full_matrices=False)
    return _signed(SVD(q @ ut.mT[:, :rank], s[:rank], v[:, :rank]))


def lanczos_svd(matrix: ImplicitMatrix, rank: int, stream: Stream, tol: float = 0.0) -> SVD:
    """Return the leading triplets by ARPACK's Lanczos iteration (on the CPU).

    Raises
    ------
    InputError
        When ARPACK does not converge, as for a matrix without decay; use ``randomized_svd``.
    """
    check_rank(rank, matrix.shape)
    n1, n2 = matrix.shape
    dtype = torch.empty((), dtype=matrix.dtype).numpy().dtype

    def times(m: ImplicitMatrix) -> Any:
        def product(x: np.ndarray[Any, Any]) -> Any:
            thin = torch.from_numpy(np.ascontiguousarray(x, dtype=dtype).reshape(x.shape[0], -1))
            return (m @ thin.to(matrix.device)).cpu().numpy().reshape(-1, *x.shape[1:])

        return product

    linear = LinearOperator(
        (n1, n2),
        matvec=times(matrix),
        rmatvec=times(matrix.T),
        matmat=times(matrix),
        rmatmat=times(matrix.T),
        dtype=dtype,
    )
    if rank >= min(n1, n2):  # ARPACK computes at most min(n1, n2) - 1 triplets
        return randomized_svd(matrix, rank, stream, depth=0)
    v0 = stream.normal((min(n1, n2),), "svd").numpy().astype(dtype)
    try:
        u, s, vt = svds(linear, k=rank, v0=v0, tol=tol, solver="arpack")
    except ArpackError as error:
        raise InputError(
            f"the Lanczos iteration failed: {error}",
            "the singular values may be too close together",
            "use randomized_svd",
        ) from None
    order = np.argsort(s)[::-1]
    u, s, v = u[:, order], s[order], vt[order].T
    parts = [torch.from_numpy(np.ascontiguousarray(a)).to(matrix.device) for a in (u, s, v)]
    return _signed(SVD(*parts))


def check_rank(rank: int, shape: torch.Size | tuple[int, ...]) -> None:
    """Require 1 <= rank <= min(n1, n2)."""
    require(
        isinstance(rank, (int, np.integer)) and 1 <= rank <= min(shape),
        f"rank is {rank!r}, expected a whole number from 1 to {min(shape)} "
        f"for a {shape[0]} x {shape[1]} matrix",
        "a matrix has no more singular values than its shorter side",
        "lower the rank",
    )


def _signed(svd: SVD) -> SVD:
    """Fix the sign: the largest entry of each left vector is positive."""
    at = svd.u.abs().argmax(0)
    sign = torch.sign(svd.u.gather(0, at[None]))
    sign = torch.where(sign == 0, torch.ones_like(sign), sign)
    return SVD((svd.u * sign).contiguous(), svd.s, (svd.v * sign).contiguous())
