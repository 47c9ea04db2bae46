"""The path bound: against samples, against the exact law, and split into its terms."""

import itertools
import math

import numpy as np
import pytest
import torch
from theory_cases import drawn_mixtures, two_modes

from wellposed.priors import Gaussian, GaussianMixture
from wellposed.samplers.ou import ExponentialOU
from wellposed.schedules import OU
from wellposed.theory.assumptions import lipschitz, second_moment
from wellposed.theory.budget import split, theorem_terms
from wellposed.theory.line import LineMixture
from wellposed.theory.path_kl import path_kl, relative_to_normal, sampled_path_kl
from wellposed.theory.propagate import exact_law
from wellposed.theory.score_error import WrongScore, oscillation, tilt
from wellposed.theory.unbalanced import unequal_modes

DATA = unequal_modes(2.0)
LENGTHS = (25, 50, 100, 200, 400, 800)


def by_the_definition(mixture, steps, horizon, wrong=None, nodes=10):
    """Sum of the time integrals of E |shat_u(X_u) - s_t(X_t)|^2, by quadrature in t, X_t and X_u.

    Nothing of the martingale identity is used: X_u = e^-(u-t) X_t + noise is integrated over.
    """
    gauss, gauss_weights = np.polynomial.hermite_e.hermegauss(60)
    legendre, legendre_weights = np.polynomial.legendre.leggauss(nodes)
    used = mixture.prior if wrong is None else wrong
    h, total = horizon / steps, 0.0
    for k in range(steps):
        for at, weight in zip((legendre + 1) / 2, legendre_weights / 2, strict=True):
            t, u = (k + at) * h, (k + 1) * h
            law = mixture.noised(OU().sigma(t), OU().a(t))
            x = law.mean + law.std * np.linspace(-7, 7, 401)
            mass = law.density(x) * (x[1] - x[0])
            x_u = math.exp(t - u) * x[:, None] + math.sqrt(-math.expm1(2 * (t - u))) * gauss
            frozen = score(used, x_u.ravel(), u).reshape(x_u.shape)
            gap = (frozen - score(mixture.prior, x, t)[:, None]) ** 2
            total += h * weight * float(mass @ gap @ gauss_weights) / math.sqrt(2 * math.pi)
    return total


def score(prior, x, t):
    a = OU().a(t)
    return prior.score(torch.from_numpy(x / a)[:, None], OU().sigma(t))[:, 0].numpy() / a


@pytest.mark.parametrize("wrong", [None, tilt(0.2), oscillation(0.2, 1.5)])
def test_the_terms_add_up_to_the_definition(wrong):
    law = two_modes()
    prior = None if wrong is None else WrongScore(law.prior, wrong)
    found = path_kl(law, 12, 2.0, prior)
    assert found.steps + found.score == pytest.approx(
        by_the_definition(law, 12, 2.0, prior), rel=1e-4
    )
    assert (found.score > 0) == (wrong is not None)


def test_a_wrong_identity_would_be_seen():
    """Negative control: without the factor e^-(u - t) the integrand is I(t) - I(u)."""
    law, steps, horizon = two_modes(), 12, 2.0
    want = by_the_definition(law, steps, horizon)
    fisher = [_fisher(law, horizon * k / steps) for k in range(steps + 1)]
    h = horizon / steps
    plain = sum(h * (0.5 * (a + b) - b) for a, b in itertools.pairwise(fisher))
    assert abs(plain - want) > 0.1 * want


def _fisher(mixture, t):
    law = mixture.noised(OU().sigma(t), OU().a(t))
    x = law.mean + law.std * np.linspace(-8, 8, 1001)
    return float(law.density(x) @ score(mixture.prior, x, t) ** 2) * (x[1] - x[0])


@pytest.mark.parametrize("seed", [0, 1])
def test_samples_agree_with_the_quadrature(seed):
    exact = path_kl(DATA, 50)
    found = sampled_path_kl(DATA.prior, 50, samples=2000, seed=seed)
    assert abs(found.total - exact.total) < 4 * found.standard_error
    assert found.standard_error < 0.02 * exact.total


def test_independent_coordinates_add_up():
    """Two independent Gaussian coordinates: KL of the pair is the sum."""
    variances = torch.tensor([0.25, 0.5], dtype=torch.float64)
    pair = Gaussian(torch.zeros(2, dtype=torch.float64), variances)
    found = sampled_path_kl(pair, 40, samples=3000)
    parts = [path_kl(LineMixture.normal(0.0, v**0.5), 40).total for v in (0.25, 0.5)]
    assert abs(found.total - sum(parts)) < 4 * found.standard_error


def test_the_bound_holds_at_every_length_and_falls_like_one_over_n():
    tv, kl, totals = [], [], []
    for steps in LENGTHS:
        bound = path_kl(DATA, steps)
        found = exact_law(ExponentialOU(steps), DATA, from_noise=True).distances()
        assert found.tv <= bound.pinsker
        assert found.kl <= bound.total
        tv.append(found.tv)
        kl.append(found.kl)
        totals.append(bound.total * steps)
    late = totals[2:]
    assert max(late) / min(late) <= 1.15
    halvings = [a / b for a, b in itertools.pairwise(tv)]
    assert all(abs(ratio - 2) <= 0.3 for ratio in halvings)


@pytest.mark.parametrize("field", [tilt(0.5), oscillation(0.7, 0.5)], ids=["tilt", "wave"])
@pytest.mark.parametrize("mixture", drawn_mixtures(2, 5))
def test_the_bound_holds_with_a_wrong_score(mixture, field):
    """In the direction KL(data | output); KL(output | data) is not bounded and may be larger."""
    wrong = WrongScore(mixture.prior, field)
    bound = path_kl(mixture, 300, wrong=wrong)
    found = exact_law(ExponentialOU(300), mixture, from_noise=True, prior=wrong).distances()
    assert found.kl <= bound.total
    assert found.tv <= bound.pinsker
    # without the term of the score it would not
    assert found.kl > path_kl(mixture, 300).total


def test_the_start_forgets_exponentially():
    start = relative_to_normal(DATA)
    assert start == pytest.approx(1.818, abs=1e-3)
    for t in (0.5, 1.0, 2.0):
        assert relative_to_normal(DATA, t) <= math.exp(-2 * t) * start
    assert relative_to_normal(LineMixture.normal(1.0, 1.0), 1.0) == pytest.approx(
        math.exp(-2) / 2, rel=1e-9
    )


def test_terms_of_the_theorem_by_hand():
    found = theorem_terms(
        relative=4.0, slopes=3.0, moment=2.0, horizon=1.0, steps=100, error=0.1, dimension=4
    )
    assert found.start == pytest.approx(2 / math.e)
    assert found.steps == pytest.approx(3 * (0.2 + 0.02))
    assert found.score == pytest.approx(0.1)
    assert found.largest == "start"


def test_exact_computed_and_proved_are_ordered():
    prior = DATA.prior
    for steps in (50, 200):
        found = split(DATA, steps, lipschitz(prior), second_moment(prior))
        assert found.exact.tv < found.path.pinsker < found.theorem.total


def test_bound_of_a_mixture_in_more_dimensions_is_finite():
    pair = GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], 0.3)
    found = sampled_path_kl(pair, 40, samples=500)
    assert 0 < found.pinsker < 1
