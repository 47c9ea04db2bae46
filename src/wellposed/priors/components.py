"""Exact mixtures of Gaussians at every noise level.

Model      x0 ~ sum_k w_k N(m_k, C_k),  z = x0 + sigma n,  s = sigma^2
Density    log p(z) = logsumexp_k(log w_k - energy_k) - (d / 2) log(2 pi)
Denoiser   D = sum_k r_k [ keep(C_k) m_k + shrink(C_k) z ],  r = softmax(log w - energy):
           responsibilities times shrinkage, a sum of terms that do not cancel
Score      sum_k r_k (C_k + s)^-1 (m_k - z), not through D, which cancels at small sigma
Jacobian   D' v = sum_k r_k shrink(C_k) v + sum_k r_k (g_k - mean g) D_k,  g_k = slope_k(v)
Cost       see ``families``; rows are taken in chunks of at most ``BUDGET`` numbers.
Accuracy   arithmetic is float64 whatever the dtype of z, the result has the dtype of z: in
           float32 energies of d = 10^4 coordinates would be off by more than one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import threshold

from wellposed.checks import require
from wellposed.priors.families import Family, Seen, keep, nothing, press, repel, shrink
from wellposed.rng import Stream

BUDGET = 4_000_000  # float64 numbers in flight: 32 MB
NEGLIGIBLE = 1e-100  # denormal responsibilities would make products a hundred times slower
Work = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Components:
    """Weights and Gaussian components, with means taken from a common centre.

    Parameters
    ----------
    log_weights
        [K], float64; minus infinity for a component without weight.
    centre
        [d]: the means of the family are relative to it, so distances lose no digits to it.
    family
        The components.
    """

    log_weights: Tensor
    centre: Tensor
    family: Family

    def denoise(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return E[x0 | z], [B, d]."""
        return self._by_rows(self._denoise, sigma, z)

    def score(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return the gradient of log p at z, [B, d]."""
        return self._by_rows(self._score, sigma, z)

    def log_density(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return log p at z, [B]."""
        return self._by_rows(self._log_density, sigma, z)

    def denoise_jvp(self, z: Tensor, sigma: float | Tensor, v: Tensor) -> Tensor:
        """Return the derivative of the denoiser along v, [B, d]."""
        return self._by_rows(self._jvp, sigma, z, v)

    def responsibilities(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        """Return the posterior probability of each component at z, [B, K], float64."""
        return self._run(
            lambda s, rows: self._responsibilities(self._look(rows), s),
            _variance(sigma, z), [z.flatten(1)],
        )  # fmt: skip

    def mean(self) -> Tensor:
        """Return the mean, [d]."""
        return self.centre + self.log_weights.exp() @ self.family.means

    def variance(self) -> Tensor:
        """Return the variance of each coordinate, [d]."""
        weights, means = self.log_weights.exp(), self.family.means
        spread = (means - weights @ means).square()
        return weights @ (self.family.variances() + spread)

    def draw(self, stream: Stream, count: int) -> Tensor:
        """Draw [count, d] signals."""
        index = self.pick(stream, count)
        white = stream.normal((count, self.centre.numel()), "prior signal")
        drift = self.centre + self.family.means[index]
        return drift + self.family.color(index, white.to(drift.device))

    def pick(self, stream: Stream, count: int) -> Tensor:
        """Draw [count] component numbers."""
        edges = self.log_weights.exp().cumsum(0)
        u = stream.uniform((count,), "prior component").to(edges.device) * edges[-1]
        return torch.searchsorted(edges, u, right=True).clamp_max(edges.numel() - 1)

    def _look(self, z: Tensor) -> Seen:
        return self.family.look(z.to(torch.float64) - self.centre)

    def _responsibilities(self, seen: Seen, s: Tensor) -> Tensor:
        r = torch.softmax(self.log_weights - self.family.energy(seen, s), 1)
        return threshold(r, NEGLIGIBLE, 0.0)

    def _denoise(self, s: Tensor, z: Tensor) -> Tensor:
        seen = self._look(z)
        r = self._responsibilities(seen, s)
        return self.centre + self.family.fold(r, seen, shrink, keep, s)

    def _score(self, s: Tensor, z: Tensor) -> Tensor:
        seen = self._look(z)
        return self.family.fold(self._responsibilities(seen, s), seen, repel, press, s)

    def _log_density(self, s: Tensor, z: Tensor) -> Tensor:
        logs = self.log_weights - self.family.energy(self._look(z), s)
        return logs.logsumexp(1) - 0.5 * z.shape[1] * math.log(2 * math.pi)

    def _jvp(self, s: Tensor, z: Tensor, v: Tensor) -> Tensor:
        seen, along = self._look(z), self.family.look(v.to(torch.float64))
        r = self._responsibilities(seen, s)
        g = self.family.slope(seen, along, s)
        shifted = r * (g - (r * g).sum(1, keepdim=True))
        moved = self.family.fold(shifted, seen, shrink, keep, s)
        return moved + self.family.fold(r, along, shrink, nothing, s)

    def _by_rows(self, work: Work, sigma: float | Tensor, *rows: Tensor) -> Tensor:
        """Flatten the rows, run them chunk by chunk, and restore dtype and shape."""
        z = rows[0]
        require(
            z.device == self.centre.device,
            f"z is on {z.device}, the prior on {self.centre.device}",
            remedy="build the prior from tensors on the device of z",
        )
        flat = [row.flatten(1) for row in rows]
        out = self._run(work, _variance(sigma, z), flat)
        return out.to(z.dtype) if out.ndim == 1 else out.to(z.dtype).reshape(z.shape)

    def _run(self, work: Work, s: Tensor, rows: Sequence[Tensor]) -> Tensor:
        if self.family.one_level and s.numel() > 1:
            return self._level_by_level(work, s, rows)
        size = max(1, BUDGET // self.family.width)
        if len(rows[0]) <= size:
            return work(s, *rows)
        pieces = [
            work(s[at] if s.numel() > 1 else s, *(row[at] for row in rows))
            for at in _slices(len(rows[0]), size)
        ]
        return torch.cat(pieces)

    def _level_by_level(self, work: Work, s: Tensor, rows: Sequence[Tensor]) -> Tensor:
        levels, member = torch.unique(s, return_inverse=True)
        order = member.argsort(stable=True)
        ends = torch.bincount(member, minlength=levels.numel()).cumsum(0).tolist()
        starts = [0, *ends[:-1]]
        sorted_rows = [row[order] for row in rows]
        pieces = [
            self._run(work, levels[i : i + 1], [row[start:end] for row in sorted_rows])
            for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]
        return torch.cat(pieces)[order.argsort()]


def _variance(sigma: float | Tensor, z: Tensor) -> Tensor:
    """Return sigma^2 as [1], or [B] where the levels differ; levels are not differentiated."""
    if not isinstance(sigma, Tensor):
        return torch.tensor([sigma * sigma], dtype=torch.float64, device=z.device)
    s = sigma.detach().to(device=z.device, dtype=torch.float64).reshape(-1).square()
    return s[:1] if s.numel() and bool((s == s[0]).all()) else s


def _slices(count: int, size: int) -> list[slice]:
    return [slice(begin, begin + size) for begin in range(0, count, size)]
