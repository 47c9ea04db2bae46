"""Exact laws for posterior tests, and distances to them."""

from wellposed import noise, operators
from wellposed.evaluation.distances import against, sliced_w2
from wellposed.priors import GaussianMixture
from wellposed.problem import Problem
from wellposed.rng import Stream


def mixture(d, seed, modes=4, spread=2.5, variance=1.0):
    """A random mixture of equal round modes."""
    stream = Stream(seed)
    weights = 0.3 + stream.uniform((modes,), "weights")
    means = spread * stream.normal((modes, d), "means")
    return GaussianMixture(weights / weights.sum(), means, variance)


def measured(prior, m, sigma, seed):
    """A random matrix and a measurement of a draw of the prior."""
    stream = Stream(seed)
    d = prior.shape[0]
    matrix = stream.normal((m, d), "matrix") / d**0.5
    x = prior.sample(1, seed=seed + 1)[0]
    y = matrix @ x + sigma * stream.normal((m,), "noise")
    return Problem(y, operators.Matrix(matrix), noise.Gaussian(sigma))


def sliced(x, y):
    return sliced_w2(x, y).mean


def excess(law, x, repeats=6):
    """Sliced W2 of draws to exact ones, in units of what exact ones have between them."""
    return against(x, law, sliced, repeats=repeats).ratio
