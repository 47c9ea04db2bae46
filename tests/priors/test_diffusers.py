"""Networks saved by diffusers, read by us: the same denoiser, the same trajectories.

The same method on both sides: DDIM with eta = 0 on "leading" timesteps, clip_sample=False and
set_alpha_to_one=True; DDPM with variance "posterior", there "fixed_small"; DPM-Solver++(2M) of
type "midpoint" with final_sigmas_type "zero", whose last step is of first order. Levels are those
of the scheduler's timesteps, closed with zero. diffusers keeps alpha_bar in float32, off by up to
1e-3 relative in 1 - alpha_bar at the first steps: for comparisons it is given ours.
"""

import json

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    ScoreSdeVeScheduler,
    UNet2DModel,
)
from diffusers.schedulers import scheduling_ddpm

import wellposed as wp
from wellposed.priors.foreign.scheduler import chain_of
from wellposed.rng import Stream
from wellposed.samplers.blocks import block_size

PLAIN = {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}
WITHOUT_ATTENTION = {
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
}
NETWORKS = {
    "as DDPM": PLAIN,
    "one head": PLAIN | {"attention_head_dim": None},
    "blocks resample": PLAIN
    | {
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "resnet_time_scale_shift": "scale_shift",
        "freq_shift": 1,
        "flip_sin_to_cos": False,
    },
    "as ADM": {
        "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "block_out_channels": (8, 16, 16),
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 4,
        "layers_per_block": 1,
    },
    "uneven": PLAIN
    | {
        "downsample_padding": 0,
        "center_input_sample": True,
        "mid_block_scale_factor": 2**0.5,
        "norm_eps": 1e-6,
        "time_embedding_dim": 24,
        "out_channels": 6,
    },
    "no middle": WITHOUT_ATTENTION | {"mid_block_type": None},
    "middle without attention": WITHOUT_ATTENTION | {"add_attention": False},
}
STEPS = 8


def network(**options):
    """Return a small network with random weights, biases too."""
    torch.manual_seed(3)
    sizes = {"block_out_channels": (8, 16), "norm_num_groups": 4, "attention_head_dim": 4}
    model = UNet2DModel(sample_size=8, **(sizes | options)).eval()
    for weight in model.parameters():
        weight.data.add_(0.05 * torch.randn_like(weight))
    return model.requires_grad_(False)


def saved(folder, model, scheduler):
    """Save a pipeline's folder and load it as a prior."""
    model.save_pretrained(folder / "unet")
    scheduler.save_pretrained(folder / "scheduler")
    return wp.load_prior(folder)


def images(count=3):
    return Stream(5).normal((count, 3, 8, 8), "images", dtype=torch.float32)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_the_network_is_the_same(options, tmp_path):
    model = network(**options)
    prior = saved(tmp_path, model, DDPMScheduler())
    x, t = images(), torch.tensor([0.0, 17.25, 999.0])
    torch.testing.assert_close(prior.network(x, t), model(x, t).sample, rtol=1e-5, atol=1e-5)


def test_a_wrong_option_is_seen(tmp_path):
    model = network(**PLAIN)
    saved(tmp_path, model, DDPMScheduler())
    path = tmp_path / "unet" / "config.json"
    for change in ({"flip_sin_to_cos": False}, {"freq_shift": 1}, {"attention_head_dim": 8},
                   {"norm_num_groups": 2}, {"downsample_padding": 0}):  # fmt: skip
        path.write_text(json.dumps(dict(model.config) | change))
        other = wp.load_prior(tmp_path)
        off = other.network(images(), torch.full((3,), 300.0)) - model(images(), 300).sample
        assert float(off.abs().max()) > 1e-3, change


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_the_denoiser_is_the_same(kind, tmp_path):
    model = network(**PLAIN).double()
    scheduler = exact(DDPMScheduler(prediction_type=kind, clip_sample=False))
    prior = saved(tmp_path, model, scheduler)
    z = images().double()
    for t in (0, 1, 40, 500, 999):
        a, sigma = prior.chain.a[t + 1], prior.chain.sigma[t + 1]
        x = a * (z + sigma * images().flip(0).double())
        told = scheduler.step(model(x, t).sample, t, x).pred_original_sample
        torch.testing.assert_close(prior.denoise(x / a, sigma), told, rtol=1e-5, atol=1e-5)
        if kind == "epsilon" and t == 500:
            assert not torch.allclose(prior.denoise(x / a, 1.001 * sigma), told, atol=1e-5)


