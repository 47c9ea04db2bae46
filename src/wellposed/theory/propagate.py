"""The exact law of a shipped sampler on the line.

A sampler whose plan holds noise runs its pieces on a density (``densities``); one without noise
runs its steps on the nodes of a change of variables (``flows``). Both run the objects that
``prepare`` made for samples: there is no second copy of any update.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.pieces import Noise
from wellposed.samplers.walk import Path
from wellposed.task import Method, Task
from wellposed.theory.densities import SIZE, GridLaw
from wellposed.theory.distances import Distances
from wellposed.theory.flows import FlowLaw, flow_law
from wellposed.theory.line import LineMixture

Floats = NDArray[np.float64]


class Arrived(NamedTuple):
    """A propagated law, and what it should be; both in the sampler's own scale.

    Attributes
    ----------
    law
        Of the sampler's last state.
    target
        The exact law at the last level.
    scale
        a: the sampler's own variable is a z, z the draws of ``sample``.
    evaluations
        Denoiser evaluations of the walk.
    """

    law: FlowLaw | GridLaw
    target: LineMixture
    scale: float
    evaluations: int

    def distances(self) -> Distances:
        """Return total variation, KL(target | law), W2, and the error of the mass."""
        if isinstance(self.law, FlowLaw):
            return self.law.distances()
        return self.law.distances(self.target)


def exact_law(
    method: Method,
    mixture: LineMixture,
    *,
    sigmas: Tensor | None = None,
    start: LineMixture | None = None,
    from_noise: bool = False,
    prior: DiffusionPrior | None = None,
    size: int = SIZE,
) -> Arrived:
    """Return the law of a sampler's output on the line.

    Parameters
    ----------
    method
        A sampler that is deterministic, or whose steps are maps and noise.
    mixture
        The data.
    sigmas
        Noise levels, steps + 1; None takes the sampler's own.
    start
        Law of the first state, in the sampler's own scale; None takes the exact law at the first
        level, so that what is seen is the error of the steps alone.
    from_noise
        Start from the noise that the sampler itself starts from.
    prior
        What the sampler is given, a prior on shape [1] such as one with a wrong score; None gives
        it the exact one.
    size
        Points of the grid for densities, even.

    Raises
    ------
    CapabilityError
        The sampler is random in another way than by Gaussian noise (MALA).

    Examples
    --------
    >>> from wellposed.samplers.ddpm import DDPM
    >>> from wellposed.schedules.grids import log_uniform
    >>> law = LineMixture.normal()
    >>> found = exact_law(DDPM(100), law, sigmas=log_uniform(101, 80.0, 0.05)).distances()
    >>> found.tv < 1e-9  # for these data DDPM's step is exact
    True
    """
    walker = _Walker(method, mixture.prior if prior is None else prior, sigmas)
    plan = walker.plan(1)
    path: Path = plan.path
    target = level_law(mixture, path, path.steps)
    first = _start(mixture, path, start, from_noise=from_noise)
    law: FlowLaw | GridLaw
    if _is_noisy(plan):
        law = deque(_densities(plan, first, size), maxlen=1).pop()
    else:
        exact = level_law(mixture, path, 0)
        law = flow_law(target, exact, first, walker.ends, size - 1)
    return Arrived(law, target, path.scales[-1], path.spent[-1])


def densities_along(
    method: Method,
    mixture: LineMixture,
    *,
    sigmas: Tensor | None = None,
    start: LineMixture | None = None,
    size: int = SIZE,
) -> Iterator[GridLaw]:
    """Yield the law of a stochastic sampler before its first step and after each step.

    Parameters
    ----------
    method, mixture, sigmas, size
        As in ``exact_law``.
    start
        Law of the first state; None takes the sampler's own noise.

    Examples
    --------
    >>> from wellposed.samplers.langevin import ULA
    >>> law = LineMixture.normal()
    >>> walk = densities_along(ULA(20, step_size=0.1), law, start=LineMixture.normal(2.0))
    >>> [round(float(one.below(0.0)), 3) for one in walk][::10]
    [0.023, 0.248, 0.406]
    """  # fmt: skip
    plan = _Walker(method, mixture.prior, sigmas).plan(1)
    require(
        hasattr(plan, "pieces"),
        f"the steps of {type(method).__name__} are no maps and noise",
        error=CapabilityError,
    )
    first = _start(mixture, plan.path, start, from_noise=start is None)
    return _densities(plan, first, size)


def level_law(mixture: LineMixture, path: Path, step: int) -> LineMixture:
    """Return the exact law after some steps of a walk, in the walk's own scale."""
    return mixture.noised(path.levels[step], path.scales[step])


class _Walker(NamedTuple):
    """A sampler and what it is given."""

    method: Any
    prior: DiffusionPrior
    sigmas: Tensor | None

    def plan(self, count: int, start: Tensor | None = None) -> Any:
        task = Task(prior=self.prior, count=count, sigmas=self.sigmas, start=start)
        return self.method.prepare(task)

    def ends(self, y: Floats) -> Floats:
        """Run the sampler's own steps from points y to points, both in its own scale."""
        path: Path = self.plan(1).path
        start = torch.from_numpy(y / path.scales[0])[:, None]
        plan = self.plan(len(y), start)
        state = self.method.init(plan, Stream(0))
        require(
            not hasattr(state, "stream") or hasattr(plan, "pieces"),
            f"the steps of {type(self.method).__name__} are random, and no maps and noise",
            "a density can be pushed through maps and Gaussian noise only",
            "compare its samples with the exact law instead",
            error=CapabilityError,
        )
        for _ in range(plan.steps):
            state = self.method.step(plan, state)
        z: Tensor = self.method.read(plan, state).value
        return z[:, 0].numpy() * path.scales[-1]


def _start(
    mixture: LineMixture, path: Path, start: LineMixture | None, *, from_noise: bool
) -> LineMixture:
    if from_noise:
        return LineMixture.normal(0.0, path.std)
    return level_law(mixture, path, 0) if start is None else start


def _is_noisy(plan: Any) -> bool:
    pieces = getattr(plan, "pieces", ())
    return any(isinstance(p, Noise) and p.std > 0 for group in pieces for p in group)


def _densities(plan: Any, first: LineMixture, size: int) -> Iterator[GridLaw]:
    law = GridLaw.of(first, float(np.hypot(first.std, first.mean)), size)
    yield law
    for pieces in plan.pieces:
        law = law.walked(pieces)
        yield law
