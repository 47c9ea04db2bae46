"""Proximal consistency samplers: draws of z from exp(L(z) - |z - x|^2 / (2 eta^2)).

Source     X. Xu, Y. Chi, NeurIPS 2024; G. Roberts, R. Tweedie, Bernoulli 2 (1996) (MALA);
           I. Murray, R. Adams, D. MacKay, AISTATS 2010 (elliptical slice sampling).
Model      L the log-likelihood, x the current signal, eta the coupling.
Update     ExactGaussian   y = A x + white noise: N(Lambda^-1 b, Lambda^-1) by one solve with
                           perturbed data, Lambda = A* A / sigma^2 + I / eta^2. Heavy-tailed
                           noise first draws a sigma for each measurement, given y - A z.
           LangevinMoves   z' = x + a (z - x) + (1 - a) eta^2 g(z) + eta sqrt(1 - a^2) n,
                           g = grad L, a = exp(-step / eta^2); without data this is an exact
                           draw's OU move, so with c = z - x the Metropolis ratio is
                           log r = L(z') - L(z) + (<c - a c', g'> - <c' - a c, g>
                                   + (1 - a) eta^2 (|g|^2 - |g'|^2) / 2) / (1 + a).
                           Each chain adapts its own step in the first sweeps; then it is frozen.
           EllipticalSlice c' = c cos(theta) + eta n sin(theta), theta shrunk towards 0 until
                           L(x + c') > L(x + c) + log u: needs L only, and has no step.
           MALA and slices start at the z of the sweep before, carried along to the new eta: so
           each sweep leaves the joint law p(x) N(z; x, eta^2 I) e^L(z) alone, for any number of
           moves. (Restarting at z = x, as published code does, does not.)
Cost       one solve; a gradient a move; about 5 to 12 log-likelihoods a slice.
Guarantee  exact; invariant; invariant.
Fails      MALA: kinks of L. Slices: many data, where each slice moves little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.errors import CapabilityError
from wellposed.noise.base import GaussianForm
from wellposed.operators.base import LinearOperator
from wellposed.operators.normal import gaussian_draw
from wellposed.posterior.datafit import DataFit, Seen, column, inner
from wellposed.rng import Stream

OPTIMAL = 0.574  # acceptance of an efficient MALA step (Roberts & Rosenthal, 1998)
LARGEST = 20.0  # steps beyond 20 eta^2 forget z to within exp(-20)
SHRINKS = 200  # of a bracket; each halves it on average


class Pull(NamedTuple):
    """Where the likelihood's half of the chains stands."""

    z: Tensor  # [B, *shape]
    log_step: Tensor  # [B], float64: MALA's step, in squared units of the signal
    accepted: Tensor  # 0-d float64: accepted moves of a chain since the steps were frozen, mean
    moves: int  # moves since then
    gradients: int  # evaluations for each chain
    likelihoods: int
    residual: float  # largest relative residual of a Gaussian solve

    @property
    def acceptance(self) -> float | None:
        """Share of accepted moves, where there were any."""
        return float(self.accepted) / self.moves if self.moves else None


class Turn(NamedTuple):
    """One call of a proximal sampler."""

    x: Tensor  # [B, *shape]
    eta: float
    stream: Stream
    sweep: int
    adapt: bool = False  # whether steps may still change

    def normal(self, purpose: str, shape: tuple[int, ...] | torch.Size | None = None) -> Tensor:
        """Draw noise of the type of x."""
        where = self.x.shape if shape is None else shape
        return self.stream.normal(
            where, f"proximal {purpose}", self.sweep, dtype=self.x.dtype, device=self.x.device
        )

    def uniform(self, purpose: str) -> Tensor:
        """Draw a number for each chain, [B], float64."""
        purpose = f"proximal {purpose}"
        return self.stream.uniform(
            (len(self.x),), purpose, self.sweep, device=self.x.device
        ).clamp_min(1e-300)


class ProximalSampler(Protocol):
    """Draws z near x and near the data."""

    needs: ClassVar[str]

    def begin(self, fit: DataFit, turn: Turn) -> Pull:
        """Return the state before the first sweep."""

    def draw(self, fit: DataFit, turn: Turn, pull: Pull) -> Pull:
        """Move z, given x and eta."""


def _begin(turn: Turn) -> Pull:
    z = turn.x.add(turn.normal("start"), alpha=turn.eta)
    zeros = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    return Pull(z, zeros, zeros.sum(), 0, 0, 0, 0.0)


