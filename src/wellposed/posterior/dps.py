"""Diffusion posterior sampling (DPS): an ancestral walk, pulled along the gradient of the misfit.

Source     H. Chung, J. Kim, M. McCann, M. Klasky, J. C. Ye, "Diffusion posterior sampling for
           general noisy inverse problems", ICLR 2023, and its code.
Model      p(y | z) is replaced by p(y | D(z)): the spread of x0 given z is left out.
Update     z' = ancestral step - zeta grad_z |y - A(D(z, sigma))|, in the variance-preserving
           scale (see ``guidance``, also for the norm under other noise). The norm, not its
           square: the step has the same length however large the misfit, and does not depend on
           the noise level. (The paper differentiates the square and divides by the norm: its
           zeta is half of this one.) The norm is that of one signal, never of a batch.
Cost       one denoiser evaluation, one backward pass through it, one gradient of the
           log-likelihood a step.
Guarantee  none. zeta is tuned for each operator, noise and prior; zeta = 0 is DDPM.
Fails      as a sampler: its draws are no posterior at any zeta. The step knows nothing of the
           noise, so draws are over-confident where it is large; small zeta ignore the data; more
           steps pull more; modes are weighed wrongly. Calibration shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from wellposed.checks import within
from wellposed.posterior.guidance import (
    Grid,
    Guided,
    Plan,
    check_walk,
    misfit,
    misfit_norm,
    norm_weight,
    scaled,
)
from wellposed.samplers.walk import State


@dataclass(frozen=True)
class DPS(Guided):
    """The usual baseline: guidance by the norm of the residual.

    Parameters
    ----------
    steps
        Number of steps, >= 2.
    zeta
        Length of the step against the misfit, >= 0. Published for images in [-1, 1]: 0.3 to 1.
    grid
        Noise levels: "ddpm" (the linear chain of 1000 steps, thinned), or "log".
    unit
        Size of a signal, > 0, in its own units: chain and zeta count in it, so that rescaling
        signal and measurement together changes nothing. None: the prior's spread. Published
        settings for images in [-1, 1] mean 1.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> prior = wp.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.1)
    >>> problem = wp.Problem([0.8], wp.operators.Matrix([[1.0, 1.0]]), wp.noise.Gaussian(0.2))
    >>> found = wp.recover(problem, prior, wp.DPS(steps=50, zeta=0.3), draws=100)
    >>> found.evaluations
    Evaluations(denoiser=50, gradient=50.0, likelihood=0.0, jacobian=50.0)
    """

    steps: int = 1000
    zeta: float = 1.0
    grid: Grid = "ddpm"
    unit: float | None = None

    reference: ClassVar[str] = "Chung et al., ICLR 2023"

    def __post_init__(self) -> None:
        check_walk(self.steps, self.grid, self.unit)
        within(self.zeta, "zeta", 0)

    def length(self, high: float, low: float, unit: float) -> float:
        """Zeta, from the variance-preserving scale."""
        return norm_weight(self.zeta, high, low, unit)

    def slope(self, plan: Plan, x0: Tensor, state: State) -> Tensor:
        """Gradient of |y - A(x0)|."""
        loss, gradient = misfit(plan.fit, x0)
        return scaled(gradient, misfit_norm(loss, plan.fit)[1])
