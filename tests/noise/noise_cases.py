"""The noise models that the tests run over, and how to sum or integrate over measurements."""

import math
from itertools import pairwise

import torch
from scipy.integrate import quad

from wellposed.noise import (
    Gaussian,
    Huber,
    Laplace,
    OneBit,
    Poisson,
    Quantized,
    StudentT,
)

F64 = torch.float64

CONTINUOUS = {
    "Gaussian": Gaussian(0.7),
    "Laplace": Laplace(0.5),
    "Huber": Huber(0.6, 1.2),
    "Huber far": Huber(2.0, 0.1),
    "Cauchy": StudentT(1.0, 0.3),
    "StudentT": StudentT(3.5, 0.8),
}
DISCRETE = {
    "Poisson": Poisson(12.0, offset=0.5),
    "Poisson dark": Poisson(3.0, background=0.2),
    "logistic": OneBit(0.4),
    "probit": OneBit(0.4, "probit"),
    "Quantized": Quantized(3, 0.5, 0.3),
    "Quantized finely": Quantized(6, 0.05, 0.02),
    "Quantized to a bit": Quantized(1, 1.0, 0.4),
}
NOISES = CONTINUOUS | DISCRETE
MEANS = (-1.3, -0.2, 0.0, 0.4, 2.1)


def support(noise, mean):
    """Every value of an element that matters, float64."""
    if isinstance(noise, OneBit):
        return torch.tensor([-1.0, 1.0], dtype=F64)
    if isinstance(noise, Quantized):
        return noise.levels
    rate = float(noise.rate(torch.tensor(mean, dtype=F64)))
    return torch.arange(0.0, rate + 20 * math.sqrt(rate) + 40, dtype=F64)


def log_density(noise, y, mean):
    """log p(y | mean) for numbers y, one at a time."""
    y = torch.as_tensor(y, dtype=F64).reshape(-1, 1)
    return noise.log_density(y, torch.full_like(y, mean))


def chance(noise, mean, low, high):
    """Probability of an interval."""
    return quad(
        lambda y: float(log_density(noise, y, mean).exp()), low, high, epsabs=1e-12, limit=400
    )[0]


def total(noise, mean):
    """Probability of everything."""
    if isinstance(noise, tuple(type(n) for n in DISCRETE.values())):
        return float(log_density(noise, support(noise, mean), mean).exp().sum())
    inner = getattr(noise, "noise", noise)
    unit = getattr(inner, "sigma", getattr(inner, "scale", None))
    ends = [mean + c * unit for c in (-math.inf, -5, 0, 5, math.inf)]
    return sum(chance(noise, mean, *pair) for pair in pairwise(ends))
