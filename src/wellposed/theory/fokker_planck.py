"""The reversed processes checked against the Fokker-Planck equation.

Model      dX = -X dt + sqrt(2) dB forward, law q_t. A process dY = v(Y) dt + sqrt(2 D) dB run from
           q_T backwards has the laws q_{T-t} if and only if
           d/dt q_{T-t} = -div(v q) + D laplacian q,  that is,  d/dt q_t = div(v q) - D lap q.
           SDE   v = x + 2 s,  D = 1        ODE   v = x + s,  D = 0        (s = grad log q_t)
Check      both sides on a grid: density and score are the shipped prior's, derivatives in x by
           Fourier, in t by a sixth-order difference.
Accuracy   about 1e-9 of the largest term.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from wellposed.checks import within
from wellposed.schedules.processes import OU
from wellposed.theory.line import LineMixture

Floats = NDArray[np.float64]
Drift = Callable[[Floats, Floats], Floats]
NODES = 1024
REACH = 10.0
STEP = 0.02  # of the difference in time, relative to t
_WEIGHTS = (-1 / 60, 3 / 20, -3 / 4, 0.0, 3 / 4, -3 / 20, 1 / 60)


def sde_drift(x: Floats, score: Floats) -> Floats:
    """Drift of the reversed SDE, x + 2 s, run with D = 1."""
    return x + 2 * score


def ode_drift(x: Floats, score: Floats) -> Floats:
    """Drift of the probability flow, x + s, run with D = 0."""
    return x + score


def fokker_planck_residual(
    mixture: LineMixture, time: float, drift: Drift, diffusion: float
) -> float:
    """Return how far a backward process is from having the laws of the forward one.

    Parameters
    ----------
    mixture
        The data.
    time
        t > 0, of the OU process.
    drift
        v as a function of x and the score at time t, [n] each.
    diffusion
        D >= 0.

    Returns
    -------
    float
        Largest difference of the two sides over the largest value of d/dt q_t.

    Examples
    --------
    >>> law = LineMixture([0.8, 0.2], [-1.0, 2.0], [0.5, 0.4])
    >>> fokker_planck_residual(law, 0.3, sde_drift, 1.0) < 1e-6
    True
    >>> fokker_planck_residual(law, 0.3, lambda x, s: x - 2 * s, 1.0) > 1
    True
    """
    within(time, "time", 0, open_low=True)
    within(diffusion, "diffusion", 0)
    law = mixture.noised(OU().sigma(time), OU().a(time))
    unit = float(np.hypot(law.std, law.mean))
    x = unit * REACH * (2 * np.arange(NODES) / NODES - 1)
    density = _density(mixture, x, time)
    h = STEP * time
    rate = sum(
        (w / h * _density(mixture, x, time + k * h) for k, w in enumerate(_WEIGHTS, -3)),
        start=np.zeros_like(x),
    )
    flux = drift(x, _score(mixture, x, time)) * density
    right = _derivative(flux, x) - diffusion * _derivative(_derivative(density, x), x)
    return float(np.abs(rate - right).max() / np.abs(rate).max())


def _density(mixture: LineMixture, x: Floats, time: float) -> Floats:
    """Density of X_t, from the shipped prior."""
    a = OU().a(time)
    log = mixture.prior.log_density(torch.from_numpy(x / a)[:, None], OU().sigma(time))
    density: Floats = np.exp(log.numpy()) / a
    return density


def _score(mixture: LineMixture, x: Floats, time: float) -> Floats:
    a = OU().a(time)
    z = torch.from_numpy(x / a)[:, None]
    score: Floats = mixture.prior.score(z, OU().sigma(time))[:, 0].numpy() / a
    return score


def _derivative(values: Floats, x: Floats) -> Floats:
    """Derivative of a function that vanishes at both ends, by Fourier."""
    frequencies = 2 * np.pi * np.fft.rfftfreq(x.size, x[1] - x[0])
    return np.fft.irfft(1j * frequencies * np.fft.rfft(values), x.size)
