"""Does stated uncertainty hold, for this operator, this noise, this prior and this method?

Source     simulation-based calibration and TARP (see ``ranks``), coverage of marginal intervals,
           distance to the exact posterior mean where it is known (see ``laws``), conformal
           widening (see ``conformal``).
Verdict    each test has a p-value; Holm's step-down correction makes the probability that an
           exact sampler fails any of them at most ``false_alarm``.
Coverage   u in ((1 - level) / 2, (1 + level) / 2) is the event that the truth lies in the
           randomised central interval: probability exactly ``level`` for any number of draws.
Cost       repeats times one run of the method with few draws.
Fails      what no statistic looks at. Passing does not prove exactness; failing disproves it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from scipy.stats import norm
from torch import Tensor

from wellposed.checks import require, whole, within
from wellposed.errors import InputError
from wellposed.evaluation.conformal import widening
from wellposed.evaluation.laws import mmse_gap
from wellposed.evaluation.ranks import Uniformity, uniformity
from wellposed.evaluation.trials import Setting, Trials, expected_distance, run_trials
from wellposed.noise import Noise
from wellposed.operators.base import Operator
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.problem import Problem

LEVEL = 0.9  # of the coverage that is tested


class Coverage(NamedTuple):
    """How often intervals hold the truth.

    Attributes
    ----------
    level
        What is stated.
    share
        What is found, over all elements and trials.
    error
        Its standard error: trials are independent, elements are not.
    p_value
        Two-sided, of share = level.
    """

    level: float
    share: float
    error: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """What trials of a sampler say.

    Attributes
    ----------
    trials
        Ranks, truths, means.
    tests
        Statistic to its tests of uniform ranks.
    coverage
        At the levels 50, 80, 90 and 95 %.
    adjusted
        Test to its p-value after Holm's correction.
    false_alarm
        Probability, at most, that an exact sampler fails.
    """

    trials: Trials
    tests: dict[str, Uniformity]
    coverage: tuple[Coverage, ...]
    adjusted: dict[str, float]
    false_alarm: float

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the tests that failed."""
        return tuple(name for name, p in self.adjusted.items() if p <= self.false_alarm)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def mean_ratio(self) -> float | None:
        """Distance of the draws' means to E[x | y], over that of exact draws; None if unknown."""
        expected = expected_distance(self.trials)
        if expected is None or self.trials.exact is None:
            return None
        return mmse_gap(self.trials.mean, self.trials.exact).rms / expected

    def coverage_map(self, level: float = LEVEL) -> Tensor:
        """Return the share of trials whose interval held the truth, element by element."""
        return _inside(self.trials.elements, level).double().mean(0)

    def widening(self, level: float = LEVEL) -> float | None:
        """Return the factor that makes intervals cover (see ``conformal``); None: too few trials.

        It multiplies half the width of the middle 80 % of the draws, around their mean.
        """
        t = self.trials
        try:
            return widening(t.truth, t.mean, t.scale.clamp_min(1e-12), level)
        except InputError:
            return None

    @property
    def text(self) -> str:
        """What was found, in words."""
        from wellposed.evaluation.verdict import told

        return "\n".join(told(self))


def calibrate(
    problem: Problem | tuple[Operator, Noise],
    prior: DiffusionPrior,
    method: Any = None,
    *,
    repeats: int = 100,
    draws: int = 19,
    seed: int = 0,
    truths: Any = None,
    false_alarm: float = 0.01,
) -> Calibration:
    """Test whether a sampler's uncertainty holds for an operator, a noise and a prior.

    Parameters
    ----------
    problem
        A problem, whose operator and noise are taken (not its y), or both as a pair.
    prior
        Signals are drawn from it.
    method
        As for ``wp.recover``; or a function (problem, prior, n, seed) -> [n, *shape].
    repeats
        Number of trials, >= 20.
    draws
        Draws a trial, >= 4.
    seed
        Of everything, >= 0.
    truths
        [repeats, *shape], held-out signals instead of the prior's draws: then the prior itself
        is judged with the method.
    false_alarm
        Probability, at most, that an exact sampler fails; in (0, 1).

    Returns
    -------
    Calibration
        ``.ok``, ``.text`` (in words), ``.tests``, ``.coverage``, ``.coverage_map()``,
        ``.mean_ratio``, ``.widening()``.

    Raises
    ------
    CapabilityError, InputError
        The noise has no density, shapes do not fit, or a number is out of range.

    Examples
    --------
    >>> import wellposed as wp
    >>> from wellposed.evaluation.trials import exact_draws
    >>> prior = wp.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.1)
    >>> setting = (wp.operators.Matrix([[1.0, 1.0]]), wp.noise.Gaussian(0.3))
    >>> wp.calibrate(setting, prior, exact_draws, repeats=60).ok
    True
    >>> narrow = lambda *a: (d := exact_draws(*a)).mean(0) + 0.5 * (d - d.mean(0))
    >>> wp.calibrate(setting, prior, narrow, repeats=60).failures[0]
    'coverage'
    """
    whole(repeats, "repeats", 20, "fewer trials cannot tell a good sampler from a bad one")
    within(false_alarm, "false_alarm", 0, 1, open_low=True, open_high=True)
    operator, noise = _measuring(problem)
    setting = Setting(operator, noise, prior, method, draws, seed, truths)
    return judge(run_trials(setting, repeats), false_alarm)


def judge(trials: Trials, false_alarm: float = 0.01) -> Calibration:
    """Test trials that were made."""
    tests = {name: uniformity(u) for name, u in trials.statistics.items()}
    levels = tuple(_coverage(trials.elements, level) for level in (0.5, 0.8, LEVEL, 0.95))
    found = {"coverage": next(c.p_value for c in levels if c.level == LEVEL)}
    for name, test in tests.items():
        found |= {
            f"{name}: bias": test.bias_p,
            f"{name}: spread": test.spread_p,
            f"{name}: shape": test.shape_p,
        }
    return Calibration(trials, tests, levels, holm(found), false_alarm)


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Correct p-values for their number, step by step from the smallest.

    Examples
    --------
    >>> holm({"a": 0.01, "b": 0.5, "c": 0.02})
    {'a': 0.03, 'b': 0.5, 'c': 0.04}
    """
    order = sorted(p_values, key=lambda name: p_values[name])
    adjusted, least = {}, 0.0
    for k, name in enumerate(order):
        least = max(least, min(1.0, (len(order) - k) * p_values[name]))
        adjusted[name] = least
    return {name: adjusted[name] for name in p_values}


def _measuring(problem: Problem | tuple[Operator, Noise]) -> tuple[Operator, Noise]:
    if isinstance(problem, Problem):
        require(
            problem.noise is not None,
            "the problem has no noise",
            "without a law of the errors there is no posterior",
            "give one: wp.noise.Gaussian(sigma)",
        )
        operator, noise = problem.operator, problem.noise
    else:
        operator, noise = problem
    if noise is None:
        raise InputError("noise is None, expected a noise model")
    return operator, noise


def _inside(u: Tensor, level: float) -> Tensor:
    return (u - 0.5).abs() < level / 2


def _coverage(u: Tensor, level: float) -> Coverage:
    shares = _inside(u, level).double().flatten(1).mean(1)
    share, count = float(shares.mean()), len(shares)
    # under the null a trial's share has mean ``level``; its spread is estimated about that
    spread = float((shares - level).square().mean().sqrt())
    floor = math.sqrt(level * (1 - level) / u[0].numel())  # elements that agree by chance
    error = max(spread, floor) / math.sqrt(count)
    return Coverage(level, share, error, float(2 * norm.sf(abs(share - level) / error)))
