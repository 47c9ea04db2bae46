"""Tweedie, score matching, Fokker-Planck; measured assumptions; wrong scores."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from theory_cases import drawn_mixtures, two_modes

from wellposed.errors import InputError
from wellposed.priors import Empirical, Gaussian, GaussianMixture
from wellposed.schedules import OU
from wellposed.theory.assumptions import (
    draws,
    jacobian_error,
    lipschitz,
    score_error,
    score_jvp,
    second_moment,
)
from wellposed.theory.fokker_planck import fokker_planck_residual, ode_drift, sde_drift
from wellposed.theory.identities import orthogonality, tweedie_gap
from wellposed.theory.line import LineMixture
from wellposed.theory.score_error import WrongScore, oscillation, tilt
from wellposed.theory.sensitivity import sensitivity

LAWS = [two_modes(), *drawn_mixtures(2, 9)]
FUNCTIONS = [torch.ones_like, torch.clone, lambda x: torch.sin(2 * x), torch.abs]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("sigma", [0.1, 1.0, 20.0])
def test_tweedie(law, sigma):
    assert max(tweedie_gap(law, sigma)) < 1e-10 * max(1.0, sigma)


def test_tweedie_sees_the_law_that_is_asked_for():
    """Negative control: the posterior mean of another law."""
    law = two_modes()
    other = LineMixture(law.weights, law.means, 1.01 * law.stds)
    mixed = _Swapped(other.weights, other.means, other.stds)
    assert min(tweedie_gap(mixed, 0.5)) > 1e-4


class _Swapped(LineMixture):
    """A law with the prior of another one."""

    @property
    def prior(self):
        return two_modes().prior


@pytest.mark.parametrize("time", [0.05, 0.5])
def test_score_matching_is_orthogonal(time):
    """Eight comparisons at four standard errors: one false alarm in 2000."""
    prior = two_modes().prior
    found = orthogonality(prior, prior, time, FUNCTIONS, samples=50_000, seed=3)
    assert max(one.sigmas for one in found) < 4
    assert max(one.standard_error for one in found) < 0.05


def test_a_wrong_score_is_not_orthogonal():
    prior = two_modes().prior
    wrong = WrongScore(prior, tilt(0.1))
    found = orthogonality(prior, wrong, 0.5, FUNCTIONS, samples=50_000, seed=3)
    assert found[0].value == pytest.approx(0.1, abs=4 * found[0].standard_error)
    assert found[0].sigmas > 10


def test_orthogonality_in_more_dimensions():
    prior = GaussianMixture([0.4, 0.6], [[-1.0, 0.0, 1.0], [1.0, 0.5, 0.0]], 0.3)
    found = orthogonality(prior, prior, 0.3, FUNCTIONS, samples=20_000, seed=1)
    assert max(one.sigmas for one in found) < 4


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("time", [0.02, 0.3, 2.0])
def test_the_reversed_processes_have_the_laws_of_the_forward_one(law, time):
    assert fokker_planck_residual(law, time, sde_drift, 1.0) <= 1e-4
    assert fokker_planck_residual(law, time, ode_drift, 0.0) <= 1e-4
    half = fokker_planck_residual(law, time, lambda x, s: x + 1.5 * s, 0.5)
    assert half <= 1e-4  # any noise between the two will do


@pytest.mark.parametrize(
    ("drift", "diffusion"),
    [
        (ode_drift, 1.0),
        (sde_drift, 0.0),
        (lambda x, s: -x + 2 * s, 1.0),
        (lambda x, s: x - 2 * s, 1.0),
    ],
)
def test_wrong_reversals_are_seen(drift, diffusion):
    assert fokker_planck_residual(two_modes(), 0.3, drift, diffusion) > 0.1


@pytest.mark.parametrize("variance", [0.25, 4.0])
def test_lipschitz_constant_of_a_gaussian(variance):
    """1 / (v e^-2t + 1 - e^-2t), largest at the earliest time or at infinity."""
    prior = Gaussian(torch.zeros(5, dtype=torch.float64), variance)
    times = (1e-3, 0.1, 3.0)
    want = max(1 / (variance * math.exp(-2 * t) - math.expm1(-2 * t)) for t in times)
    assert lipschitz(prior, times, samples=50) == pytest.approx(want, rel=1e-6)


def test_lipschitz_constant_against_dense_jacobians():
    prior = GaussianMixture([0.4, 0.6], [[-1.0, 0.0, 1.0], [1.0, 0.5, 0.0]], [0.3, 0.1])
    x = draws(prior, 0.2, 40, 0)
    columns = [score_jvp(prior, x, 0.2, torch.eye(3, dtype=x.dtype)[k].expand_as(x))
               for k in range(3)]  # fmt: skip
    norms = torch.linalg.matrix_norm(torch.stack(columns, 2), 2)
    assert lipschitz(prior, [0.2], samples=40) == pytest.approx(float(norms.max()), rel=1e-3)


def test_second_moment():
    prior = two_modes().prior
    want = math.hypot(two_modes().mean, two_modes().std)
    assert second_moment(prior) == pytest.approx(want, rel=0.01)


@pytest.mark.parametrize("time", [0.05, 1.0])
def test_score_errors_are_measured(time):
    prior = two_modes().prior
    constant, wave = WrongScore(prior, tilt(0.3)), WrongScore(prior, oscillation(0.1, 30.0))
    assert score_error(prior, constant, time) == pytest.approx(0.3, rel=1e-9)
    assert jacobian_error(prior, constant, time) < 1e-9
    assert score_error(prior, wave, time) == pytest.approx(0.1, rel=0.03)
    assert jacobian_error(prior, wave, time) == pytest.approx(3.0, rel=0.03)


def test_a_wrong_score_is_the_score_plus_the_field():
    prior, x = two_modes().prior, torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    a, sigma = OU().a(0.4), OU().sigma(0.4)
    wrong = WrongScore(prior, oscillation(0.2, 3.0))
    gap = (wrong.score(x / a, sigma) - prior.score(x / a, sigma)) / a
    torch.testing.assert_close(gap, 0.2 * math.sqrt(2) * torch.sin(3 * x))
    levels = torch.full((9,), sigma, dtype=torch.float64)
    torch.testing.assert_close(wrong.denoise(x / a, levels), wrong.denoise(x / a, sigma))


def test_the_flow_suffers_from_a_jacobian_that_noise_averages_out():
    law = drawn_mixtures(1, 11)[0]
    exact, smooth, wave = (
        sensitivity(law, field, "") for field in (None, tilt(0.02), oscillation(0.02, 10.0))
    )
    assert wave.score_error == pytest.approx(smooth.score_error, rel=0.03)
    assert wave.ode - exact.ode >= 20 * abs(wave.sde - exact.sde)
    # negative control: a smooth error of the same size does not set the two apart like that
    assert smooth.ode - exact.ode < 6 * abs(smooth.sde - exact.sde)
    assert wave.sde - exact.sde < smooth.sde - exact.sde


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_score_learned_from_data_is_bad_where_data_are_few(seed):
    """The exact minimiser of score matching on 500 draws, against the score of their law."""
    law = two_modes().prior
    learned = Empirical(law.sample(500, seed=seed))
    z = torch.linspace(-3, 4, 141, dtype=torch.float64)[:, None]
    off = [(learned.score(z, s) - law.score(z, s)).abs()[:, 0] for s in (0.1, 1.0)]
    assert spearmanr(off[0], law.log_density(z, 0.1)).statistic < -0.5
    assert off[1].mean() < 0.02 * off[0].mean()  # noise covers the gaps


@pytest.mark.parametrize("sampler", ["ode", "sde"])
def test_what_smooth_wrong_scores_cost_grows_in_proportion(sampler):
    """TV of about sqrt(d) eps: the slope in eps is one, long before TV saturates."""
    law, sizes = drawn_mixtures(1, 11)[0], (0.05, 0.1, 0.2)
    cost = [getattr(sensitivity(law, tilt(size), ""), sampler) for size in sizes]
    assert np.polyfit(np.log(sizes), np.log(cost), 1)[0] == pytest.approx(1, abs=0.15)
    assert cost[-1] < 0.5


@pytest.mark.parametrize(
    "call",
    [
        lambda: tweedie_gap(two_modes(), 0.0),
        lambda: fokker_planck_residual(two_modes(), -1.0, sde_drift, 1.0),
        lambda: lipschitz(two_modes().prior, [1e-5]),
        lambda: oscillation(0.0),
        lambda: tilt(np.nan),
        lambda: score_error(two_modes().prior, two_modes().prior, 0.0),
    ],
)
def test_bad_arguments(call):
    with pytest.raises(InputError):
        call()
