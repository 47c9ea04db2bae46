"""Exact posterior of a Gaussian mixture under a linear measurement with Gaussian noise.

Model      x ~ sum_k w_k N(m_k, C_k),  y = A x + tau n; a tau for each element is divided out.
Update     with C = L L^T, rho = y - A m and A L / tau = U S V^T (V square):
           cov'  = H H^T,  H = L V (I + S^2)^(-1/2)
           mean' = m + L V S (I + S^2)^-1 U^T rho / tau
           w'   ~ w exp(-| (I + S^2)^(-1/2) U^T rho |^2 / (2 tau^2)) / sqrt(det(I + S^2))
           A tall A is first reduced by A = Q R, y by Q^T y. A itself, never A^T A, so that
           little noise costs no digits; only sums of positive terms, so that nothing cancels.
           Where C and A^T A are diagonal: cov' = C / g, mean' = m + cov' A^T rho / tau^2 with
           g = 1 + C A^T A / tau^2, coordinate by coordinate.
Cost       d forward passes for A; K singular value decompositions of size d. Diagonal: d
           forward and adjoint passes, no matrix.
Fails      dense and d > 2048 (use diagonal kinds, or a posterior sampler).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.noise import Gaussian
from wellposed.operators.base import LinearOperator, need_linear
from wellposed.operators.compose import LinearCompose
from wellposed.operators.diagonal import Diagonal as Weights
from wellposed.priors.components import Components
from wellposed.priors.families import Diagonal, Isotropic
from wellposed.problem import Problem

DENSE_LIMIT = 2048  # coordinates
MEMORY_LIMIT = 1 << 27  # float64 numbers in all covariances, or in A: 1 GB
PASS_NUMBERS = 4_000_000  # in flight while probing an operator


class Law(NamedTuple):
    """A Gaussian mixture: weights, means, and dense or diagonal covariances."""

    weights: Tensor  # [K]
    means: Tensor  # [K, d]
    covariances: Tensor  # [K, d, d] or [K, d]


class Measured(NamedTuple):
    """A linear measurement with white noise."""

    operator: LinearOperator
    y: Tensor
    tau: float

    @property
    def size(self) -> int:
        """Number of coordinates of the signal."""
        return math.prod(self.operator.shape_in)

    def columns(self, start: int, count: int) -> Tensor:
        """Columns start, ..., start + count - 1 of A, as rows: [count, *shape_out]."""
        basis = torch.zeros(count, self.size, dtype=self.y.real.dtype, device=self.y.device)
        basis.diagonal(start).fill_(1)
        return self.operator.forward(basis.reshape(count, *self.operator.shape_in))

    def passes(self) -> list[tuple[int, int]]:
        """Start and length of the blocks of columns that fit into memory."""
        step = max(1, PASS_NUMBERS // (self.size + self.y.numel()))
        return [(at, min(step, self.size - at)) for at in range(0, self.size, step)]


def check_problem(problem: Problem, shape: tuple[int, ...]) -> None:
    """Require a problem about signals of this shape."""
    require(
        isinstance(problem, Problem),
        f"problem is a {type(problem).__name__}, expected a Problem",
    )
    have = tuple(problem.operator.shape_in)
    require(
        have == shape,
        f"the operator takes signals of shape {list(have)}, the prior has {list(shape)}",
        "both are about one signal",
        "an operator for the shape of the prior, or a prior for that of the operator",
    )


def linear_gaussian(problem: Problem, shape: tuple[int, ...]) -> Measured:
    """Check that a problem is linear with Gaussian noise, and unpack it."""
    check_problem(problem, shape)
    need_linear(problem.operator, "the exact posterior of a Gaussian mixture")
    noise, operator = problem.noise, problem.operator
    if not isinstance(noise, Gaussian) or not isinstance(operator, LinearOperator):
        raise CapabilityError(
            f"the noise is {noise!r}, expected noise.Gaussian",
            "only Gaussian noise on a linear measurement leaves a mixture a mixture",
            "use a posterior sampler for other noise",
        )
    if isinstance(noise.sigma, Tensor):
        white = LinearCompose(Weights(1 / noise.sigma), operator)
        return Measured(white, problem.y / noise.sigma, 1.0)
    return Measured(operator, problem.y, noise.sigma)


def posterior(components: Components, measured: Measured) -> Law:
    """Return the posterior law."""
    gains = None
    if isinstance(components.family, (Isotropic, Diagonal)):
        gains = diagonal_gains(measured)
    if gains is None:
        means, covariances, energy = _dense(components, measured)
    else:
        means, covariances, energy = _diagonal(components, measured, gains)
    return Law(torch.softmax(components.log_weights - energy, 0), means, covariances)


def diagonal_gains(measured: Measured) -> Tensor | None:
    """Return the diagonal of A^T A, [d], if it is exactly diagonal."""
    parts = []
    for start, count in measured.passes():
        rows = measured.operator.backward(measured.columns(start, count)).flatten(1).double()
        own = rows.diagonal(start)
        if int(rows.count_nonzero()) != int(own.count_nonzero()):
            return None
        parts.append(own.clone())
    return torch.cat(parts)


def _diagonal(
    components: Components, measured: Measured, gains: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinate by coordinate: means, variances, energies."""
    operator, tau = measured.operator, measured.tau
    prior, means = components.family.variances(), components.centre + components.family.means
    variance = prior / (1 + prior * gains / tau**2)
    shift = variance * operator.backward(_residual(measured, means)).flatten(1).double() / tau**2
    moved = means + shift
    misfit = _residual(measured, moved).flatten(1).abs().double() / tau
    energy = misfit.square().sum(1) + (shift.square() / prior + (prior / variance).log()).sum(1)
    return moved, variance, 0.5 * energy


