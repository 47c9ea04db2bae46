"""Scores of learned priors on laws where their values are known."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

import wellposed as wp
from wellposed.errors import InputError
from wellposed.evaluation.generation import denoising_psnr, frechet, memory, precision_recall
from wellposed.rng import Stream

DOUBLE = torch.float64


def cloud(n, d, purpose, seed=0):
    return Stream(seed).normal((n, d), purpose)


def test_denoising_psnr_of_a_gaussian():
    prior = wp.Gaussian(torch.zeros(1, 8, 8, dtype=DOUBLE), 0.25)
    x = prior.sample(400, seed=1)
    found = denoising_psnr(prior, x, [0.1, 0.5, 2.0])
    for sigma, told in found.items():
        error = 0.25 * sigma**2 / (0.25 + sigma**2)
        assert told == pytest.approx(10 * math.log10(4 / error), abs=0.15)  # 64 pixels an image
    worse = wp.Denoiser(lambda z, sigma: z, (1, 8, 8))
    assert denoising_psnr(worse, x, [0.5])[0.5] < found[0.5] - 2


def test_frechet_is_the_formula_with_another_root():
    x, y = cloud(500, 6, "x") * torch.arange(1, 7), cloud(400, 6, "y") + 0.3
    y[:, 0] += y[:, 1]
    a, b = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(a @ b).real
    told = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(a + b - 2 * root)
    assert frechet(x, y).value == pytest.approx(told, rel=1e-8)
    assert frechet(x, x, splits=1).value == pytest.approx(0, abs=1e-9)
    assert math.isnan(frechet(x, x, splits=1).error)


def test_the_error_of_frechet_is_that_of_repetitions():
    real = cloud(20_000, 3, "real")
    found = [frechet(cloud(2000, 3, "draws", seed) + 0.5, real) for seed in range(40)]
    values = torch.tensor([f.value for f in found])
    told = sum(f.error for f in found) / len(found)
    assert told == pytest.approx(float(values.std()), rel=0.4)  # 3.5 standard errors


def test_precision_and_recall_of_equal_and_of_partial_laws():
    x, y = cloud(800, 2, "x"), cloud(800, 2, "y")
    same = precision_recall(x, y)
    assert min(same) > 0.9
    left = precision_recall(x[x[:, 0] < 0], y)
    assert left.precision > 0.9
    assert left.recall == pytest.approx(0.5, abs=0.1)
    away = precision_recall(x + 20, y)
    assert away == (0, 0)
    wide = precision_recall(4 * x, y)
    assert wide.precision < 0.5
    assert wide.recall > 0.9


def test_precision_by_hand():
    real = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=DOUBLE)
    draws = torch.tensor([[-0.5], [-1.5], [5.1], [20.0]], dtype=DOUBLE)
    # balls of one neighbour reach 1, 1, 2, 4: they cover [-1, 2], [1, 5], [3, 11]
    assert precision_recall(draws, real, neighbours=1).precision == 0.5


def test_memory_knows_copies_from_fresh_signals():
    data = cloud(6000, 16, "data").reshape(6000, 4, 4)
    training, fresh, others = data[:3000], data[3000:4500], data[4500:]
    kept = wp.Empirical(training)
    copies = memory(kept.sample(300, seed=1), training, fresh)
    assert copies.share == 1.0
    assert copies.ratio == 0.0
    torch.testing.assert_close(training[copies.nearest], kept.sample(300, seed=1))
    honest = memory(others, training, fresh)
    assert abs(honest.share - 0.01) < 4 * math.hypot(honest.error, 0.1 / 1500**0.5)
    assert honest.ratio == pytest.approx(1, abs=0.05)
    near = memory(training[:300] + 0.2 * data[4500:4800], training, fresh)
    assert near.share > 0.9


@pytest.mark.parametrize(
    "call",
    [
        lambda: frechet(torch.zeros(3), torch.zeros(3, 2)),
        lambda: frechet(torch.zeros(15, 2), torch.zeros(3, 2)),
        lambda: frechet(torch.full((30, 2), float("nan")), torch.zeros(3, 2)),
        lambda: precision_recall(torch.zeros(3, 2), torch.zeros(9, 2)),
        lambda: memory(torch.zeros(3, 2), torch.zeros(9, 2), torch.zeros(9, 2)),
        lambda: denoising_psnr(wp.Gaussian([0.0], 1.0), torch.zeros(2, 1), [0.0]),
    ],
)
def test_refusals(call):
    with pytest.raises(InputError):
        call()
