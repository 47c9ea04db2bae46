"""Calibration: exact samplers pass at the stated rate, wrong ones fail, and say in what way."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, kstest

import wellposed as wp
from wellposed.errors import CapabilityError, InputError
from wellposed.evaluation.calibration import calibrate, holm
from wellposed.evaluation.ranks import ecdf_band, randomized, uniformity
from wellposed.evaluation.trials import Setting, exact_draws, run_trials, stacked
from wellposed.rng import Stream

PRIOR = wp.GaussianMixture([0.3, 0.7], [[-1.5, 0.0, 0.0], [1.5, 0.5, 0.0]], 0.4)
SETTING = (wp.operators.Matrix([[1.0, 1.0, 0.0], [0.0, 1.0, -1.0]]), wp.noise.Gaussian(0.5))


def scaled(factor):
    def sampler(problem, prior, n, seed):
        draws = exact_draws(problem, prior, n, seed)
        mean = prior.posterior(problem).mean
        return mean + factor * (draws - mean)

    return sampler


def shifted(problem, prior, n, seed):
    return exact_draws(problem, prior, n, seed) + 0.3


def ignoring_the_data(problem, prior, n, seed):
    return prior.sample(n, seed=seed)


def noise_taken_too_small(problem, prior, n, seed):
    wrong = wp.Problem(problem.y, problem.operator, wp.noise.Gaussian(0.25))
    return prior.posterior(wrong).sample(n, seed=seed)


def test_ranks_of_exact_draws_are_uniform_and_u_is_exactly_so():
    u = [float(randomized(x[0], x[1:], Stream(1, item=k), "u"))
         for k, x in enumerate(Stream(2).normal((2000, 5), "x"))]  # fmt: skip
    assert kstest(u, "uniform").pvalue > 1e-3  # false alarm 1e-3
    ties = randomized(torch.zeros(4000), torch.zeros(3, 4000), Stream(3), "ties")
    assert kstest(ties.numpy(), "uniform").pvalue > 1e-3


def test_p_values_of_uniform_numbers_are_uniform():
    found = np.array([uniformity(Stream(4, item=k).uniform((60,), "u"))[2:] for k in range(600)])
    for column, name in enumerate(("bias", "spread")):
        assert kstest(found[:, column], "uniform").pvalue > 1e-3, name  # false alarm 1e-3
    # chi-square of counts is discrete: its rate of small p-values is what matters
    assert binomtest(int((found[:, 2] < 0.05).sum()), 600, 0.05).pvalue > 1e-3


def test_the_band_holds_whole_curves_at_its_rate():
    band, outside = ecdf_band(50, 0.9), 0
    for k in range(800):
        u = Stream(5, item=k).uniform((50,), "curve")
        share = (u[:, None] <= band.at).double().mean(0)
        outside += bool(((share < band.low - 1e-9) | (share > band.high + 1e-9)).any())
    assert binomtest(outside, 800, 0.1, "greater").pvalue > 1e-3  # false alarm 1e-3
    assert outside > 0.05 * 800  # no wider than it has to be
    narrow = 0.5 + 0.5 * (Stream(6).uniform((50,), "narrow") - 0.5)
    share = (narrow[:, None] <= band.at).double().mean(0)
    assert ((share < band.low) | (share > band.high)).any()


def test_an_exact_sampler_fails_at_most_at_the_stated_rate():
    failures = sum(
        not calibrate(SETTING, PRIOR, exact_draws, repeats=40, seed=k, false_alarm=0.1).ok
        for k in range(12)
    )
    # at most 0.1 each: 6 or more of 12 have probability 5e-4
    assert failures < 6


@pytest.mark.parametrize(("sampler", "test", "words"), [
    (scaled(0.5), "coverage", "over-confident"),
    (scaled(1.8), "coverage", "under-confident"),
    (shifted, "element 0: bias", "draws are too high"),
    (ignoring_the_data, "log-likelihood: bias", "log-likelihood: the draws are too low"),
    (noise_taken_too_small, "log-likelihood: bias", "log-likelihood"),
])  # fmt: skip
def test_wrong_samplers_fail_and_are_told_why(sampler, test, words):
    found = calibrate(SETTING, PRIOR, sampler, repeats=100, seed=3)
    assert not found.ok
    assert test in found.failures
    assert words in found.text.lower()
    assert "No test failed" not in found.text


def test_elements_alone_do_not_notice_a_sampler_that_ignores_the_data():
    found = calibrate(SETTING, PRIOR, ignoring_the_data, repeats=100, seed=3)
    by_elements = {k: v for k, v in found.adjusted.items() if k.startswith(("coverage", "element"))}
    assert min(by_elements.values()) > 0.01 > min(found.adjusted.values())


def test_the_mean_of_exact_draws_is_as_far_from_the_truth_as_it_must_be():
    exact = calibrate(SETTING, PRIOR, exact_draws, repeats=150)
    assert exact.mean_ratio == pytest.approx(1, abs=0.15)
    assert calibrate(SETTING, PRIOR, ignoring_the_data, repeats=20).mean_ratio > 2


def test_coverage_has_its_nominal_probability_for_any_number_of_draws():
    for draws in (4, 11):
        found = calibrate(SETTING, PRIOR, exact_draws, repeats=150, draws=draws, seed=draws)
        for c in found.coverage:
            assert abs(c.share - c.level) < 4 * c.error
    assert found.coverage_map().shape == (3,)


def test_trials_do_not_depend_on_how_they_are_cut():
    setting = Setting(*SETTING, PRIOR, exact_draws, draws=5)
    whole = run_trials(setting, 25)
    parts = stacked([run_trials(setting, 10), run_trials(setting, 15, first=10)])
    assert torch.equal(whole.elements, parts.elements)
    assert all(torch.equal(whole.statistics[k], parts.statistics[k]) for k in whole.statistics)


def test_holdout_signals_judge_the_prior_too():
    other = wp.Gaussian([0.0, 0.0, 0.0], 4.0).sample(60, seed=1)
    assert not calibrate(SETTING, PRIOR, exact_draws, repeats=60, truths=other).ok
    own = PRIOR.sample(60, seed=77)
    assert calibrate(SETTING, PRIOR, exact_draws, repeats=60, truths=own).ok


def test_holm_is_bonferroni_for_the_smallest_and_never_falls():
    p = {str(k): float(v) for k, v in enumerate(Stream(8).uniform((12,), "p"))}
    adjusted = holm(p)
    low = min(p, key=p.get)
    assert adjusted[low] == pytest.approx(min(1, 12 * p[low]))
    order = sorted(p, key=p.get)
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="repeats is 5"):
        calibrate(SETTING, PRIOR, exact_draws, repeats=5)
    with pytest.raises(CapabilityError, match="with a density"):
        calibrate((SETTING[0], wp.noise.SparseOutliers(0.1)), PRIOR, exact_draws)
    with pytest.raises(InputError, match=r"shape \[3\], the prior has \[2\]"):
        calibrate(SETTING, wp.Gaussian([0.0, 0.0], 1.0), exact_draws)
    with pytest.raises(InputError, match=r"draws has shape \[19, 2\]"):
        calibrate(SETTING, PRIOR, lambda *_: torch.zeros(19, 2))
    with pytest.raises(CapabilityError, match="expected a Gaussian or a mixture"):
        exact_draws(None, wp.Denoiser(lambda z, s: z, (3,)), 3, 0)
