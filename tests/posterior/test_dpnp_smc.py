"""DPnPSMC against exact posteriors and exact evidence, and what happens without its weights.

Seeds are fixed; the bounds are those of one run each, set before it was made.
"""

import math

import pytest
import torch
from posterior_truth import Bits, by_importance, measured, mixture, one_bit, sliced

import wellposed as wp
from wellposed.evaluation.distances import against
from wellposed.evaluation.laws import mode_weights
from wellposed.posterior import dpnp_smc

N = 1024


def log_evidence(prior, problem):
    """log sum_k w_k N(y; A m_k, sigma^2 I + c A A^T)."""
    matrix, sigma = problem.operator.matrix, problem.noise.sigma
    covariance = sigma**2 * torch.eye(len(matrix)) + prior.covariances * matrix @ matrix.T
    law = torch.distributions.MultivariateNormal(torch.zeros(len(matrix)).double(), covariance)
    logs = prior.weights.log() + law.log_prob(problem.y - prior.means @ matrix.T)
    return float(logs.logsumexp(0))


def cases():
    """Modes far apart, that one or two numbers cannot all tell apart."""
    for seed, m in ((3, 1), (5, 2)):
        prior = mixture(8, seed, modes=6, spread=4.0)
        yield prior, measured(prior, m, 0.3, seed + 6)


def recovered(prior, problem, method=None, seed=1):
    return wp.recover(problem, prior, method or wp.DPnPSMC(), draws=N, seed=seed)


def test_modes_that_freeze_in_dpnp_get_their_weights():
    frozen = []
    for prior, problem in cases():
        law = prior.posterior(problem)
        found = recovered(prior, problem)
        assert against(found.draws, law, sliced).ratio < 2.5
        assert mode_weights(found.draws, law).tv < 0.06
        plain = recovered(prior, problem, wp.DPnP(60))
        frozen.append(mode_weights(plain.draws, law).tv)
        assert not found.independent
        assert found.note == ""
    assert max(frozen) > 0.15


def test_the_evidence_is_the_exact_one():
    for prior, problem in cases():
        off = [
            recovered(prior, problem, seed=seed).log_evidence - log_evidence(prior, problem)
            for seed in (1, 2, 3)
        ]
        assert abs(sum(off) / 3) < 0.2


def test_weights_that_are_forgotten_are_seen(monkeypatch):
    gains = dpnp_smc._gains
    half = lambda *rest: lambda place: 0.5 * gains(*rest)(place)  # noqa: E731
    monkeypatch.setattr(dpnp_smc, "_gains", half)
    wrong = []
    for prior, problem in cases():
        found = recovered(prior, problem)
        wrong.append(abs(found.log_evidence - log_evidence(prior, problem)))
    assert max(wrong) > 0.4


@pytest.mark.parametrize("proximal", ["mala", "slice"])
def test_one_bit_data_through_pairs(proximal):
    prior, problem = one_bit()
    found = recovered(prior, problem, wp.DPnPSMC(proximal=proximal, particles=2 * N, moves=5))
    assert len(found) == N
    assert sliced(found.draws, by_importance(prior, problem, N, 11)) < 0.05
    x = prior.sample(200_000, seed=3)
    logs = Bits(0.4).log_density(problem.y[None], problem.operator.forward(x))
    exact = float(logs.logsumexp(0)) - math.log(len(x))
    assert abs(found.log_evidence - exact) < 0.15


def test_pairs_agree_with_the_closed_form(monkeypatch):
    prior, problem = next(cases())
    monkeypatch.setattr(dpnp_smc, "_closed", lambda fit: False)
    found = recovered(prior, problem)
    assert abs(found.log_evidence - log_evidence(prior, problem)) < 0.4
    assert mode_weights(found.draws, prior.posterior(problem)).tv < 0.15


def test_the_evidence_tells_the_noise_level():
    prior, problem = list(cases())[1]
    guesses = [wp.noise.Gaussian(s) for s in (0.03, 0.3, 30.0)]
    found = [recovered(prior, wp.Problem(problem.y, problem.operator, g)) for g in guesses]
    logs = [f.log_evidence for f in found]
    exact = [log_evidence(prior, wp.Problem(problem.y, problem.operator, g)) for g in guesses]
    assert logs.index(max(logs)) == exact.index(max(exact))


def test_few_steps_are_told():
    prior, problem = next(cases())
    found = recovered(prior, problem, wp.DPnPSMC(steps=4, start_steps=10))
    assert found.status.ok
    assert "% of the particles were effective" in found.note
    assert math.isfinite(found.log_evidence)


def test_fewer_draws_than_particles_are_a_part_of_them():
    prior, problem = next(cases())
    some = wp.recover(problem, prior, wp.DPnPSMC(particles=64), draws=10, seed=4)
    more = wp.recover(problem, prior, wp.DPnPSMC(particles=64), draws=50, seed=4)
    assert torch.equal(some.draws, more.draws[:10])
