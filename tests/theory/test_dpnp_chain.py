"""The theorem on DPnP, on the line: stationary law, rate, inexact halves, falling couplings."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm

import wellposed as wp
from wellposed.posterior import AngleODE, HeatFlow
from wellposed.theory.dpnp_chain import LineChain, Sweep, distance
from wellposed.theory.line import LineMixture

GRID = np.linspace(-5.0, 5.0, 401)
LAW = LineMixture([0.35, 0.65], [-1.2, 1.1], [0.5, 0.4])
Y, NOISE = 0.3, 0.8


def chain():
    return LineChain.of(GRID, LAW.log_density, lambda x: -0.5 * ((Y - x) / NOISE) ** 2)


def start():
    """Narrower than every law here, so that chi^2 is finite."""
    masses = np.exp(-0.5 * ((GRID - 0.5) / 0.3) ** 2)
    return masses / masses.sum()


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_the_stationary_law_is_the_prior_times_the_blurred_likelihood(eta):
    sweep = chain().sweep(eta)
    assert distance(sweep.stationary @ sweep.kernel, sweep.stationary) < 1e-12
    spread = NOISE**2 + eta**2
    exact = LAW.density(GRID) * np.exp(-0.5 * (Y - GRID) ** 2 / spread)
    assert distance(sweep.stationary, exact / exact.sum()) < 1e-10
    assert distance(sweep.stationary, chain().posterior) > 0.005


@pytest.mark.parametrize("eta", [0.3, 0.6, 1.2])
def test_the_error_falls_by_the_second_eigenvalue_each_sweep(eta):
    sweep = chain().sweep(eta)
    laws = chain().run(start(), [eta] * 60)
    errors = np.array([distance(law, sweep.stationary) for law in laws])
    rates = errors[1:] / errors[:-1]
    last = np.flatnonzero(errors > 1e-9)[-1] - 1
    assert rates[last] == pytest.approx(sweep.second_eigenvalue, abs=0.01)
    assert sweep.chi(start()) < 10
    bounds = [sweep.bound(start(), n + 1) for n in range(60)]
    assert np.all(errors <= np.array(bounds) + 1e-12)


def test_the_second_eigenvalue_tends_to_one_as_the_coupling_falls():
    found = [chain().sweep(eta).second_eigenvalue for eta in (1.6, 0.8, 0.4, 0.2)]
    assert all(0 < a < b < 1 for a, b in pairwise(found))


def perturbed(half, eps, shift):
    """A half that is off by eps in total variation: a share of its mass goes elsewhere."""
    return (1 - eps) * half + eps * np.roll(half, shift, 1)


@pytest.mark.parametrize(("one", "two"), [(0.01, 0.0), (0.0, 0.01), (0.004, 0.008)])
def test_errors_of_either_half_stay_below_the_bound(one, two):
    sweep = chain().sweep(0.6)
    wrong = Sweep(
        perturbed(sweep.towards_data, one, 60), perturbed(sweep.towards_prior, two, -90),
        sweep.stationary,
    )  # fmt: skip
    for accuracy in (0.3, 0.1, 0.01):
        n = sweep.sweeps_for(accuracy)
        law = start() @ np.linalg.matrix_power(wrong.kernel, n)
        off = distance(law, sweep.stationary)
        bound = 0.5 * accuracy * sweep.chi(start()) + n * (one + two)
        assert off <= bound
        assert sweep.bound(start(), n, one + two) <= bound + 1e-12
    assert off > 0.1 * (one + two)  # the bound is not beaten by much


def test_an_error_that_is_not_counted_breaks_the_bound():
    sweep = chain().sweep(0.6)
    wrong = Sweep(perturbed(sweep.towards_data, 0.3, 200), sweep.towards_prior, sweep.stationary)
    law = start() @ np.linalg.matrix_power(wrong.kernel, 40)
    assert distance(law, sweep.stationary) > sweep.bound(start(), 40)


def test_falling_couplings_reach_the_posterior_and_constant_ones_do_not():
    line = chain()
    off = []
    for sweeps in (8, 30, 100):
        etas = [max(0.08, 1.2 / (1 + k) ** 0.4) for k in range(sweeps)]
        off.append(distance(line.run(start(), etas)[-1], line.posterior))
    constant = distance(line.run(start(), [0.6] * 100)[-1], line.posterior)
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.5 * constant


def test_the_bias_is_of_second_order():
    line = chain()
    off = [distance(line.sweep(eta).stationary, line.posterior) for eta in (0.4, 0.2, 0.1)]
    assert off[1] / off[0] == pytest.approx(0.25, abs=0.05)
    assert off[2] / off[1] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("denoiser", [AngleODE(40), HeatFlow(100)], ids=["angle", "heat"])
def test_shipped_draws_have_the_law_of_the_chain(denoiser):
    """Three sweeps from the shipped start; Kolmogorov's test at 10^-4."""
    problem = wp.Problem([Y], wp.operators.Identity((1,)), wp.noise.Gaussian(NOISE))
    method = wp.DPnP(3, "constant", eta_max=0.6, denoiser=denoiser, tail=0)
    x = wp.recover(problem, LAW.prior, method, draws=8192, seed=3).draws[:, 0]
    spread = LAW.prior.sigma_data  # the start: D(10 s n, 10 s) + s n'
    far = 10 * spread * torch.from_numpy(norm.ppf((np.arange(400) + 0.5) / 400))[:, None]
    centres = LAW.prior.denoise(far, 10 * spread).numpy()
    begin = np.exp(-0.5 * ((GRID - centres) / spread) ** 2).mean(0)
    law = chain().run(begin / begin.sum(), [0.6] * 3)[-1]
    ends = GRID + 0.5 * (GRID[1] - GRID[0])
    assert kstest(x, lambda v: np.interp(v, ends, law.cumsum())).pvalue > 1e-4
    other = chain().run(begin / begin.sum(), [0.6] * 1)[-1]
    assert kstest(x, lambda v: np.interp(v, ends, other.cumsum())).pvalue < 1e-4


def test_lengths_and_couplings_are_checked():
    with pytest.raises(wp.WellposedError, match="shapes"):
        LineChain(GRID, GRID[1:], GRID)
    with pytest.raises(wp.WellposedError, match="eta"):
        chain().sweep(0.01)
