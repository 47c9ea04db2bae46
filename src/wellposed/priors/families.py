"""Gaussian components N(m_k, C_k), k = 1, ..., K, seen through the eigenvalues of C_k.

At noise variance s everything is a function of the eigenvalues c: with x - m_k in the
eigenbasis,

    energy   (1/2) (x - m)^T (C + s)^-1 (x - m) + (1/2) log det(C + s)
    slope    -(x - m)^T (C + s)^-1 v, the derivative of -energy along v
    fold     sum_k w_k [ f(C_k) x + g(C_k) m_k ]   for functions f(c, s), g(c, s)

so a new noise level costs no factorization. Three layouts of the eigenvectors: none, here
(``Isotropic``, ``Diagonal``); in ``bases`` one for all (``Rotated``) or each (``Spectral``).
All tensors are float64; s is [1], or [B] where ``one_level`` is false.

Cost       a batch of B rows: products [B, d] x [d, K] for Isotropic and Diagonal, [B, d] x
           [d, d] on top for Rotated, [B, d] x [d, K r] for Spectral. Nothing of size [B, K, d]
           unless the bases are complete.
Accuracy   squared distances come from products, with an error of eps R^2 (eps = 2.2e-16, R the
           largest distance from the common centre): energies are good to eps R^2 / (c + s).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

SpectralFunction = Callable[[Tensor, Tensor], Tensor]


def shrink(c: Tensor, s: Tensor) -> Tensor:
    """c / (c + s): how much of a deviation is signal."""
    return c / (c + s)


def keep(c: Tensor, s: Tensor) -> Tensor:
    """s / (c + s): how much of the mean is kept."""
    return s / (c + s)


def press(c: Tensor, s: Tensor) -> Tensor:
    """1 / (c + s): the precision."""
    return 1 / (c + s)


def repel(c: Tensor, s: Tensor) -> Tensor:
    """-1 / (c + s)."""
    return -1 / (c + s)


def nothing(c: Tensor, s: Tensor) -> Tensor:
    """Zero."""
    return torch.zeros_like(c + s)


class Seen(NamedTuple):
    """Rows and their coordinates in the eigenvectors."""

    x: Tensor  # [B, d]
    along: Tensor  # [B, d], or [B, K, r] where each component has its own basis


class Family(ABC):
    """K Gaussian components of one kind of covariance."""

    means: Tensor  # [K, d]
    one_level: ClassVar[bool] = False  # takes s [1] only

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers held in memory for each row of a batch."""

    def look(self, x: Tensor) -> Seen:
        """Find the coordinates of x [B, d], once for all that follows."""
        return Seen(x, x)

    @abstractmethod
    def energy(self, seen: Seen, s: Tensor) -> Tensor:
        """Return the energies, [B, K]."""

    @abstractmethod
    def slope(self, seen: Seen, v: Seen, s: Tensor) -> Tensor:
        """Return the slopes along v, [B, K]."""

    @abstractmethod
    def fold(
        self, w: Tensor, seen: Seen, f: SpectralFunction, g: SpectralFunction, s: Tensor
    ) -> Tensor:
        """Map weights [B, K] and rows to [B, d]."""

    @abstractmethod
    def color(self, index: Tensor, n: Tensor) -> Tensor:
        """Give white rows n [B, d] the covariances C_index: row n becomes n R, C = R^T R."""

    @abstractmethod
    def variances(self) -> Tensor:
        """Return the diagonals of C_k, [K, d]."""


@dataclass(frozen=True, eq=False)
class Isotropic(Family):
    """C_k = c_k I."""

    means: Tensor  # [K, d]
    values: Tensor  # [K]

    @property
    def width(self) -> int:
        """See ``Family``."""
        return 3 * sum(self.means.shape)

    @cached_property
    def _squares(self) -> Tensor:
        return torch.einsum("kd,kd->k", self.means, self.means)

    def energy(self, seen: Seen, s: Tensor) -> Tensor:
        """See ``Family``."""
        x, total = seen.x, self.values + s[:, None]
        square = x.square().sum(1, keepdim=True) + self._squares - 2 * x @ self.means.T
        return 0.5 * (square / total + x.shape[1] * total.log())

    def slope(self, seen: Seen, v: Seen, s: Tensor) -> Tensor:
        """See ``Family``."""
        own = (seen.x * v.x).sum(1, keepdim=True)
        return (v.x @ self.means.T - own) / (self.values + s[:, None])

    def fold(
        self, w: Tensor, seen: Seen, f: SpectralFunction, g: SpectralFunction, s: Tensor
    ) -> Tensor:
        """See ``Family``."""
        turned = (w * f(self.values, s[:, None])).sum(1, keepdim=True) * seen.x
        return torch.addmm(turned, w * g(self.values, s[:, None]), self.means)

    def color(self, index: Tensor, n: Tensor) -> Tensor:
        """See ``Family``."""
        return self.values[index, None].sqrt() * n

    def variances(self) -> Tensor:
        """See ``Family``."""
        return self.values[:, None].expand_as(self.means)


@dataclass(frozen=True, eq=False)
class Diagonal(Family):
    """C_k = diag(c_k), or one diagonal for all."""

    means: Tensor  # [K, d]
    values: Tensor  # [K, d] or [1, d]
    one_level: ClassVar[bool] = True

    @property
    def width(self) -> int:
        """See ``Family``."""
        return 3 * sum(self.means.shape)

    def energy(self, seen: Seen, s: Tensor) -> Tensor:
        """See ``Family``."""
        x, total = seen.along, self.values + s
        weight, pulled = 1 / total, self.means / total
        square = x.square() @ weight.T - 2 * x @ pulled.T + (self.means * pulled).sum(1)
        return 0.5 * (square + total.log().sum(1))

    def slope(self, seen: Seen, v: Seen, s: Tensor) -> Tensor:
        """See ``Family``."""
        weight = 1 / (self.values + s)
        return v.along @ (self.means * weight).T - (seen.along * v.along) @ weight.T

    def fold(
        self, w: Tensor, seen: Seen, f: SpectralFunction, g: SpectralFunction, s: Tensor
    ) -> Tensor:
        """See ``Family``."""
        shared = w if len(self.values) > 1 else w.sum(1, keepdim=True)
        turned = shared @ f(self.values, s) * seen.along
        return turned + w @ (g(self.values, s) * self.means)

    def color(self, index: Tensor, n: Tensor) -> Tensor:
        """See ``Family``."""
        return self.values.expand_as(self.means)[index].sqrt() * n

    def variances(self) -> Tensor:
        """See ``Family``."""
        return self.values.expand_as(self.means)
