"""Bits seen through errors of the signal: the blur is undone, in the noise and in the chains."""

import math

import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss

import wellposed as wp
from wellposed.errors import CapabilityError
from wellposed.noise import Gaussian, OneBit, Quantized, Tempered
from wellposed.posterior.datafit import DataFit
from wellposed.task import Task

F64 = torch.float64
NODES, WEIGHTS = (torch.from_numpy(a) for a in hermegauss(120))
SIGNS = torch.tensor([-1.0, 1.0], dtype=F64)


def probability(noise, y, mean):
    """p(y | mean) for vectors of both, [Y, M]."""
    pairs = torch.cartesian_prod(y, mean)
    logs = noise.log_density(pairs[:, :1], pairs[:, 1:])
    return logs.exp().reshape(len(y), len(mean))


def off(noise, sharp, spread, y):
    """Largest difference of a law and the blur of another, over means."""
    mean = torch.linspace(-3, 3, 61, dtype=F64)
    seen = (mean[:, None] + spread * NODES).flatten()
    blurred = probability(sharp, y, seen).reshape(len(y), len(mean), -1) @ (WEIGHTS / WEIGHTS.sum())
    return float((probability(noise, y, mean) - blurred).abs().max())


@pytest.mark.parametrize("share", [0.3, 0.75])
def test_the_blur_of_the_sharpened_law_is_the_law(share):
    laws = {OneBit(0.6, "probit"): SIGNS, Quantized(2, 0.7, 0.5): Quantized(2, 0.7, 0.5).levels}
    for noise, y in laws.items():
        spread = share * (noise.scale if isinstance(noise, OneBit) else noise.dither)
        assert off(noise, noise.sharpened(spread), spread, y) < 1e-6
        assert off(noise, noise, spread, y) > 0.01  # left alone
        assert off(noise, noise.sharpened(1.1 * spread), spread, y) > 1e-3
    logistic = OneBit(0.6)
    assert off(logistic, logistic.sharpened(share * 0.6), share * 0.6, SIGNS) < 0.004
    assert off(logistic, logistic, 0.75 * 0.6, SIGNS) > 0.02


def test_a_quarter_of_the_variance_stays():
    assert OneBit(0.6, "probit").sharpened(10.0).scale == pytest.approx(0.3)
    assert Quantized(2, 0.7, 0.5).sharpened(10.0).dither == pytest.approx(0.25)
    assert OneBit(0.6).sharpened(0.0) == OneBit(0.6)


@pytest.mark.parametrize("noise", [Gaussian(0.3), Tempered(OneBit(0.6), 0.5)])
def test_laws_of_which_no_such_thing_is_known_say_so(noise):
    assert not noise.sharpens
    with pytest.raises(CapabilityError, match="cannot be sharpened"):
        noise.sharpened(0.1)


def test_rows_of_one_norm_are_known():
    sines = wp.operators.Matrix([[1.0, 1.0], [1.0, -1.0]])
    kept = wp.operators.Mask(torch.tensor([[True, False], [True, True]]))
    assert wp.operators.Identity((3, 4)).row_norm == pytest.approx(1)
    assert kept.row_norm == pytest.approx(1)
    assert sines.row_norm == pytest.approx(math.sqrt(2))
    lines = torch.zeros(8, 8, dtype=torch.bool)
    lines[::2] = True
    assert wp.operators.Fourier(lines, (8, 8)).row_norm is None  # frequencies come in pairs
    for rows in ([[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [1.0, 1e-2]]):
        assert wp.operators.Matrix(rows).row_norm is None
    assert wp.operators.Downsample(4, (1, 16, 16)).row_norm is None


def fit(operator, noise, power=1.0):
    problem = wp.Problem(torch.ones(operator.shape_out, dtype=F64), operator, noise)
    prior = wp.Gaussian(torch.zeros(operator.shape_in, dtype=F64), 1.0)
    found = DataFit.of(Task(problem, prior, dtype=F64), "test")
    return DataFit(found.operator, found.noise, found.y, power)


def test_errors_of_the_signal_are_those_of_the_means_times_the_norm_of_a_row():
    sines = wp.operators.Matrix([[1.0, 1.0], [1.0, -1.0]])
    sharp = fit(sines, OneBit(1.0, "probit")).sharpened(0.5)
    assert sharp.noise.scale == pytest.approx(math.sqrt(1 - 2 * 0.25))
    twice = wp.operators.Matrix([[1.0], [1.0]])
    for same in (fit(twice, OneBit(1.0)), fit(sines, Gaussian(1.0)), fit(sines, OneBit(1.0), 0.5)):
        assert not same.sharpens
        assert same.sharpened(0.5) is same


@pytest.mark.parametrize(
    ("link", "proximal"), [("probit", "mala"), ("probit", "slice"), ("logistic", "mala")]
)
def test_chains_at_a_large_coupling_have_the_posterior_of_bits(link, proximal, monkeypatch):
    """Eight numbers of a Gaussian, a bit of each, by quadrature; blurred they are smaller."""
    noise, prior = OneBit(1.0, link), wp.Gaussian(torch.zeros(8, dtype=F64), 1.0)
    x = torch.linspace(-8, 8, 4001, dtype=F64)
    density = probability(noise, torch.ones(1, dtype=F64), x)[0] * (-x.square() / 2).exp()
    mean = float((density * x).sum() / density.sum())
    problem = wp.Problem(torch.ones(8, dtype=F64), wp.operators.Identity((8,)), noise)
    method = wp.DPnP(
        40, schedule="constant", eta_max=0.8, tail=0, proximal=proximal, moves=4, denoiser_steps=4
    )

    def found():
        return float(wp.recover(problem, prior, method, draws=5000, seed=3).draws.mean())

    assert found() == pytest.approx(mean, abs=0.015)
    monkeypatch.setattr(OneBit, "sharpens", False)
    assert abs(found() - mean) > 0.03


def test_the_last_coupling_is_larger_where_the_blur_is_undone():
    prior = wp.Gaussian(torch.zeros(4, dtype=F64), 1.0)
    y = torch.ones(4, dtype=F64)
    for operator, share in (
        (wp.operators.Identity((4,)), 1 / 3),
        (wp.operators.Matrix(torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.5]))), 1 / 6),
    ):
        task = Task(wp.Problem(y, operator, OneBit(0.4, "probit")), prior, dtype=F64)
        assert wp.DPnP(20).prepare(task).etas[-1] == pytest.approx(share * 0.4)
