"""What ``wp.recover`` returns for diffusion priors: draws from the posterior."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import as_tensor, require, within
from wellposed.diagnostics import ess, mcse, r_hat
from wellposed.draws import Draws, Moments
from wellposed.errors import MissingExtraError
from wellposed.run import Status, Trace
from wellposed.shards import StoredDraws
from wellposed.task import Account

COLUMNS = 1 << 26  # numbers of stored draws that are sorted at a time
SHORTEST = 8  # sweeps from which mixing can be judged
MANY = 8  # chains whose means tell the standard error, however slowly each one moves


class Evaluations(NamedTuple):
    """What a draw cost.

    Attributes
    ----------
    denoiser
        Evaluations of the prior's denoiser.
    gradient
        Gradients of the log-likelihood.
    likelihood
        Log-likelihoods without their gradient.
    jacobian
        Backward passes through the denoiser; each costs a little more than an evaluation.
    """

    denoiser: int
    gradient: float = 0.0
    likelihood: float = 0.0
    jacobian: float = 0.0


class Mixing(NamedTuple):
    """How well chains agree in one number, over the sweeps at the last coupling."""

    r_hat: float
    ess: float
    mcse: float


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws of the signal given the data.

    Attributes
    ----------
    draws
        [n, *shape]: the ends of n independent chains (of an interacting population where
        ``independent`` is false: exchangeable, not independent). Where they do not fit into
        memory, ``StoredDraws``: a length, and iteration over shards of the run folder.
    evaluations
        For each draw: of the denoiser, of gradients and of log-likelihoods.
    status
        How the run ended; ``status.ok`` is false when draws are missing.
    acceptance
        Share of accepted Metropolis moves since their steps were frozen, else None.
    log_evidence
        Estimate of log p(y), where the method gives one, else None.
    trace
        Seconds and coupling (``sigma``) of each sweep of the first block, if asked for.
    note
        What is worth a word, where something is.
    method
        The method that was used.
    """

    draws: Any
    evaluations: Evaluations
    status: Status
    acceptance: float | None = None
    log_evidence: float | None = None
    trace: Trace | None = None
    note: str = ""
    method: Any = None
    independent: bool = True
    account: Account | None = field(default=None, repr=False)
    moments: Moments | None = field(default=None, repr=False)

    @classmethod
    def of(cls, draws: Draws, method: Any, where: Any = None) -> Posterior:
        """Build from the driver's draws; ``where`` is the folder of draws not in memory."""
        account = draws.account or Account()
        x = draws.x if draws.x is not None else StoredDraws(where, len(draws))
        return cls(
            x,
            Evaluations(
                draws.evaluations, account.gradients, account.likelihoods, account.jacobians
            ),
            draws.status, draws.acceptance, account.log_evidence, draws.trace,
            "; ".join(note for note in (draws.note, account.note) if note), method,
            getattr(method, "population", None) is None, account, draws.moments,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.draws)

    @property
    def mean(self) -> Any:
        """Mean of the draws, [*shape]."""
        if self.moments is not None:
            return self._like(self.moments.mean)
        return self._like(as_tensor(self.draws, "draws").mean(0))

    @property
    def std(self) -> Any:
        """Standard deviation of the draws, [*shape]; NaN for a single draw."""
        if self.moments is not None:
            return self._like(self.moments.std)
        x = as_tensor(self.draws, "draws")
        return self._like(x.std(0) if len(x) > 1 else torch.full_like(x[0], math.nan))

    def quantile(self, q: float) -> Any:
        """Return the q-quantile of each element, [*shape], q in [0, 1]."""
        within(q, "q", 0, 1)
        return self._like(self._quantiles([q])[0])

    def interval(self, level: float = 0.9) -> tuple[Any, Any]:
        """Return the ends of the central interval of each element, [*shape] each.

        Parameters
        ----------
        level
            Share of the posterior inside, in (0, 1). With few draws the ends are those of the
            draws, and the interval holds less.
        """
        within(level, "level", 0, 1, open_low=True, open_high=True)
        low, high = self._quantiles([0.5 - level / 2, 0.5 + level / 2])
        return self._like(low), self._like(high)

    @cached_property
    def mixing(self) -> dict[str, Mixing]:
        """R-hat, ESS and MCSE of a few numbers of the signal, by name; empty without a tail.

        A large R-hat says that the sweeps of the tail are too few to carry a chain through the
        posterior: how the draws are spread then comes from the descent of the couplings. The
        standard error is that of independent chain means from 8 chains on, else from
        autocorrelations.
        """
        account = self.account
        if account is None or account.summaries is None or len(account.summaries) < SHORTEST:
            return {}
        chains = account.summaries.transpose(0, 1)
        if not bool(torch.isfinite(chains).all()):
            return {}
        if len(chains) >= MANY and self.independent:
            error = chains.mean(1).std(0) / len(chains) ** 0.5
            size = chains.flatten(0, 1).var(0) / error.square()
        else:
            error, size = mcse(chains), ess(chains)
        columns = torch.stack([r_hat(chains), size, error], 1).tolist()
        return {n: Mixing(*column) for n, column in zip(account.names, columns, strict=True)}

    @property
    def r_hat(self) -> float | None:
        """The largest R-hat; None without a tail of sweeps."""
        return max((m.r_hat for m in self.mixing.values()), default=None)

    @property
    def ess(self) -> float | None:
        """The smallest effective sample size over the tail; None without one."""
        return min((m.ess for m in self.mixing.values()), default=None)

    @property
    def mcse(self) -> dict[str, float]:
        """Standard error of the mean of each number over the tail, by name."""
        return {name: m.mcse for name, m in self.mixing.items()}

    def to_arviz(self) -> Any:
        """Return an arviz tree: "posterior" holds x (one draw a chain), "tail" the sweeps.

        Raises
        ------
        MissingExtraError
            arviz is not installed.
        """
        try:
            from arviz_base import from_dict
        except ImportError:
            raise MissingExtraError("arviz-base", "arviz", "Posterior.to_arviz()") from None
        x = as_tensor(self.draws, "draws").cpu().numpy()
        groups: dict[str, Any] = {"posterior": {"x": x[:, None]}}
        account = self.account
        if account is not None and account.summaries is not None and len(account.summaries):
            table = account.summaries.permute(2, 1, 0).cpu().numpy()
            groups["tail"] = dict(zip(account.names, table, strict=True))
        with warnings.catch_warnings():  # more chains than draws is what is meant here
            warnings.filterwarnings("ignore", "Found chain dimension to be longer")
            return from_dict(groups)

    def _like(self, value: Tensor) -> Any:
        """Return an array of the kind of the draws."""
        return value if isinstance(self.draws, (Tensor, StoredDraws)) else value.cpu().numpy()

    def _quantiles(self, levels: list[float]) -> Tensor:
        """[len(levels), *shape]."""
        require(len(self) > 0, "there are no draws", "the run was stopped before the first")
        q = torch.tensor(levels, dtype=torch.float64)
        if not isinstance(self.draws, StoredDraws):
            x = as_tensor(self.draws, "draws")
            return _sorted_quantiles(x.flatten(1), q).reshape(len(levels), *x.shape[1:])
        shape = next(iter(self.draws)).shape[1:]
        width, size = max(1, COLUMNS // len(self)), math.prod(shape)
        parts = []
        for begin in range(0, size, width):  # all shards once for each group of elements
            rows = [shard.flatten(1)[:, begin : begin + width] for shard in self.draws]
            parts.append(_sorted_quantiles(torch.cat(rows), q))
        return torch.cat(parts, 1).reshape(len(levels), *shape)


def _sorted_quantiles(x: Tensor, q: Tensor) -> Tensor:
    """Linear interpolation between order statistics, [n, k] to [len(q), k]; any size."""
    ordered = x.sort(0).values
    place = q.to(x.device) * (len(x) - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=len(x) - 1)
    return torch.lerp(ordered[low], ordered[high], (place - low)[:, None].to(x.dtype))
