"""The distance of ScaledGD's analysis: factors are compared after the best invertible alignment.

dist^2 = min over Q in GL(r) of ||(L Q - L*) S^1/2||^2 + ||(R Q^-T - R*) S^1/2||^2,

with balanced true factors L* = U S^1/2, R* = V S^1/2 (Tong, Ma & Chi, JMLR 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.lowrank.setting import Factors

STEPS = 50


class Balanced(NamedTuple):
    """True factors with equal Grams diag(values)."""

    left: Tensor  # [n1, r]
    right: Tensor  # [n2, r]
    values: Tensor  # [r], singular values of the product


def balanced(matrix: Factors) -> Balanced:
    """Return U S^1/2 and V S^1/2 of L R^T."""
    ql, rl = torch.linalg.qr(matrix.left)
    qr, rr = torch.linalg.qr(matrix.right)
    u, s, vt = torch.linalg.svd(rl @ rr.mT)
    root = s.sqrt()
    return Balanced(ql @ u * root, qr @ vt.mT * root, s)


def aligned_distance(pair: Factors, true: Balanced) -> float:
    """Return dist, by Gauss-Newton over Q from the least-squares alignment of the left factors."""
    rank = len(true.values)
    left = together(pair.left, true.left)
    right = together(pair.right, true.right)
    off = Off(*left, *right, true.values.sqrt())
    q = torch.linalg.lstsq(off.left, off.left_true).solution
    best = off.at(q)
    for _ in range(STEPS):
        step = torch.linalg.lstsq(off.slope(q), -best.flatten()[:, None]).solution
        new = _shorter(off, q, step.reshape(rank, rank), best)
        if new is None:
            break
        q, best = new
    return float(best.norm())


class Off(NamedTuple):
    """What has to vanish: ((L Q - L*) S^1/2, (R Q^-T - R*) S^1/2)."""

    left: Tensor
    left_true: Tensor
    right: Tensor
    right_true: Tensor
    root: Tensor  # [r], diagonal of S^1/2

    def at(self, q: Tensor) -> Tensor:
        """Return both parts, one above the other."""
        on_left = self.left @ q - self.left_true
        on_right = self.right @ torch.linalg.inv(q).mT - self.right_true
        return torch.cat([on_left, on_right]) * self.root

    def slope(self, q: Tensor) -> Tensor:
        """Return the derivative in Q: d(Q^-T) = -Q^-T (dQ)^T Q^-T."""
        p = torch.linalg.inv(q).mT
        scale = torch.diag(self.root)
        on_left = torch.einsum("ia,bc->icab", self.left, scale)
        on_right = torch.einsum("jb,ac->jcab", -self.right @ p, p * self.root)
        return torch.cat([on_left, on_right]).reshape(-1, q.numel())


def together(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return both factors in common orthonormal coordinates, [2r, r] each: lengths are kept."""
    small = torch.linalg.qr(torch.cat([a, b], 1), mode="r")[1]
    return small[:, : a.shape[1]], small[:, a.shape[1] :]


def _shorter(off: Off, q: Tensor, step: Tensor, best: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the first of step, step / 2, ... that lowers the distance by more than rounding."""
    for halvings in range(20):
        moved = q + step / 2**halvings
        now = off.at(moved)
        if bool(now.norm() < best.norm() * (1 - 1e-10)):
            return moved, now
    return None


def rotated_distance(pair: Factors, true: Balanced) -> float:
    """Return the distance after the best rotation only, which gradient descent is analysed in."""
    both, wanted = torch.cat(pair), torch.cat([true.left, true.right])
    u, _, vt = torch.linalg.svd(both.mT @ wanted)
    return float(((both @ (u @ vt) - wanted) * true.values.sqrt()).norm())
