"""Many pictures at once: chain b of a block sees measurement b.

A posterior sampler's chains do not look at each other, so a block may hold one chain of each of
several pictures that were measured alike: one pass of the network serves them all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

import wellposed as wp
from wellposed.noise.base import GaussianForm, Likelihood
from wellposed.operators.base import Operator
from wellposed.rng import Stream
from wellposed.task import Task


@dataclass(frozen=True, eq=False)
class Together(Likelihood):
    """The law of several measurements y [N, *shape_out]: item b of a batch has y[b mod N]."""

    noise: Likelihood
    ys: Tensor

    def _of(self, mean: Tensor) -> Tensor:
        return self.ys[torch.arange(len(mean)) % len(self.ys)]

    def simulate(self, mean: Tensor, stream: Stream) -> Tensor:
        """Draw a measurement, as the law of one does."""
        return self.noise.simulate(mean, stream)

    def log_density(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return log p of each item's own measurement, [B]."""
        return self.noise.log_density(self._of(mean), mean)

    def gradient(self, y: Tensor, mean: Tensor) -> Tensor:
        """Return its gradient in the mean."""
        return self.noise.gradient(self._of(mean), mean)

    @property
    def curvature_bound(self) -> float | None:
        """That of the law."""
        return self.noise.curvature_bound

    def peak(self, y: Tensor) -> Tensor:
        """Return log p at a perfect fit: the same for every measurement of these laws."""
        return self.noise.peak(y)

    @property
    def sharpens(self) -> bool:  # type: ignore[override]
        """Whether the law does."""
        return self.noise.sharpens

    def sharpened(self, spread: float) -> Together:
        """Sharpen the law."""
        return Together(self.noise.sharpened(spread), self.ys)

    def gaussian_form(self, y: Tensor) -> GaussianForm | None:
        """Return all targets, where the law is Gaussian."""
        return self.noise.gaussian_form(self.ys)


class Drawn(NamedTuple):
    """One draw of each picture."""

    x: Tensor  # [N, C, H, W]
    evaluations: int  # of the denoiser, for each
    seconds: float  # of the processor, for each
    acceptance: float | None


def measure(operator: Operator, noise: Likelihood, images: Tensor, first: int) -> Together:
    """Measure each picture; ``first`` numbers them, which settles the noise."""
    means = operator.forward(images)
    ys = [noise.simulate(mean, Stream(0, item=first + k)) for k, mean in enumerate(means)]
    return Together(noise, torch.stack(ys))


def draw(prior: Any, operator: Operator, seen: Together, method: Any, seed: int) -> Drawn:
    """Draw one signal for each measurement."""
    problem = wp.Problem(seen.ys[0], operator, seen)
    task = Task(problem, prior, count=len(seen.ys), dtype=seen.ys.dtype)
    clock = time.process_time()
    with torch.no_grad():
        plan = method.prepare(task)
        state = method.init(plan, Stream(seed))
        for _ in range(plan.steps):
            state = method.step(plan, state)
        found = method.read(plan, state)
    spent = (time.process_time() - clock) / len(seen.ys)
    return Drawn(found.value, found.evaluations, spent, found.acceptance)
