"""Change of variables against closed forms, folded or not."""

import numpy as np
import pytest
from scipy.special import ndtri
from theory_cases import two_modes

from wellposed.theory.densities import GridLaw
from wellposed.theory.flows import flow_law
from wellposed.theory.line import LineMixture

NORMAL = LineMixture.normal()


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e-7), (1.2, 0.0), (0.7, -0.4)])
def test_an_affine_walk_against_the_density_on_a_grid(scale, shift):
    law = two_modes()
    found = flow_law(law, law, law, lambda y: scale * y + shift).distances()
    image = LineMixture(law.weights, scale * law.means + shift, scale * law.stds)
    want = GridLaw.of(image, law.std, 4096).distances(law)
    assert found.tv == pytest.approx(want.tv, rel=3e-5, abs=1e-12)
    assert found.kl == pytest.approx(want.kl, rel=1e-4, abs=1e-18)
    assert found.w2 == pytest.approx(want.w2, rel=1e-5, abs=1e-7)


def test_the_exact_flow_is_without_error():
    start, target = LineMixture.normal(0.0, 30.0), two_modes()

    def exact(y):
        return target.quantile(start.tails(y))

    found = flow_law(target, start, start, exact).distances()
    assert found.tv < 1e-11
    assert found.w2 < 1e-12


def test_another_start_gives_another_law():
    """Exact flow from N(0.1, 1) where N(0, 1) is exact: the law stays N(0.1, 1)."""
    found = flow_law(NORMAL, NORMAL, LineMixture.normal(0.1), lambda y: y).distances()
    assert found.tv == pytest.approx(0.0398776, rel=1e-4)
    assert found.w2 == pytest.approx(0.1, rel=1e-6)
    assert abs(found.mass) < 1e-9


def test_a_curved_walk():
    bend = 0.4
    law = flow_law(NORMAL, NORMAL, NORMAL, lambda y: y + bend * np.sin(y))
    inner = slice(4, -4)  # of the stencil
    want = 1 + bend * np.cos(law.y)
    np.testing.assert_allclose(law.stretch[inner], want[inner], atol=1e-9)
    assert law.distances().w2 == pytest.approx(bend * ((1 - np.exp(-2)) / 2) ** 0.5, rel=1e-9)


def test_a_fold_is_seen_and_summed_over_its_branches():
    """|y| of N(0, 1): twice the density on one half, so TV = 1 / 2."""
    law = flow_law(NORMAL, NORMAL, NORMAL, np.abs)
    assert law.folds
    found = law.distances()
    assert found.tv == pytest.approx(0.5, abs=2e-3)
    assert found.kl == np.inf
    assert law.distribution(np.array([-1.0, 0.0, 1.0]))[2] == pytest.approx(0.682689, abs=1e-4)
    # the monotone coupling of |y| and y: quantiles of the half-normal and of the normal
    u = (np.arange(200_000) + 0.5) / 200_000
    want = np.sqrt(np.mean((ndtri((1 + u) / 2) - ndtri(u)) ** 2))
    assert found.w2 == pytest.approx(want, rel=5e-3)


def test_a_walk_without_a_fold_does_not_fold():
    assert not flow_law(NORMAL, NORMAL, NORMAL, lambda y: y + 0.9 * np.sin(y)).folds
