"""Fitted slopes on few mixtures and short lengths; the full battery is in test_certified_rates."""

from functools import cache, partial

import numpy as np
import pytest
from theory_cases import WithoutAlpha, WithoutSecondNoise, drawn_mixtures

from wellposed.errors import InputError
from wellposed.samplers.accelerated_ode import AcceleratedODE, AcceleratedODEReuse
from wellposed.samplers.accelerated_ode_exact import AcceleratedODEExact
from wellposed.samplers.accelerated_sde import AcceleratedSDE
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.dpm_solver import DPMSolverPP2M
from wellposed.samplers.heun import Heun
from wellposed.samplers.pf_euler import PFEuler
from wellposed.theory.comparison import few_steps, rate
from wellposed.theory.line import LineMixture
from wellposed.theory.lineup import Bound, Entrant
from wellposed.theory.rates import curve, log_snr_levels, slope, theory_levels

STEPS = (100, 200, 400, 800)
SHORT = (50, 100, 200, 400)
MIXTURE = drawn_mixtures(1, 2024)[0]


SCALED, POSTERIOR = (partial(DDPM, variance=v) for v in ("scaled", "posterior"))


@cache
def errors(make, steps, mixture=MIXTURE):
    return curve(make, mixture, steps).tv


def tv_slope(make, steps=STEPS, mixture=MIXTURE):
    return slope(steps, errors(make, steps, mixture))


@pytest.mark.parametrize("make", [DDIM, PFEuler])
def test_plain_deterministic_samplers_are_of_first_order(make):
    assert tv_slope(make) == pytest.approx(-1, abs=0.05)


@pytest.mark.parametrize("make", [AcceleratedODE, AcceleratedODEReuse, AcceleratedODEExact])
def test_accelerated_deterministic_samplers_are_of_second_order(make):
    assert tv_slope(make) <= -1.9


def test_without_the_factor_sqrt_alpha_the_order_is_one():
    """Negative control: the order test must reject this sampler."""
    assert tv_slope(WithoutAlpha) >= -1.1


@pytest.mark.parametrize("make", [Heun, DPMSolverPP2M])
def test_solvers_are_of_second_order(make):
    assert tv_slope(make, SHORT) == pytest.approx(-2, abs=0.15)


@pytest.mark.parametrize("make", [DDPM, SCALED, POSTERIOR])
def test_ddpm_falls_like_one_over_t(make):
    assert tv_slope(make, SHORT) == pytest.approx(-1, abs=0.05)


def test_accelerated_noise_halves_the_error_of_ddpm():
    ratio = np.array(errors(AcceleratedSDE, SHORT)) / np.array(errors(DDPM, SHORT))
    assert ratio[2:].max() <= 0.6
    assert np.exp(np.log(ratio).mean()) <= 0.6


def test_all_noise_before_the_score_does_not():
    """Negative control: the second half of the noise must come after the score."""
    assert errors(WithoutSecondNoise, (100,))[0] > 0.6 * errors(DDPM, SHORT)[1]


def test_accelerated_noise_gains_an_order_on_gaussian_data():
    data = LineMixture.normal(0.6, 0.8)
    assert tv_slope(AcceleratedSDE, SHORT, data) <= -1.9
    assert tv_slope(DDPM, SHORT, data) == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [(DDIM, -1.1, -0.9), (AcceleratedODEReuse, -2.1, -1.75)],
)
def test_the_schedule_of_the_theorems_has_steps_of_log_t_over_t(make, low, high):
    found = curve(make, MIXTURE, STEPS, theory_levels)
    assert low <= slope(STEPS, found.tv, over_log=True) <= high
    # against T itself the schedule looks shallower than the method is
    assert slope(STEPS, found.tv) > slope(STEPS, found.tv, over_log=True) + 0.1


def test_few_evaluations_are_shown_as_they_are():
    found = {one.name: one.found for one in few_steps(MIXTURE)}
    for at in (0, 1):  # 5 and 10 evaluations
        literal, exact = found["AcceleratedODEReuse"][at], found["AcceleratedODEExact"][at]
        assert exact.w2 < 0.4 * literal.w2
        assert found["DDIM"][at].w2 < literal.w2
    assert found["DPMSolverPP2M"][1].w2 < found["AcceleratedODEExact"][1].w2


def test_a_rate_holds_both_grids_and_its_cost():
    found = rate(Entrant("Heun", Heun, (20, 40, 80, 160), None, True), MIXTURE)
    assert found.fixed.evaluations == (40, 80, 160, 320)
    assert found.theory is not None
    assert found.theory_slope is not None
    assert rate(Entrant("DDIM", DDIM, (10, 20, 40, 80)), MIXTURE).theory_slope is None


def test_a_slope_needs_four_lengths():
    with pytest.raises(InputError, match="expected 4"):
        slope([1, 2, 3], [1.0, 0.5, 0.3])


def test_levels():
    fixed, theory = log_snr_levels(50), theory_levels(50)
    assert len(fixed) == len(theory) == 51
    gaps = fixed.log().diff()
    assert float((gaps - gaps[0]).abs().max()) < 1e-12
    assert float(fixed[-1]) == pytest.approx(np.exp(-3))
    assert float(theory[-1]) == pytest.approx(1 / 51, rel=1e-3)  # beta_1 = T^-2


def test_a_bound_allows_what_is_as_steep():
    bound = Bound("d / T", -1.0, "")
    assert [bound.allows(s) for s in (-2.0, -1.0, -0.95, -0.85, -0.5)] == [True] * 3 + [False] * 2
