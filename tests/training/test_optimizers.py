"""Optimizers share out the weights; Muon's step is the orthogonal factor of its gradient."""

import pytest
import torch

from wellposed.priors.network import DiTConfig, UNetConfig
from wellposed.training.optimizers import Optimizers

RATE = 0.01


def weights_of(config):
    network = config.build().to(memory_format=torch.channels_last)
    return network, dict(network.named_parameters())


def stepped(name):
    """Return a hidden kernel's gradient and step, as matrices of one order of entries."""
    torch.manual_seed(3)
    _, weights = weights_of(UNetConfig(1, (32,), (1,), (1,), 2, 8))
    w = weights["down.0.0.first.weight"]
    before = w.detach().clone()
    optimizers = Optimizers(name, {"kernel": w}, weight_decay=0.0)
    w.grad = torch.randn(w.shape).contiguous(memory_format=torch.channels_last)
    gradient = w.grad.clone()
    optimizers.step(RATE)
    return gradient.flatten(1), (before - w.detach()).flatten(1)


def test_a_step_of_muon_is_the_orthogonal_factor_of_the_gradient():
    """Newton-Schulz in bfloat16 brings singular values near 1, not to it."""
    scale = RATE * 0.2 * (32 * 9) ** 0.5

    def spread(name):
        gradient, step = stepped(name)
        u, _, vh = torch.linalg.svd(gradient, full_matrices=False)
        values = torch.linalg.svdvals(step / scale)
        return values.min(), values.max(), (step * (u @ vh)).sum() / scale / 32

    low, high, along = spread("muon")
    assert low > 0.6
    assert high < 1.3
    assert 0.8 < along < 1.2
    low, high, _ = spread("sgd")
    assert not (low > 0.6 and high < 1.3)


NETWORKS = [UNetConfig(3, (40, 48), (1, 1), (1, 1), 2, 64), DiTConfig(1, 8, 8, width=32)]


@pytest.mark.parametrize("config", NETWORKS, ids=str)
def test_each_weight_has_one_optimizer_and_every_one_moves(config):
    network, weights = weights_of(config)
    optimizers = Optimizers("muon", weights, weight_decay=0.0)
    muon, adamw = optimizers.parts
    assert isinstance(muon, torch.optim.Muon)
    counts = [sum(len(g["params"]) for g in part.param_groups) for part in (muon, adamw)]
    assert sum(counts) == len(weights)
    apart = [n for n in weights if optimizers.leaves[n] is weights[n] and weights[n].ndim > 1]
    assert counts[0] > 0
    assert all(
        any(word in n for word in ("modulation", "level", "enter", "leave", "last")) for n in apart
    )
    before = {n: w.detach().clone() for n, w in weights.items()}
    for w in weights.values():
        w.grad = torch.randn_like(w)
    optimizers.step(RATE)
    assert all(not torch.equal(before[n], w) for n, w in network.named_parameters())


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_moments_restored_lead_to_the_same_next_step(name):
    torch.manual_seed(5)
    config = UNetConfig(1, (32,), (1,), (1,), 2, 8)
    (_, one), (_, other) = weights_of(config), weights_of(config)
    first, second = (Optimizers(name, w, weight_decay=0.01) for w in (one, other))
    gradients = [{n: torch.randn_like(w) for n, w in one.items()} for _ in range(2)]

    def take(optimizers, weights, gradient):
        for n, w in weights.items():
            w.grad = gradient[n].clone()
        optimizers.step(RATE)

    take(first, one, gradients[0])
    with torch.no_grad():
        for n, w in other.items():
            w.copy_(one[n])
    kept = {n: {k: m.clone() for k, m in held.items()} for n, held in first.moments().items()}
    second.restore(kept)
    take(first, one, gradients[1])
    take(second, other, gradients[1])
    assert all(torch.equal(one[n], other[n]) for n in one)
    third = Optimizers(name, other, weight_decay=0.01)  # without its moments
    take(third, other, gradients[1])
    take(first, one, gradients[1])
    assert name == "sgd" or any(not torch.equal(one[n], other[n]) for n in one)
