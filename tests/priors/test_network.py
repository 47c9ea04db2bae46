"""Networks as denoisers: shapes, preconditioning, locality, derivatives, precision."""

import math

import pytest
import torch

import wellposed as wp
from wellposed.errors import InputError
from wellposed.priors.network import (
    DiTConfig,
    MLPConfig,
    NetworkPrior,
    UNetConfig,
    fresh_weights,
    parameter_shapes,
)
from wellposed.rng import Stream

UNET = UNetConfig(2, (8, 16), (1, 1), (1, 1), 2, 8)
DIT = DiTConfig(2, 8, 12, 2, 16, 2, 2, 8)
MLP = MLPConfig(6, 16, 2, 8)
CASES = {"unet": (UNET, (2, 8, 12)), "dit": (DIT, (2, 8, 12)), "mlp": (MLP, (6,))}
every_network = pytest.mark.parametrize(("config", "shape"), CASES.values(), ids=CASES)


def stirred(config, seed=3):
    """Weights away from the start, where zeros hide mistakes."""
    fresh = fresh_weights(config, seed)
    stream = Stream(seed)
    return {n: w + 0.1 * stream.normal(w.shape, n, dtype=w.dtype) for n, w in fresh.items()}


def prior_of(config, shape, **more):
    return NetworkPrior(config, stirred(config), shape, 0.5, **more)


def signals(shape, n=3, key="z"):
    return Stream(5).normal((n, *shape), key, dtype=torch.float32)


@every_network
def test_denoiser_is_the_preconditioned_network(config, shape):
    prior, z = prior_of(config, shape), signals(shape)
    sigma = torch.tensor([0.01, 0.7, 30.0])
    network = config.build()
    network.load_state_dict(prior.weights, strict=True)
    for k, s in enumerate(sigma.tolist()):
        row = z[k : k + 1]
        scale = math.sqrt(s**2 + 0.25)
        f = network(row / scale, torch.tensor([math.log(s) / 4]))
        wanted = row * 0.25 / scale**2 + f * s * 0.5 / scale
        torch.testing.assert_close(prior.denoise(z, sigma)[k : k + 1], wanted, rtol=1e-4, atol=1e-5)
        wrong = row * 0.25 / scale**2 + f * s * 0.5 / scale**2  # a factor that is easily forgotten
        assert (prior.denoise(z, sigma)[k : k + 1] - wrong).abs().max() > 1e-3


@every_network
def test_untrained_networks_shrink_as_the_best_linear_denoiser_does(config, shape):
    prior, z = NetworkPrior(config, fresh_weights(config, 0), shape, 0.5), signals(shape)
    torch.testing.assert_close(prior.denoise(z, 0.5), z / 2)


@every_network
def test_derivative_along_a_direction_agrees_with_differences(config, shape):
    prior = prior_of(config, shape)
    z, v = signals(shape).double(), signals(shape, key="v").double()
    prior._denoiser.double()
    exact = prior.denoise_jvp(z, 0.6, v)
    h = 1e-5
    differences = (prior.denoise(z + h * v, 0.6) - prior.denoise(z - h * v, 0.6)) / (2 * h)
    torch.testing.assert_close(exact, differences, rtol=1e-5, atol=1e-7)


@every_network
def test_precision_follows_the_signal_and_half_is_close(config, shape):
    prior, z = prior_of(config, shape), signals(shape)
    exact = prior.denoise(z.double(), 0.3)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, prior.denoise(z, 0.3).double(), rtol=1e-4, atol=1e-5)
    rough = prior_of(config, shape, half=True).denoise(z, 0.3)
    assert rough.dtype == torch.float32
    error = (rough - exact).square().mean().sqrt()
    assert 0 < error < 0.05 * (exact - z).square().mean().sqrt()


