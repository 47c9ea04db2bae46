"""The homogeneous linear system S z = 0 behind self-calibration, and its two solutions.

With s = 1/d = B v the bilinear equations y_l = d * (A_l x_l) become linear in z = (v, x):

    y_l * (B v) - A_l x_l = 0,  l = 1, ..., p          (p m equations, k + N unknowns)

The two blocks are scaled to columns of mean square one, so that the solution does not depend
on the units of y or A. Small systems are solved densely; large ones by LSMR, matrix-free.
The smallest singular vector is then found by inverse iteration: one step of it is exactly
the least-squares solution of S z = 0, <w, z> = 1 with the last iterate for w.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, lsmr, svds
from torch import Tensor

from wellposed.bilinear.models import CalibrationModel
from wellposed.operators.base import numel
from wellposed.rng import Stream

DENSE_WORK = 5e8  # rows * columns^2 up to which factorizing S takes less than a second
ROUNDS = 30  # of inverse iteration
STILL = 1e-13  # change of the unit vector in a round that counts as none
TOLERANCE = 1e-15  # of LSMR
OUT_OF_STEPS = 7  # LSMR's code for its step limit


class Bottom(NamedTuple):
    """The lower end of the spectrum of S, relative to its largest singular value."""

    z: Tensor  # [k + N], unit right singular vector of the smallest singular value
    smallest: float
    second: float
    largest: float  # absolute
    converged: bool


@dataclass(frozen=True, eq=False)
class System:
    """S for shots y [p, m], a model and a basis [m, k] of 1/d (None: the identity)."""

    y: Tensor
    model: CalibrationModel
    basis: Tensor | None

    @property
    def head(self) -> int:
        """Number of unknowns of the gains."""
        return self.y.shape[1] if self.basis is None else self.basis.shape[1]

    @property
    def tail(self) -> int:
        """Number of unknowns of the signals."""
        return numel(self.model.signal_shape(self.y.shape[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """(p m, k + N)."""
        return self.y.numel(), self.head + self.tail

    @cached_property
    def scales(self) -> tuple[float, float]:
        """Root mean square column norms of the two blocks."""
        power = self.y.abs().square()
        weights = 1.0 if self.basis is None else self.basis.abs().square().sum(1)
        gains = float((power * weights).sum()) / self.head
        return gains**0.5, (self.model.power(self.y.shape[0]) / self.tail) ** 0.5

    def split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1/d and the signals that z stands for, in the units of y and A."""
        gains, signals = self.scales
        shape = self.model.signal_shape(self.y.shape[0])
        head = z[: self.head] if self.basis is None else self.basis @ z[: self.head]
        return head / gains, z[self.head :].reshape(shape) / signals

    def row(self, w: Tensor) -> Tensor:
        """Return the unit vector whose product with z is proportional to <w, 1/d>, w [m]."""
        head = w if self.basis is None else self.basis.mH @ w
        out = torch.cat([head, head.new_zeros(self.tail)])
        return out.div(out.norm())

    def times(self, z: Tensor) -> Tensor:
        """Return S z, [p m]."""
        inverse, signals = self.split(z)
        return (self.y * inverse - self.model.image(signals)).flatten()

    def adjoint(self, e: Tensor) -> Tensor:
        """Return S^H e, [k + N]."""
        gains, signals = self.scales
        shots = e.reshape(self.y.shape)
        inverse = (self.y.conj() * shots).sum(0)
        head = inverse if self.basis is None else self.basis.mH @ inverse
        return torch.cat([head / gains, -self.model.back(shots).flatten() / signals])

    def dense(self) -> Tensor:
        """Return S itself, [p m, k + N], padded by zero rows to be no wider than tall."""
        gains, signals = self.scales
        table = torch.eye(self.head).to(self.y) if self.basis is None else self.basis
        left = (self.y[:, :, None] * table).flatten(0, 1)
        whole = torch.cat([left / gains, -self.model.dense(self.y.shape[0]) / signals], 1)
        missing = max(0, whole.shape[1] - whole.shape[0])
        return torch.cat([whole, whole.new_zeros(missing, whole.shape[1])])

    def column_norms(self) -> Tensor:
        """Return a column scaling that helps LSMR: the norms of the sensors' columns, then 1."""
        ones = torch.ones(self.shape[1], dtype=self.y.abs().dtype)
        if self.basis is None:
            ones[: self.head] = self.y.norm(dim=0) / self.scales[0]
        return ones


