"""Langevin dynamics: what is exact, what is biased, and what annealing repairs."""

import pytest
import torch
from sampler_cases import draw, noise, uneven

from wellposed.priors import Denoiser, Gaussian
from wellposed.samplers.annealed_langevin import AnnealedLangevin
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.langevin import MALA, ULA
from wellposed.sampling import sample

LARGE = 0.15  # a step at which ULA on variance 0.25 is visibly off


def modes():
    """Overlapping modes, so that chains cross."""
    return uneven(0.6)


def test_ula_settles_at_the_variance_of_its_recursion():
    prior = Gaussian([1.0] * 4, 0.25)
    x = draw(prior, ULA(60, LARGE), 20_000, seed=3).x
    biased = 0.25 / (1 - LARGE / (2 * 0.25))
    assert float(x.var()) == pytest.approx(biased, abs=4 * biased * (2 / x.numel()) ** 0.5)
    assert biased > 1.3 * 0.25


def test_mala_settles_at_the_exact_law_at_the_same_step():
    prior = Gaussian([1.0] * 4, 0.25)
    x = draw(prior, MALA(60, LARGE), 20_000, seed=3).x
    assert float(x.mean()) == pytest.approx(1, abs=4 * (0.25 / x.numel()) ** 0.5)
    assert float(x.var()) == pytest.approx(0.25, abs=4 * 0.25 * (2 / x.numel()) ** 0.5)


def asymmetry(method):
    """E f(x) g(x') - E g(x) f(x') over one move from the exact law, in standard errors.

    Zero for every f and g is detailed balance.
    """
    n = 40_000
    x = modes().sample(n, seed=7)
    moved = draw(modes(), method, n, start=x, seed=8).x
    scores = []
    for f, g in ((torch.sin, torch.square), (torch.tanh, lambda v: v**3), (torch.abs, torch.cos)):
        gap = (f(x) * g(moved) - g(x) * f(moved)).flatten()
        scores.append(abs(float(gap.mean())) / float(gap.std() / n**0.5))
    return max(scores)


def test_mala_moves_are_reversible_and_ula_moves_are_not():
    assert asymmetry(MALA(1, LARGE)) < 4
    assert asymmetry(ULA(1, LARGE)) > 6


def drift_of_the_law(method):
    """Change of the moments of exact draws under many moves, in standard errors."""
    n = 20_000
    x = modes().sample(n, seed=9)
    moved = draw(modes(), method, n, start=x, seed=10).x
    scores = []
    for f in (torch.sin, torch.square, torch.tanh):
        gap = f(moved) - f(x)
        scores.append(abs(float(gap.mean())) / float(gap.std() / n**0.5))
    return max(scores)


def test_mala_keeps_the_law_of_a_mixture_and_ula_loses_it():
    assert drift_of_the_law(MALA(15, LARGE)) < 4
    assert drift_of_the_law(ULA(15, LARGE)) > 8


def test_mala_samples_the_smoothed_law_at_a_positive_level():
    prior = Gaussian([0.0] * 4, 0.25)
    x = draw(prior, MALA(60, LARGE, sigma=0.5), 10_000, seed=3).x
    assert float(x.var()) == pytest.approx(0.5, abs=4 * 0.5 * (2 / x.numel()) ** 0.5)


def test_acceptance_is_counted():
    prior = Gaussian([0.0], 1.0)
    seen = []
    draws = draw(
        prior, MALA(20, 1.0), 1024, seed=1, callback=lambda view: seen.append(view.x.clone())
    )
    moved = sum(int((a != b).any(1).sum()) for a, b in zip(seen[1:], seen, strict=False))
    assert draws.acceptance == pytest.approx(moved / (19 * 1024), abs=0.02)
    assert 0.3 < draws.acceptance < 0.95
    assert draw(prior, MALA(20, 1e-6), 8).acceptance == 1
    assert draw(prior, ULA(20), 8).acceptance is None


def test_a_move_of_undefined_probability_is_refused():
    """Far out the density underflows to zero on both sides: the chain stays finite."""
    prior = Gaussian([0.0], 1e-4)
    x = draw(prior, MALA(20, 10.0), 64, start=noise(64, 1)).x
    assert bool(torch.isfinite(x).all())
    start = noise(64, 1)
    assert torch.equal(draw(prior, MALA(5, 1e6), 64, start=start).x, start)


def left(x):
    return float((x < 0).double().mean())


def test_annealing_gives_the_modes_their_weights_where_plain_langevin_does_not():
    """Weights 0.8 and 0.2 at -2 and 2; standard errors 0.013 (plain) and 0.006."""
    prior = uneven(2.0)
    plain = draw(prior, ULA(1000, 0.02), 1024, start=noise(1024, 1)).x
    assert abs(left(plain) - 0.8) >= 0.15
    annealed = draw(prior, AnnealedLangevin(), 5120).x
    assert abs(left(annealed) - 0.8) <= 0.02
    diffused = draw(prior, DDPM(200), 5120).x
    assert abs(left(diffused) - 0.8) <= 0.02


def test_the_last_step_of_annealed_langevin_is_the_denoiser():
    prior, sigmas = uneven(1.0), [1.0, 0.5, 0.0]
    views = []
    x = draw(prior, AnnealedLangevin(2, 3), 50, sigmas=sigmas, callback=views.append).x
    assert torch.equal(x, prior.denoise(_padded(views[0].x), 0.5)[:50])


def _padded(x):
    return torch.cat([x, x.new_zeros(1024 - len(x), 1)])


def test_langevin_refuses_what_it_cannot_do():
    net = Denoiser(lambda z, sigma: z / (1 + sigma[:, None] ** 2), (1,))
    for method, message in (
        (ULA(5), "a denoiser says nothing about the score"),
        (MALA(5, sigma=0.1), "expected a prior with a density"),
    ):
        with pytest.raises(Exception, match=message):
            sample(net, method, n=2)
    with pytest.raises(ValueError, match="stays at one noise level"):
        sample(uneven(1.0), ULA(5), n=2, sigmas=[1.0, 0.1])
    assert len(draw(net, ULA(5, sigma=0.1), 2)) == 2