def test_a_network_of_the_score_is_the_same(tmp_path):
    model = network(**WITHOUT_ATTENTION, time_embedding_type="fourier")
    prior = saved(tmp_path, model, ScoreSdeVeScheduler(sigma_min=0.02, sigma_max=50.0))
    assert (prior.sigma_min, prior.sigma_max) == (0.02, 50.0)
    for sigma in (0.02, 1.0, 50.0):
        z = images() * (1 + sigma)
        told = model(z, torch.full((3,), sigma)).sample
        torch.testing.assert_close(prior.score(z, sigma), told, rtol=1e-5, atol=2e-5 / sigma)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beta_schedule": "scaled_linear", "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 300},
        {"beta_schedule": "sigmoid"},
        {"trained_betas": [0.1, 0.2, 0.3]},
        {"rescale_betas_zero_snr": True},
    ],
)
def test_the_chain_is_the_same(options):
    scheduler = DDPMScheduler(**options)
    told = scheduler.alphas_cumprod.double()
    chain = chain_of(json.loads(scheduler.to_json_string()))
    ours = torch.tensor(chain.alpha_bar[1 : chain.length + 1], dtype=torch.float64)
    if options.get("rescale_betas_zero_snr"):
        assert float(told[-1]) == 0
        told = told[:-1]
    torch.testing.assert_close(ours, told, rtol=3e-5, atol=1e-6)


def exact(scheduler):
    """Give a scheduler its own schedule in float64."""
    chain = chain_of(json.loads(scheduler.to_json_string()))
    table = torch.tensor(chain.alpha_bar[1 : chain.length + 1], dtype=torch.float64)
    scheduler.alphas_cumprod = table
    return scheduler


def walked(scheduler, model, noise):
    """Return the trajectory of diffusers' own loop, in its own scale, the start first."""
    x = noise.double()
    xs = [x]
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
        xs.append(x)
    return xs


def levels(prior, scheduler):
    """Return the levels of the scheduler's timesteps, closed with zero."""
    return [prior.chain.sigma[int(t) + 1] for t in scheduler.timesteps] + [0.0]


def compare(prior, method, theirs, sigmas, noise, tol=1e-8):
    """Compare each state of a run with the other's, in the variance-preserving scale."""
    seen = []
    start = noise.double() * (1 + sigmas[0] ** 2) ** 0.5
    wp.sample(
        prior, method, n=len(noise), sigmas=sigmas, start=start, dtype=torch.float64,
        callback=lambda view: seen.append(view),
    )  # fmt: skip
    for view in seen:
        a = 1 / (1 + view.sigma**2) ** 0.5
        want = theirs[view.step][view.first : view.first + len(view.x)]
        torch.testing.assert_close(a * view.x, want, rtol=tol, atol=tol)
    assert len(seen) % method.steps == 0
    assert len(seen) >= method.steps


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_ddim_walks_the_same_way(kind, tmp_path):
    model = network(**PLAIN).double()
    scheduler = exact(DDIMScheduler(prediction_type=kind, clip_sample=False))
    prior = saved(tmp_path, model, scheduler)
    scheduler.set_timesteps(STEPS)
    theirs = walked(scheduler, model, images())
    compare(prior, wp.DDIM(STEPS), theirs, levels(prior, scheduler), images())
    with pytest.raises(AssertionError):  # the tolerance tells methods apart
        compare(prior, wp.DPMSolverPP2M(STEPS), theirs, levels(prior, scheduler), images())


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_ddpm_walks_the_same_way(kind, tmp_path, monkeypatch):
    model = network(**PLAIN).double()
    scheduler = exact(DDPMScheduler(prediction_type=kind, clip_sample=False))
    prior = saved(tmp_path, model, scheduler)
    scheduler.set_timesteps(STEPS)
    noises = our_noise(prior, 3)
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *a, **k: next(noises))
    theirs = walked(scheduler, model, images())
    method = wp.DDPM(STEPS, variance="posterior")
    compare(prior, method, theirs, levels(prior, scheduler), images())


def our_noise(prior, n):
    """Yield the noise of each step of a run with seed 0."""
    size = block_size(prior.shape)
    assert size >= n
    for step in range(STEPS):
        noise = Stream(0).normal((size, *prior.shape), "piece 1", step)
        yield noise[:n]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_2m_walks_the_same_way(kind, tmp_path):
    model = network(**PLAIN).double()
    scheduler = DPMSolverMultistepScheduler(prediction_type=kind)
    prior = saved(tmp_path, model, scheduler)
    scheduler.alphas_cumprod = exact(DDPMScheduler()).alphas_cumprod
    scheduler.set_timesteps(STEPS)
    sigmas = levels(prior, scheduler)
    scheduler.sigmas = torch.tensor(sigmas, dtype=torch.float64)
    theirs = walked(scheduler, model, images())
    # its step rounds the sample to float32
    compare(prior, wp.DPMSolverPP2M(STEPS), theirs, sigmas, images(), tol=1e-6)
