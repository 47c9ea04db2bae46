"""The loss: its decomposition, its minimiser, its law of levels."""

import math

import pytest
import torch

from wellposed.errors import InputError
from wellposed.priors import GaussianMixture
from wellposed.priors.network import MLPConfig, Preconditioned
from wellposed.rng import Stream
from wellposed.training.data import Rows
from wellposed.training.loop import Trainer, Training
from wellposed.training.objective import LogNormalLevels, OneLevel, loss_of_each, weight

PRIOR = GaussianMixture([0.4, 0.6], [[-1.0, 0.5], [1.0, 0.0]], 0.1)


class Exact(torch.nn.Module):
    """The exact denoiser, moved by a smooth error of a given size."""

    def __init__(self, error=0.0):
        super().__init__()
        self.error = error

    def forward(self, z, sigma):
        return PRIOR.denoise(z.double(), sigma.double()) + self.error * torch.sin(3 * z.double())


def test_excess_loss_is_the_squared_distance_to_the_exact_denoiser():
    """E w |D - x0|^2 = E w |D* - x0|^2 + E w |D - D*|^2: one million draws, four standard errors,
    false alarms below 1e-4."""
    n, sigma = 1_000_000, 0.5
    x0 = PRIOR.sample(n, seed=4)
    noise = Stream(4).normal((n, 2), "noise")
    levels = torch.full((n,), sigma, dtype=torch.float64)
    best = loss_of_each(Exact(), x0, levels, noise, 1.0)
    moved = loss_of_each(Exact(0.2), x0, levels, noise, 1.0)
    z = x0 + sigma * noise
    apart = weight(levels, 1.0) * (0.2 * torch.sin(3 * z)).square().mean(1)
    defect = moved - best - apart
    assert defect.mean().abs() < 4 * defect.std() / math.sqrt(n)
    shifted = 1.05 * apart  # a weight that is a twentieth off is seen
    assert (moved - best - shifted).mean().abs() > 4 * defect.std() / math.sqrt(n)


def test_an_untrained_network_has_a_loss_of_one_at_every_level():
    x0 = 0.7 * Stream(1).normal((4000, 5), "x", dtype=torch.float32)
    noise = Stream(1).normal((4000, 5), "n", dtype=torch.float32)
    network = Preconditioned(MLPConfig(5, 16, 1).build(), 0.7)
    for sigma in (0.01, 0.5, 30.0):
        loss = loss_of_each(network, x0, torch.full((4000,), sigma), noise, 0.7).mean().detach()
        assert abs(loss.item() - 1) < 0.05


def test_levels_have_their_law_and_cover_it_evenly():
    levels = LogNormalLevels(-1.0, 1.5, 1e-6, 1e6)
    t = torch.cat([levels.draw(64, Stream(2), k).log() for k in range(200)]).double()
    assert abs(float(t.mean()) + 1) < 0.01  # far below 1.5 / sqrt(12800) = 0.013: strata
    assert abs(float(t.std()) - 1.5) < 0.03
    one = torch.special.ndtr((levels.draw(64, Stream(2), 7).log().double() + 1) / 1.5)
    assert torch.equal((one * 64).long().sort().values, torch.arange(64))
    assert not torch.equal((one * 64).long(), torch.arange(64))  # in no order
    cut = LogNormalLevels(0.0, 3.0, 0.5, 2.0).draw(64, Stream(2), 0)
    assert (float(cut.min()), float(cut.max())) == (0.5, 2.0)
    assert OneLevel(0.3).draw(2, Stream(0), 0).tolist() == pytest.approx([0.3, 0.3])
    for wrong in (lambda: OneLevel(0.0), lambda: LogNormalLevels(std=0.0)):
        with pytest.raises(InputError):
            wrong()


def learnt(noise_seen):
    """Error of a small network after training, relative to the best linear denoiser's."""
    torch.manual_seed(0)
    network = Preconditioned(MLPConfig(2, 48, 2, 8).build(), 0.8)
    source = Rows(PRIOR.sample(4000, seed=1).float(), 128)
    training = Training(
        steps=500, rate=3e-3, warmup=20, levels=LogNormalLevels(-0.7, 0.8), ema=0.98
    )
    trainer = Trainer(network, source, training, 0.8)
    if not noise_seen:  # the network is told a wrong level
        trainer._forward = lambda z, sigma: network(z, 1 / sigma)
    for _ in range(training.steps):
        trainer.advance()
    z = PRIOR.sample(2000, seed=9) + 0.5 * Stream(9).normal((2000, 2), "z")
    exact = PRIOR.denoise(z, 0.5)
    with torch.no_grad():
        found = torch.func.functional_call(
            network, trainer.average, (z.float(), torch.full((2000,), 0.5))
        )
    linear = z * 0.64 / (0.64 + 0.25)
    return float((found - exact).square().mean() / (linear - exact).square().mean())


def test_training_finds_the_exact_denoiser():
    assert learnt(noise_seen=True) < 0.05
    assert learnt(noise_seen=False) > 0.2
