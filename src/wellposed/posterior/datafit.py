"""The log-likelihood of signals under one measurement: L(x) = log p(y | A(x)), and its kin.

Model      L sums over the elements of y and is properly normalised: no weight is attached.
Gradient   J(x)^T of the noise's gradient at A(x): the adjoint where A is linear, else autograd.
Curvature  largest eigenvalue of -L'' by power iteration on differences of gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.errors import CapabilityError
from wellposed.noise.base import GaussianForm, Likelihood, ScaleMixture
from wellposed.operators.base import LinearOperator, Operator
from wellposed.problem import Problem
from wellposed.task import Task

POWER_STEPS = 12


class Seen(NamedTuple):
    """What the data say at a point."""

    log_prob: Tensor  # [B], float64
    gradient: Tensor  # [B, *shape]


@dataclass(frozen=True, eq=False)
class DataFit:
    """L(x) of one measurement.

    Parameters
    ----------
    operator, noise
        The forward model and the law of the errors.
    y
        The measurement, ``operator.shape_out``.
    power
        Exponent of the likelihood, in [0, 1]: below one on the way from prior to posterior.
    """

    operator: Operator
    noise: Likelihood
    y: Tensor
    power: float = 1.0

    @classmethod
    def of(cls, task: Task, name: str) -> DataFit:
        """Return the data term of a task, for the method ``name``.

        Raises
        ------
        CapabilityError
            There is no measurement, no likelihood, or a signal of another shape.
        """
        problem = task.problem
        if not isinstance(problem, Problem):
            raise CapabilityError(
                f"{name} was given no measurement",
                "it draws signals given data",
                "use wp.recover(problem, prior, method); wp.sample takes samplers of the prior",
            )
        if not isinstance(problem.noise, Likelihood):
            raise CapabilityError(
                f"the noise is {problem.noise!r}, expected one with a density",
                "a posterior weighs the prior against the law of the errors",
                "noise.Gaussian(sigma), noise.Laplace(scale), ...",
            )
        have, want = tuple(problem.operator.shape_in), tuple(task.prior.shape)
        if have != want:
            raise CapabilityError(
                f"the operator takes signals of shape {list(have)}, the prior has {list(want)}",
                "both are about one signal",
                "an operator for the shape of the prior, or a prior for that of the operator",
            )
        y = problem.y
        if y.is_floating_point():
            y = y.to(task.dtype)
        return cls(problem.operator, problem.noise, y.to(task.device))

    @property
    def differentiable(self) -> bool:
        """Whether L has a gradient."""
        return self.operator.differentiable and self.noise.differentiable

    @property
    def form(self) -> GaussianForm | None:
        """Target and standard deviation where L is Gaussian in x, else None."""
        form = self.noise.gaussian_form(self.y) if self.operator.linear else None
        return form and form._replace(sigma=form.sigma / math.sqrt(self.power))

    @property
    def mixture(self) -> ScaleMixture | None:
        """The noise where L is Gaussian in x given a scale for each measurement, else None."""
        able = self.operator.linear and self.power == 1
        return self.noise if able and isinstance(self.noise, ScaleMixture) else None

    @property
    def sharpens(self) -> bool:
        """Whether the blur of L by Gaussian errors of the signal can be undone."""
        return self._row_norm is not None

    @property
    def _row_norm(self) -> float | None:
        able = self.noise.sharpens and self.power == 1
        if not able or not isinstance(self.operator, LinearOperator):
            return None
        return self.operator.row_norm

    def sharpened(self, eta: float) -> DataFit:
        """Return the fit whose blur by N(0, eta^2 I) in the signal is this one, if known; or this.

        Errors of the signal are independent ones of each mean where the rows are orthogonal.
        """
        norm = self._row_norm
        return self if norm is None else replace(self, noise=self.noise.sharpened(eta * norm))

    def log_prob(self, x: Tensor) -> Tensor:
        """Return L of each item, [B], float64."""
        mean = self.operator.forward(x)
        return self.power * self.noise.log_density(self.y[None], mean).double()

    def look(self, x: Tensor) -> Seen:
        """Return L and its gradient at each item."""
        y, mean = self.y[None], self.operator.forward(x)
        gradient = self.operator.pullback(x, self.noise.gradient(y, mean))
        log_prob = self.noise.log_density(y, mean).double()
        return Seen(self.power * log_prob, self.power * gradient)

    def curvature(self, x: Tensor, direction: Tensor) -> Tensor:
        """Return about the largest eigenvalue of -L'' at each item, [B], >= 0, float64.

        Parameters
        ----------
        x
            [B, *shape].
        direction
            Where power iteration starts, [B, *shape], of the length over which the gradient's
            change is looked at.
        """
        length, base, v = _norm(direction), self.look(x).gradient, direction
        slope = length
        for _ in range(POWER_STEPS):
            change = base - self.look(x + v).gradient
            slope = _norm(change)
            unit = torch.where(slope > 0, length / slope, 0.0).to(x.dtype)
            v = torch.where(column(slope, x) > 0, column(unit, x) * change, v)
        return torch.where(length > 0, slope / length, 0.0)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """<a, b> of each item, [B], added up in float64."""
    return (a * b).flatten(1).sum(1, dtype=torch.float64)


def column(values: Tensor, like: Tensor) -> Tensor:
    """Let [B] numbers broadcast with [B, *shape]."""
    return values.to(like.dtype).reshape(-1, *(1,) * (like.ndim - 1))


def _norm(a: Tensor) -> Tensor:
    return inner(a, a).sqrt()
