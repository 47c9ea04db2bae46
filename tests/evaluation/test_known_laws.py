"""Weights of modes, means and Gaussian draws, against laws that are known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

import wellposed as wp
from wellposed.evaluation.distances import sliced_w2
from wellposed.evaluation.laws import gaussian_test, gaussian_w2, mmse_gap, mode_weights
from wellposed.rng import Stream

LAW = wp.GaussianMixture([0.2, 0.5, 0.3], [[-3.0, 0.0], [0.0, 1.0], [3.0, 0.0]], 0.5)


def test_responsibilities_of_exact_draws_have_the_weights_as_their_mean():
    found = mode_weights(LAW.sample(20_000, seed=3), LAW)
    assert found.tv < 4 * math.sqrt(0.25 / 20_000)
    nearest = torch.cdist(LAW.sample(20_000, seed=3), LAW.means).argmin(1).bincount() / 20_000
    assert 0.5 * float((nearest - found.true).abs().sum()) > found.tv  # counting modes is biased
    middle = mode_weights(wp.Gaussian([0.0, 1.0], 0.5).sample(2000), LAW)
    assert middle.tv > 0.4


def test_responsibilities_are_those_of_bayes():
    z = LAW.sample(7, seed=1)
    logs = torch.stack([wp.Gaussian(m, 0.5).log_density(z) for m in LAW.means], 1)
    want = (logs + LAW.weights.log()).softmax(1)
    torch.testing.assert_close(LAW.responsibilities(z), want.double(), rtol=1e-9, atol=1e-12)


def test_the_gap_is_the_excess_of_the_error():
    # x ~ N(0, 1), y = x + n: E[x | y] = y / 2 has error 1/2; a factor 0.9 adds 0.16 E y^2
    x = Stream(0).normal((200_000, 1), "signal")
    y = x + Stream(0).normal((200_000, 1), "noise")
    gap = mmse_gap(0.9 * y, y / 2, x)
    assert gap.rms == pytest.approx(0.4 * math.sqrt(2), rel=0.01)
    assert gap.decibel == pytest.approx(10 * math.log10((0.5 + 0.32) / 0.5), abs=0.05)
    assert math.isnan(mmse_gap(y, y / 2).decibel)


def test_gaussian_p_values_are_uniform_for_exact_draws_and_not_for_others():
    mean, root = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([[1.0, 0, 0], [2, 1, 0], [0, 3, 0.5]])
    mean, root = mean.double(), root.double()
    covariance = root @ root.T
    white = [Stream(5, item=k).normal((20, 3), "draws") for k in range(400)]
    exact = np.array([gaussian_test(mean + w @ root.T, mean, covariance) for w in white])
    narrow = np.array([gaussian_test(mean + 0.9 * w @ root.T, mean, covariance) for w in white])
    # fixed seeds; each of the four tests errs at a rate of 1e-3
    assert all(kstest(exact[:, j], "uniform").pvalue > 1e-3 for j in (0, 1))
    assert kstest(narrow[:, 1], "uniform").pvalue < 1e-3


def test_distance_of_gaussians_in_closed_form():
    mean, second = [0.0, 1.0], [3.0, 1.0]
    c, c2 = torch.diag(torch.tensor([1.0, 4.0])), torch.diag(torch.tensor([9.0, 1.0]))
    # commuting covariances: the standard deviations move
    assert gaussian_w2(mean, c, second, c2) == pytest.approx(math.sqrt(9 + 4 + 1), rel=1e-12)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    turned = gaussian_w2(turn @ torch.tensor(mean), turn @ c @ turn.T,
                         turn @ torch.tensor(second), turn @ c2 @ turn.T)  # fmt: skip
    assert turned == pytest.approx(math.sqrt(14), rel=1e-6)
    x = wp.Gaussian(mean, c).sample(4000, seed=1)
    y = wp.Gaussian(second, c2).sample(4000, seed=2)
    assert sliced_w2(x, y).max <= math.sqrt(14) + 0.15
