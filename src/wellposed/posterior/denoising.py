"""Denoising posterior samplers: draws of x given x + eta w = z.

Source     X. Xu, Y. Chi, "Provably robust score-based diffusion posterior sampling for
           plug-and-play image reconstruction", NeurIPS 2024.
Model      x ~ p,  z = x + eta w,  w ~ N(0, I);  eps(x, sigma) = (x - D(x, sigma)) / sigma.
           Unlike generation, which starts at pure noise, this starts at a given noisy signal.
Update     OU flow (the paper's DDS-DDIM): the posterior, centred at z, is carried to N(0, I) by
           an Ornstein-Uhlenbeck process with signal share abar; its score is eps of the prior
           at another point and level. In w = u sqrt(c), c = 1 + (eta^2 - 1) abar, and
           tan theta = eta sqrt(abar / (1 - abar)), the probability flow is free of any schedule:
               du / d theta = -eps(z + eta sin(theta) u, eta cos(theta)),  theta from 0 to pi / 2
               u(0) ~ N(0, I),   x = z + eta u(pi / 2)
           AngleODE solves it by Euler (order 1), or by Adams-Bashforth with weights that
           integrate cos and sin exactly (order 2): between angles a step h apart, p after the last,
               u' = u - (sin h - b cos p) eps - b eps_before,   b = -(1 - cos h) / sin p.
           ChainOU steps through the levels of a chain in the paper's variable w.
           Heat flow (DDS-DDPM): from x = z at sigma = eta, down a list of levels,
               x' = x - 2 (sigma - sigma') eps(x, sigma) + sqrt(sigma^2 - sigma'^2) n
           and in the last step, to zero, x' = D(x, sigma).
Cost       one denoiser evaluation a step; steps + 1 levels, the last one is zero.
Guarantee  exact as steps grow, with exact scores. AngleODE: global error of the declared order;
           for a Gaussian prior of any covariance order 2 has the posterior's mean at any number of
           steps, and from 2 steps on its variance to 1 % where eta is below a third of the spread:
           small steps that are repeated keep the prior's spread.
Fails      eta far above the spread of the prior: that is generation, take a sampler.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, whole, within
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.levels import check_covered
from wellposed.schedules import Chain, linear_chain

RIGHT = math.pi / 2


class Rung(NamedTuple):
    """One evaluation of the denoiser, and what is made of it."""

    sigma: float  # level at which the denoiser looks
    reach: float  # share of the running variable in the point it looks at
    keep: float  # factor on the running variable
    now: float  # weight of eps there
    before: float = 0.0  # weight of the eps before
    std: float = 0.0  # of the noise that is added


Ladder = tuple[Rung, ...]


class DenoisingSampler(ABC):
    """A way to draw x given x + eta w = z: a table for each eta, and a walk through it."""

    reference: ClassVar[str] = "Xu & Chi, NeurIPS 2024"

    @abstractmethod
    def ladder(self, prior: DiffusionPrior, eta: float) -> Ladder:
        """Return the coefficients for one noise level eta > 0.

        Raises
        ------
        InputError
            The prior's denoiser does not cover eta.
        """

    @abstractmethod
    def draw(
        self, prior: DiffusionPrior, ladder: Ladder, z: Tensor, stream: Stream, step: int
    ) -> Tensor:
        """Draw x given z [B, *shape], one for each row; noise is keyed by (stream, step)."""


class _CentredFlow(DenoisingSampler):
    """Flows of v, the signal relative to z: x = z + v at the end."""

    def draw(
        self, prior: DiffusionPrior, ladder: Ladder, z: Tensor, stream: Stream, step: int
    ) -> Tensor:
        """Solve the flow from fresh noise."""
        v = stream.normal(z.shape, "denoise", step, dtype=z.dtype, device=z.device)
        last: Tensor | None = None
        for rung in ladder:
            x = z.add(v, alpha=rung.reach)
            eps = (x - prior.denoise(x, rung.sigma)).div_(rung.sigma)
            v = (v if rung.keep == 1 else v * rung.keep).add(eps, alpha=-rung.now)
            if last is not None and rung.before:
                v.add_(last, alpha=-rung.before)
            last = eps
        return self._signal(z, v, ladder[0].sigma)

    @abstractmethod
    def _signal(self, z: Tensor, v: Tensor, eta: float) -> Tensor:
        """Return x from the end of the flow."""


@dataclass(frozen=True)
class AngleODE(_CentredFlow):
    """The OU flow without a schedule: equal steps in the angle.

    Where the denoiser stops at ``sigma_min`` > 0, the last step is the longer one.

    Parameters
    ----------
    steps
        Number of steps, >= 1.
    order
        1: Euler. 2: Adams-Bashforth with two evaluations remembered, fitted to cos and sin.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> prior, sampler = wp.Gaussian([0.0], 1.0), AngleODE(20)
    >>> z = torch.full((4000, 1), 2.0, dtype=torch.float64)
    >>> x = sampler.draw(prior, sampler.ladder(prior, 1.0), z, Stream(0), 0)
    >>> round(float(x.mean()), 1), round(float(x.var()), 1)
    (1.0, 0.5)
    """

    steps: int = 10
    order: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        whole(self.steps, "steps")
        require(self.order in (1, 2), f"order is {self.order!r}, expected 1 or 2")

    def ladder(self, prior: DiffusionPrior, eta: float) -> Ladder:
        """See ``DenoisingSampler``."""
        _check_eta(prior, eta)
        lowest = math.acos(min(1.0, prior.sigma_min / eta))
        angles = [min(RIGHT * k / self.steps, lowest) for k in range(self.steps)]
        return tuple(_rungs(eta, [*sorted(set(angles)), RIGHT], self.order))

    def _signal(self, z: Tensor, v: Tensor, eta: float) -> Tensor:
        return z.add(v, alpha=eta)


@dataclass(frozen=True)
class ChainOU(_CentredFlow):
    """The OU flow through the levels of a chain, step by step as in the paper.

    A level sigma < eta of the chain is met at cos theta = sigma / eta. Levels are filled in, so
    that abar grows by at most ``ratio`` a step, from where theta is below ``least``.

    Parameters
    ----------
    chain
        Levels to pass, in units of the signal; None: DDPM's linear chain of 1000 steps, scaled
        to the spread of the prior.
    stride
        Every how manieth level is used, >= 1; the lowest 15 always are.
    ratio
        Largest ratio of consecutive abar, > 1.
    least
        Angle at which the flow starts from N(0, I), in radians, in (0, 1).

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> len(ChainOU().ladder(wp.Gaussian([0.0], 1.0), 0.4))
    184
    """

    chain: Chain | None = None
    stride: int = 1
    ratio: float = 1.1
    least: float = 0.01

    ALWAYS: ClassVar[int] = 15

    def __post_init__(self) -> None:
        whole(self.stride, "stride")
        within(self.ratio, "ratio", 1, open_low=True)
        within(self.least, "least", 0, 1, open_low=True, open_high=True)

    def ladder(self, prior: DiffusionPrior, eta: float) -> Ladder:
        """See ``DenoisingSampler``."""
        _check_eta(prior, eta)
        shares = self._shares(prior, eta)
        angles = [math.atan(eta * math.sqrt(s / (1 - s))) for s in shares]
        roots = [math.sqrt(1 + (eta**2 - 1) * share) for share in (*shares, 1.0)]
        rungs = _rungs(eta, [*angles, RIGHT], 1)
        # w = u sqrt(c): the same Euler step in the paper's variable
        return tuple(
            rung._replace(reach=rung.reach / c, keep=low / c, now=rung.now * low)
            for rung, (c, low) in zip(rungs, pairwise(roots), strict=True)
        )

    def _shares(self, prior: DiffusionPrior, eta: float) -> list[float]:
        """Return abar at each evaluation, ascending."""
        chain = linear_chain() if self.chain is None else self.chain
        unit = prior.sigma_data if self.chain is None else 1.0
        below = sorted(s * unit for s in chain.sigma[1:-1] if prior.sigma_min <= s * unit < eta)
        kept = below[: self.ALWAYS] + below[self.ALWAYS :: self.stride]
        require(
            len(kept) > 0,
            f"eta is {eta:g}, below every level of the chain",
            "the flow passes the chain's levels below eta",
            "take a finer chain, or AngleODE, which needs none",
        )
        shares = [_share(eta, level) for level in reversed(kept)]
        filled = [shares[0]]
        while math.atan(eta * math.sqrt(filled[0])) >= self.least:
            filled.insert(0, filled[0] / self.ratio)
        for share in shares[1:]:
            parts = math.ceil(math.log(share / filled[-1]) / math.log(self.ratio))
            growth = (share / filled[-1]) ** (1 / max(1, parts))
            filled += [filled[-1] * growth ** (k + 1) for k in range(max(1, parts))]
        return filled

    def _signal(self, z: Tensor, v: Tensor, eta: float) -> Tensor:
        return z + v


@dataclass(frozen=True)
class HeatFlow(DenoisingSampler):
    """The heat flow run backwards: stochastic, equal steps in sigma.

    Parameters
    ----------
    steps
        Number of steps, >= 1.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> [round(rung.sigma, 3) for rung in HeatFlow(3).ladder(wp.Gaussian([0.0], 1.0), 1.0)]
    [1.0, 0.667, 0.333]
    """

    steps: int = 20

    def __post_init__(self) -> None:
        whole(self.steps, "steps")

    def ladder(self, prior: DiffusionPrior, eta: float) -> Ladder:
        """See ``DenoisingSampler``."""
        _check_eta(prior, eta)
        levels = {max(eta * k / self.steps, prior.sigma_min) for k in range(1, self.steps + 1)}
        kept = sorted(levels, reverse=True)
        down = [
            Rung(s, 1.0, 1.0, 2 * (s - low), std=math.sqrt(s**2 - low**2))
            for s, low in pairwise(kept)
        ]
        return (*down, Rung(kept[-1], 1.0, 1.0, kept[-1]))

    def draw(
        self, prior: DiffusionPrior, ladder: Ladder, z: Tensor, stream: Stream, step: int
    ) -> Tensor:
        """Walk down the levels from z itself."""
        x = z
        for place, rung in enumerate(ladder):
            x = torch.lerp(x, prior.denoise(x, rung.sigma), rung.now / rung.sigma)
            if rung.std:
                purpose = f"denoise {place}"
                noise = stream.normal(x.shape, purpose, step, dtype=x.dtype, device=x.device)
                x = x.add(noise, alpha=rung.std)
        return x


def _rungs(eta: float, angles: Sequence[float], order: int) -> list[Rung]:
    """Return explicit multistep coefficients between angles, the last of which is pi / 2."""
    rungs, previous = [], 0.0
    for theta, beyond in pairwise(angles):
        step = beyond - theta
        now, before = (step, 0.0) if order == 1 else _fitted(step, previous)
        sigma = eta * math.cos(theta)
        rungs.append(Rung(sigma, eta * math.sin(theta), 1.0, now, before))
        previous = step
    return rungs


def _fitted(step: float, previous: float) -> tuple[float, float]:
    """Return the weights of two values of eps that integrate cos and sin over a step exactly.

    With a single value, cos from angle zero on.
    """
    if not previous:
        return math.sin(step), 0.0
    before = -(1 - math.cos(step)) / math.sin(previous)
    return math.sin(step) - before * math.cos(previous), before


def _share(eta: float, level: float) -> float:
    """Return abar where the effective noise level is ``level`` < eta: tan^2 / (eta^2 + tan^2)."""
    tangent = (eta / level) ** 2 - 1
    return tangent / (eta**2 + tangent)


def _check_eta(prior: DiffusionPrior, eta: float) -> None:
    within(eta, "eta", 0, open_low=True)
    check_covered(prior, [eta], "the denoising sampler")
