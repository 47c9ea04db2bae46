"""Orthogonal bases in which A* A is diagonal.

Model      A* A = S diag(w) T, where T (``analyse``) maps a signal to coefficients, S = T^T
           (``synthesise``) maps back, and S T = I. So f(A* A) = S diag(f(w)) T for every f.
Bases      pixel      A reads single elements: T = I.
           Hartley    A* A is a circular convolution: T = Re F - Im F with the orthonormal
                      Fourier transform F, which is real, orthogonal and its own inverse, and
                      diagonal on circulants whose spectrum is even, as that of A* A is.
           singular   w = s^2 and T = V^T from A = U diag(s) V^T; where A has few rows, T also
                      keeps the rest x - V V^T x, with weight zero.
           product    A = A_1 (x) A_2 acting on rows and columns: T = V_1 (x) V_2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Spectral:
    """A change of basis that makes A* A diagonal.

    Attributes
    ----------
    weights
        Eigenvalues of A* A, >= 0, float64, one for each coefficient.
    analyse
        Signals [B, *shape_in] to coefficients [B, *weights.shape], same dtype, isometric.
    synthesise
        Coefficients back to signals; the adjoint of ``analyse``, and its inverse on signals.
    basis
        "pixel" or "hartley ..." where the change of basis depends on the shape only, else "".
    """

    weights: Tensor
    analyse: Change
    synthesise: Change
    basis: str = ""

    def scaled(self, factor: float | Tensor) -> Spectral:
        """Return the same basis with weights times a factor >= 0 (or one for each)."""
        return Spectral(self.weights * factor, self.analyse, self.synthesise, self.basis)

    def apply(self, x: Tensor) -> Tensor:
        """Return A* A x for each signal in the batch."""
        coefficients = self.analyse(x)
        return self.synthesise(self.weights.to(coefficients) * coefficients)

    def reshaped(self, shape: tuple[int, ...]) -> Spectral:
        """Return a basis of vectors as a basis of signals of another shape."""

        def analyse(x: Tensor) -> Tensor:
            return self.analyse(x.flatten(1))

        def synthesise(c: Tensor) -> Tensor:
            return self.synthesise(c).reshape(-1, *shape)

        return Spectral(self.weights, analyse, synthesise)


def pixel_basis(weights: Tensor) -> Spectral:
    """Return the basis of single elements."""
    return Spectral(weights.double(), _same, _same, "pixel")


def hartley_basis(weights: Tensor, axes: int = 2) -> Spectral:
    """Return the basis of circular convolutions along the last ``axes`` axes."""
    change = partial(hartley, axes=axes)
    return Spectral(weights.double(), change, change, f"hartley {axes}")


def singular_basis(matrix: Tensor) -> Spectral:
    """Return the right singular vectors of a real or complex matrix [m, n] on real vectors."""
    table = torch.cat([matrix.real, matrix.imag]) if matrix.is_complex() else matrix
    weights, right, thin = right_singular(table)
    right = right.to(table)
    left = right.mT.contiguous()
    if not thin:
        return Spectral(weights, partial(rowwise, table=right), partial(rowwise, table=left))

    def analyse(x: Tensor) -> Tensor:
        seen = rowwise(x, right)
        return torch.cat([seen, x - rowwise(seen, left)], 1)

    def synthesise(c: Tensor) -> Tensor:
        seen, rest = c[:, : right.shape[1]], c[:, right.shape[1] :]
        return rest + rowwise(seen - rowwise(rest, right), left)

    unseen = weights.new_zeros(table.shape[1])
    return Spectral(torch.cat([weights, unseen]), analyse, synthesise)


def product_basis(rows: Tensor, cols: Tensor, shape: tuple[int, ...]) -> Spectral:
    """Return the basis of X -> rows X cols^T on the last two axes of signals of this shape."""
    (high, v), (wide, u) = (right_singular(table, whole=True)[:2] for table in (rows, cols))
    weights = (high[:, None] * wide).expand(shape)

    def analyse(x: Tensor) -> Tensor:
        return v.to(x).mT @ x @ u.to(x)

    def synthesise(c: Tensor) -> Tensor:
        return v.to(c) @ c @ u.to(c).mT

    return Spectral(weights, analyse, synthesise)


def right_singular(table: Tensor, *, whole: bool = False) -> tuple[Tensor, Tensor, bool]:
    """Return squared singular values, right singular vectors [n, k], and whether k < n.

    ``whole`` asks for k = n, with zeros where A has no more singular values.

    Computed in float64 from the table or its triangular factor, never from a Gram matrix, so
    that small singular values keep their digits.
    """
    table = table.double()
    m, n = table.shape
    if m > n:
        table = torch.linalg.qr(table, mode="r")[1]
    thin = 2 * m <= n and not whole
    _, s, right = torch.linalg.svd(table, full_matrices=not thin)
    weights = s.square()
    if not thin:
        weights = torch.cat([weights, weights.new_zeros(n - len(s))])
    return weights, right.mT.contiguous(), thin


def hartley(x: Tensor, axes: int = 2) -> Tensor:
    """Return Re F x - Im F x along the last ``axes`` axes."""
    image: Tensor = torch.fft.fftn(x, dim=tuple(range(-axes, 0)), norm="ortho")
    return image.real - image.imag


def rowwise(x: Tensor, table: Tensor) -> Tensor:
    """Return x @ table, each row as a product of its own: the same alone or in company.

    A product of whole matrices rounds a row differently with the number of rows; this costs up
    to three times as much.
    """
    return torch.bmm(x[:, None], table.expand(len(x), *table.shape))[:, 0]


def _same(x: Tensor) -> Tensor:
    return x
