"""The couplings eta_0, eta_1, ... of a posterior sampler, and where they start and end.

Model      the chain at a constant eta has the law ~ p q_eta, q_eta the likelihood blurred by
           N(0, eta^2 I); as eta falls it becomes the posterior, and mixes ever more slowly.
Default    eta_max: the prior's spread ``sigma_data``: modes about that far apart still mix. Of a
           linear operator under Gaussian or heavy-tailed noise 2.5 times what the data resolve
           where that is more, up to three times the spread: weak data decide little at the
           spread, and chains that have to travel far in steps of it arrive late.
           eta_min: a third of what the data resolve, 1 / sqrt(curvature of the log-likelihood):
           sigma / ||A|| for Gaussian noise. The blur then adds at most a ninth to the noise
           variance. So too where the data's half undoes the blur (bits, see ``dpnp``). A sixth
           elsewhere, where the blur also shifts. Never below a two-hundredth of the spread,
           nor below the prior's own range.
Bias       of order eta^2: total variation falls by four when eta is halved.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from wellposed.checks import require, within
from wellposed.operators.base import LinearOperator
from wellposed.posterior.datafit import DataFit
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream

Shape = Literal["log", "constant", "diminishing", "published"]
HOLD = 0.1  # share of the sweeps spent at eta_max before the descent
WEAK, WIDEST = 2.5, 3.0  # eta_max: in units of what the data resolve; at most, of the spread
SHARE, SHIFTED = 1 / 3, 1 / 6  # eta_min in units of what the data resolve; where a blur shifts
FLOOR = 0.005  # eta_min in units of the prior's spread, at least
BLACK_BOX = 0.05  # likewise, where nothing is known about the likelihood
PUBLISHED = (0.4, 0.16)  # ends of the published schedule, for signals in [-1, 1]


def couplings(shape: Shape, sweeps: int, tail: int, high: float, low: float) -> tuple[float, ...]:
    """Return eta for each sweep.

    Parameters
    ----------
    shape
        "log": a tenth of the sweeps at ``high``, then log-uniform to ``low``, the last ``tail``
        sweeps at ``low``. "published": a quarter at ``high``, the rest log-uniform from ``high``
        to ``low``. "constant": all at ``high``. "diminishing": high / (k + 1), never below
        ``low``.
    sweeps, tail
        Number of sweeps, and how many of them are at ``low`` in the end.
    high, low
        Ends, high >= low > 0.

    Examples
    --------
    >>> [round(eta, 2) for eta in couplings("published", 8, 0, 0.4, 0.1)]
    [0.4, 0.4, 0.4, 0.3, 0.23, 0.17, 0.13, 0.1]
    >>> couplings("diminishing", 3, 0, 1.0, 0.4)
    (1.0, 0.5, 0.4)
    """
    if shape == "constant":
        return (high,) * sweeps
    if shape == "diminishing":
        return tuple(max(low, high / (k + 1)) for k in range(sweeps))
    hold = sweeps // 4 if shape == "published" else math.ceil(HOLD * sweeps)
    end = 0 if shape == "published" else tail
    descent = sweeps - hold - end
    first = 0 if shape == "published" else 1  # its descent begins with eta_max once more
    last = descent - 1 + first
    falling = [high * (low / high) ** ((k + first) / last) for k in range(descent)]
    return (*(high,) * hold, *falling, *(low,) * end)


def default_ends(prior: DiffusionPrior, fit: DataFit, shape: Shape) -> tuple[float, float]:
    """Return eta_max and eta_min from the prior's spread and from what the data resolve."""
    if shape == "published":
        return PUBLISHED
    spread = prior.sigma_data
    finest, even = resolution(prior, fit), fit.form is not None or fit.mixture is not None
    wide = min(WEAK * finest, WIDEST * spread) if even else 0.0
    high = min(max(spread, wide), prior.sigma_max)
    share = SHARE if even or fit.sharpens else SHIFTED
    low = max(FLOOR * spread, prior.sigma_min, share * finest)
    return high, min(low, high)


def resolution(prior: DiffusionPrior, fit: DataFit) -> float:
    """Return how finely the data see a signal: 1 / sqrt(curvature), in units of the signal."""
    bound = fit.noise.curvature_bound
    if bound is not None and isinstance(fit.operator, LinearOperator):
        curvature = bound * fit.operator.norm**2
        return 1 / math.sqrt(curvature) if curvature > 0 else math.inf
    if not fit.differentiable:
        return BLACK_BOX / SHIFTED * prior.sigma_data
    kind = {"dtype": fit.y.real.dtype, "device": fit.y.device}
    points, aims = (
        prior.sigma_data * Stream(0).normal((4, *prior.shape), key, **kind)  # type: ignore[arg-type]
        for key in ("points", "aims")
    )
    curvature = float(fit.curvature(points, 0.1 * aims).median())
    return 1 / math.sqrt(curvature) if curvature > 0 else math.inf


def check_shape(shape: str, high: float | None, low: float | None) -> None:
    """Require a known schedule with ends in order."""
    known = get_args(Shape)
    require(shape in known, f"schedule is {shape!r}, expected one of {', '.join(known)}")
    for name, eta in (("eta_max", high), ("eta_min", low)):
        if eta is not None:
            within(eta, name, 0, open_low=True)
    if high is not None and low is not None:
        require(low <= high, f"eta_min is {low:g}, expected at most eta_max = {high:g}")
