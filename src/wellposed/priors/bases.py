"""Gaussian components whose covariances have eigenvectors: one basis for all, or one each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wellposed.priors.families import (
    Diagonal,
    Family,
    Isotropic,
    Seen,
    SpectralFunction,
    press,
)


@dataclass(frozen=True, eq=False)
class Rotated(Family):
    """C_k = U diag(c) U^T, the same dense matrix for all: a diagonal family in the basis U."""

    means: Tensor  # [K, d]
    basis: Tensor  # U, [d, d]
    inner: Diagonal  # of means U
    one_level: ClassVar[bool] = True

    @classmethod
    def of(cls, means: Tensor, basis: Tensor, values: Tensor) -> Rotated:
        """Build from eigenvectors [d, d] and eigenvalues [d]."""
        return cls(means, basis, Diagonal(means @ basis, values[None]))

    @property
    def width(self) -> int:
        """See ``Family``."""
        return self.inner.width + 2 * self.basis.shape[0]

    def look(self, x: Tensor) -> Seen:
        """See ``Family``."""
        return Seen(x, x @ self.basis)

    def energy(self, seen: Seen, s: Tensor) -> Tensor:
        """See ``Family``."""
        return self.inner.energy(seen, s)

    def slope(self, seen: Seen, v: Seen, s: Tensor) -> Tensor:
        """See ``Family``."""
        return self.inner.slope(seen, v, s)

    def fold(
        self, w: Tensor, seen: Seen, f: SpectralFunction, g: SpectralFunction, s: Tensor
    ) -> Tensor:
        """See ``Family``."""
        return self.inner.fold(w, seen, f, g, s) @ self.basis.T

    def color(self, index: Tensor, n: Tensor) -> Tensor:
        """See ``Family``."""
        return self.inner.color(index, n) @ self.basis.T

    def variances(self) -> Tensor:
        """See ``Family``."""
        return (self.basis.square() @ self.inner.values[0]).expand_as(self.means)


@dataclass(frozen=True, eq=False)
class Spectral(Family):
    """C_k = U_k diag(c_k) U_k^T + rest_k (I - U_k U_k^T), U_k with r orthonormal columns.

    Columns of zeros pad a smaller rank; at r = d there is no rest.
    """

    means: Tensor  # [K, d]
    basis: Tensor  # [K, d, r]
    values: Tensor  # [K, r]
    outside: Isotropic | None  # the rest; None: the bases are complete
    flat: Tensor  # the bases side by side, [d, K r]
    coordinates: Tensor  # U_k^T m_k, [K, r]

    @classmethod
    def of(cls, means: Tensor, basis: Tensor, values: Tensor, rest: Tensor | None) -> Spectral:
        """Build from eigenvectors, eigenvalues and the variance [K] of the other directions."""
        flat = basis.transpose(0, 1).flatten(1).contiguous()
        coordinates = torch.einsum("kdr,kd->kr", basis, means)
        outside = None if rest is None else Isotropic(means, rest)
        return cls(means, basis, values, outside, flat, coordinates)

    @property
    def width(self) -> int:
        """See ``Family``."""
        return 3 * (sum(self.means.shape) + self.values.numel())

    def look(self, x: Tensor) -> Seen:
        """See ``Family``."""
        return Seen(x, (x @ self.flat).reshape(-1, *self.values.shape))

    def energy(self, seen: Seen, s: Tensor) -> Tensor:
        """See ``Family``."""
        off, total = seen.along - self.coordinates, self.values + s[:, None, None]
        if self.outside is None:
            return 0.5 * (off.square() / total + total.log()).sum(2)
        base = (self.outside.values + s[:, None])[..., None]
        inside = off.square() * (1 / total - 1 / base) + (total / base).log()
        return self.outside.energy(seen, s) + 0.5 * inside.sum(2)

    def slope(self, seen: Seen, v: Seen, s: Tensor) -> Tensor:
        """See ``Family``."""
        off = seen.along - self.coordinates
        inside = -(off * v.along * self._excess(press, s)).sum(2)
        return inside if self.outside is None else inside + self.outside.slope(seen, v, s)

    def fold(
        self, w: Tensor, seen: Seen, f: SpectralFunction, g: SpectralFunction, s: Tensor
    ) -> Tensor:
        """See ``Family``."""
        y = self._excess(f, s) * seen.along + self._excess(g, s) * self.coordinates
        inside = (w[..., None] * y).flatten(1) @ self.flat.T
        return inside if self.outside is None else inside + self.outside.fold(w, seen, f, g, s)

    def color(self, index: Tensor, n: Tensor) -> Tensor:
        """See ``Family``."""
        rest = self._rest()
        gain = self.values.sqrt() - rest.sqrt()[:, None]
        out = rest[index, None].sqrt() * n
        for k in index.bincount().nonzero()[:, 0].tolist():
            rows = index == k
            out[rows] += (n[rows] @ self.basis[k] * gain[k]) @ self.basis[k].T
        return out

    def variances(self) -> Tensor:
        """See ``Family``."""
        rest = self._rest()[:, None]
        return torch.einsum("kdr,kr->kd", self.basis.square(), self.values - rest) + rest

    def _rest(self) -> Tensor:
        """Variance outside the bases, [K]."""
        return torch.zeros_like(self.values[:, 0]) if self.outside is None else self.outside.values

    def _excess(self, f: SpectralFunction, s: Tensor) -> Tensor:
        """What f does inside the basis beyond what it does to the rest, [B, K, r]."""
        inside = f(self.values, s[:, None, None])
        if self.outside is None:
            return inside
        return inside - f(self.outside.values, s[:, None])[..., None]
