"""Many measurements of one kind at once: do intervals hold the truth, and are means the best?"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

import wellposed as wp
from wellposed.operators.base import LinearOperator
from wellposed.operators.spectral import Spectral
from wellposed.rng import Stream


class Rows(LinearOperator):
    """One matrix [m, d] on each row of a signal [R, d]: R problems side by side."""

    def __init__(self, matrix, count):
        self.matrix = matrix
        self.shape_in, self.shape_out = (count, matrix.shape[1]), (count, matrix.shape[0])
        _, s, right = torch.linalg.svd(matrix, full_matrices=True)
        weights = torch.zeros(matrix.shape[1], dtype=torch.float64)
        weights[: len(s)] = s.square()
        self.form = Spectral(
            weights.expand(self.shape_in), lambda x: x @ right.T, lambda c: c @ right
        )

    @property
    def gain(self):
        return float(self.form.weights.mean())

    def forward(self, x):
        return x @ self.matrix.T

    def backward(self, y):
        return y @ self.matrix

    def spectral(self):
        return self.form


@dataclass(frozen=True)
class Case:
    """R signals of a prior, measured by one matrix."""

    prior: object
    matrix: torch.Tensor
    sigma: float
    truth: torch.Tensor  # [R, d]
    y: torch.Tensor  # [R, m]

    def problem(self, index):
        noise = wp.noise.Gaussian(self.sigma)
        return wp.Problem(self.y[index], wp.operators.Matrix(self.matrix), noise)

    def law(self, index):
        return self.prior.posterior(self.problem(index))


def case(instance, count, seed):
    """Signals and measurements for the prior, operator and noise of an instance."""
    prior, problem = instance.prior, instance.problem
    matrix, sigma = problem.operator.matrix, problem.noise.sigma
    truth = prior.sample(count, seed=2**33 + seed)
    noise = sigma * Stream(seed).normal((count, len(matrix)), "trials")
    return Case(prior, matrix, sigma, truth, truth @ matrix.T + noise)


def side_by_side(case, method, draws, seed):
    """Draws [draws, R, d] of a method that treats chains alike: one chain holds R problems."""
    count, d = case.truth.shape

    def denoise(z, sigma):
        if isinstance(sigma, torch.Tensor) and sigma.numel() > 1:
            sigma = sigma.repeat_interleave(count)
        return case.prior.denoise(z.reshape(-1, d), sigma).reshape(z.shape)

    prior = wp.Denoiser(denoise, (count, d), case.prior.sigma_data)
    noise = wp.noise.Gaussian(case.sigma)
    problem = wp.Problem(case.y, Rows(case.matrix, count), noise)
    return wp.recover(problem, prior, method, draws=draws, seed=seed).draws


def one_by_one(case, method, draws, seed):
    """The same for methods whose draws of one problem are a population."""
    found = [
        wp.recover(case.problem(k), case.prior, method, draws=draws, seed=1000 * seed + k).draws
        for k in range(len(case.truth))
    ]
    return torch.stack(found, 1)


class Found(NamedTuple):
    """What trials say."""

    share: float  # of truths inside the central 90 % interval
    error: float  # of that share, trials being independent
    ratio: float  # distance of means from E[x | y], in units of that of exact draws


def judged(cases, draws):
    """Ranks with ties and ends randomised, so that 90 % is exact for any number of draws."""
    inside, off, spread = [], 0.0, 0.0
    for number, (one, x) in enumerate(zip(cases, draws, strict=True)):
        below = (x < one.truth).sum(0) + Stream(number).uniform(one.truth.shape, "ranks")
        u = below / (len(x) + 1)
        inside.append(((u > 0.05) & (u < 0.95)).double().mean(1))
        laws = [one.law(k) for k in range(len(one.truth))]
        exact = torch.stack([law.mean for law in laws])
        off += float((x.mean(0) - exact).square().mean())
        spread += sum(float(law.std.square().mean()) for law in laws) / len(laws) / len(x)
    inside = torch.cat(inside)
    error = float(inside.std()) / math.sqrt(len(inside))
    return Found(float(inside.mean()), error, math.sqrt(off / spread))