@dataclass(frozen=True)
class ExactGaussian:
    """An exact draw, for a linear operator with Gaussian or heavy-tailed noise.

    Examples
    --------
    >>> import wellposed as wp
    >>> from wellposed.task import Task
    >>> problem = wp.Problem([2.0], wp.operators.Identity((1,)), wp.noise.Gaussian(1.0))
    >>> fit = DataFit.of(Task(problem, wp.Gaussian([0.0], 1.0)), "example")
    >>> turn = Turn(torch.zeros(20_000, 1, dtype=torch.float64), 1.0, Stream(0), 0)
    >>> z = ExactGaussian().draw(fit, turn, ExactGaussian().begin(fit, turn)).z
    >>> round(float(z.mean()), 1), round(float(z.var()), 1)
    (1.0, 0.5)
    """

    needs: ClassVar[str] = "linear operator, Gaussian or heavy-tailed noise"

    def begin(self, fit: DataFit, turn: Turn) -> Pull:
        """See ``ProximalSampler``."""
        return _begin(turn)

    def draw(self, fit: DataFit, turn: Turn, pull: Pull) -> Pull:
        """Solve once with perturbed data."""
        operator, form = fit.operator, self._form(fit, turn, pull)
        if not isinstance(operator, LinearOperator) or form is None:
            raise CapabilityError(
                f"the Gaussian step was given {type(operator).__name__} with {fit.noise!r}",
                f"it needs: {self.needs}",
                'proximal="mala", or proximal="slice", which needs the likelihood only',
            )
        kind = torch.complex128 if form.target.is_complex() else torch.float64
        white = turn.stream.normal(
            (len(turn.x), *operator.shape_out), "proximal data", turn.sweep, dtype=kind
        ).to(form.target)
        if white.is_complex():  # unit variance for each real component
            white = white * math.sqrt(2)
        solved = gaussian_draw(
            operator, form.target, turn.x, form.sigma, turn.eta, white, turn.normal("signal")
        )
        residual = max(pull.residual, float(solved.residual.max()))
        return pull._replace(z=solved.z, residual=residual)

    @staticmethod
    def _form(fit: DataFit, turn: Turn, pull: Pull) -> GaussianForm | None:
        """Return the Gaussian likelihood of this sweep."""
        if fit.mixture is None:
            return fit.form
        residual = fit.y - fit.operator.forward(pull.z)
        return GaussianForm(fit.y, fit.mixture.draw_scales(residual, turn.stream, turn.sweep))


@dataclass(frozen=True)
class LangevinMoves:
    """Metropolis-adjusted Langevin moves, for a differentiable operator.

    Parameters
    ----------
    moves
        In each sweep, >= 1.

    Raises
    ------
    InputError
        A field outside its range.
    """

    moves: int = 10
    needs: ClassVar[str] = "differentiable operator, likelihood with a gradient"

    def __post_init__(self) -> None:
        whole(self.moves, "moves")

    def begin(self, fit: DataFit, turn: Turn) -> Pull:
        """Start with the step 1 / curvature of L."""
        require(
            fit.differentiable,
            f"{type(fit.operator).__name__} has no derivative",
            f"MALA needs: {self.needs}",
            'proximal="slice", which needs the likelihood only',
            error=CapabilityError,
        )
        pull = _begin(turn)
        curvature = fit.curvature(pull.z, 0.1 * turn.eta * turn.normal("direction"))
        step = (1 / curvature).clamp(max=LARGEST * turn.eta**2)
        return pull._replace(log_step=step.log(), gradients=13)

    def draw(self, fit: DataFit, turn: Turn, pull: Pull) -> Pull:
        """Make the moves."""
        z, seen, log_step, accepted = pull.z, fit.look(pull.z), pull.log_step, pull.accepted
        for move in range(self.moves):
            a = (-log_step.exp() / turn.eta**2).exp()
            noise = turn.normal(f"move {move}")
            proposal = _propose(turn, z, seen.gradient, a, noise)
            new = fit.look(proposal)
            log_ratio = _log_ratio(turn, z, seen, proposal, new, a)
            taken = turn.uniform(f"accept {move}").log() < log_ratio  # NaN is not
            z = torch.where(column(taken, z) > 0, proposal, z)
            seen = Seen(
                torch.where(taken, new.log_prob, seen.log_prob),
                torch.where(column(taken, z) > 0, new.gradient, seen.gradient),
            )
            if turn.adapt:
                chance = log_ratio.nan_to_num(-math.inf).exp().clamp(max=1.0)
                gain = 2 / math.sqrt(1 + turn.sweep * self.moves + move)
                log_step = log_step + gain * (chance - OPTIMAL)
                log_step = log_step.clamp(max=math.log(LARGEST * turn.eta**2))
            else:
                accepted = accepted + taken.double().mean()
        return pull._replace(
            z=z, log_step=log_step, accepted=accepted,
            moves=pull.moves + (0 if turn.adapt else self.moves),
            gradients=pull.gradients + self.moves + 1,
        )  # fmt: skip


