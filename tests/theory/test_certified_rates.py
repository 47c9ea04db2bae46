"""The full battery of exact errors: six mixtures, all lengths, with figures printed (``-s``).

The seeds were drawn at random after samplers and theory were frozen. ``test_rates`` and
``test_diffusion_identities`` have quick versions.
"""

import itertools
from functools import cache, partial

import numpy as np
import pytest
from theory_cases import WithoutAlpha, drawn_mixtures

from wellposed.rng import Stream
from wellposed.samplers.accelerated_ode import AcceleratedODE, AcceleratedODEReuse
from wellposed.samplers.accelerated_sde import AcceleratedSDE
from wellposed.samplers.ddim import DDIM
from wellposed.samplers.ddpm import DDPM
from wellposed.samplers.dpm_solver import DPMSolverPP2M
from wellposed.samplers.heun import Heun
from wellposed.samplers.ou import ExponentialOU
from wellposed.theory.fokker_planck import fokker_planck_residual, ode_drift, sde_drift
from wellposed.theory.line import LineMixture
from wellposed.theory.lineup import DETERMINISTIC_STEPS, STOCHASTIC_STEPS
from wellposed.theory.path_kl import path_kl
from wellposed.theory.propagate import exact_law
from wellposed.theory.rates import curve, log_snr_levels, slope, theory_levels
from wellposed.theory.score_error import oscillation
from wellposed.theory.sensitivity import sensitivity
from wellposed.theory.unbalanced import unequal_modes

pytestmark = pytest.mark.certify

SEEDS = (274742, 995776, 178175, 927867, 226959, 834146)
SCALED, POSTERIOR = (partial(DDPM, variance=v) for v in ("scaled", "posterior"))
ON_SEEDS = pytest.mark.parametrize("seed", SEEDS)


@cache
def law(seed):
    return drawn_mixtures(1, seed)[0]


@cache
def gaussian(seed):
    mean, std = Stream(seed).uniform((2,), "gaussian").tolist()
    return LineMixture.normal(2 * mean - 1, 0.3 + 0.6 * std)


@cache
def errors(make, steps, seed, levels=log_snr_levels, data=law):
    return curve(make, data(seed), steps, levels).tv


def order(make, seed, steps=DETERMINISTIC_STEPS, levels=log_snr_levels, data=law):
    found = errors(make, steps, seed, levels, data)
    fitted = slope(steps, found, over_log=levels is theory_levels)
    print(f"\n{getattr(make, '__name__', make)} {seed} {levels.__name__}: slope {fitted:.3f}, TV "
          + " ".join(f"{tv:.2e}" for tv in found), end="")  # fmt: skip
    return fitted


@ON_SEEDS
@pytest.mark.parametrize(
    ("make", "steps"),
    [(DDIM, DETERMINISTIC_STEPS), *((d, STOCHASTIC_STEPS) for d in (DDPM, SCALED, POSTERIOR))],
    ids=["DDIM", "DDPM", "scaled", "posterior"],
)
def test_first_order(make, steps, seed):
    assert order(make, seed, steps) == pytest.approx(-1, abs=0.05)


@ON_SEEDS
@pytest.mark.parametrize("make", [AcceleratedODE, AcceleratedODEReuse])
def test_accelerated_second_order(make, seed):
    assert order(make, seed) <= -1.9


@ON_SEEDS
def test_the_control_without_the_factor_is_of_first_order(seed):
    assert order(WithoutAlpha, seed) >= -1.1


@ON_SEEDS
@pytest.mark.parametrize("make", [Heun, DPMSolverPP2M])
def test_solvers_are_of_second_order(make, seed):
    assert order(make, seed) == pytest.approx(-2, abs=0.15)


@ON_SEEDS
def test_accelerated_noise_against_ddpm(seed):
    ratio = np.divide(*(errors(m, STOCHASTIC_STEPS, seed) for m in (AcceleratedSDE, DDPM)))
    mean = np.exp(np.log(ratio).mean())
    print(f"\nAcceleratedSDE over DDPM {seed}: {ratio.round(3).tolist()}, mean {mean:.3f}", end="")
    assert ratio[np.array(STOCHASTIC_STEPS) >= 200].max() <= 0.6
    assert mean <= 0.6


@ON_SEEDS
def test_accelerated_noise_on_gaussian_data(seed):
    assert order(AcceleratedSDE, seed, STOCHASTIC_STEPS, data=gaussian) <= -1.9


@ON_SEEDS
def test_the_schedule_of_the_theorems(seed):
    assert order(DDIM, seed, levels=theory_levels) == pytest.approx(-1, abs=0.1)
    for make in (AcceleratedODE, AcceleratedODEReuse):
        assert order(make, seed, levels=theory_levels) <= -1.75


def integrated(data):
    """Exact law and path bound of the exponential integrator at each length from 50 to 800."""
    steps = (50, 100, 200, 400, 800)
    found = [exact_law(ExponentialOU(n), data, from_noise=True).distances() for n in steps]
    bounds = [path_kl(data, n) for n in steps]
    halvings = [a.tv / b.tv for a, b in itertools.pairwise(found[1:])]
    scaled = [n * bound.total for n, bound in zip(steps[1:], bounds[1:], strict=True)]
    print(f"\nTV {[f'{one.tv:.4f}' for one in found]}, over the next {np.round(halvings, 3)}, "
          f"N KL {np.round(scaled, 2)}", end="")  # fmt: skip
    assert all(one.tv <= bound.pinsker for one, bound in zip(found, bounds, strict=True))
    assert all(one.kl <= bound.total for one, bound in zip(found, bounds, strict=True))
    return halvings, scaled


def test_the_exponential_integrator_and_its_bound():
    halvings, scaled = integrated(unequal_modes(2.0))
    assert halvings == pytest.approx([2, 2, 2], rel=0.15)
    assert max(scaled) / min(scaled) <= 1.15


@ON_SEEDS
def test_the_bound_holds_for_any_data(seed):
    """Narrower modes reach 1 / N later: the theorem asks for steps below 1 / L."""
    halvings, _ = integrated(law(seed))
    assert halvings[-1] == pytest.approx(2, rel=0.15)


@ON_SEEDS
@pytest.mark.parametrize("time", [0.02, 0.1, 0.5, 2.0])
def test_reversals(seed, time):
    assert fokker_planck_residual(law(seed), time, sde_drift, 1.0) <= 1e-4
    assert fokker_planck_residual(law(seed), time, ode_drift, 0.0) <= 1e-4


@ON_SEEDS
@pytest.mark.parametrize("size", [0.02, 0.05])
def test_oscillating_scores(seed, size):
    exact, wrong = (sensitivity(law(seed), f, "") for f in (None, oscillation(size, 10.0)))
    ode, sde = wrong.ode - exact.ode, wrong.sde - exact.sde
    print(f"\n{seed} size {size}: ODE +{ode:.4f}, SDE +{sde:.5f}", end="")
    assert ode >= 3 * abs(sde)
