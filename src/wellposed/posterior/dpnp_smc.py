"""DPnP with a population that is reweighted on the way down (this package's extension of DPnP).

Source     P. Del Moral, A. Doucet, A. Jasra, J. R. Stat. Soc. B 68 (2006) (the sampler);
           X. Xu, Y. Chi, NeurIPS 2024 (the moves). The combination is ours.
Model      pi_eta ~ p q_eta, q_eta = e^L * N(0, eta^2 I): the law of DPnP at constant eta. The
           prior is pi_infinity, the posterior pi_0.
Update     particles x_i start at draws of the prior; while eta falls,
           w_i    <- w_i q_eta'(x_i) / q_eta(x_i)
           resample systematically where the effective number falls below half, and at the end
           x_i    <- a sweep of DPnP at eta', which leaves pi_eta' alone
           log p(y) is the sum of the logs of the mean weights, carried to eta = 0.
           Linear operators with Gaussian noise: q_eta = N(y; A x, sigma^2 I + eta^2 A A*).
           Other likelihoods: the pair (x, n) with z = x + eta n has the law p(x) N(n) e^L(z),
           whose weights are L(x + eta' n) - L(x + eta n); before, at eta_max, e^L is brought in
           by a power that grows from 0 to 1. (Weights of the pair (x, z) would degenerate in
           many dimensions.)
           eta' is the least one at which the weights keep a share ``ess`` of the particles.
Cost       that of DPnP, and one generation from the prior.
Guarantee  as the number of particles grows, exact for every eta, whatever does not mix; the
           evidence is unbiased (where eta does not adapt).
Fails      few particles against many modes; likelihoods sharp against the prior in hundreds of
           measurements: then many steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import whole, within
from wellposed.operators.base import LinearOperator
from wellposed.operators.normal import smoothed
from wellposed.posterior.coupling import FLOOR, check_shape, resolution
from wellposed.posterior.datafit import DataFit
from wellposed.posterior.denoising import DenoisingSampler
from wellposed.posterior.dpnp import Tables, check_halves, posterior_prior
from wellposed.posterior.proximal import ProximalSampler, Pull, Turn, carried, choose
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.dpm_solver import DPMSolverPP2M
from wellposed.samplers.walk import all_finite
from wellposed.task import Account, Reading, Task

WIDE, PLAIN = 3.0, 1.0  # eta_max in units of the prior's spread: with q_eta known, and without
SHARE = 0.1  # eta_min in units of what the data resolve
DROP, FORCED = 2.0, 4.0  # largest ratio of two couplings: by choice, and when steps run out
BISECTIONS = 12
THIN = 0.3  # share of effective particles in a step that is worth a word

Place = tuple[float, float]  # (power of the likelihood, eta)
Gains = Callable[[Place], Tensor]


class Plan(NamedTuple):
    """What the population looks at."""

    prior: DiffusionPrior
    fit: DataFit
    closed: bool  # whether q_eta is known
    high: float
    low: float
    tables: Tables
    proximal: ProximalSampler
    steps: int
    size: int
    dtype: torch.dtype
    device: torch.device


class State(NamedTuple):
    """Where the particles are."""

    x: Tensor  # [P, *shape]
    pull: Pull | None  # None: before the start
    log_weights: Tensor  # [P], float64, normalised
    power: float
    eta: float
    log_evidence: float
    least: float  # smallest share of effective particles in a step
    spent: int  # denoiser evaluations
    step: int
    stream: Stream


@dataclass(frozen=True)
class DPnPSMC:
    """Sequential Monte Carlo along the couplings of DPnP: right weights of modes, and evidence.

    The draws of one population are exchangeable, not independent.

    Parameters
    ----------
    steps
        Largest number of sweeps, >= 2; usually fewer are made.
    particles
        Size of the population, >= 2, at least the number of draws; None: that number.
    ess
        Share of effective particles that a step of the couplings keeps, in (0, 1).
    eta_max, eta_min
        First and last coupling, > 0, in units of the signal. None: three times the prior's
        spread (once, where q_eta is not known), and a tenth of what the data resolve.
    start_steps
        Denoiser evaluations for the draws of the prior, >= 1.
    denoiser, denoiser_steps, proximal, moves
        As in ``DPnP``.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> prior = wp.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.1)
    >>> problem = wp.Problem([0.8], wp.operators.Matrix([[1.0, 1.0]]), wp.noise.Gaussian(0.2))
    >>> found = wp.recover(problem, prior, wp.DPnPSMC(), draws=1000)
    >>> round(found.log_evidence, 1), found.independent
    (-1.0, False)
    """

    steps: int = 100
    particles: int | None = None
    ess: float = 0.9
    eta_max: float | None = None
    eta_min: float | None = None
    start_steps: int = 40
    denoiser: Literal["ddim", "ddpm"] | DenoisingSampler = "ddim"
    denoiser_steps: int | None = None
    proximal: str = "auto"
    moves: int | None = None

    order: ClassVar[int | None] = None
    reference: ClassVar[str] = "this package, after Xu & Chi (2024) and Del Moral et al. (2006)"
    needs: ClassVar[str] = "denoiser, likelihood"

    def __post_init__(self) -> None:
        whole(self.steps, "steps", 2)
        if self.particles is not None:
            whole(self.particles, "particles", 2)
        within(self.ess, "ess", 0, 1, open_low=True, open_high=True)
        check_shape("log", self.eta_max, self.eta_min)
        whole(self.start_steps, "start_steps")
        check_halves(self.denoiser, self.denoiser_steps, self.proximal, self.moves)

    def population(self, draws: int) -> int:
        """Return the size of the population for so many draws."""
        return max(2, draws, self.particles or 0)

    def prepare(self, task: Task) -> Plan:
        """Find the ends of the couplings."""
        prior, fit = posterior_prior(task, "DPnPSMC"), DataFit.of(task, "DPnPSMC")
        closed = _closed(fit)
        spread = prior.sigma_data
        high = min((WIDE if closed else PLAIN) * spread, prior.sigma_max)
        low = max(FLOOR * spread, prior.sigma_min, SHARE * resolution(prior, fit))
        high = self.eta_max or high
        tables = Tables(prior, self.denoiser, self.denoiser_steps)
        trial = fit if closed else replace(fit, power=0.5)  # scales of heavy tails have no power
        return Plan(
            prior, fit, closed, high, min(self.eta_min or low, high), tables,
            choose(trial, self.proximal, self.moves), self.steps, task.count,
            task.dtype, task.device,
        )  # fmt: skip

    def init(self, plan: Plan, stream: Stream) -> State:
        """Begin before the prior."""
        x = torch.zeros(plan.size, *plan.prior.shape, dtype=plan.dtype, device=plan.device)
        even = torch.full((plan.size,), -math.log(plan.size), dtype=torch.float64)
        power = 1.0 if plan.closed else 0.0
        even = even.to(plan.device)
        return State(x, None, even, power, math.inf, 0.0, 1.0, 0, 0, stream)

    def step(self, plan: Plan, state: State) -> State:
        """Draw from the prior; after that, reweight, resample and move."""
        if state.pull is None:
            return self._generate(plan, state)
        gains = _gains(plan, state, state.pull)
        place, share = self._next(plan, state, gains)
        logs = state.log_weights + gains(place)
        total = float(logs.logsumexp(0))
        state = state._replace(
            log_weights=logs - total, log_evidence=state.log_evidence + total,
            least=min(state.least, share),
        )  # fmt: skip
        last = place == (1.0, plan.low)
        if last or _effective(state.log_weights) < 0.5 * plan.size:
            state = _resampled(plan, state)
        return self._moved(plan, state, place)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return the particles and, at the end, the log-evidence."""
        pull, done = state.pull, (state.power, state.eta) == (1.0, plan.low)
        note = ""
        if state.least < THIN:
            note = f"only {100 * state.least:.0f} % of the particles were effective in a step"
        account = Account(
            0 if pull is None else pull.gradients, 0 if pull is None else pull.likelihoods,
            log_evidence=None if pull is None or not done else _evidence(plan, state, pull),
            note=note,
        )  # fmt: skip
        return Reading(
            state.x,
            evaluations=state.spent,
            done=done,
            sigma=state.eta,
            acceptance=None if pull is None else pull.acceptance,
            sound=all_finite(state.x) and math.isfinite(state.log_evidence),
            account=account,
        )

    def _generate(self, plan: Plan, state: State) -> State:
        """Draw the particles from the prior."""
        sampler = DPMSolverPP2M(self.start_steps)
        walk = sampler.prepare(
            Task(prior=plan.prior, count=plan.size, dtype=plan.dtype, device=plan.device)
        )
        at = sampler.init(walk, state.stream)
        for _ in range(walk.steps):
            at = sampler.step(walk, at)
        reading = sampler.read(walk, at)
        x = reading.value
        tempered = replace(plan.fit, power=1.0)
        pull = plan.proximal.begin(tempered, Turn(x, plan.high, state.stream, 0))
        eta = math.inf if plan.closed else plan.high
        return state._replace(x=x, pull=pull, eta=eta, spent=reading.evaluations, step=1)

    def _next(self, plan: Plan, state: State, gains: Gains) -> tuple[Place, float]:
        """Return the next place, and the share of particles that stays effective there."""

        def share(place: Place) -> float:
            gain = gains(place)
            first = (state.log_weights + gain).logsumexp(0)
            second = (state.log_weights + 2 * gain).logsumexp(0)
            return float((2 * first - second).exp())

        left = plan.steps - state.step - 1
        if state.power < 1:
            need = math.ceil(math.log(plan.high / plan.low) / math.log(FORCED))
            path = _between(state.power, 1.0, lambda t: (t, state.eta))
            place = path(1.0) if left <= need else _farthest(share, path, self.ess)
            return place, share(place)
        top = min(state.eta, plan.high)
        floor = max(plan.low, top / DROP) if math.isfinite(state.eta) else plan.low
        path = _between(math.log(top), math.log(floor), lambda t: (1.0, math.exp(t)))
        forced = plan.low * FORCED**left
        place = _farthest(share, path, self.ess)
        if place[1] > forced:
            place = (1.0, forced)
        if place[1] <= plan.low * (1 + 1e-9):
            place = (1.0, plan.low)
        return place, share(place)

    def _moved(self, plan: Plan, state: State, place: Place) -> State:
        """Make a sweep of DPnP at the new place."""
        power, eta = place
        if state.pull is None:
            return state
        above = plan.high if math.isinf(state.eta) else state.eta
        pull = carried(state.pull, state.x, above, eta)
        fit = replace(plan.fit, power=power)
        turn = Turn(state.x, eta, state.stream, state.step, adapt=eta > plan.low)
        pull = plan.proximal.draw(fit, turn, pull)
        ladder = plan.tables.at(eta)
        x = plan.tables.sampler.draw(plan.prior, ladder, pull.z, state.stream, state.step)
        return state._replace(
            x=x, pull=pull, power=power, eta=eta, spent=state.spent + len(ladder),
            step=state.step + 1,
        )  # fmt: skip


