"""Langevin dynamics at one noise level: unadjusted (ULA) and with acceptance (MALA).

Source     U. Grenander, M. Miller, J. R. Stat. Soc. B 56 (1994) and the talks (ULA);
           G. Roberts, R. Tweedie, Bernoulli 2 (1996) (MALA).
Model      p the law of x0 + sigma n, s = grad log p, step eta.
Update     x' = x + eta s(x) + sqrt(2 eta) n
           MALA takes x' with probability min(1, p(x') q(x | x') / (p(x) q(x' | x))),
           q(. | x) = N(x + eta s(x), 2 eta I), else it stays.
Cost       one score a step; MALA one score and one log density.
Guarantee  ULA's stationary law is off by O(eta); MALA's is p exactly, at any eta.
Fails      modes far apart: the weights between them come from the start, not from p. Use
           AnnealedLangevin or a diffusion sampler.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, whole, within
from wellposed.errors import CapabilityError, InputError
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.exact import ExactPrior
from wellposed.rng import Stream
from wellposed.samplers.levels import check_covered, diffusion_prior
from wellposed.samplers.pieces import Map, Moved, Noise
from wellposed.samplers.walk import Path, Plan, Walk, frame_path, frame_walk
from wellposed.task import Reading, Task


@dataclass(frozen=True)
class ULA(Walk):
    """Unadjusted Langevin algorithm.

    Parameters
    ----------
    steps
        Number of moves, >= 1.
    step_size
        eta > 0, in squared units of the signal.
    sigma
        Noise level >= 0 at which the score is taken. Networks know it above zero only.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.ULA(50, step_size=0.05), n=3).evaluations
    50
    """

    steps: int = 1000
    step_size: float = 0.01
    sigma: float = 0.0

    order: ClassVar[int] = 1
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Grenander & Miller, JRSS B 56 (1994)"
    needs: ClassVar[str] = "score"

    def __post_init__(self) -> None:
        _check(self)

    def prepare(self, task: Task) -> Plan:
        """Lay out equal steps."""
        _check_task(task, self)
        move = Map(partial(_drift, task.prior, self.sigma, self.step_size))
        pieces = (move, Noise((2 * self.step_size) ** 0.5))
        return frame_walk(task, (self.sigma,) * (self.steps + 1), [pieces] * self.steps)


class MalaPlan(NamedTuple):
    """What each move looks at."""

    path: Path
    prior: ExactPrior

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.path.steps


class Point(NamedTuple):
    """A place, and what the law looks like there."""

    x: Tensor  # [B, *shape]
    score: Tensor  # [B, *shape]
    log_density: Tensor  # [B]


class MalaState(NamedTuple):
    """Where the chains are, and how many moves they took."""

    x: Tensor  # [B, *shape]
    score: Tensor  # [B, *shape]
    log_density: Tensor  # [B]
    accepted: Tensor  # 0-d, int64: moves taken, over all chains
    step: int
    stream: Stream


@dataclass(frozen=True)
class MALA:
    """Metropolis-adjusted Langevin algorithm.

    Parameters
    ----------
    steps
        Number of moves, >= 1.
    step_size
        eta > 0, in squared units of the signal. An acceptance near 0.57 is efficient.
    sigma
        Noise level >= 0 of the law that is sampled.

    Raises
    ------
    InputError
        A field outside its range.
    CapabilityError
        The prior has no density.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.sample(wp.Gaussian([1.0], 0.25), wp.MALA(50, step_size=0.05), n=3).acceptance > 0.9
    True
    """

    steps: int = 1000
    step_size: float = 0.01
    sigma: float = 0.0

    order: ClassVar[int | None] = None
    evaluations_per_step: ClassVar[int] = 1
    reference: ClassVar[str] = "Roberts & Tweedie, Bernoulli 2 (1996)"
    needs: ClassVar[str] = "score and density (an exact prior)"

    def __post_init__(self) -> None:
        _check(self)

    def prepare(self, task: Task) -> MalaPlan:
        """Check that the prior has a density."""
        _check_task(task, self)
        prior = task.prior
        if not isinstance(prior, ExactPrior):
            raise CapabilityError(
                f"MALA was given a {type(prior).__name__}, expected a prior with a density",
                "moves are accepted by comparing densities",
                "use ULA, or an exact prior such as GaussianMixture",
            )
        return MalaPlan(frame_path(task, (self.sigma,) * (self.steps + 1), [1] * self.steps), prior)

    def init(self, plan: MalaPlan, stream: Stream) -> MalaState:
        """Start from noise, or from the given start."""
        at = self._look(plan, plan.path.begin(stream))
        none = torch.zeros((), dtype=torch.int64, device=at.x.device)
        return MalaState(*at, none, 0, stream)

    def step(self, plan: MalaPlan, state: MalaState) -> MalaState:
        """Propose a Langevin move and take it or stay."""
        old = Point(state.x, state.score, state.log_density)
        noise = state.stream.normal(
            old.x.shape, "proposal", state.step, dtype=old.x.dtype, device=old.x.device
        )
        drifted = old.x.add(old.score, alpha=self.step_size)
        new = self._look(plan, drifted.add(noise, alpha=(2 * self.step_size) ** 0.5))
        log_ratio = new.log_density - old.log_density
        log_ratio = log_ratio + self._log_move(new, old.x) - self._log_move(old, new.x)
        uniform = state.stream.uniform(log_ratio.shape, "acceptance", state.step)
        taken = uniform.log().to(log_ratio.device) < log_ratio  # NaN is not: the chain stays
        point = Point(*(_choose(taken, a, b) for a, b in zip(new, old, strict=True)))
        accepted = state.accepted + taken.sum()
        return MalaState(*point, accepted, state.step + 1, state.stream)

    def read(self, plan: MalaPlan, state: MalaState) -> Reading:
        """Return x, the estimate of x0, and the share of accepted moves."""
        view = plan.path.read(state.x, state.x + self.sigma**2 * state.score, state.step)
        moves = state.step * len(state.x)
        share = float(state.accepted) / moves if moves else None
        return view._replace(evaluations=state.step + 1, acceptance=share)

    def _look(self, plan: MalaPlan, x: Tensor) -> Point:
        prior = plan.prior
        return Point(x, prior.score(x, self.sigma), prior.log_density(x, self.sigma))

    def _log_move(self, start: Point, to: Tensor) -> Tensor:
        """Log q(to | start), up to a constant, [B]."""
        gap = to - start.x - self.step_size * start.score
        return gap.flatten(1).square().sum(1) / (-4 * self.step_size)


def _drift(prior: DiffusionPrior, sigma: float, step_size: float, x: Tensor) -> Moved:
    """x + eta s(x)."""
    score = prior.score(x, sigma)
    return Moved(x.add(score, alpha=step_size), x.add(score, alpha=sigma**2))


def _choose(taken: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(taken.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _check(method: ULA | MALA) -> None:
    whole(method.steps, "steps")
    within(method.step_size, "step_size", 0, open_low=True)
    within(method.sigma, "sigma", 0)


def _check_task(task: Task, method: Any) -> None:
    name = type(method).__name__
    prior = diffusion_prior(task, name)
    require(
        task.sigmas is None,
        f"sigmas was given to {name}",
        "it stays at one noise level",
        f"{name}(sigma=...), or AnnealedLangevin, which walks through levels",
        error=InputError,
    )
    check_covered(prior, [method.sigma], name)
    require(
        method.sigma > 0 or isinstance(prior, ExactPrior),
        f"{name}(sigma=0) was given a {type(prior).__name__}",
        "at sigma = 0 a denoiser says nothing about the score",
        f"{name}(sigma=...) with a small positive level",
    )