def bottom(system: System) -> Bottom:
    """Return the two smallest singular values of S, and the vector of the smallest."""
    if is_small(system):
        _, values, rows = torch.linalg.svd(system.dense(), full_matrices=False)
        low, high = [float(v) for v in values[-2:].flip(0)], float(values[0])
        return Bottom(rows[-1].conj().resolve_conj(), low[0] / high, low[1] / high, high, True)
    z, smallest, settled = _inverse_iteration(system, None)
    _, second, also = _inverse_iteration(system, z)
    high = _largest(system)
    return Bottom(z, smallest / high, second / high, high, settled and also)


def normalised_solution(system: System, w: Tensor) -> tuple[Tensor, bool]:
    """Return the unit vector along argmin ||S z||^2 + |<w, z> - 1|^2, and whether it converged."""
    if is_small(system):
        table = torch.cat([system.dense(), w.conj()[None]])
        right = table.new_zeros(table.shape[0], 1)
        right[-1] = 1
        z, converged = torch.linalg.lstsq(table, right).solution[:, 0], True
    else:
        z, converged = _solve(system, [w])
    return z / z.norm(), converged


def is_small(system: System) -> bool:
    """Return whether a dense factorization is affordable."""
    rows, columns = system.shape
    return rows * columns**2 <= DENSE_WORK


def _inverse_iteration(system: System, known: Tensor | None) -> tuple[Tensor, float, bool]:
    """Return the lowest singular vector (orthogonal to a known one), its value, and success.

    Asked for the vector, it stops when that stands still; beside a known one only the value is
    wanted, to a thousandth.
    """
    parts = Stream(0).normal((system.shape[1], 2), "inverse iteration")
    z = _unit(torch.view_as_complex(parts) if system.y.is_complex() else parts[:, 0], known)
    value = torch.inf
    for _ in range(ROUNDS):
        old, before = z, value
        solution, converged = _solve(system, [z] if known is None else [z, known])
        z = _unit(solution, known)
        value = float(system.times(z).norm())
        moved = float((z - old * (old.conj() @ z)).norm())
        still = moved <= STILL if known is None else abs(before - value) <= 1e-3 * value
        if converged and still:
            return z, value, True
    return z, value, False


def _unit(z: Tensor, known: Tensor | None) -> Tensor:
    rest = z if known is None else z - known * (known.conj() @ z)
    return rest.div(rest.norm())


def _solve(system: System, rows: list[Tensor]) -> tuple[Tensor, bool]:
    """Minimise ||S z||^2 + |<rows[0], z> - 1|^2 + |<rows[1], z>|^2 by LSMR."""
    extra, size = torch.stack(rows), system.y.numel()
    scale = system.column_norms()

    def times(z: np.ndarray[Any, Any]) -> Any:
        vector = torch.from_numpy(z.ravel()) / scale
        return torch.cat([system.times(vector), extra.conj() @ vector]).numpy()

    def adjoint(e: np.ndarray[Any, Any]) -> Any:
        vector = torch.from_numpy(e.ravel())
        return ((system.adjoint(vector[:size]) + vector[size:] @ extra) / scale).numpy()

    shape = (size + len(rows), system.shape[1])
    right = np.zeros(shape[0], dtype=system.y.numpy().dtype)
    right[size] = 1
    table = LinearOperator(shape, matvec=times, rmatvec=adjoint, dtype=right.dtype)
    z, why, *_ = lsmr(table, right, atol=TOLERANCE, btol=TOLERANCE, conlim=0, maxiter=20 * shape[1])
    return torch.from_numpy(z) / scale, why != OUT_OF_STEPS


def _largest(system: System) -> float:
    """Return the largest singular value, to a thousandth."""

    def times(z: np.ndarray[Any, Any]) -> Any:
        return system.times(torch.from_numpy(z.ravel())).numpy()

    def adjoint(e: np.ndarray[Any, Any]) -> Any:
        return system.adjoint(torch.from_numpy(e.ravel())).numpy()

    kind = system.y.numpy().dtype
    table = LinearOperator(system.shape, matvec=times, rmatvec=adjoint, dtype=kind)
    v0 = Stream(0).normal((min(system.shape),), "largest").numpy().astype(kind)
    return float(svds(table, k=1, tol=1e-3, v0=v0, return_singular_vectors=False)[0])