def _closed(fit: DataFit) -> bool:
    """Whether q_eta has a closed form."""
    operator = fit.operator
    if fit.form is None or not isinstance(operator, LinearOperator):
        return False
    return isinstance(fit.form.sigma, float) and operator.spectral() is not None


def _blurred(plan: Plan, x: Tensor) -> Callable[[float], Tensor]:
    """log q_eta at x, [P], as a function of eta; zero at infinity."""
    form, operator = plan.fit.form, plan.fit.operator
    known = None
    if form is not None and isinstance(operator, LinearOperator):
        known = smoothed(operator, form.target, x, form.sigma)
    zero = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    return lambda eta: zero if known is None or math.isinf(eta) else known.log_density(eta)


def _gains(plan: Plan, state: State, pull: Pull) -> Gains:
    """Log of the weight between the present place and another, [P]."""
    if plan.closed:
        blurred = _blurred(plan, state.x)
        here = blurred(state.eta)
        return lambda place: blurred(place[1]) - here
    fit = plan.fit
    now: Tensor | float = state.power * fit.log_prob(pull.z) if state.power else 0.0

    def gain(place: Place) -> Tensor:
        power, eta = place
        return power * fit.log_prob(torch.lerp(state.x, pull.z, eta / state.eta)) - now

    return gain


