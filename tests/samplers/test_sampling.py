"""The verb: blocks, seeds, starts, encoding, callbacks, types, memory, and what it refuses."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sampler_cases import bumps, draw, gaussian, noise, rms, slope, uneven

import wellposed as wp
from wellposed.samplers.blocks import block_size
from wellposed.schedules.grids import log_uniform


def test_the_default_sampler_draws_the_prior():
    draws = wp.sample(uneven(2.0), n=5120, seed=2)
    assert draws.status is wp.Status.COMPLETE
    assert (len(draws), draws.evaluations, draws.trace) == (5120, 20, None)
    assert float((draws.x < 0).double().mean()) == pytest.approx(0.8, abs=4 * 0.0056)


def test_the_first_draws_do_not_depend_on_how_many_were_asked_for():
    prior = uneven(2.0)
    many = wp.sample(prior, wp.DDPM(20), n=2500, seed=4).x
    for n in (1, 1024, 1500):
        assert torch.equal(wp.sample(prior, wp.DDPM(20), n=n, seed=4).x, many[:n])
    assert not torch.equal(many[:1024], many[1024:2048])
    assert not torch.equal(many, wp.sample(prior, wp.DDPM(20), n=2500, seed=5).x)


def test_blocks_depend_on_the_size_of_the_signal_only():
    assert [block_size(s) for s in ((), (1,), (4, 4), (4097,))] == [1024, 1024, 256, 1]


def test_rescaled_data_give_rescaled_draws():
    small = wp.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], 0.25)
    large = wp.GaussianMixture([0.3, 0.7], [[-8.0], [8.0]], 64 * 0.25)
    for method in (wp.DPMSolverPP2M(8), wp.DDIM(8, eta=0.5), wp.Heun(8), wp.AnnealedLangevin(8, 2)):
        a, b = (wp.sample(p, method, n=30).x for p in (small, large))
        assert rms(b / 8 - a) < 1e-12


def test_draws_of_every_size_of_signal():
    for shape in ((), (3,), (2, 3, 4)):
        prior = wp.Denoiser(lambda z, sigma: 0 * z, shape)
        assert wp.sample(prior, wp.DDIM(3), n=5).x.shape == (5, *shape)


# ---------------------------------------------------------------- starts and levels


def test_a_start_is_z_at_the_first_level_and_x_comes_back_at_the_last():
    prior, sigmas = gaussian(), [2.0, 1.0, 0.5]
    start = noise(6, 4, 2.0)
    for method in (wp.DDIM(2), wp.PFEuler(2), wp.AcceleratedODEExact(2), wp.ExponentialOU(2)):
        seen = []
        x = draw(prior, method, 6, start=start, sigmas=sigmas, callback=seen.append).x
        assert torch.equal(seen[-1].x, x)
        assert [view.sigma for view in seen] == pytest.approx([1.0, 0.5], rel=1e-12)
    still = draw(prior, wp.DDIM(1), 6, start=start, sigmas=[2.0, 2.0 - 1e-12]).x
    assert rms(still - start) < 1e-10
    on_chain = draw(prior, wp.PFEuler(1), 6, start=start, sigmas=[2.0, 2.0 - 1e-9]).x
    assert rms(on_chain - start) < 1e-8


def test_one_start_serves_all_chains():
    prior, start = gaussian(), noise(1, 4)[0]
    x = draw(prior, wp.DDPM(20), 3000, start=start).x
    assert torch.equal(x, draw(prior, wp.DDPM(20), 3000, start=start.expand(3000, 4)).x)
    assert float(x.std(0).min()) > 0


def test_chunks_of_a_start_are_the_same_chains():
    prior, start = uneven(1.0), noise(2100, 1, 3.0)
    whole = draw(prior, wp.DPMSolverPP2M(6), 2100, start=start).x
    part = draw(prior, wp.DPMSolverPP2M(6), 1030, start=start[:1030]).x
    assert torch.equal(whole[:1030], part)


@pytest.mark.parametrize(
    ("method", "order"), [(wp.DDIM, 1), (wp.Heun, 2), (wp.DPMSolverPP2M, 2)], ids=str
)
def test_encoding_and_back_is_a_round_trip(method, order):
    """At the order of the sampler at least: even errors of the two ways cancel."""
    prior, steps, errors = bumps(), (40, 80, 160), []
    signals = prior.sample(100, seed=6)
    for n in steps:
        grid = log_uniform(n + 1, 80.0, 0.02)
        codes = draw(prior, method(n), 100, start=signals, sigmas=grid.flip(0)).x
        errors.append(rms(draw(prior, method(n), 100, start=codes, sigmas=grid).x - signals))
    assert slope(steps, errors) < -order + 0.15
    assert errors[-1] < (0.1 if order == 1 else 0.005)


def test_codes_are_normal():
    prior = bumps()
    signals = prior.sample(4096, seed=6)
    codes = draw(
        prior, wp.DPMSolverPP2M(60), 4096, start=signals, sigmas=log_uniform(61, 80.0, 0.02).flip(0)
    ).x
    u = (codes / 80).flatten()
    assert float(u.mean()) == pytest.approx(0, abs=4 / 64)
    assert float(u.var()) == pytest.approx(1, abs=4 * (2 / 4096) ** 0.5)
    assert float((u**4).mean()) == pytest.approx(3, abs=4 * (96 / 4096) ** 0.5)


# ---------------------------------------------------------------- observers


def test_callbacks_see_every_step_of_every_block():
    views = []
    draws = draw(uneven(1.0), wp.DPMSolverPP2M(4), 1500, callback=views.append)
    assert [(v.step, v.first, len(v.x)) for v in views] == [
        (step, first, rows) for first, rows in ((0, 1024), (1024, 476)) for step in (1, 2, 3, 4)
    ]
    assert torch.equal(views[-1].x, draws.x[1024:])
    before, after = views[0], views[1]
    assert before.x0.shape == before.x.shape
    padded = torch.cat([before.x, before.x[:0]])
    assert rms(after.x0 - uneven(1.0).denoise(padded, before.sigma)) == 0


def test_watching_does_not_change_the_draws(capsys):
    prior = uneven(1.0)
    silent = draw(prior, wp.DDPM(20), 1500, seed=1)
    watched = draw(
        prior, wp.DDPM(20), 1500, seed=1, trace=True, progress=True, callback=lambda view: None
    )
    assert torch.equal(silent.x, watched.x)
    assert watched.trace.step.tolist() == list(range(1, 21))
    assert (np.diff(watched.trace.seconds) >= 0).all()
    assert (np.diff(watched.trace.sigma) < 0).all()


def test_a_callback_can_stop_the_run():
    def stop(view):
        if view.first == 1024 and view.step == 3:
            raise KeyboardInterrupt

    draws = wp.sample(uneven(1.0), wp.DDIM(5), n=3000, callback=stop)
    assert draws.status is wp.Status.INTERRUPTED
    assert torch.equal(draws.x, draw(uneven(1.0), wp.DDIM(5), 1024).x)
    assert "step 4 of draws 1024 to 2047" in draws.note


def test_a_denoiser_that_breaks_is_a_status_with_a_place():
    calls = []

    def breaks(z, sigma):
        calls.append(1)
        return z * (float("nan") if len(calls) == 40 else 0.5)

    prior = wp.Denoiser(breaks, (1,))
    draws = wp.sample(prior, wp.DDIM(30), n=3000, trace=True)
    assert draws.status is wp.Status.DIVERGED
    assert not draws.status.ok
    assert len(draws) == 1024  # the first block, which was sound
    assert "draws 1024 to 2047 became NaN or infinite by step 10" in draws.note
    assert len(calls) == 40  # and nothing was computed from it


# ---------------------------------------------------------------- types


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_the_priors_unless_told(dtype):
    prior = wp.Gaussian(torch.zeros(2, dtype=dtype), 1.0)
    assert wp.sample(prior, n=3).x.dtype is dtype
    for asked in (torch.float32, torch.float64):
        assert wp.sample(prior, n=3, dtype=asked).x.dtype is asked
    assert wp.sample(wp.Denoiser(lambda z, s: 0 * z, (2,)), n=3).x.dtype is torch.float32
    start = torch.zeros(3, 2, dtype=dtype)
    free = wp.sample(wp.Denoiser(lambda z, s: 0 * z, (2,)), n=3, start=start)
    assert free.x.dtype is dtype


def test_numpy_starts_give_numpy_draws():
    start = noise(3, 4)
    draws = draw(gaussian(), wp.DDIM(4), 3, start=start.numpy())
    assert isinstance(draws.x, np.ndarray)
    assert np.array_equal(draws.x, draw(gaussian(), wp.DDIM(4), 3, start=start).x.numpy())
    assert isinstance(draw(gaussian(), wp.DDIM(4), 3, device="cpu").x, torch.Tensor)


def test_no_graph_is_kept():
    weight = torch.ones(1, requires_grad=True)
    prior = wp.Denoiser(lambda z, sigma: weight * z * 0.5, (1,))
    assert not wp.sample(prior, wp.Heun(3), n=2).x.requires_grad


# ---------------------------------------------------------------- memory

LARGE = """
import resource, sys, torch, wellposed as wp
torch.set_num_threads(1)
wp.sample(wp.Gaussian([0.0, 0.0], 1.0), wp.DDIM(1), n=5000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n, d = {n}, {d}
prior = wp.Denoiser(lambda z, sigma: z / (1 + sigma[:, None] ** 2), (d,))
x = wp.sample(prior, wp.DPMSolverPP2M(1), n=n, sigmas=[80.0, 0.0]).x
assert x.shape == (n, d)
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(used / 2**20 - x.numel() * x.element_size() / 2**30)
"""


@pytest.mark.parametrize(("n", "d"), [(1_000_000, 2), (10_000, 3072)])
def test_memory_stays_near_that_of_the_result(n, d):
    code = LARGE.format(n=n, d=d)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(told.stdout) < 0.25  # GB above the result; one is promised


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": 2.0}, "n is 2.0"),
        ({"seed": -1}, "seed is -1"),
        ({"method": "ddim"}, "method is 'ddim', expected a sampler"),
        ({"method": wp.DDIM}, "expected a sampler such as"),
        ({"method": wp.ScaledGD()}, "expected a sampler such as"),
        ({"prior": wp.LowRank(2)}, "expected a diffusion prior"),
        ({"sigmas": [1.0, -0.1]}, "expected >= 0"),
        ({"sigmas": [1.0, 2.0, 0.5]}, "neither strictly descending nor strictly ascending"),
        ({"sigmas": [1.0, 1.0]}, "neither"),
        ({"sigmas": [float("nan"), 1.0]}, "1 NaN"),
        ({"sigmas": [1.0]}, "two or more levels"),
        ({"sigmas": [1.0, 0.5, 0.1]}, r"has 3 levels, expected 2 for DDIM\(steps=1\)"),
        ({"sigmas": [0.1, 1.0]}, "sigmas ascend and there is no start"),
        ({"sigmas": [0.0, 1.0], "start": [[0.5]] * 3}, "sigmas ascend from zero"),
        ({"start": [[0.5]] * 2}, r"start has shape \[2, 1\]"),
        ({"start": [[float("inf")]] * 3}, "start has 3 NaN or infinite"),
        ({"start": [[1j]] * 3}, "real numbers"),
        ({"start": "here"}, "expected numbers"),
        ({"dtype": torch.float16}, "dtype is torch.float16"),
        ({"dtype": "float32"}, "dtype is 'float32'"),
        ({"device": "nowhere"}, "device is 'nowhere'"),
        ({"checkpoint_seconds": -1.0}, "checkpoint_seconds is -1.0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    arguments = {"prior": bumps(), "method": wp.DDIM(1), "n": 3} | arguments
    with pytest.raises(wp.WellposedError, match=message):
        wp.sample(**arguments)


def test_levels_that_the_denoiser_does_not_cover_are_named():
    net = wp.Denoiser(lambda z, sigma: 0 * z, (1,), sigma_min=0.05, sigma_max=50.0)
    with pytest.raises(wp.WellposedError, match=r"the prior covers 50 to 0\.05"):
        wp.sample(net, wp.DDPM(100), n=1)
    with pytest.raises(wp.WellposedError, match=r"Heun evaluates the denoiser from sigma = 63\.6"):
        wp.sample(net, wp.Heun(2, churn=1.0), n=1, sigmas=[45.0, 1.0, 0.0])
    assert len(wp.sample(net, n=1)) == 1


def test_a_theory_schedule_that_is_too_short_is_refused():
    with pytest.raises(wp.WellposedError, match="expected h < 1"):
        wp.sample(bumps(), wp.AcceleratedSDE(10), n=1)
