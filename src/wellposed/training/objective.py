"""Denoising score matching: a denoiser learns from clean signals alone.

Source     Vincent, "A connection between score matching and denoising autoencoders", Neural
           Computation 2011; Karras, Aittala, Aila, Laine, NeurIPS 2022 (weights and levels)
Model      z = x0 + sigma n, n ~ N(0, I), ln(sigma) ~ N(mean, std^2) or another law of levels
Loss       E[ w(sigma) |D(z, sigma) - x0|^2 / d ],  w = (sigma^2 + s^2) / (sigma s)^2
           Its minimiser is E[x0 | z], and (D - z) / sigma^2 is the score. With weights 1 / sigma^2
           it is the score's own squared error times sigma^2, plus a constant.
Cost       one forward and one backward pass a batch
Fails      where the law of levels puts no weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from wellposed.checks import within
from wellposed.rng import Stream


class Levels(Protocol):
    """A law of noise levels."""

    def draw(self, count: int, stream: Stream, step: int) -> Tensor:
        """Return levels [count] > 0, float32, for one step."""
        ...


@dataclass(frozen=True)
class OneLevel:
    """A single noise level.

    Parameters
    ----------
    sigma
        The level, > 0.
    """

    sigma: float

    def __post_init__(self) -> None:
        within(self.sigma, "sigma", 0, open_low=True)

    def draw(self, count: int, stream: Stream, step: int) -> Tensor:
        """Return the level, [count]."""
        return torch.full((count,), self.sigma)


@dataclass(frozen=True)
class LogNormalLevels:
    """The law of noise levels in training: ln(sigma) ~ N(mean, std^2), cut to a range.

    Parameters
    ----------
    mean, std
        Of ln(sigma); std > 0.
    sigma_min, sigma_max
        Levels outside are moved to the nearest end.
    """

    mean: float = -1.2
    std: float = 1.2
    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        within(self.mean, "mean")
        within(self.std, "std", 0, open_low=True)
        within(self.sigma_min, "sigma_min", 0, open_low=True)
        within(self.sigma_max, "sigma_max", self.sigma_min)

    def draw(self, count: int, stream: Stream, step: int) -> Tensor:
        """Draw levels [count], one from each of ``count`` equally probable strata.

        Each level has this law; together they cover it evenly, which lowers the variance of the
        gradient.
        """
        inside = stream.uniform((count,), "levels", step)
        order = stream.permutation(count, "strata", step)
        normal = torch.special.ndtri((order + inside) / count)
        levels = torch.exp(self.mean + self.std * normal)
        return levels.clamp(self.sigma_min, self.sigma_max).float()


def weight(sigma: Tensor, sigma_data: float) -> Tensor:
    """Return w(sigma): with it an untrained preconditioned network has a loss of about 1."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def loss_of_each(
    denoiser: nn.Module, x0: Tensor, sigma: Tensor, noise: Tensor, sigma_data: float
) -> Tensor:
    """Return the weighted loss of each signal, [B].

    Parameters
    ----------
    denoiser
        Takes z [B, *shape] and sigma [B], returns [B, *shape].
    x0, noise
        Clean signals and standard normal noise, [B, *shape].
    sigma
        Levels [B], > 0.
    sigma_data
        Standard deviation of a coordinate of the signal.
    """
    z = torch.addcmul(x0, sigma.reshape(-1, *[1] * (x0.ndim - 1)), noise)
    error: Tensor = (denoiser(z, sigma) - x0).flatten(1).square().mean(1)
    return weight(sigma, sigma_data) * error
