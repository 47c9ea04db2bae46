"""Networks of other kinds as variance-exploding denoisers.

Model      the network was trained on x = a(t) x0 + b(t) n and is called with (x, t).
Method     x = a z at the time t of the level sigma, and the prediction is split into
           (x0, eps) by ``schedules.conversions``; x0 is the denoiser's value.
           Exact: p(x0 | z, sigma) and p(x0 | x, t) are the same law.
Cost       one evaluation of the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.priors.denoiser import Denoiser
from wellposed.priors.diffusion import Shape
from wellposed.schedules import Chain, ChainProcess, Level, Process, split
from wellposed.schedules.conversions import Kind

Network = Callable[[Tensor, Tensor], Tensor]


def from_eps(
    network: Network, process: Process | Chain, shape: Shape, sigma_data: float = 1.0
) -> Denoiser:
    """Wrap a network that predicts the noise.

    Parameters
    ----------
    network
        Takes x [B, *shape] in the process's scale and times [B]; returns [B, *shape]. On a
        chain the times are its indices 1, ..., T, with fractions between them.
    process
        The process or chain that the network was trained on.
    shape
        Shape of one signal.
    sigma_data
        Standard deviation of a coordinate of the signal, > 0.

    Examples
    --------
    >>> import torch
    >>> from wellposed.schedules import OU
    >>> exact = lambda x, t: x * (1 - torch.exp(-2 * t))[:, None] ** 0.5  # data N(0, I)
    >>> from_eps(exact, OU(), (1,)).denoise(torch.tensor([[1.0]]), 1.0)
    tensor([[0.5000]])
    """
    return _wrap("eps", network, process, shape, sigma_data)


def from_x0(
    network: Network, process: Process | Chain, shape: Shape, sigma_data: float = 1.0
) -> Denoiser:
    """Wrap a network that predicts the signal; parameters as in ``from_eps``.

    Examples
    --------
    >>> import torch
    >>> from wellposed.schedules import OU
    >>> exact = lambda x, t: x * torch.exp(-t)[:, None]  # data N(0, I)
    >>> from_x0(exact, OU(), (1,)).denoise(torch.tensor([[1.0]]), 1.0)
    tensor([[0.5000]])
    """
    return _wrap("x0", network, process, shape, sigma_data)


def from_score(
    network: Network, process: Process | Chain, shape: Shape, sigma_data: float = 1.0
) -> Denoiser:
    """Wrap a network that predicts grad log p_t(x); parameters as in ``from_eps``.

    Examples
    --------
    >>> import torch
    >>> from wellposed.schedules import OU
    >>> exact = lambda x, t: -x  # data N(0, I)
    >>> from_score(exact, OU(), (1,)).denoise(torch.tensor([[1.0]]), 1.0)
    tensor([[0.5000]])
    """
    return _wrap("score", network, process, shape, sigma_data)


def from_v(
    network: Network, process: Process | Chain, shape: Shape, sigma_data: float = 1.0
) -> Denoiser:
    """Wrap a network that predicts v = a eps - b x0; parameters as in ``from_eps``.

    Examples
    --------
    >>> import torch
    >>> from wellposed.schedules import OU
    >>> exact = lambda x, t: 0 * x  # data N(0, I)
    >>> from_v(exact, OU(), (1,)).denoise(torch.tensor([[1.0]]), 1.0)
    tensor([[0.5000]])
    """
    return _wrap("v", network, process, shape, sigma_data)


def from_flow(
    network: Network, process: Process, shape: Shape, sigma_data: float = 1.0
) -> Denoiser:
    """Wrap a network that predicts the flow velocity a' x0 + b' eps (n - x0 on straight paths).

    Parameters as in ``from_eps``; the process needs a time derivative, so it is no chain.

    Examples
    --------
    >>> import torch
    >>> from wellposed.schedules import RectifiedFlow
    >>> exact = lambda x, t: x * ((2 * t - 1) / (t**2 + (1 - t) ** 2))[:, None]  # data N(0, I)
    >>> from_flow(exact, RectifiedFlow(), (1,)).denoise(torch.tensor([[1.0]]), 1.0)
    tensor([[0.5000]])
    """
    require(
        not isinstance(process, (Chain, ChainProcess)),
        "a flow velocity on a discrete chain is not defined",
        "it is a derivative in continuous time",
        "pass the process that the chain discretises, for example VP() or Cosine()",
    )
    return _wrap("velocity", network, process, shape, sigma_data)


def _wrap(
    kind: Kind, network: Network, process: Process | Chain, shape: Shape, sigma_data: float
) -> Denoiser:
    on = process.process if isinstance(process, Chain) else process
    low, high = on.sigma_range if isinstance(on, ChainProcess) else (0.0, math.inf)

    def function(z: Tensor, sigma: Tensor) -> Tensor:
        times = on.time(sigma.to(torch.float64))
        level = _level(on, kind, sigma, times, z)
        x = level.a * z
        return split(kind, network(x, times.to(z.dtype)), x, level).x0

    return Denoiser(function, shape, sigma_data, low, high)


def _level(on: Process, kind: Kind, sigma: Tensor, times: Tensor, z: Tensor) -> Level:
    """Coefficients at each signal's level, shaped to broadcast with z."""
    if kind == "velocity":
        table = on.level(times)
    else:
        exact = sigma.to(torch.float64)
        a = on.scale(exact)
        table = Level(a, a * exact)
    return Level(*(_column(entry, z) for entry in table))


def _column(entry: float | Tensor, z: Tensor) -> float | Tensor:
    if isinstance(entry, Tensor):
        return entry.to(z.dtype).reshape(-1, *[1] * (z.ndim - 1))
    return entry
