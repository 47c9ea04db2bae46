"""Trials of a posterior sampler: draw a signal from the prior, measure it, draw given that.

Model      x* ~ prior, y ~ p(y | A x*), x_1..x_L from the sampler given y: exchangeable with x*
           if and only if the sampler is exact.
Kept       of each trial a few numbers: u (the randomised rank, see ``ranks``) of every element
           and of each statistic, not the draws.
Statistics up to eight elements; root mean square; log p(y | A x); distances from two reference
           points (TARP): one white, of the prior's spread and drawn apart, the other shifted
           along A* y where there is an adjoint, so that it looks at the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from wellposed.checks import as_tensor, require, shaped, whole
from wellposed.errors import CapabilityError
from wellposed.evaluation.ranks import randomized
from wellposed.noise import Likelihood, Noise
from wellposed.operators.base import LinearOperator, Operator
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.exact import ExactPrior
from wellposed.problem import Problem
from wellposed.recovery import recover
from wellposed.rng import Stream
from wellposed.sampling import sample

ELEMENTS = 8
Sampler = Callable[[Problem, DiffusionPrior, int, int], Any]  # draws [n, *shape] for (n, seed)


class Trials(NamedTuple):
    """What is kept of R trials.

    Attributes
    ----------
    draws
        L, draws a trial.
    elements
        [R, *shape]: u of every element.
    statistics
        Name to [R]: u of each statistic.
    truth, mean, scale
        [R, *shape]: the signal, the draws' mean and half the width of their middle 80 %.
    exact
        [R, *shape]: E[x | y], where it is known, else None.
    spread
        [R]: mean over the elements of the exact posterior's variance, where known, else None.
    """

    draws: int
    elements: Tensor
    statistics: dict[str, Tensor]
    truth: Tensor
    mean: Tensor
    scale: Tensor
    exact: Tensor | None = None
    spread: Tensor | None = None

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True, eq=False)
class Setting:
    """What is tried.

    Parameters
    ----------
    operator, noise
        How signals are measured; the noise has a density.
    prior
        Where the signals come from.
    method
        A method of ``wp.recover``, None for its default, or a function
        (problem, prior, n, seed) -> [n, *shape].
    draws
        L >= 4, draws a trial.
    seed
        Of signals, noise and draws.
    truths
        [R, *shape]: signals to take instead of the prior's own draws. Then the prior is judged
        together with the sampler.
    """

    operator: Operator
    noise: Noise
    prior: DiffusionPrior
    method: Any = None
    draws: int = 19
    seed: int = 0
    truths: Tensor | None = None

    def __post_init__(self) -> None:
        whole(self.draws, "draws", 4)
        whole(self.seed, "seed", 0)
        require(
            isinstance(self.noise, Likelihood),
            f"the noise is {self.noise!r}, expected one with a density",
            "without a density there is no posterior to calibrate against",
            error=CapabilityError,
        )
        have = tuple(self.operator.shape_in)
        require(
            have == tuple(self.prior.shape),
            f"the operator takes signals of shape {list(have)}, the prior has "
            f"{list(self.prior.shape)}",
            "both are about one signal",
            "an operator for the shape of the prior, or a prior for that of the operator",
        )

    def signals(self, count: int) -> Tensor:
        """Return the true signals of the first trials, [count, *shape]."""
        if self.truths is not None:
            given = as_tensor(self.truths, "truths")
            shaped(given, "truths", (None, *self.prior.shape))
            require(
                len(given) >= count, f"there are {len(given)} truths for {count} trials",
                remedy="ask for fewer repeats",
            )  # fmt: skip
            return given[:count]
        if isinstance(self.prior, ExactPrior):
            return self.prior.sample(count, seed=self.seed)
        drawn: Tensor = sample(self.prior, n=count, seed=self.seed).x
        return drawn

    def problem(self, truth: Tensor, index: int) -> Problem:
        """Measure a signal."""
        mean = self.operator.forward(truth[None])[0]
        stream = Stream(self.seed, item=index)
        return Problem(self.noise.simulate(mean, stream), self.operator, self.noise)

    def sampled(self, problem: Problem, index: int) -> Tensor:
        """Draw given a measurement, [L, *shape]."""
        seed = Stream(self.seed, item=index).generator("calibration").initial_seed() % 2**31
        if callable(self.method) and not hasattr(self.method, "prepare"):
            found = self.method(problem, self.prior, self.draws, seed)
        else:
            found = recover(problem, self.prior, self.method, draws=self.draws, seed=seed).draws
        draws = as_tensor(found, "draws")
        shaped(draws, "draws", (self.draws, *self.prior.shape))
        return draws


def exact_draws(problem: Problem, prior: DiffusionPrior, n: int, seed: int) -> Tensor:
    """Draw from the exact posterior of a Gaussian or a mixture: the sampler to compare with.

    Raises
    ------
    CapabilityError
        The prior's posterior is not known.

    Examples
    --------
    >>> import wellposed as wp
    >>> problem = wp.Problem([1.0], wp.operators.Identity((1,)), wp.noise.Gaussian(0.1))
    >>> exact_draws(problem, wp.Gaussian([0.0], 1.0), 3, 0).shape
    torch.Size([3, 1])
    """
    require(
        isinstance(prior, ExactPrior),
        f"prior is a {type(prior).__name__}, expected a Gaussian or a mixture",
        "only their posteriors are known exactly",
        error=CapabilityError,
    )
    return cast(ExactPrior, prior).posterior(problem).sample(n, seed=seed)


def run_trials(setting: Setting, count: int, first: int = 0) -> Trials:
    """Make trials first, ..., first + count - 1 of a setting; the same whatever the cut."""
    signals = setting.signals(first + count)[first:]
    return stacked([_trial(setting, x, first + k) for k, x in enumerate(signals)])


def stacked(parts: list[Trials]) -> Trials:
    """Join trials of one setting."""
    first = parts[0]

    def joined(name: str) -> Any:
        if getattr(first, name) is None:
            return None
        return torch.cat([getattr(part, name) for part in parts])

    names = ("elements", "truth", "mean", "scale", "exact", "spread")
    statistics = {k: torch.cat([p.statistics[k] for p in parts]) for k in first.statistics}
    return Trials(first.draws, statistics=statistics, **{name: joined(name) for name in names})


def _trial(setting: Setting, truth: Tensor, index: int) -> Trials:
    problem = setting.problem(truth, index)
    draws = setting.sampled(problem, index).to(truth.dtype)
    stream = Stream(setting.seed, item=index)
    both = torch.cat([truth[None], draws])
    looks = _statistics(setting, problem, both, stream)
    low, high = np.quantile(draws.numpy(force=True), (0.1, 0.9), axis=0)
    mean, spread = _exact(setting, problem)
    return Trials(
        setting.draws,
        randomized(truth, draws, stream, "ranks of elements")[None],
        {k: randomized(v[0], v[1:], stream, f"rank of {k}")[None] for k, v in looks.items()},
        truth[None], draws.mean(0)[None], torch.from_numpy((high - low) / 2)[None].to(truth),
        mean, spread,
    )  # fmt: skip


def _statistics(setting: Setting, problem: Problem, x: Tensor, stream: Stream) -> dict[str, Tensor]:
    """Name to [1 + L]: the statistics of the truth and of each draw."""
    flat, noise = x.flatten(1).double(), cast(Likelihood, setting.noise)
    size = flat.shape[1]
    picked = Stream(setting.seed).permutation(size, "elements")[:ELEMENTS].sort().values.tolist()
    y = problem.y[None].expand(len(x), *problem.y.shape)
    aims = setting.prior.sigma_data * stream.normal((size,), "reference")
    looks = {f"element {j}": flat[:, j] for j in picked}
    looks["root mean square"] = flat.square().mean(1).sqrt()
    looks["log-likelihood"] = noise.log_density(y, setting.operator.forward(x)).double()
    looks["distance to a random point"] = (flat - aims).norm(dim=1)
    if isinstance(setting.operator, LinearOperator):
        back = setting.operator.backward(problem.y[None])[0].flatten().double()
        toward = back / (setting.operator.gain or 1.0)
        looks["distance to a point near the data"] = (flat - toward - 0.5 * aims).norm(dim=1)
    return looks


def _exact(setting: Setting, problem: Problem) -> tuple[Tensor | None, Tensor | None]:
    """Mean and mean variance of the exact posterior, where it is known."""
    if not isinstance(setting.prior, ExactPrior):
        return None, None
    try:
        law: Any = setting.prior.posterior(problem)
    except (CapabilityError, ValueError):  # another noise, or an operator that is not linear
        return None, None
    mean = law.mean
    return mean[None], law.std.square().mean()[None]


def expected_distance(trials: Trials) -> float | None:
    """Root mean square distance, per element, that exact draws' means have from E[x | y]."""
    if trials.spread is None:
        return None
    return math.sqrt(float(trials.spread.double().mean()) / trials.draws)
