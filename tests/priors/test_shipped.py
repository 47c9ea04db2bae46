"""The priors that come with the package: small, with cards, and better than doing nothing."""

import numpy as np
import pytest
import torch

import wellposed as wp
from wellposed.datasets import load
from wellposed.priors.checkpoint import read_card
from wellposed.priors.load import shipped
from wellposed.rng import Stream


@pytest.mark.parametrize("name", ["fashion", "photo"])
def test_files_are_small_and_say_what_they_are(name):
    path = shipped()[name]
    assert path.stat().st_size <= 8_000_000
    card, told = read_card(path), path.with_suffix(".md").read_text()
    assert card["name"] == name
    assert card["licence"] in told
    assert "## Limits" in told
    assert path.with_name("LICENSE-photo.txt").exists()


def psnr(x, truth):
    return -10 * float((x - truth).div(2).square().mean().log10())


def test_photo_cleans_a_picture_that_it_has_not_seen():
    frame = torch.from_numpy(np.asarray(load("walkers").frames[0, :64, :96])).float()
    truth = (frame / 127.5 - 1).expand(1, 3, 64, 96)
    prior = wp.load_prior("photo", shape=(3, 64, 96))
    for sigma, gain in ((0.2, 6), (0.4, 8), (1.0, 12)):
        z = truth + sigma * Stream(1).normal(truth.shape, "noise", dtype=torch.float32)
        assert psnr(prior.denoise(z, sigma), truth) > psnr(z, truth) + gain
        dimmed = psnr(z / (1 + sigma**2 / 0.25), truth)  # what no network at all would do
        assert psnr(prior.denoise(z, sigma), truth) > dimmed + 2


def test_fashion_draws_are_grey_pictures_with_a_black_border():
    x = wp.sample(wp.load_prior("fashion"), wp.DPMSolverPP2M(10), n=4, seed=3).x
    assert x.shape == (4, 1, 32, 32)
    assert x[..., :1, :].mean() < -0.97
    assert x[..., 8:24, 8:24].mean() > -0.8