def test_what_a_unet_says_of_a_pixel_does_not_depend_on_distant_ones():
    config = UNetConfig(1, (8, 8), (1, 1), (1, 1), 1, 8)
    prior = NetworkPrior(config, stirred(config), (1, 64, 8), 0.5)
    z = signals((1, 64, 8), 1)
    other = z.clone()
    other[:, :, 48:] += 1
    moved = (prior.denoise(z, 1.0) - prior.denoise(other, 1.0)).abs().amax((0, 1, 3))
    assert moved[:16].max() == 0 < moved[48:].max()


def test_a_unet_takes_every_size_that_its_stride_divides():
    prior = prior_of(UNET, (2, 8, 12))
    assert UNET.stride == 4
    assert prior.at((2, 20, 4)).denoise(signals((2, 20, 4)), 1.0).shape == (3, 2, 20, 4)
    with pytest.raises(InputError, match="divisible by 4"):
        prior.at((2, 8, 10))
    with pytest.raises(InputError, match=r"expected \[2, 8, 12\]"):
        prior_of(DIT, (2, 8, 12)).at((2, 16, 12))


def test_a_transformer_with_closed_gates_reads_squares_and_the_whole():
    """Blocks that add nothing leave linear maps around a norm, here square by square."""
    weights = stirred(DIT)
    for name, w in weights.items():
        if "modulation" in name or name.startswith("last"):
            w.zero_()
    network = DIT.build()
    network.load_state_dict(weights, strict=True)
    x = signals((2, 8, 12), 2)

    def mapped(name, v):
        return v @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(v):
        return torch.nn.functional.layer_norm(v, (16,))

    def wanted(picture):
        whole = mapped("leave_whole", norm(mapped("enter_whole", picture.reshape(2, -1))))
        found = whole.reshape(x.shape).clone()
        for place, position in enumerate(network.positions):
            i, j = 2 * (place // 6), 2 * (place % 6)
            t = mapped("enter", x[:, :, i : i + 2, j : j + 2].reshape(2, -1)) + position
            found[:, :, i : i + 2, j : j + 2] += mapped("leave", norm(t)).reshape(2, 2, 2, 2)
        return found

    laid = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(laid, torch.zeros(2)), wanted(x), rtol=1e-4, atol=1e-5)
    wrong = wanted(x.permute(0, 2, 3, 1))  # in the order of the memory, not of the picture
    assert (network(laid, torch.zeros(2)) - wrong).abs().max() > 1e-2


def test_draws_do_not_depend_on_how_many_are_asked_for_and_a_run_resumes(tmp_path):
    prior = prior_of(UNET, (2, 8, 12))
    method = wp.DDIM(4)
    many = wp.sample(prior, method, n=40, seed=1, out=tmp_path / "run").x
    assert torch.equal(many[:3], wp.sample(prior, method, n=3, seed=1).x)
    assert torch.equal(many, wp.resume(tmp_path / "run").x)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: w.pop("leave.bias"), "1 weights are missing"),
        (lambda w: w.update(other=torch.zeros(1)), "1 weights are surplus"),
        (lambda w: w.update({"leave.bias": torch.zeros(3)}), r"shape \[3\], expected \[8\]"),
        (lambda w: w["leave.bias"].fill_(math.nan), "leave.bias has 8 NaN"),
    ],
    ids=["missing", "surplus", "shape", "nan"],
)
def test_weights_that_do_not_fit_are_refused(change, told):
    weights = fresh_weights(UNET, 0)
    change(weights)
    with pytest.raises(InputError, match=told):
        NetworkPrior(UNET, weights, (2, 8, 12), 0.5)


def test_configs_are_bounded_and_counted_without_memory():
    large = UNetConfig(3, (4096,) * 4, (16,) * 4, (16,) * 4)
    assert sum(math.prod(s) for s in parameter_shapes(large).values()) > 25e9
    for wrong in (
        lambda: UNetConfig(widths=(8192,), down=(1,), up=(1,)),
        lambda: UNetConfig(down=(1, 1, 1)),
        lambda: DiTConfig(patch=3),
        lambda: DiTConfig(heads=7),
        lambda: MLPConfig(0),
        lambda: MLPConfig(2, depth=1000),
    ):
        with pytest.raises(InputError):
            wrong()