def _propose(turn: Turn, z: Tensor, gradient: Tensor, a: Tensor, noise: Tensor) -> Tensor:
    """x + a (z - x) + (1 - a) eta^2 g + eta sqrt(1 - a^2) n."""
    drift = column((1 - a) * turn.eta**2, z) * gradient
    spread = column(turn.eta * (1 - a**2).clamp_min(0).sqrt(), z)
    return turn.x + column(a, z) * (z - turn.x) + drift + spread * noise


def _log_ratio(turn: Turn, z: Tensor, old: Seen, to: Tensor, new: Seen, a: Tensor) -> Tensor:
    """Log of the Metropolis ratio, [B], float64; see the head of this file."""
    c, beyond, keep = z - turn.x, to - turn.x, column(a, z)
    cross = inner(c - keep * beyond, new.gradient) - inner(beyond - keep * c, old.gradient)
    energy = inner(old.gradient, old.gradient) - inner(new.gradient, new.gradient)
    drift = cross + 0.5 * (1 - a) * turn.eta**2 * energy
    ratio: Tensor = new.log_prob - old.log_prob + drift / (1 + a)
    return ratio


@dataclass(frozen=True)
class EllipticalSlice:
    """Elliptical slice sampling, for any likelihood.

    Parameters
    ----------
    moves
        Slices in each sweep, >= 1.

    Raises
    ------
    InputError
        A field outside its range.
    """

    moves: int = 20
    needs: ClassVar[str] = "likelihood"

    def __post_init__(self) -> None:
        whole(self.moves, "moves")

    def begin(self, fit: DataFit, turn: Turn) -> Pull:
        """See ``ProximalSampler``."""
        return _begin(turn)

    def draw(self, fit: DataFit, turn: Turn, pull: Pull) -> Pull:
        """Make the moves."""
        c, log_prob, calls = pull.z - turn.x, fit.log_prob(pull.z), 1
        for move in range(self.moves):
            c, log_prob, made = self._slice(fit, turn, c, log_prob, move)
            calls += made
        return pull._replace(z=turn.x + c, likelihoods=pull.likelihoods + calls)

    @staticmethod
    def _slice(
        fit: DataFit, turn: Turn, c: Tensor, log_prob: Tensor, move: int
    ) -> tuple[Tensor, Tensor, int]:
        """Return the new c, its log-likelihood, and how often that was evaluated."""
        other = turn.eta * turn.normal(f"ellipse {move}")
        level = log_prob + turn.uniform(f"level {move}").log()
        theta = 2 * math.pi * turn.uniform(f"angle {move}")
        low, high = theta - 2 * math.pi, theta
        left = torch.ones_like(level, dtype=torch.bool)
        for shrink in range(SHRINKS):
            trial = column(theta.cos(), c) * c + column(theta.sin(), c) * other
            found = fit.log_prob(turn.x + trial)
            good = left & (found > level)
            c = torch.where(column(good, c) > 0, trial, c)
            log_prob = torch.where(good, found, log_prob)
            left = left & ~good
            if not bool(left.any()):
                return c, log_prob, shrink + 1
            low, high = torch.where(theta < 0, theta, low), torch.where(theta < 0, high, theta)
            theta = low + (high - low) * turn.uniform(f"shrink {move} {shrink}")
        return c, log_prob, SHRINKS  # the bracket is a point: such chains stay


def choose(fit: DataFit, name: str, moves: int | None) -> ProximalSampler:
    """Return the proximal sampler of a name; "auto" takes the first that the data allow.

    Raises
    ------
    CapabilityError
        The named one cannot work with these data; the message names those that can.
    """
    gaussian = fit.form is not None or fit.mixture is not None
    kinds = {"exact": gaussian, "mala": fit.differentiable, "slice": True}
    able = [kind for kind, can in kinds.items() if can]
    kind = able[0] if name == "auto" else name
    require(
        kinds[kind],
        f"proximal={kind!r} cannot work with {type(fit.operator).__name__} and {fit.noise!r}",
        f"it needs: {_KINDS[kind].needs}",
        "these can: " + ", ".join(repr(k) for k in able),
        error=CapabilityError,
    )
    sampler: ProximalSampler = _KINDS[kind]
    if moves is not None and isinstance(sampler, LangevinMoves | EllipticalSlice):
        return replace(sampler, moves=moves)
    return sampler


_KINDS: dict[str, Any] = {
    "exact": ExactGaussian(), "mala": LangevinMoves(), "slice": EllipticalSlice(),
}  # fmt: skip
KINDS = ("auto", *_KINDS)


def carried(pull: Pull, x: Tensor, above: float, eta: float) -> Pull:
    """Carry z along from coupling ``above`` to ``eta``: (z - x) / eta stays as it is."""
    return pull if above == eta else pull._replace(z=torch.lerp(x, pull.z, eta / above))
