"""Where the error of the exponential integrator comes from: exact, computed, and as proved.

Source     Theorem 1 of the lecture (Chen, Chewi, Li, Li, Salim & Zhang, ICLR 2023):
           TV <= C ( sqrt(KL(q | N(0, I))) e^-T             start from noise
                     + (L sqrt(d h) + L m h) sqrt(T)        frozen scores, h = T / N
                     + eps sqrt(T) )                        wrong scores
           C is not known. ``path_kl`` computes the quantity that its proof bounds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from wellposed.checks import whole, within
from wellposed.samplers.ou import ExponentialOU
from wellposed.theory.distances import Distances
from wellposed.theory.line import LineMixture
from wellposed.theory.path_kl import PathKL, path_kl, relative_to_normal
from wellposed.theory.propagate import exact_law
from wellposed.theory.score_error import WrongScore, tilt


class Terms(NamedTuple):
    """The three terms of the theorem, with C = 1.

    Attributes
    ----------
    start, steps, score
        From starting at noise, from freezing scores in a step, from wrong scores.
    """

    start: float
    steps: float
    score: float

    @property
    def total(self) -> float:
        """Their sum; from one on, the bound says nothing."""
        return sum(self)

    @property
    def largest(self) -> str:
        """Name of the term that dominates."""
        return max(zip(self, self._fields, strict=True))[1]


def theorem_terms(
    *,
    relative: float,
    slopes: float,
    moment: float,
    horizon: float,
    steps: int,
    error: float = 0.0,
    dimension: int = 1,
) -> Terms:
    """Evaluate the three terms of the theorem.

    Parameters
    ----------
    relative
        KL(q | N(0, I)) >= 0 of the data.
    slopes, moment
        L, the Lipschitz constant of the scores, and m, the root of E |x|^2.
    horizon, steps
        T > 0 and N >= 1.
    error
        eps >= 0, the L2 error of the scores.
    dimension
        d >= 1.

    Examples
    --------
    >>> found = theorem_terms(relative=2.0, slopes=10.0, moment=1.0, horizon=4.0, steps=400)
    >>> [round(term, 3) for term in found], found.largest
    ([0.026, 2.2, 0.0], 'steps')
    """  # fmt: skip
    whole(steps, "steps")
    whole(dimension, "dimension")
    within(horizon, "horizon", 0, open_low=True)
    for name, value in (
        ("relative", relative), ("slopes", slopes), ("moment", moment), ("error", error)
    ):  # fmt: skip
        within(value, name, 0)
    h, root = horizon / steps, math.sqrt(horizon)
    frozen = slopes * (math.sqrt(dimension * h) + moment * h)
    return Terms(math.sqrt(relative) * math.exp(-horizon), frozen * root, error * root)


class Split(NamedTuple):
    """The exponential integrator at one length.

    Attributes
    ----------
    steps
        N.
    error
        eps, the L2 error of the scores.
    exact
        Distances of its law from the data.
    path
        The computed bound.
    theorem
        The terms of the theorem.
    """

    steps: int
    error: float
    exact: Distances
    path: PathKL
    theorem: Terms


def split(
    mixture: LineMixture,
    steps: int,
    slopes: float,
    moment: float,
    horizon: float = 4.0,
    error: float = 0.0,
) -> Split:
    """Measure ``ExponentialOU(steps, horizon)`` and evaluate its bounds.

    Parameters
    ----------
    mixture
        The data.
    steps, horizon
        N and T.
    slopes, moment
        L and m of ``assumptions``.
    error
        eps >= 0: the scores are off by this constant.

    Examples
    --------
    >>> law = LineMixture([0.8, 0.2], [-1.0, 1.0], [0.7, 0.7])
    >>> found = split(law, 25, 3.0, 1.0)
    >>> found.exact.tv < found.path.pinsker < found.theorem.total
    True
    """
    wrong = WrongScore(mixture.prior, tilt(error)) if error else None
    law = exact_law(ExponentialOU(steps, horizon), mixture, from_noise=True, prior=wrong)
    terms = theorem_terms(
        relative=relative_to_normal(mixture), slopes=slopes, moment=moment, horizon=horizon,
        steps=steps, error=error,
    )  # fmt: skip
    return Split(steps, error, law.distances(), path_kl(mixture, steps, horizon, wrong), terms)
