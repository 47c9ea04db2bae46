"""Kernel Stein discrepancy: its kernel by autograd, its false alarms, and what it sees."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import wellposed as wp
from wellposed.errors import CapabilityError
from wellposed.evaluation.stein import _stein_kernel, posterior_score, stein_discrepancy
from wellposed.rng import Stream

PRIOR = wp.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], 0.5)
PROBLEM = wp.Problem([0.7], wp.operators.Matrix([[1.0, 1.0]]), wp.noise.Gaussian(0.4))


def by_autograd(x, y, s, t, c):
    x, y = (z.clone().requires_grad_() for z in (x, y))
    k = ((x - y).square().sum() + c * c).rsqrt()
    gx, gy = torch.autograd.grad(k, (x, y), create_graph=True)
    trace = sum(torch.autograd.grad(g, y, retain_graph=True)[0][i] for i, g in enumerate(gx))
    return (s @ t * k + s @ gy + t @ gx + trace).detach()


def test_the_stein_kernel_is_that_of_its_definition():
    x, s = Stream(0).normal((4, 3), "x"), Stream(0).normal((4, 3), "s")
    found = _stein_kernel(x, s, 0.8)
    want = torch.stack([by_autograd(x[i], x[j], s[i], s[j], 0.8)
                        for i in range(4) for j in range(4)]).reshape(4, 4)  # fmt: skip
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)


def test_its_mean_over_the_law_is_zero():
    law = PRIOR.posterior(PROBLEM)
    draws = law.sample(1000, seed=1)
    row = _stein_kernel(draws, law.score(draws, 0.0), 1.0)[0, 1:]
    assert abs(float(row.mean())) < 4 * float(row.std()) / 1000**0.5


def test_the_posterior_score_is_that_of_the_exact_posterior():
    x = Stream(2).normal((6, 2), "x")
    found = posterior_score(PROBLEM, PRIOR, 0.0)(x)
    torch.testing.assert_close(found, PRIOR.posterior(PROBLEM).score(x, 0.0))


def test_false_alarms_are_rare_and_wrong_draws_are_seen():
    law, score = PRIOR.posterior(PROBLEM), posterior_score(PROBLEM, PRIOR, 0.0)
    p = np.array([stein_discrepancy(law.sample(80, seed=k), score, seed=k, flips=200).p_value
                  for k in range(100)])  # fmt: skip
    assert binomtest(int((p <= 0.1).sum()), 100, 0.1, "greater").pvalue > 1e-3  # false alarm 1e-3
    assert 0.35 < p.mean() < 0.65
    exact = law.sample(300, seed=999)
    centre = exact.mean(0)
    assert stein_discrepancy(centre + 0.6 * (exact - centre), score).p_value < 0.01
    assert stein_discrepancy(exact + 0.4, score).p_value < 0.01
    assert stein_discrepancy(PRIOR.sample(300), score).p_value < 0.01


def test_lost_modes_are_not_seen_as_the_header_says():
    far = wp.GaussianMixture([0.5, 0.5], [[-20.0, 0.0], [20.0, 0.0]], 1.0)
    one = wp.Gaussian([20.0, 0.0], 1.0).sample(200, seed=3)
    assert stein_discrepancy(one, lambda x: far.score(x, 0.0)).p_value > 0.01


def test_noise_without_a_density_is_refused():
    noise = wp.noise.SparseOutliers(0.1)
    with pytest.raises(CapabilityError, match="with a density"):
        posterior_score(wp.Problem([0.7], PROBLEM.operator, noise), PRIOR)
