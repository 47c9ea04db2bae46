"""Distances of draws against closed forms, brute force, and scipy."""

import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance_nd

import wellposed as wp
from wellposed.errors import InputError
from wellposed.evaluation.distances import against, energy_distance, line_w2, mmd, sliced_w2
from wellposed.rng import Stream

X = Stream(1).normal((2000, 3), "x")
Y = Stream(1).normal((1500, 3), "y")


def test_the_distance_on_the_line_is_that_of_the_best_matching():
    x, y = X[:6, 0], Y[:4, 0]
    # both sets repeated to twelve points: the optimal matching is the sorted one
    a, b = (z.repeat_interleave(12 // len(z), 0).sort(0).values for z in (x, y))
    assert float(line_w2(x[None], y[None])) == pytest.approx(
        float((a - b).square().mean().sqrt()), abs=1e-14
    )


def test_sliced_distance_of_gaussians():
    # v . N(m, s^2 I) = N(v . m, s^2): the mean square over v is |m|^2 / d + (s - 1)^2
    shift = torch.tensor([2.0, -1.0, 2.0], dtype=torch.float64)
    big = Stream(2).normal((10_000, 3), "big")
    found = sliced_w2(big[:5000], 2 * big[5000:] + shift, directions=400)
    assert found.mean == pytest.approx(math.sqrt(9 / 3 + 1), rel=0.05)
    assert found.max == pytest.approx(math.sqrt(9 + 1), rel=0.03)
    wrong = sliced_w2(big[:5000], big[5000:] + shift, directions=400)  # the scale left out
    assert wrong.mean < 0.92 * math.sqrt(9 / 3 + 1)


def test_sliced_is_below_the_true_distance():
    x, y = X[:40, :2], 2 * Y[:40, :2] + 1
    # scipy has W1 only, which is below W2; slices are below W2 itself
    cost = torch.cdist(x, y).square().numpy()
    full = math.sqrt(cost[linear_sum_assignment(cost)].mean())
    assert wasserstein_distance_nd(x.numpy(), y.numpy()) <= full + 1e-9
    assert sliced_w2(x, y).max <= full + 1e-9


def brute(x, y, kernel):
    """Sums over pairs, one by one."""

    def pairs(a, b, same):
        terms = [float(kernel((u - v).norm())) for i, u in enumerate(a)
                 for j, v in enumerate(b) if not (same and i == j)]  # fmt: skip
        return sum(terms) / len(terms)

    return pairs(x, x, True) + pairs(y, y, True) - 2 * pairs(x, y, False)


def test_energy_and_mmd_are_their_sums_over_pairs():
    x, y = X[:12], Y[:9] + 2
    assert energy_distance(x, y) ** 2 == pytest.approx(-brute(x, y, lambda r: r), rel=1e-12)
    gauss = brute(x, y, lambda r: (-r.square() / (2 * 0.7**2)).exp())
    assert mmd(x, y, bandwidth=0.7) ** 2 == pytest.approx(gauss, rel=1e-12)


def test_mmd_of_gaussians_in_closed_form():
    # E k = (h^2 / (h^2 + 2))^(d/2) exp(-|m|^2 / (2 (h^2 + 2))) for N(0, I) against N(m, I)
    h, d, shift = 1.3, 3, 1.0
    base = (h**2 / (h**2 + 2)) ** (d / 2)
    square = 2 * base * (1 - math.exp(-d * shift**2 / (2 * (h**2 + 2))))
    assert mmd(X, Y + shift, bandwidth=h) == pytest.approx(math.sqrt(square), rel=0.05)


@pytest.mark.parametrize("distance", [
    lambda x, y: sliced_w2(x, y).mean, lambda x, y: sliced_w2(x, y).max, energy_distance, mmd,
])  # fmt: skip
def test_exact_draws_are_at_the_floor_and_a_lost_mode_is_not(distance):
    law = wp.GaussianMixture([0.3, 0.7], [[-2.0, 0.0], [2.0, 0.0]], 0.25)
    exact = against(law.sample(600, seed=4), law, distance, seed=11)
    lost = against(wp.Gaussian([2.0, 0.0], 0.25).sample(600, seed=4), law, distance, seed=11)
    assert exact.ratio < 3 < lost.ratio


def test_draws_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"\[2000, 3\] and y \[2, 2\]"):
        sliced_w2(X, torch.zeros(2, 2))
    with pytest.raises(InputError, match="with n, m >= 2"):
        energy_distance(X[:1], Y)
    with pytest.raises(InputError, match="NaN or infinite"):
        mmd(X[:3] * math.nan, Y)
    with pytest.raises(InputError, match=r"bandwidth is 0\.0"):
        mmd(X[:3], Y[:1].expand(4, 3))
