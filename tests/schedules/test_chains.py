"""Chains: tables, schedules, frames."""

import math

import mpmath
import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.evaluation.distances import against, mmd
from wellposed.priors import Gaussian, GaussianMixture
from wellposed.rng import Stream
from wellposed.schedules import (
    Chain,
    cosine_chain,
    linear_chain,
    log_snr_chain,
    theory_chain,
)

CHAINS = [linear_chain(), cosine_chain(), theory_chain(400), log_snr_chain(100), linear_chain(2)]


@pytest.mark.parametrize("chain", CHAINS)
def test_tables_against_long_arithmetic(chain):
    with mpmath.workdps(40):
        bar = mpmath.mpf(1)
        for t, beta in enumerate(chain.beta):
            bar *= 1 - mpmath.mpf(beta)
            if t % 37 and t < chain.length:
                continue
            assert chain.alpha_bar[t] == pytest.approx(float(bar), rel=1e-12)
            assert chain.a[t] == pytest.approx(float(mpmath.sqrt(bar)), rel=1e-12)
            assert chain.b[t] == pytest.approx(float(mpmath.sqrt(1 - bar)), rel=1e-12)
            assert chain.sigma[t] == pytest.approx(float(mpmath.sqrt(1 / bar - 1)), rel=1e-12)


@pytest.mark.parametrize("chain", CHAINS)
def test_tables_are_floats_over_one_index_range(chain):
    for table in (chain.beta, chain.alpha, chain.alpha_bar, chain.a, chain.b, chain.sigma):
        assert len(table) == chain.length + 2
        assert all(type(entry) is float for entry in table)
    assert all(p < q for p, q in zip(chain.sigma, chain.sigma[1:], strict=False))
    assert list(chain.steps) == list(range(chain.length, 0, -1))


def test_ddpm_chain_covers_the_known_range():
    chain = linear_chain(1000)
    assert chain.sigma[1] == pytest.approx(0.01, rel=1e-3)
    assert chain.sigma[1000] == pytest.approx(157.4, rel=1e-3)
    np.testing.assert_allclose(chain.beta[1:1001], np.linspace(1e-4, 0.02, 1000), rtol=1e-13)


def test_cosine_chain_follows_its_squared_cosine():
    chain = cosine_chain(1000)
    f = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(1001)]
    np.testing.assert_allclose(chain.alpha_bar[:990], np.array(f[:990]) / f[0], rtol=1e-12)
    assert max(chain.beta) == 0.999


