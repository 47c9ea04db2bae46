"""The law of a data set, smoothed by the noise itself.

Model      x0 is one of the signals x_1, ..., x_N, with equal (or given) probability
Denoiser   D(z, sigma) = sum_i r_i x_i,  r = softmax_i(log w_i - |z - x_i|^2 / (2 sigma^2)):
           the exact minimiser of denoising score matching on these data
Cost       N d a signal, one matrix product; the data are kept once more in float64.
Fails      as a model of new signals: at small sigma it returns the nearest datum. At
           sigma = 0 there is no density.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wellposed.errors import CapabilityError
from wellposed.noise import Likelihood
from wellposed.priors.components import Components
from wellposed.priors.diffusion import Shape
from wellposed.priors.exact import ExactPrior
from wellposed.priors.families import Isotropic
from wellposed.priors.linear_gaussian import check_problem
from wellposed.priors.parse import probabilities, signal_array
from wellposed.problem import Problem
from wellposed.rng import Stream

PASS_NUMBERS = 4_000_000


@dataclass(frozen=True, eq=False)
class Empirical(ExactPrior):
    """Signals drawn from a data set.

    Parameters
    ----------
    data
        [N, *shape]; finite.
    weights
        Probability of each datum, [N], >= 0, with sum 1; None means equal.

    Raises
    ------
    InputError
        A wrong shape, NaN, or weights that are negative or do not sum to 1. Denoiser, score
        and density ask for sigma > 0.

    Examples
    --------
    >>> import torch
    >>> prior = Empirical([[-1.0], [1.0]])
    >>> prior.denoise(torch.tensor([[0.5]]), 0.1).round(decimals=6).tolist()
    [[1.0]]
    >>> prior.sample(3, seed=2).abs().tolist()
    [[1.0], [1.0], [1.0]]
    """

    data: Tensor
    weights: Tensor | None = None
    sigma_min = sys.float_info.min**0.5  # its square is not zero

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", signal_array(self.data, "data", 2))
        if self.weights is not None:
            weights = probabilities(self.weights, "weights", len(self.data))
            object.__setattr__(self, "weights", weights)

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        """Shape of one signal."""
        return tuple(self.data.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """That of the data."""
        return self.data.dtype

    @property
    def mean(self) -> Tensor:
        """Mean of the data, ``shape``."""
        return self._components.mean().to(self.dtype).reshape(self.shape)

    @cached_property
    def _components(self) -> Components:
        data = self.data.double().flatten(1)
        count = data.new_full((len(data),), 1 / len(data))
        weights = count if self.weights is None else self.weights.double().to(data.device)
        weights = weights / weights.sum()
        centre = weights @ data
        return Components(weights.log(), centre, Isotropic(data - centre, torch.zeros_like(count)))

    def posterior(self, problem: Problem) -> Empirical:
        """Return the law of the signal given a measurement: the data, weighted anew.

        Parameters
        ----------
        problem
            Any operator on signals of this shape, any noise with a density.

        Raises
        ------
        InputError
            The operator takes another shape.
        CapabilityError
            The noise has no density.

        Examples
        --------
        >>> import wellposed.operators as operators
        >>> from wellposed.noise import Gaussian as White
        >>> cell = operators.Entries([0], [0], (1, 1))
        >>> law = Empirical([[[-1.0]], [[1.0]]]).posterior(Problem([1.0], cell, White(1.0)))
        >>> law.weights.round(decimals=3).tolist()
        [0.119, 0.881]
        """
        check_problem(problem, self.shape)
        noise = problem.noise
        if not isinstance(noise, Likelihood):
            raise CapabilityError(
                f"the noise is {noise!r}, expected one with a density",
                "the data are weighed by the density of the measurement",
                "for example noise.Gaussian(sigma)",
            )
        logs = [self._log_likelihood(rows, problem, noise) for rows in self._passes(problem)]
        weights = torch.softmax(self._components.log_weights + torch.cat(logs), 0)
        return Empirical(self.data, weights)

    def _passes(self, problem: Problem) -> list[Tensor]:
        size = max(1, PASS_NUMBERS // (self.data[0].numel() + problem.y.numel()))
        return [self.data[at : at + size] for at in range(0, len(self.data), size)]

    @staticmethod
    def _log_likelihood(rows: Tensor, problem: Problem, noise: Likelihood) -> Tensor:
        y = problem.y
        mean = problem.operator.forward(rows.to(dtype=y.real.dtype, device=y.device))
        return noise.log_density(y.expand_as(mean), mean).double()

    def _draw(self, stream: Stream, count: int) -> Tensor:
        return self.data[self._components.pick(stream, count)]
