"""The Gaussian mixture: several modes, and still everything in closed form.

Model      x0 ~ sum_k w_k N(m_k, C_k)
Denoiser   D = sum_k r_k(z) D_k(z), D_k the Gaussian denoiser of component k, r_k the posterior
           probability of component k given z.
Cost       a signal: K d for scalar or diagonal covariances, K d + d^2 for one dense matrix,
           K d^2 for a dense matrix each, K d r for rank r plus identity. The
           eigendecompositions are done once, when the prior is built.
Fails      components further from the common centre than about 10^6 of their own standard
           deviations sqrt(c + sigma^2): energies then lose digits in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wellposed.priors.components import Components
from wellposed.priors.covariance import LowRankPlusIdentity
from wellposed.priors.diffusion import Shape
from wellposed.priors.exact import ExactPrior
from wellposed.priors.linear_gaussian import linear_gaussian, posterior
from wellposed.priors.parse import many_covariances, probabilities, signal_array
from wellposed.problem import Problem


@dataclass(frozen=True, eq=False)
class GaussianMixture(ExactPrior):
    """A mixture of K Gaussians.

    Parameters
    ----------
    weights
        [K], >= 0, with sum 1.
    means
        [K, *shape] (usually [K, d]); finite.
    covariances
        One variance > 0 for all; [K], one for each component; [K, d] diagonals; [d, d], one
        symmetric positive definite matrix for all; [K, d, d]; or a list of K
        ``LowRankPlusIdentity``.

    Raises
    ------
    InputError
        Weights that are negative or do not sum to 1, shapes that do not fit, NaN, or a
        covariance that is not positive definite. A positive symmetric array of shape
        [K, d] = [d, d] could be meant either way and is refused.

    Examples
    --------
    >>> import torch
    >>> prior = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.01)
    >>> prior.denoise(torch.tensor([[0.0]]), 0.1).tolist()
    [[0.0]]
    >>> round(float(prior.log_density(torch.tensor([[1.0]]))), 3)
    0.69
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor | Sequence[LowRankPlusIdentity] | float

    def __post_init__(self) -> None:
        object.__setattr__(self, "means", signal_array(self.means, "means", 2))
        weights = probabilities(self.weights, "weights", len(self.means))
        object.__setattr__(self, "weights", weights)
        _ = self._components  # checks the covariances

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        """Shape of one signal."""
        return tuple(self.means.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """That of the means."""
        return self.means.dtype

    @property
    def mean(self) -> Tensor:
        """Mean of the mixture, ``shape``."""
        return self._components.mean().to(self.dtype).reshape(self.shape)

    @cached_property
    def _components(self) -> Components:
        means = self.means.double().flatten(1)
        weights = (self.weights.double() / self.weights.double().sum()).to(means.device)
        centre = weights @ means
        family = many_covariances(self.covariances, means - centre, self.shape)
        return Components(weights.log(), centre, family)

    def posterior(self, problem: Problem) -> GaussianMixture:
        """Return the law of the signal given y = A x + Gaussian noise, A linear.

        Parameters
        ----------
        problem
            Its operator is linear and takes signals of this shape; its noise is
            ``noise.Gaussian``.

        Raises
        ------
        InputError
            The operator is not linear, or takes another shape.
        CapabilityError
            Other noise, or dense posteriors of more than 2048 coordinates.

        Examples
        --------
        >>> import wellposed.operators as operators
        >>> from wellposed.noise import Gaussian as White
        >>> cell = operators.Entries([0], [0], (1, 1))
        >>> prior = GaussianMixture([0.5, 0.5], [[[-1.0]], [[1.0]]], 1.0)
        >>> law = prior.posterior(Problem([0.0], cell, White(1.0)))
        >>> law.means.flatten().tolist(), law.covariances.flatten().tolist()
        ([-0.5, 0.5], [0.5, 0.5])
        """
        law = posterior(self._components, linear_gaussian(problem, self.shape))
        means = law.means.reshape(-1, *self.shape)
        return GaussianMixture(law.weights, means.to(self.dtype), law.covariances)