def _evidence(plan: Plan, state: State, pull: Pull) -> float:
    """Log-evidence, carried from the last coupling to none."""
    gain = plan.fit.log_prob(state.x)
    if plan.closed:
        gain = gain - _blurred(plan, state.x)(state.eta)
    else:
        gain = gain - plan.fit.log_prob(pull.z)
    return state.log_evidence + float((state.log_weights + gain).logsumexp(0))


def _between(start: float, end: float, place: Callable[[float], Place]) -> Callable[..., Place]:
    return lambda t: place(start + t * (end - start))


def _farthest(
    share: Callable[[Place], float], path: Callable[[float], Place], target: float
) -> Place:
    """Return the last place on a path at which the share is not below the target."""
    if share(path(1.0)) >= target:
        return path(1.0)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(path(middle)) >= target else (low, middle)
    return path(low)


def _effective(log_weights: Tensor) -> float:
    """Effective number of particles."""
    return float((-(2 * log_weights).logsumexp(0)).exp())


def _resampled(plan: Plan, state: State) -> State:
    """Resample systematically, in random order."""
    stream, count, step = state.stream, plan.size, state.step
    offset = stream.uniform((1,), "resample", step)
    marks = (torch.arange(count, dtype=torch.float64) + offset) / count
    edges = state.log_weights.exp().cumsum(0).cpu()
    index = torch.searchsorted(edges / edges[-1], marks).clamp(max=count - 1)
    index = index[stream.permutation(count, "shuffle", step)].to(state.x.device)
    pull = state.pull
    if pull is not None:
        pull = pull._replace(z=pull.z[index], log_step=pull.log_step[index])
    even = torch.full_like(state.log_weights, -math.log(count))
    return state._replace(x=state.x[index], pull=pull, log_weights=even)
