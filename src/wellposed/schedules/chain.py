"""Discrete noising chains.

Model      X_t = sqrt(alpha_t) X_{t-1} + sqrt(beta_t) n,   alpha_t = 1 - beta_t,  t = 1, ..., T
           alpha_bar_t = prod_{k <= t} alpha_k,  a = sqrt(alpha_bar),  b = sqrt(1 - alpha_bar)
           z = X_t / a_t is the variance-exploding variable at sigma_t = b_t / a_t.
Indices    as in the papers: tables run over t = 0, ..., T + 1. Index 0 is where sampling ends:
           the data (beta_0 = 0), or data with a little noise left in it. Index T + 1 carries
           the schedule on by one step, for methods that look one step ahead.
Tables     Python floats, computed once in float64 through log(1 - beta), so that neither
           alpha_bar near 1 nor near 0 loses digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from wellposed.checks import require, within
from wellposed.schedules.grids import from_list
from wellposed.schedules.process import VariancePreserving

Table = tuple[float, ...]


class Denoises(Protocol):
    """The part of a diffusion prior that a chain uses."""

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return E[x0 | z]."""

    def score(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return the gradient of log p_sigma(z)."""


@dataclass(frozen=True)
class Chain:
    """A noising chain of T steps.

    Parameters
    ----------
    beta
        beta_0, ..., beta_{T+1}: beta_0 in [0, 1), the others in (0, 1).

    Raises
    ------
    InputError
        Fewer than three entries, or one outside its range.

    Examples
    --------
    >>> chain = Chain.from_betas([0.1, 0.2])
    >>> chain.length, list(chain.steps)
    (2, [2, 1])
    >>> round(chain.alpha_bar[2], 6)
    0.72
    """

    beta: Table

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", tuple(float(b) for b in self.beta))
        require(
            len(self.beta) >= 3,
            f"beta has {len(self.beta)} entries, expected T + 2 for T >= 1 steps",
            "index 0 is the end of sampling, index T + 1 carries the schedule on by one step",
            "for the betas of steps 1 to T alone use Chain.from_betas",
        )
        within(self.beta[0], "beta[0]", 0, 1, open_high=True)
        for t, beta in enumerate(self.beta[1:], 1):
            within(beta, f"beta[{t}]", 0, 1, open_low=True, open_high=True)

    @classmethod
    def from_betas(cls, betas: Sequence[float]) -> Chain:
        """Build the chain of beta_1, ..., beta_T, starting at the data; beta_T is repeated."""
        require(len(betas) > 0, "there is no beta", "a chain has at least one step")
        return cls((0.0, *betas, betas[-1]))

    @classmethod
    def from_sigmas(cls, sigmas: Sequence[float] | Tensor) -> Chain:
        """Build the chain through descending noise levels, alpha_bar = 1 / (1 + sigma^2).

        Parameters
        ----------
        sigmas
            sigma_T, ..., sigma_0: T + 1 levels, descending; the last may be zero.
        """
        levels = from_list(sigmas).tolist()
        require(
            levels[0] > levels[-1],
            f"sigmas ascend from {levels[0]:g} to {levels[-1]:g}, expected a descent",
            remedy="turn the list around",
        )
        levels.reverse()
        ratio = levels[-1] / levels[-2] if levels[-2] > 0 else 2.0
        squares = [s * s for s in (0.0, *levels, levels[-1] * ratio)]
        return cls(tuple((q - p) / (1 + q) for p, q in pairwise(squares)))

    @property
    def length(self) -> int:
        """Number of steps T."""
        return len(self.beta) - 2

    @property
    def steps(self) -> range:
        """T, ..., 1: the order in which a sampler walks; step t leads from t to t - 1."""
        return range(self.length, 0, -1)

    @cached_property
    def alpha(self) -> Table:
        """1 - beta_t, t = 0, ..., T + 1."""
        return tuple(1 - beta for beta in self.beta)

    @cached_property
    def alpha_bar(self) -> Table:
        """Product of alpha_0, ..., alpha_t."""
        return tuple(math.exp(log) for log in self._log_alpha_bar)

    @cached_property
    def a(self) -> Table:
        """sqrt(alpha_bar): coefficient of the signal."""
        return tuple(math.exp(0.5 * log) for log in self._log_alpha_bar)

    @cached_property
    def b(self) -> Table:
        """sqrt(1 - alpha_bar): standard deviation of the noise."""
        return tuple(math.sqrt(-math.expm1(log)) for log in self._log_alpha_bar)

    @cached_property
    def sigma(self) -> Table:
        """b / a: noise level in the variance-exploding frame."""
        return tuple(math.sqrt(math.expm1(-log)) for log in self._log_alpha_bar)

    @cached_property
    def process(self) -> ChainProcess:
        """The chain in continuous time, for networks trained on it."""
        return ChainProcess(self)

    def to_frame(self, x: Tensor, t: int) -> Tensor:
        """Return z = x / a_t, the variance-exploding variable at sigma_t."""
        return x / self.a[t]

    def from_frame(self, z: Tensor, t: int) -> Tensor:
        """Return x = a_t z, the chain's own scale."""
        return z * self.a[t]

    def denoise(self, prior: Denoises, x: Tensor, t: int) -> Tensor:
        """Return E[X_0 | X_t = x] of clean data, one evaluation of the prior."""
        return prior.denoise(x / self.a[t], self.sigma[t])

    def score(self, prior: Denoises, x: Tensor, t: int) -> Tensor:
        """Return the gradient of log p(X_t = x), [B, *shape], one evaluation of the prior."""
        a = self.a[t]
        return prior.score(x / a, self.sigma[t]) / a

    @cached_property
    def _log_alpha_bar(self) -> list[float]:
        logs: list[float] = np.log1p(-np.asarray(self.beta)).cumsum().tolist()
        return logs


@dataclass(frozen=True)
class ChainProcess(VariancePreserving):
    """A chain in continuous time: log sigma is linear between t = 1, ..., T.

    A network trained on the chain wants its own index: 0, ..., T - 1 in most code, which is
    t - 1 here.

    Parameters
    ----------
    chain
        The chain.

    Examples
    --------
    >>> process = Chain.from_sigmas([8.0, 4.0, 2.0, 0.0]).process
    >>> round(process.time(4.0), 9), round(process.sigma(1.5), 6)
    (2.0, 2.828427)
    """

    chain: Chain

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Smallest and largest level: sigma_1, sigma_T."""
        return self.chain.sigma[1], self.chain.sigma[self.chain.length]

    @cached_property
    def _nodes(self) -> Tensor:
        return torch.tensor(self.chain.sigma[1:-1], dtype=torch.float64).log()

    def _sigma(self, t: Tensor) -> Tensor:
        size = self._nodes.numel()
        self._covers(t, 1, size, "t")
        left = t.detach().floor().long().clamp(1, max(size - 1, 1)) - 1
        right = (left + 1).clamp_max(size - 1)
        share = t - 1 - left
        return torch.exp((1 - share) * self._nodes[left] + share * self._nodes[right])

    def _time(self, sigma: Tensor) -> Tensor:
        low, high = self.sigma_range
        self._covers(sigma, low, high, "sigma")
        size, log = self._nodes.numel(), sigma.log()
        left = (torch.searchsorted(self._nodes, log, right=True) - 1).clamp(0, max(size - 2, 0))
        right = (left + 1).clamp_max(size - 1)
        gap = torch.where(left == right, 1.0, self._nodes[right] - self._nodes[left])
        return (1 + left + (log - self._nodes[left]) / gap).clamp(1, size)

    @staticmethod
    def _covers(value: Tensor, low: float, high: float, name: str) -> None:
        slack = 1e-6 * high  # a float32 level may round over the edge
        least, most = float(value.detach().min()), float(value.detach().max())
        require(
            least >= low * (1 - 1e-6) and most <= high + slack,
            f"{name} runs from {least:g} to {most:g}, expected {low:g} to {high:g}",
            "the chain has no noise level outside that range",
            "choose a grid inside it",
        )
