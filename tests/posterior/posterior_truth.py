"""Exact laws for posterior tests, and distances to them."""

from dataclasses import dataclass

import torch

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


def blurred(prior, problem, eta):
    """The law at a constant coupling: the posterior with noise sigma^2 I + eta^2 A A*."""
    matrix = problem.operator.matrix
    covariance = problem.noise.sigma**2 * torch.eye(len(matrix)) + eta**2 * matrix @ matrix.T
    white = torch.linalg.inv(torch.linalg.cholesky(covariance))
    operator = operators.Matrix(white @ matrix)
    return prior.posterior(Problem(white @ problem.y, operator, noise.Gaussian(1.0)))


def one_bit(d=4, looks=3, seed=6):
    """Dithered one-bit measurements of a three-mode mixture: y = 1 with probability sigmoid."""
    prior = mixture(d, seed, modes=3, spread=0.6, variance=0.09)
    stream = Stream(seed)
    matrix = torch.eye(d, dtype=torch.float64).repeat(looks, 1)
    x = prior.sample(1, seed=seed + 1)[0]
    sure = torch.sigmoid(matrix @ x / 0.4)
    y = torch.where(stream.uniform(sure.shape, "bits") < sure, 1.0, -1.0).double()
    return prior, Problem(y, operators.Matrix(matrix), noise.OneBit(0.4))


def by_importance(prior, problem, n, seed=0, pool=400_000):
    """Exact posterior draws of a small problem by long importance sampling from the prior."""
    x = prior.sample(pool, seed=seed)
    logs = Bits(problem.noise.scale).log_density(problem.y[None], problem.operator.forward(x))
    weights = torch.softmax(logs, 0)
    effective = 1 / float(weights.square().sum())
    assert effective > 5 * n
    edges = weights.cumsum(0)
    return x[torch.searchsorted(edges, Stream(seed).uniform((n,), "pick")).clamp(max=pool - 1)]


@dataclass(frozen=True)
class Bits(noise.Likelihood):
    """Signs through a logistic link, as an independent reference of its own."""

    scale: float

    def simulate(self, mean, stream):
        raise NotImplementedError

    def log_density(self, y, mean):
        return torch.nn.functional.logsigmoid(y * mean / self.scale).flatten(1).sum(1)

    def gradient(self, y, mean):
        return y / self.scale * torch.sigmoid(-y * mean / self.scale)
