"""Priors with known laws, and the exact probability flow by an independent solver."""

import numpy as np
import torch
from scipy.integrate import solve_ivp

from wellposed.priors import Gaussian, GaussianMixture
from wellposed.rng import Stream
from wellposed.run import Status
from wellposed.sampling import sample


def bumps():
    """Three modes on the line, variance about one."""
    return GaussianMixture([0.3, 0.3, 0.4], [[-1.3], [0.2], [1.0]], [0.05, 0.2, 0.1])


def uneven(distance):
    """The unbalanced pair of modes at -distance (weight 0.8) and +distance."""
    return GaussianMixture([0.8, 0.2], [[-distance], [distance]], 0.25)


def gaussian(mean=0.4, variance=0.5, copies=4):
    """The same Gaussian in several coordinates: many numbers a chain."""
    return Gaussian([mean] * copies, variance)


def draw(prior, method, n, **more):
    """Draws that must have been completed."""
    draws = sample(prior, method, n=n, **more)
    assert draws.status is Status.COMPLETE
    return draws


def noise(n, d, scale=1.0, seed=11):
    return scale * Stream(seed).normal((n, d), "start")


def exact_flow(prior, z, high, low):
    """End of dz / d log sigma = z - D(z, sigma) by scipy's eighth-order method."""

    def slope(t, y):
        points = torch.from_numpy(y).reshape(z.shape)
        return (points - prior.denoise(points, float(np.exp(t)))).flatten().numpy()

    found = solve_ivp(
        slope, (np.log(high), np.log(low)), z.flatten().numpy(), method="DOP853",
        rtol=1e-10, atol=1e-12,
    )  # fmt: skip
    return torch.from_numpy(found.y[:, -1]).reshape(z.shape)


def rms(x):
    return float(x.square().mean().sqrt())


def slope(steps, errors):
    """Log-log slope of errors against steps."""
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def pushed(plan, mean, variance):
    """Mean and variance of a walk on one-dimensional Gaussian data, piece by piece.

    Every map is affine there: two points tell it.
    """
    from wellposed.samplers.pieces import Map

    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    for pieces in plan.pieces:
        for piece in pieces:
            if isinstance(piece, Map):
                low, high = piece(ends).flatten().tolist()
                mean, variance = low + (high - low) * mean, (high - low) ** 2 * variance
            else:
                variance += piece.std**2
    return mean, variance