@pytest.mark.parametrize(("c0", "c1"), [(2.0, 6.0), (1.0, 3.0), (4.0, 9.0)])
@pytest.mark.parametrize("steps", [50, 200, 1600])
def test_theory_chain(steps, c0, c1):
    chain, h = theory_chain(steps, c0, c1), c1 * math.log(steps) / steps
    assert chain.beta[1] == pytest.approx(steps**-c0, rel=1e-13)
    for t in (2, 3, steps // 2, steps, steps + 1):
        want = h * min(steps**-c0 * (1 + h) ** t, 1)
        assert chain.beta[t] == pytest.approx(want, rel=1e-12)
    assert all(p <= q for p, q in zip(chain.beta[2:], chain.beta[3:], strict=False))
    assert max(chain.beta) <= h * (1 + 1e-15)
    assert chain.beta[steps] == pytest.approx(h, rel=1e-12)  # the growth phase is over
    # the last T - t* steps alone give T^-(c1 - c0 h / log(1 + h)), and 1 - beta < e^-beta
    assert chain.alpha_bar[steps] <= steps ** -(c1 - c0 * h / math.log1p(h))


def test_a_schedule_without_growth_fails_the_theory_bounds():
    """Negative control: beta_t = beta_1 throughout never reaches noise."""
    steps, c0, c1 = 200, 2.0, 6.0
    chain, h = Chain.from_betas([steps**-c0] * steps), c1 * math.log(steps) / steps
    assert chain.alpha_bar[steps] > steps ** -(c1 - c0 * h / math.log1p(h))


def test_chain_through_given_levels():
    sigmas = torch.tensor([50.0, 10.0, 1.0, 0.1, 1e-4], dtype=torch.float64)
    chain = Chain.from_sigmas(sigmas)
    assert chain.length == 4
    np.testing.assert_allclose(chain.sigma[:5], sigmas.flip(0), rtol=1e-12)
    assert chain.sigma[5] == pytest.approx(250.0, rel=1e-12)
    assert Chain.from_sigmas([1.0, 0.0]).sigma == pytest.approx((0.0, 1.0, 2.0))


def test_log_snr_chain_is_uniform():
    chain = log_snr_chain(64)
    snr = -2 * np.log(chain.sigma)
    np.testing.assert_allclose(snr[:65], np.linspace(6, -10, 65), atol=1e-12)
    assert snr[65] == pytest.approx(-10.25, abs=1e-10)


def test_score_and_denoiser_of_a_gaussian():
    """X_t = a X_0 + b n with X_0 ~ N(m, c) is N(a m, a^2 c + b^2)."""
    prior, chain = Gaussian([0.7, -1.0], 0.3), linear_chain(100)
    x = torch.tensor([[0.2, 0.5], [3.0, -2.0]], dtype=torch.float64)
    for t in (1, 50, 100):
        a, b = chain.a[t], chain.b[t]
        want = (a * prior.mean - x) / (a * a * 0.3 + b * b)
        assert torch.allclose(chain.score(prior, x, t), want, rtol=1e-12)
        tweedie = (x + b * b * want) / a
        assert torch.allclose(chain.denoise(prior, x, t), tweedie, rtol=1e-10)
        assert torch.allclose(chain.from_frame(chain.to_frame(x, t), t), x, rtol=1e-15)


def test_forward_steps_reach_the_tabulated_moments():
    """Mean and variance of X_t by the recursion, against a^2 and b^2."""
    chain, mean, variance = linear_chain(300), 1.0, 0.0
    for t in range(1, 301):
        mean, variance = mean * chain.alpha[t] ** 0.5, variance * chain.alpha[t] + chain.beta[t]
        assert mean == pytest.approx(chain.a[t], rel=1e-12)
        assert variance == pytest.approx(chain.b[t] ** 2, rel=1e-12)


def test_forward_steps_have_the_law_of_the_noised_mixture():
    """MMD of 1500 walked signals to the exact law, and to that ten steps later."""
    chain, x = linear_chain(60, 1e-3, 0.05), _modes(1.0, 0.0).sample(1500, seed=3)
    for t in range(1, 41):
        noise = Stream(4).normal(x.shape, "forward", t)
        x = chain.alpha[t] ** 0.5 * x + chain.beta[t] ** 0.5 * noise
    found, late = (against(x, _modes(chain.a[t], chain.b[t]), mmd) for t in (40, 50))
    assert found.distance < 0.03 < late.distance
    assert found.floor < 0.03


def _modes(a, b):
    """Law of a x0 + b n for two modes."""
    means = torch.tensor([[-2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    return GaussianMixture([0.3, 0.7], a * means, a**2 * 0.1 + b**2)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: theory_chain(16), "h < 1(.|\n)*T >= 17"),
        (lambda: theory_chain(1), "steps is 1"),
        (lambda: theory_chain(100, c0=0.0), "c0 is 0"),
        (lambda: theory_chain(100, c0=3.0, c1=3.0), "c1 is 3"),
        (lambda: Chain((0.0, 0.1)), "T \\+ 2"),
        (lambda: Chain((0.0, 0.1, 1.0)), r"beta\[2\]"),
        (lambda: Chain((0.0, -0.1, 0.5)), r"beta\[1\]"),
        (lambda: Chain.from_betas([]), "no beta"),
        (lambda: Chain.from_sigmas([0.1, 1.0]), "descent"),
        (lambda: Chain.from_sigmas([1.0, 2.0, 0.5]), "neither"),
        (lambda: linear_chain(1), "steps"),
        (lambda: linear_chain(10, 0.1, 1.2), "expected"),
        (lambda: cosine_chain(10, largest=1.0), "largest"),
        (lambda: log_snr_chain(10, 6.0, -10.0), "high"),
    ],
)
def test_bad_arguments(bad, words):
    with pytest.raises(InputError, match=words):
        bad()


def test_theory_chain_runs_from_the_number_it_names():
    assert theory_chain(17).length == 17
