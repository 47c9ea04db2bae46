"""Exact laws of deterministic samplers on the line, by change of variables.

Model      a sampler moves y to X(y); if y has the law P, X(y) has the density p(y) / X'(y).
Nodes      the exact probability flow between two levels is the monotone map that keeps the
           distribution function. So nodes x are spread evenly where the data are, and started at
           the points y(x) that the exact flow would bring to x: the shipped steps then bring them
           to x + delta(x), and delta is the discretisation error itself, small and smooth even
           where the flow stretches a point into a gap between two modes.
Law        mass P(dy) = r(x) q(x) dx, r = start density / exact density at y, and density
           r(x) q(x) / (1 + delta'(x)) at x + delta(x); delta' by eighth-order differences.
Fails      where 1 + delta' <= 0, the flow folds: the law is then summed over its branches in
           cells (``folded``), to the accuracy of a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wellposed.theory.distances import Distances, relative_entropy, total_variation
from wellposed.theory.line import LineMixture, Tails

Floats = NDArray[np.float64]
REACH = 8.5  # standard deviations of the target to each side
_STENCIL = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
VISIBLE = 1e-14  # mass of a cell beyond which a fold is seen
CELLS = 4000  # of a folded law


@dataclass(frozen=True, eq=False)
class FlowLaw:
    """The law of a deterministic sampler.

    Parameters
    ----------
    target
        The exact law at the end of the walk.
    x
        Even nodes, [n]: where the exact flow ends.
    y
        Where both flows start, [n].
    ends
        Where the sampler ends, [n].
    weight
        Mass per unit of x, [n].
    start
        Both tails of the start law at y.
    """

    target: LineMixture
    x: Floats
    y: Floats
    ends: Floats
    weight: Floats
    start: Tails

    @property
    def spacing(self) -> float:
        """Distance of the nodes."""
        return float(self.x[1] - self.x[0])

    @cached_property
    def stretch(self) -> Floats:
        """Slope of x -> end, [n]; one for the exact flow."""
        padded = np.pad(self.ends - self.x, 4, mode="reflect", reflect_type="odd")
        slope: Floats = 1 + np.convolve(padded, _STENCIL[::-1], "valid") / self.spacing
        return slope

    @property
    def folds(self) -> bool:
        """Whether two nodes that matter have changed places."""
        return bool(((self.stretch <= 0) & (self.weight * self.spacing > VISIBLE)).any())

    def distances(self) -> Distances:
        """Measure the law against the target."""
        if self.folds:
            return self._folded()
        there = np.exp(self.target.log_density(self.ends)) * np.maximum(self.stretch, 0)
        h = self.spacing
        return Distances(
            total_variation(self.weight, there, h),
            relative_entropy(self.weight, there, h),
            self._w2(self.target.quantile(self.start)),
            h * float(self.weight.sum()) - 1,
        )

    def _w2(self, coupled: Floats) -> float:
        cost = self.weight * (self.ends - coupled) ** 2
        return float(np.sqrt(self.spacing * cost.sum()))

    def _folded(self) -> Distances:
        edges = np.linspace(self.ends.min(), self.ends.max(), CELLS + 1)
        law = np.diff(self.distribution(edges))
        want = np.diff(np.exp(self.target.tails(edges).below))
        outside = 0.5 * (1 - float(want.sum()))
        order = np.argsort(self.ends)
        share = np.cumsum(self.weight[order]) * self.spacing
        middle = np.clip(share - 0.5 * self.weight[order] * self.spacing, VISIBLE, 1 - VISIBLE)
        coupled = np.empty_like(self.ends)
        coupled[order] = self.target.quantile(Tails(np.log(middle), np.log1p(-middle)))
        return Distances(
            0.5 * float(np.abs(law - want).sum()) + outside,
            relative_entropy(law, want, 1.0),
            self._w2(coupled),
            self.spacing * float(self.weight.sum()) - 1,
        )

    def distribution(self, edges: Floats) -> Floats:
        """Return the share of the law below each edge, [m], folded or not.

        The mass between two nodes is spread evenly between their ends.
        """
        mass = 0.5 * (self.weight[1:] + self.weight[:-1]) * self.spacing
        low = np.minimum(self.ends[1:], self.ends[:-1])
        wide = np.maximum(np.abs(np.diff(self.ends)), 1e-300)
        seen = mass > 0.01 * VISIBLE
        low, wide, mass = low[seen], wide[seen], mass[seen]
        rows = [float(np.clip((edge - low) / wide, 0, 1) @ mass) for edge in edges]
        return np.array(rows)


def flow_law(
    target: LineMixture,
    exact: LineMixture,
    start: LineMixture,
    walk: Callable[[Floats], Floats],
    nodes: int = 1001,
) -> FlowLaw:
    """Push a start law through a deterministic walk.

    Parameters
    ----------
    target
        Exact law at the last level.
    exact
        Exact law at the first level, in the same frame as ``start``.
    start
        Law from which the sampler starts; ``exact``, or the noise that stands for it.
    walk
        Takes start points [n] to end points [n]: the shipped steps.
    nodes
        How many nodes.

    Examples
    --------
    >>> one = LineMixture.normal()
    >>> law = flow_law(one, one, one, lambda y: 1.1 * y)
    >>> round(law.distances().w2, 9)
    0.1
    """
    x = target.mean + target.std * np.linspace(-REACH, REACH, nodes)
    y = exact.quantile(target.tails(x))
    ratio = np.exp(start.log_density(y) - exact.log_density(y)) if start is not exact else 1.0
    weight = target.density(x) * ratio
    return FlowLaw(target, x, y, walk(y), weight, start.tails(y))
