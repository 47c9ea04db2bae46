"""Loss-guided diffusion by Monte Carlo (LGD-MC): guidance by a likelihood that is averaged.

Source     J. Song, Q. Zhang, H. Yin, M. Mardani, M.-Y. Liu, J. Kautz, Y. Chen, A. Vahdat,
           "Loss-guided diffusion models for plug-and-play controllable generation", ICML 2023;
           the baseline of X. Xu, Y. Chi, NeurIPS 2024.
Model      x0 given z is replaced by N(D(z), r^2 I), r = sigma u / sqrt(sigma^2 + u^2), u the unit:
           exact for the prior N(m, u^2 I).
Update     S(z) = -log (1 / n) sum_j exp(-temperature M(D(z, sigma) + r w_j)), w_j ~ N(0, I),
           M the misfit (see ``guidance``): the logarithm of the mean, by logsumexp.
           "likelihood"  z' = ancestral step - scale (sigma^2 - sigma'^2) grad_z S: at scale 1
                         and temperature 1 the drift of the posterior's own score.
           "norm"        z' = ancestral step - scale grad_z sqrt(2 S / (temperature c)), in the
                         variance-preserving scale: n = 1 and r = 0 would be DPS.
           The NeurIPS 2024 code has loss sqrt(-log mean exp(-lambda |y - A x|^2)) and scale s:
           here temperature = 2 sigma_y^2 lambda and scale = s sqrt(lambda); at lambda = 1e-3,
           sigma_y = 0.2 and s = 30, 8e-5 and 0.95. Its w_j are uniform on [0, 0.05].
Cost       one denoiser evaluation, one backward pass through it, n gradients of the
           log-likelihood a step.
Guarantee  "likelihood": for the prior N(m, u^2 I), exact as n and steps grow.
Fails      "likelihood" diverges where the noise is small: the gradient of a sharp likelihood is
           too long for any fixed step (a status, ``DIVERGED``). With few samples of many
           coordinates the logarithm of the mean sees the best sample only; its gradient is
           biased. "norm" is no posterior at any scale, like DPS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor

from wellposed.checks import require, whole, within
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

Weight = Literal["likelihood", "norm"]


@dataclass(frozen=True)
class LGDMC(Guided):
    """Guidance by a likelihood that is averaged over noisy copies of the denoised signal.

    Parameters
    ----------
    steps
        Number of steps, >= 2.
    n
        Copies in a step, >= 1; published: 5.
    scale
        Weight of the data, >= 0; 1 is the model's own.
    temperature
        Power of the likelihood, > 0; 1 is the model's own, published baselines take less.
    weight
        "likelihood" (the paper's) or "norm" (the published baseline's), see above.
    grid, unit
        As in ``DPS``; the unit is the standard deviation of the Gaussian model as well.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> problem = wp.Problem([1.0], wp.operators.Identity((1,)), wp.noise.Gaussian(0.5))
    >>> method = wp.LGDMC(steps=100, n=100, grid="log")
    >>> found = wp.recover(problem, wp.Gaussian([0.0], 1.0), method, draws=1000)
    >>> bool(abs(found.mean[0] - 0.8) < 0.1), found.evaluations.gradient
    (True, 10000.0)
    """

    steps: int = 1000
    n: int = 5
    scale: float = 1.0
    temperature: float = 1.0
    weight: Weight = "likelihood"
    grid: Grid = "ddpm"
    unit: float | None = None

    reference: ClassVar[str] = "Song et al., ICML 2023"

    def __post_init__(self) -> None:
        check_walk(self.steps, self.grid, self.unit)
        whole(self.n, "n")
        within(self.scale, "scale", 0)
        within(self.temperature, "temperature", 0, open_low=True)
        known = get_args(Weight)
        require(
            self.weight in known,
            f"weight is {self.weight!r}, expected one of {', '.join(known)}",
        )

    @property
    def looks(self) -> int:
        """Gradients of the log-likelihood in a step."""
        return self.n

    def length(self, high: float, low: float, unit: float) -> float:
        """The share of the score in an ancestral step, or a length along the norm."""
        if self.weight == "norm":
            return norm_weight(self.scale, high, low, unit)
        return self.scale * (high**2 - low**2)

    def slope(self, plan: Plan, x0: Tensor, state: State) -> Tensor:
        """Gradient of S, or of sqrt(2 S / (temperature c))."""
        copies = x0 + self._spread(plan, state) * self._noise(x0, state)
        loss, gradient = misfit(plan.fit, copies.flatten(0, 1))
        power = -self.temperature * loss.reshape(self.n, -1)
        share = self.temperature * power.softmax(0).flatten()
        pull: Tensor = scaled(gradient, share).reshape(copies.shape).sum(0)
        if self.weight == "likelihood":
            return pull
        total = math.log(self.n) - power.logsumexp(0)
        return scaled(pull, misfit_norm(total / self.temperature, plan.fit)[1] / self.temperature)

    def _spread(self, plan: Plan, state: State) -> float:
        sigma = plan.path.levels[state.step]
        return sigma * plan.unit / math.hypot(sigma, plan.unit)

    def _noise(self, x0: Tensor, state: State) -> Tensor:
        shape = (self.n, *x0.shape)
        return state.stream.normal(shape, "copies", state.step, dtype=x0.dtype, device=x0.device)
