"""The search for a start: it climbs, takes bad steps back, and finds what chains alone do not."""

from itertools import pairwise

import pytest
import torch

import wellposed as wp
from wellposed.errors import CapabilityError
from wellposed.evaluation.images import align
from wellposed.jobs.measuring import code
from wellposed.posterior.datafit import DataFit
from wellposed.posterior.search import Search
from wellposed.priors.load import load_prior
from wellposed.rng import Stream
from wellposed.task import Task


def height(fit, x, z, sigma):
    return fit.log_prob(z) - (z - x).square().flatten(1).sum(1) / (2 * sigma**2)


def flat():
    """Six numbers seen as they are."""
    zeros = torch.zeros(6, dtype=torch.float64)
    return wp.Problem(zeros, wp.operators.Identity((6,)), wp.noise.Gaussian(0.1))


def cubed(sigma=0.1, d=6):
    """Measurements of x + x^3 under a mixture of two modes."""
    prior = wp.GaussianMixture([0.5, 0.5], torch.tensor([[-1.0], [1.0]]).expand(2, d), 0.1)
    operator = wp.operators.from_callable(lambda x: x + x**3, (d,))
    y = operator(prior.sample(1, seed=3))[0]
    return prior, wp.Problem(y, operator, wp.noise.Gaussian(sigma))


def test_steps_climb_however_long_they_are_and_reach_the_top_of_a_bowl():
    prior, problem = cubed()
    fit = DataFit.of(Task(problem, prior, dtype=torch.float64), "test")
    x = prior.sample(50, seed=4)
    sound = Search.of(prior, fit, 5)
    for search in (sound, sound._replace(resolution=1e3)):  # steps a hundred times too long
        for sigma in (2.0, 0.3):
            z = search.towards(fit, x, sigma)
            assert bool((height(fit, x, z, sigma) >= height(fit, x, x, sigma)).all())
    bowl = DataFit.of(Task(flat(), prior, dtype=torch.float64), "test")
    z = Search.of(prior, bowl, 5).towards(bowl, x, 2.0)
    torch.testing.assert_close(z, x * 0.01 / (4 + 0.01), atol=1e-6, rtol=1e-6, check_dtype=False)


def test_levels_fall_from_twice_the_spread_to_what_the_data_resolve():
    prior, problem = cubed()
    fit = DataFit.of(Task(problem, prior, dtype=torch.float64), "test")
    levels, resolution = Search.of(prior, fit, 7)
    assert len(levels) == 7
    assert levels[0] == pytest.approx(2 * prior.sigma_data)
    assert levels[-1] == pytest.approx(resolution)
    assert all(a > b for a, b in pairwise(levels))
    assert Search.of(prior, fit, 0).levels == ()


def test_phases_are_found_that_chains_alone_do_not_find():
    prior, law = load_prior("fashion"), wp.noise.Gaussian(0.2)
    look = wp.operators.PhaseRetrieval(code((1, 32, 32), seed=0), 4.0, (1, 32, 32))
    error = {15: 0.0, 30: 0.0}  # by sweeps
    for seed in (5, 103):  # of four truths tried, one where the search gains much and the least
        truth = wp.sample(prior, n=1, seed=seed).x
        problem = wp.Problem(law.simulate(look(truth)[0], Stream(2)), look, law)
        for search, sweeps in ((30, 15), (0, 30)):
            method = wp.DPnP(sweeps, denoiser_steps=2, search=search, tail=4, moves=20)
            found = wp.recover(problem, prior, method, draws=2, seed=seed)
            assert found.evaluations.denoiser == 61
            aims = truth.expand(2, 1, 32, 32)
            error[sweeps] += float((align(found.draws, aims) - aims).square().mean())
    assert error[15] < 0.6 * error[30]


def test_the_search_is_for_operators_that_are_not_linear_and_have_a_derivative():
    prior, problem = cubed()
    assert wp.recover(problem, prior, wp.DPnP(12, tail=2), draws=3).evaluations.denoiser == 133
    assert wp.recover(flat(), prior, wp.DPnP(12, tail=2), draws=3).evaluations.denoiser == 121
    hidden = wp.operators.from_callable(lambda x: x.detach().round(), (6,))
    blind = wp.Problem(problem.y, hidden, problem.noise)
    wp.recover(blind, prior, wp.DPnP(4, tail=0), draws=3)
    with pytest.raises(CapabilityError, match="has no derivative"):
        wp.recover(blind, prior, wp.DPnP(4, tail=0, search=3), draws=3)
