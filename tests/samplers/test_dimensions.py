"""Draws in 2, 16 and 256 dimensions against exact draws, the floor beside the distance.

Sliced W2 of 1000 draws to fresh exact draws, over that between two exact sets. For exact draws
the ratio scatters by about 0.25 around 1 (shares of modes differ from set to set), so 2 is four
standard deviations away: one false alarm in 30,000 a comparison, nine comparisons.
"""

import pytest
from benchmarks.few_steps import mixture

import wellposed as wp
from wellposed.evaluation.distances import against, sliced_w2

DRAWS, MOST = 1000, 2.0


def ratio(method, d):
    prior = mixture(d, modes=5, seed=d)
    draws = wp.sample(prior, method, n=DRAWS, seed=17).x
    return against(draws, prior, lambda x, y: sliced_w2(x, y, directions=50).mean).ratio


@pytest.mark.parametrize("d", [2, 16, 256])
@pytest.mark.parametrize(
    "method", [wp.DPMSolverPP2M(40), wp.AcceleratedODEReuse(100), wp.AcceleratedSDE(100)], ids=str
)
def test_draws_are_as_near_as_exact_ones(method, d):
    assert ratio(method, d) < MOST


@pytest.mark.parametrize("d", [2, 16, 256])
def test_three_steps_are_too_few(d):
    """Negative control."""
    assert ratio(wp.DDIM(3), d) > MOST
