"""The Gaussian prior: everything in closed form.

Model      x0 ~ N(m, C)
Denoiser   D = (C + sigma^2)^-1 (sigma^2 m + C z)
Cost       one eigendecomposition when built; O(d) a signal for scalar or diagonal C, O(d^2)
           for dense, O(d k) for rank k plus identity.
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
from wellposed.priors.parse import one_covariance, signal_array
from wellposed.problem import Problem


@dataclass(frozen=True, eq=False)
class Gaussian(ExactPrior):
    """Gaussian signals.

    Parameters
    ----------
    mean
        [*shape]; finite.
    covariance
        A variance > 0 for all d coordinates, one each ([d] or [*shape]), a symmetric positive
        definite matrix [d, d], or ``LowRankPlusIdentity``.

    Raises
    ------
    InputError
        Shapes that do not fit, NaN, or a covariance that is not positive definite.

    Examples
    --------
    >>> import torch
    >>> prior = Gaussian([0.0, 0.0], [1.0, 3.0])
    >>> prior.denoise(torch.tensor([[2.0, 4.0]]), 1.0).tolist()
    [[1.0, 3.0]]
    >>> prior.sample(5, seed=1).shape
    torch.Size([5, 2])
    """

    mean: Tensor
    covariance: Tensor | LowRankPlusIdentity | Sequence[float] | float

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", signal_array(self.mean, "mean", 1))
        _ = self._components  # checks the covariance

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        """Shape of one signal."""
        return tuple(self.mean.shape)

    @property
    def dtype(self) -> torch.dtype:
        """That of the mean."""
        return self.mean.dtype

    @cached_property
    def _components(self) -> Components:
        centre = self.mean.double().flatten()
        zero = torch.zeros(1, dtype=torch.float64, device=centre.device)
        family = one_covariance(self.covariance, zero.expand(1, centre.numel()), self.shape)
        return Components(zero, centre, family)

    def posterior(self, problem: Problem) -> Gaussian:
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
            Other noise, or a dense posterior of more than 2048 coordinates.

        Examples
        --------
        >>> import wellposed.operators as operators
        >>> from wellposed.noise import Gaussian as White
        >>> cell = operators.Entries([0], [1], (1, 2))
        >>> law = Gaussian([[0.0, 0.0]], 1.0).posterior(Problem([3.0], cell, White(1.0)))
        >>> law.mean.tolist(), law.covariance.tolist()
        ([[0.0, 1.5]], [1.0, 0.5])
        """
        law = posterior(self._components, linear_gaussian(problem, self.shape))
        mean = law.means[0].reshape(self.shape)
        return Gaussian(mean.to(self.dtype), law.covariances[0])
