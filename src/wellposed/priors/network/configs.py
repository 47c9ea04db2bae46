"""What the networks have in common: a config that can be checked and counted before it is built."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from wellposed.checks import require, whole
from wellposed.priors.diffusion import Shape

LARGEST = 4096  # of a width: no network of this package is wider
DEEPEST = 16  # of a number of blocks


class NetworkConfig(Protocol):
    """The shape of a network, small and checked."""

    def build(self) -> nn.Module:
        """Make F(x [B, *shape], noise [B]) -> [B, *shape], new weights from torch's generator."""
        ...

    def check_shape(self, shape: Shape) -> None:
        """Require that the network takes signals of this shape."""
        ...


def sized(value: object, name: str, largest: int = LARGEST) -> None:
    """Require a whole number from 1 to ``largest``."""
    whole(value, name)
    require(
        int(value) <= largest,  # type: ignore[call-overload]
        f"{name} is {value!r}, expected at most {largest}",
        "such a network would not fit into memory",
    )


def zeroed(*layers: nn.Linear | nn.Conv2d) -> None:
    """Let layers return 0 at first."""
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


def parameter_shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a network's parameters, without making them."""
    with torch.device("meta"):
        network = config.build()
    return {name: tuple(p.shape) for name, p in network.named_parameters()}


def fresh_weights(config: NetworkConfig, seed: int) -> dict[str, Tensor]:
    """Return the weights that a training with this seed starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: p.detach() for name, p in config.build().named_parameters()}
