"""The battery of samplers on a network: the same promises as for every other prior."""

import pytest
import torch
from test_samplers import METHODS, grid

import wellposed as wp
from wellposed.priors.network import NetworkPrior, UNetConfig, fresh_weights
from wellposed.rng import Stream
from wellposed.run import Status

CONFIG = UNetConfig(1, (8, 8), (1, 1), (1, 1), 2, 8)


def prior():
    """A small U-Net whose output layer is not zero."""
    weights = {
        n: w + 0.05 * Stream(1).normal(w.shape, n, dtype=w.dtype)
        for n, w in fresh_weights(CONFIG, 0).items()
    }
    return NetworkPrior(CONFIG, weights, (1, 16, 16), 0.5, 1e-3, 200.0)


@pytest.mark.parametrize(
    "method", [m for m in METHODS if not isinstance(m, wp.MALA)], ids=str
)  # MALA needs a density
def test_draws_are_sound_resumable_and_independent_of_their_number(method, tmp_path):
    network = prior()
    levels = {"sigmas": grid(method)}
    many = wp.sample(network, method, n=20, seed=1, **levels, out=tmp_path / "run")
    assert many.status is Status.COMPLETE
    assert torch.isfinite(many.x).all()
    assert torch.equal(many.x[:3], wp.sample(network, method, n=3, seed=1, **levels).x)
    assert torch.equal(
        many.x, wp.sample(network, method, n=20, seed=1, **levels, out=tmp_path / "run").x
    )
    assert torch.equal(many.x, wp.resume(tmp_path / "run").x)
    assert not torch.equal(many.x, wp.sample(network, method, n=20, seed=2, **levels).x)
