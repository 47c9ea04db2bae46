"""The shared Gaussian step: solve with A* P A + ridge I, and draw from linear-Gaussian laws.

Model      y = A x + noise of precision P = diag(1 / sigma_i^2) per real component, and
           x ~ N(x0, eta^2 I):   z | y, x0 ~ N(Lambda^-1 b, Lambda^-1),
           Lambda = A* P A + I / eta^2,   b = A* P y + x0 / eta^2.
Update     mean    z = x0 + (A* P A + I / eta^2)^-1 A* P (y - A x0)
           draw    the mean for perturbed data y + sigma n1 and x0 + eta n2: then z has mean
                   Lambda^-1 b and covariance Lambda^-1 (A* P A + I / eta^2) Lambda^-1.
           So every way to solve gives the same linear map of the same noise.
Solving    1. diagonal, where A* P A is known to be so in some basis (``spectral.py``);
           2. conjugate gradients, each item of a batch with its own step sizes and its own
              stop, so that an item is the same alone or in company.
Guarantee  conjugate gradients shrink the error in the norm of Lambda by
           2 ((sqrt(c) - 1) / (sqrt(c) + 1))^k in k steps, c <= 1 + eta^2 ||P^(1/2) A||^2.
Fails      c far beyond 1 / eps; then the residual says so (``Solved.converged``).
Smoothing  log N(y; A x, P^-1 + eta^2 A A*), the likelihood blurred by eta: with r = y - A x,
           A* P A = S diag(w) T and rho_i^2 = (T A* P r)_i^2 / w_i, minus half of
           |P^(1/2) r|^2 - sum_i rho_i^2  (what A cannot reach, the same for every eta)
           + sum_i rho_i^2 / (1 + eta^2 w_i) + log det(P^-1) + sum_i log(1 + eta^2 w_i).
           So one look at x gives it for every eta.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.errors import CapabilityError
from wellposed.operators.base import LinearOperator
from wellposed.operators.spectral import Spectral, pixel_basis

TOLERANCE = 1e-10  # relative residual, or a few roundings where those are larger
LIMIT = 1000  # steps of conjugate gradients
REACHED = 1e-20  # eigenvalues of A* P A below this share of the largest are zeros


class Solved(NamedTuple):
    """The solution of a batch of systems, and how it was found."""

    z: Tensor  # [B, *shape_in]
    iterations: Tensor  # [B], int64; 0 where A* P A is diagonal
    residual: Tensor  # [B], float64: ||Lambda z - rhs|| / ||rhs|| as the iteration tracks it
    converged: Tensor  # [B], bool


def solve(
    operator: LinearOperator,
    rhs: Tensor,
    ridge: float,
    precision: float | Tensor = 1.0,
    *,
    tol: float = TOLERANCE,
    limit: int = LIMIT,
) -> Solved:
    """Solve (A* P A + ridge I) z = rhs for each right-hand side of a batch.

    Parameters
    ----------
    operator
        A.
    rhs
        [B, *shape_in].
    ridge
        >= 0; zero means the solution of least norm where A* P A is diagonal.
    precision
        P: a number > 0, or one for each element of a measurement, [*shape_out] or
        [B, *shape_out].
    tol, limit
        Relative residual at which conjugate gradients stop, and their largest number of steps.

    Raises
    ------
    InputError
        A negative ridge.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> solve(wp.operators.Identity((2,)), torch.ones(1, 2), 1.0, 3.0).z.tolist()
    [[0.25, 0.25]]
    """
    within(ridge, "ridge", 0)
    diagonal = diagonal_form(operator, precision)
    if diagonal is not None:
        z = _divide(diagonal, rhs, ridge)
        none = rhs.new_zeros(len(rhs), dtype=torch.int64)
        return Solved(z, none, none.double(), none == 0)

    def normal(x: Tensor) -> Tensor:
        return operator.backward(precision * operator.forward(x)) + ridge * x

    return conjugate_gradients(normal, rhs, tol, limit)


def gaussian_mean(
    operator: LinearOperator,
    y: Tensor,
    x: Tensor,
    sigma: float | Tensor,
    eta: float,
    *,
    tol: float = TOLERANCE,
    limit: int = LIMIT,
) -> Solved:
    """Return argmin_z |(y - A z) / sigma|^2 + |z - x|^2 / eta^2 for each item of a batch.

    Parameters
    ----------
    operator
        A.
    y
        Measurement, [*shape_out] for all items, or [B, *shape_out].
    x
        Centres, [B, *shape_in].
    sigma
        Standard deviation per real component of y, > 0: a number, or a tensor as ``y``.
    eta
        Standard deviation of z around x, > 0.
    tol, limit
        As in ``solve``.
    """
    _positive(sigma)
    within(eta, "eta", 0, open_low=True)
    precision = 1 / sigma**2
    rhs = operator.backward(precision * (y - operator.forward(x)))
    step = solve(operator, rhs, 1 / eta**2, precision, tol=tol, limit=limit)
    return step._replace(z=x + step.z)


def gaussian_draw(
    operator: LinearOperator,
    y: Tensor,
    x: Tensor,
    sigma: float | Tensor,
    eta: float,
    n1: Tensor,
    n2: Tensor,
    *,
    tol: float = TOLERANCE,
    limit: int = LIMIT,
) -> Solved:
    """Draw z ~ exp(-|(y - A z) / sigma|^2 / 2 - |z - x|^2 / (2 eta^2)) from given noise.

    Parameters
    ----------
    operator, y, x, sigma, eta, tol, limit
        As in ``gaussian_mean``.
    n1
        White noise of unit variance per real component, [B, *shape_out].
    n2
        White noise, [B, *shape_in].

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> noise = wp.rng.Stream(0)
    >>> operator, x = wp.operators.Identity((1,)), torch.zeros(40_000, 1)
    >>> n1, n2 = (noise.normal(x.shape, key, dtype=x.dtype) for key in ("y", "x"))
    >>> z = gaussian_draw(operator, torch.ones(1), x, 1.0, 1.0, n1, n2).z
    >>> round(float(z.mean()), 1), round(float(z.var()), 1)
    (0.5, 0.5)
    """
    return gaussian_mean(operator, y + sigma * n1, x + eta * n2, sigma, eta, tol=tol, limit=limit)


class Smoothed(NamedTuple):
    """log N(y; A x, sigma^2 I + eta^2 A A*) of a batch of signals, for any eta."""

    rest: Tensor  # [B], float64: what does not depend on eta, minus twice the logarithm
    squares: Tensor  # [B, n], float64: rho^2
    weights: Tensor  # [1 or B, n], float64: w

    def log_density(self, eta: float) -> Tensor:
        """Return it for one eta >= 0, [B], float64."""
        growth = 1 + eta**2 * self.weights
        return -0.5 * (self.rest + (self.squares / growth + growth.log()).sum(1))


def smoothed(
    operator: LinearOperator, y: Tensor, x: Tensor, sigma: float | Tensor
) -> Smoothed | None:
    """Return the law of y when the signal is x + eta n, as a function of eta.

    Parameters
    ----------
    operator, y, sigma
        As in ``gaussian_mean``.
    x
        [B, *shape_in].

    Returns
    -------
    Smoothed or None
        None where A* P A is not known in diagonal form.
    """
    _positive(sigma)
    form = diagonal_form(operator, 1 / sigma**2)
    if form is None:
        return None
    off = y - operator.forward(x)
    weights = form.weights.flatten(1)
    seen = form.analyse(operator.backward(off / sigma**2)).flatten(1).double().square()
    reached = weights > REACHED * weights.amax(1, keepdim=True)
    squares = torch.where(reached, seen / torch.where(reached, weights, 1.0), 0.0)
    beyond = (_energy(off / sigma) - squares.sum(1)).clamp_min(0)
    return Smoothed(beyond + _log_norm(off, sigma), squares, weights)


def smoothed_log_density(
    operator: LinearOperator, y: Tensor, x: Tensor, sigma: float | Tensor, eta: float
) -> Tensor:
    """Return log N(y; A x, sigma^2 I + eta^2 A A*) of each item, [B], float64.

    The law of y when the signal is x + eta n: the likelihood smoothed by ``eta`` >= 0.

    Raises
    ------
    CapabilityError
        A* P A is not known in diagonal form, so that its determinant is out of reach.
    """
    within(eta, "eta", 0)
    if eta == 0:
        _positive(sigma)
        off = y - operator.forward(x)
        return -0.5 * (_energy(off / sigma) + _log_norm(off, sigma))
    known = smoothed(operator, y, x, sigma)
    if known is None:
        raise CapabilityError(
            f"the determinant of {type(operator).__name__} is not known",
            "no basis is known in which A* A is diagonal, which the smoothed likelihood needs",
        )
    return known.log_density(eta)


def diagonal_form(operator: LinearOperator, precision: float | Tensor) -> Spectral | None:
    """Return A* P A in diagonal form, weights [1 or B, ...], or None where none is known."""
    if isinstance(precision, Tensor) and precision.ndim:
        if not operator.pointwise:
            return None
        ones = precision.new_ones(1, *operator.shape_in)
        rows = precision if precision.ndim > len(operator.shape_out) else precision[None]
        return pixel_basis(operator.backward(rows * operator.forward(ones)))
    spectral = operator.spectral()
    if spectral is None:
        return None
    return replace(spectral, weights=float(precision) * spectral.weights[None])


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor], rhs: Tensor, tol: float = TOLERANCE, limit: int = LIMIT
) -> Solved:
    """Solve normal(z) = rhs for a batch, ``normal`` symmetric positive definite on each item.

    An item stops at its own relative residual ``tol``; its numbers stay as they are while
    others go on.
    """
    z, left, search = torch.zeros_like(rhs), rhs, rhs
    now = _energy(left)
    start, count = now, torch.zeros(len(rhs), dtype=torch.int64, device=rhs.device)
    goal = start * max(tol, 4 * torch.finfo(rhs.dtype).eps) ** 2
    for _ in range(limit):
        active = now > goal
        if not bool(active.any()):
            break
        image = normal(search)
        step = _column(torch.where(active, now / _inner(search, image), 0), rhs)
        z, left = z + step * search, left - step * image
        new = _energy(left)
        turn = _column(torch.where(active, new / now, 0), rhs)
        search, now, count = left + turn * search, new, count + active
    residual = torch.where(start > 0, now / start, 0).sqrt()
    return Solved(z, count, residual, now <= goal)


def _divide(form: Spectral, rhs: Tensor, ridge: float) -> Tensor:
    total = form.weights + ridge
    inverse = torch.where(total > 0, 1 / total, 0)
    coefficients = form.analyse(rhs)
    return form.synthesise(inverse.to(coefficients) * coefficients)


def _log_norm(off: Tensor, sigma: float | Tensor) -> Tensor:
    """log det(2 pi P^-1) over the real components of a measurement, [B]."""
    count = off[0].numel() * (2 if off.is_complex() else 1)
    spread = torch.as_tensor(sigma, dtype=torch.float64).log().expand(off.shape).flatten(1)
    return count * (2 * spread.mean(1) + math.log(2 * math.pi))


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """<a, b> of each item, added up in float64."""
    return (a * b).flatten(1).sum(1, dtype=torch.float64)


def _energy(a: Tensor) -> Tensor:
    """|a|^2 of each item, added up in float64."""
    parts = torch.view_as_real(a) if a.is_complex() else a
    return parts.square().flatten(1).sum(1, dtype=torch.float64)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).reshape(-1, *(1,) * (like.ndim - 1))


def _positive(sigma: float | Tensor) -> None:
    if not isinstance(sigma, Tensor):
        within(sigma, "sigma", 0, open_low=True)
        return
    require(
        bool((sigma > 0).all()) and bool(torch.isfinite(sigma).all()),
        f"sigma runs from {float(sigma.min())} to {float(sigma.max())}, expected numbers > 0",
    )