def _residual(measured: Measured, means: Tensor) -> Tensor:
    """y - A m for each mean, [K, d] to [K, *shape_out]."""
    signals = means.to(measured.y.real.dtype).reshape(-1, *measured.operator.shape_in)
    return measured.y - measured.operator.forward(signals)


def _dense(components: Components, measured: Measured) -> tuple[Tensor, Tensor, Tensor]:
    """With a root of each covariance: means, covariances, energies."""
    count, d = components.family.means.shape
    within = d <= DENSE_LIMIT and max(count * d, 2 * measured.y.numel()) * d <= MEMORY_LIMIT
    require(
        within,
        f"the exact posterior needs {count} dense covariance(s) of {d} coordinates "
        f"and {measured.y.numel()} measurements",
        f"they are formed up to {DENSE_LIMIT} coordinates and {MEMORY_LIMIT >> 27} GB",
        "larger signals need a diagonal prior and a diagonal A^T A, or a posterior sampler",
        error=CapabilityError,
    )
    matrix, y = _reduced(measured)
    means = components.centre + components.family.means
    parts = [
        _update(_root(components, k), matrix / measured.tau, (y - matrix @ m) / measured.tau)
        for k, m in enumerate(means)
    ]
    shifts, covariances, energy = (torch.stack(part) for part in zip(*parts, strict=True))
    return means + shifts, covariances, energy


def _reduced(measured: Measured) -> tuple[Tensor, Tensor]:
    """A [p, d] and y [p], p <= d, with the same likelihood up to a constant."""
    columns = [_real(measured.columns(*block).flatten(1)) for block in measured.passes()]
    matrix, y = torch.cat(columns).T, _real(measured.y.reshape(1, -1))[0]
    if len(matrix) <= matrix.shape[1]:
        return matrix, y
    q, r = torch.linalg.qr(matrix)
    return r, q.T @ y


def _real(rows: Tensor) -> Tensor:
    """Real and imaginary parts side by side, float64."""
    return torch.view_as_real(rows).flatten(1).double() if rows.is_complex() else rows.double()


def _root(components: Components, k: int) -> Tensor:
    """Return L [d, d] with C_k = L L^T."""
    d = components.centre.numel()
    eye = torch.eye(d, dtype=torch.float64, device=components.centre.device)
    return components.family.color(torch.full((d,), k, device=eye.device), eye).T


def _update(root: Tensor, matrix: Tensor, residual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shift [d], covariance [d, d] and energy of one component, all in units of the noise."""
    u, s, vt = torch.linalg.svd(matrix @ root, full_matrices=True)
    turned, inside = root @ vt.T, u.T @ residual
    gain = 1 + s.square()
    shift = turned[:, : len(s)] @ (s / gain * inside)
    half = torch.cat([turned[:, : len(s)] / gain.sqrt(), turned[:, len(s) :]], 1)
    energy = 0.5 * (inside.square() / gain + gain.log()).sum()
    return shift, half @ half.T, energy
