"""Diffusion plug-and-play (DPnP): alternate between the data and the prior, ever more tightly.

Source     X. Xu, Y. Chi, "Provably robust score-based diffusion posterior sampling for
           plug-and-play image reconstruction", NeurIPS 2024.
Model      x ~ p known by its denoiser, L(x) = log p(y | x) for any likelihood.
Update     for k = 0, 1, ..., with couplings eta_k:
           z_k     ~ exp(L(z) - |z - x_k|^2 / (2 eta_k^2))     proximal consistency
           x_{k+1} ~ p(x | x + eta_k w = z_k)                  denoising posterior
           Where the operator is not linear, a search for a start comes first (``search``).
           Bits whose means read the signal by orthogonal rows of one norm a have a likelihood that
           is itself a blur: there L is that of bits with less dither, whose blur by a eta is the
           likelihood (``sharpened`` of the noise; ours).
           readout "mean": at the end x = E[x | x + eta w = z] in place of the last draw.
Cost       an evaluation for the start, one a level of the search, one for a mean; per sweep: the
           denoiser's steps in evaluations; a Gaussian solve, or the moves' gradients or
           likelihoods.
Guarantee  at constant eta the law of x is p q_eta / Z, q_eta = e^L * N(0, eta^2 I). With
           lambda the second eigenvalue of the sweep and eps_1, eps_2 the total variation
           errors of the halves,
               TV <= c (1 - lambda)^-1 (eps_1 + eps_2) log(1 / eps) + eps sqrt(chi^2(start))
           after log(1 / eps) / (1 - lambda) sweeps; p q_eta tends to the posterior as eta -> 0,
           and with a sharpened L is the posterior (within 0.004 of a bit's probability under a
           logistic link) for eta below three quarters of the dither's scale over a.
           Means in place of draws lack the denoising half's spread: intervals are too narrow.
Fails      modes far apart: lambda tends to 1 as eta falls, and their weights freeze at those
           of a larger eta. DPnPSMC reweights.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require, whole
from wellposed.errors import CapabilityError
from wellposed.posterior.coupling import Shape, check_shape, couplings, default_ends
from wellposed.posterior.datafit import DataFit
from wellposed.posterior.denoising import AngleODE, DenoisingSampler, HeatFlow, Ladder
from wellposed.posterior.proximal import KINDS, ProximalSampler, Pull, Turn, carried, choose
from wellposed.posterior.search import MOVES, Search, seeks
from wellposed.posterior.summaries import Summaries, summaries
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.rng import Stream
from wellposed.samplers.levels import check_covered
from wellposed.samplers.walk import all_finite
from wellposed.task import Account, Reading, Task

STEPS = 10  # of the denoising sampler; twice that above the prior's spread, and for the heat flow
FAR = 10  # level in units of the prior's spread at which a denoiser returns about the mean
LOOSE = 1e-4  # relative residual of a Gaussian solve that is worth a word
NARROW = "each draw ends by a mean: smoother than the posterior, and intervals are too narrow"


class Plan(NamedTuple):
    """What the sweeps look at."""

    prior: DiffusionPrior
    fit: DataFit
    sharp: tuple[DataFit, ...]  # what the data's half of each sweep looks at
    etas: tuple[float, ...]  # one a sweep
    ladders: tuple[Ladder, ...]  # of the denoising sampler, one a sweep
    denoiser: DenoisingSampler
    proximal: ProximalSampler
    search: Search
    summaries: Summaries
    tail: int  # last sweeps whose summaries are kept
    mean: bool  # whether a mean is read out in the end
    adapting: int  # first sweeps, in which MALA's steps may change
    spent: tuple[int, ...]  # denoiser evaluations after k steps
    shape: tuple[int, ...]  # [B, *shape]
    dtype: torch.dtype
    device: torch.device

    @property
    def steps(self) -> int:
        """Levels of the search, sweeps, and a mean."""
        return len(self.search.levels) + len(self.etas) + self.mean


class State(NamedTuple):
    """Where the chains are."""

    x: Tensor  # [B, *shape]
    pull: Pull
    kept: Tensor  # [sweeps, B, S], float64: summaries of the tail
    step: int
    stream: Stream


@dataclass(frozen=True)
class DPnP:
    """Posterior draws by a split Gibbs sampler with a diffusion prior.

    Parameters
    ----------
    steps
        Number of sweeps, >= 2.
    schedule
        Couplings: "log" (a plateau, a log-uniform descent, a tail at the end), "constant" (all
        at eta_max), "diminishing" (eta_max / (k + 1)), "published" (as in the authors' code).
    eta_max, eta_min
        First and last coupling, > 0, in units of the signal. None: the prior's spread, or more
        where the data are weak, and a third or a sixth of what the data resolve (see
        ``coupling``); the published 0.4 and 0.16.
    denoiser
        "ddim": ``AngleODE``; "ddpm": ``HeatFlow``; or a denoising sampler of your own choice.
    denoiser_steps
        Evaluations of "ddim" and "ddpm" in each sweep, >= 1; None: 10 and 20, twice as many
        where eta is above the prior's spread.
    proximal
        "exact" (linear operator, Gaussian or heavy-tailed noise), "mala" (differentiable
        operator and noise), "slice" (any likelihood), or "auto": the first that the data allow.
    moves
        MALA moves or slices in each sweep, >= 1; None: 10 or 20.
    search
        Levels of the search for a start, >= 0, which needs gradients. None: as many as sweeps
        where the operator is not linear and has a derivative, else 0.
    tail
        Sweeps at the end from which R-hat, ESS and MCSE are computed, in [0, steps - 2].
    readout
        "draw"; or "mean": the denoiser's mean given the last z, one evaluation more. Smoother and
        nearer to the truth by squared error, the more the larger eta_min is; no posterior draw.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import wellposed as wp
    >>> prior = wp.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.1)
    >>> problem = wp.Problem([0.8], wp.operators.Matrix([[1.0, 1.0]]), wp.noise.Gaussian(0.2))
    >>> found = wp.recover(problem, prior, wp.DPnP(steps=20), draws=100)
    >>> found.draws.shape, found.evaluations.denoiser
    ((100, 2), 201)
    """

    steps: int = 60
    schedule: Shape = "log"
    eta_max: float | None = None
    eta_min: float | None = None
    denoiser: Literal["ddim", "ddpm"] | DenoisingSampler = "ddim"
    denoiser_steps: int | None = None
    proximal: str = "auto"
    moves: int | None = None
    search: int | None = None
    tail: int = 10
    readout: Literal["draw", "mean"] = "draw"

    order: ClassVar[int | None] = None
    reference: ClassVar[str] = "Xu & Chi, NeurIPS 2024"
    needs: ClassVar[str] = "denoiser, likelihood"

    def __post_init__(self) -> None:
        whole(self.steps, "steps", 2)
        check_shape(self.schedule, self.eta_max, self.eta_min)
        check_halves(self.denoiser, self.denoiser_steps, self.proximal, self.moves)
        if self.search is not None:
            whole(self.search, "search", 0)
        whole(self.tail, "tail", 0)
        require(
            self.readout in ("draw", "mean"),
            f'readout is {self.readout!r}, expected "draw" or "mean"',
        )
        require(
            self.tail <= self.steps - 2,
            f"tail is {self.tail}, expected at most steps - 2 = {self.steps - 2}",
            "the couplings fall before the tail",
            "more steps, or a shorter tail",
        )

    def prepare(self, task: Task) -> Plan:
        """Lay out couplings and tables."""
        prior = posterior_prior(task, "DPnP")
        fit = DataFit.of(task, "DPnP")
        high, low = self._ends(prior, fit)
        etas = couplings(self.schedule, self.steps, self.tail, high, low)
        tables = Tables(prior, self.denoiser, self.denoiser_steps)
        ladders = [tables.at(eta) for eta in etas]
        constant = sum(1 for eta in etas if eta == etas[-1])
        search = Search.of(prior, fit, self._levels(fit))
        mean = self.readout == "mean"
        costs = [1] * len(search.levels) + [len(ladder) for ladder in ladders] + [1] * mean
        sharp = tuple(fit.sharpened(eta) for eta in etas)
        return Plan(
            prior, fit, sharp, etas, tuple(ladders), tables.sampler,
            choose(fit, self.proximal, self.moves), search, summaries(fit),
            min(self.tail, constant), mean, (self.steps - self.tail) // 2,
            tuple(accumulate(costs, initial=1)), (task.count, *prior.shape),
            task.dtype, task.device,
        )  # fmt: skip

    def init(self, plan: Plan, stream: Stream) -> State:
        """Start around the prior's mean: of x and -x alike to the data, on its side."""
        prior, kind = plan.prior, {"dtype": plan.dtype, "device": plan.device}
        far = min(prior.sigma_max, FAR * prior.sigma_data)
        mean = prior.denoise(far * stream.normal(plan.shape, "far", **kind), far)  # type: ignore[arg-type]
        spread = stream.normal(plan.shape, "start", **kind)  # type: ignore[arg-type]
        x = mean + prior.sigma_data * spread
        pull = plan.proximal.begin(plan.sharp[0], Turn(x, plan.etas[0], stream, 0))
        none = torch.zeros(0, len(x), len(plan.summaries.names), dtype=torch.float64)
        return State(x, pull, none.to(x.device), 0, stream)

    def step(self, plan: Plan, state: State) -> State:
        """A level of the search; or a sweep, towards the data, then the prior; or a mean."""
        k = state.step - len(plan.search.levels)
        if k < 0:
            return _sought(plan, state)
        if k == len(plan.etas):
            x = plan.prior.denoise(state.pull.z, plan.etas[-1])
            return state._replace(x=x, step=state.step + 1)
        eta = plan.etas[k]
        pull = carried(state.pull, state.x, plan.etas[max(0, k - 1)], eta)
        turn = Turn(state.x, eta, state.stream, k, adapt=k < plan.adapting)
        pull = plan.proximal.draw(plan.sharp[k], turn, pull)
        x = plan.denoiser.draw(plan.prior, plan.ladders[k], pull.z, state.stream, k)
        kept = state.kept
        if k >= len(plan.etas) - plan.tail:
            kept = torch.cat([kept, plan.summaries.of(x)[None]])
        return State(x, pull, kept, state.step + 1, state.stream)

    def read(self, plan: Plan, state: State) -> Reading:
        """Return x, and what was spent."""
        pull = state.pull
        notes = [NARROW] if plan.mean else []
        if pull.residual > LOOSE:
            notes.append(f"a Gaussian step stopped at a relative residual of {pull.residual:.1g}")
        return Reading(
            state.x,
            evaluations=plan.spent[state.step],
            done=state.step == plan.steps,
            sigma=(*plan.search.levels, *plan.etas, plan.etas[-1])[max(0, state.step - 1)],
            acceptance=pull.acceptance,
            sound=all_finite(state.x),
            account=Account(
                pull.gradients,
                pull.likelihoods,
                state.kept,
                plan.summaries.names,
                note="; ".join(notes),
            ),
        )

    def _levels(self, fit: DataFit) -> int:
        if self.search is None:
            return self.steps if seeks(fit.operator, fit.noise) else 0
        require(
            fit.differentiable or self.search == 0,
            f"search is {self.search}, and {type(fit.operator).__name__} under "
            f"{type(fit.noise).__name__} noise has no derivative",
            "a search climbs along gradients",
            "search=0",
            error=CapabilityError,
        )
        return self.search

    def _ends(self, prior: DiffusionPrior, fit: DataFit) -> tuple[float, float]:
        high, low = default_ends(prior, fit, self.schedule)
        high = high if self.eta_max is None else self.eta_max
        low = low if self.eta_min is None else self.eta_min
        return max(high, low) if self.eta_max is None else high, min(low, high)


def _sought(plan: Plan, state: State) -> State:
    """Go down a level of the search; at the last one let z begin near the data."""
    k, levels, pull = state.step, plan.search.levels, state.pull
    sigma = levels[k]
    z = plan.search.towards(plan.fit, state.x, sigma)
    noise = state.stream.normal(z.shape, "search", k, dtype=z.dtype, device=z.device)
    x = plan.prior.denoise(z.add(noise, alpha=sigma), sigma)
    gradients = pull.gradients + MOVES + 1
    if k + 1 == len(levels):
        pull = pull._replace(z=plan.search.towards(plan.fit, x, plan.etas[0]))
        gradients += MOVES + 1
    return state._replace(x=x, pull=pull._replace(gradients=gradients), step=k + 1)


class Tables:
    """The denoising sampler's coefficients, once for each coupling."""

    def __init__(
        self, prior: DiffusionPrior, denoiser: str | DenoisingSampler, steps: int | None
    ) -> None:
        self.prior, self.denoiser, self.steps = prior, denoiser, steps
        self.sampler = self._sampler(1)
        self.known: dict[float, Ladder] = {}

    def at(self, eta: float) -> Ladder:
        """Return the table of one coupling."""
        if eta not in self.known:
            check_covered(self.prior, [eta], "the denoising half")
            many = 2 if eta > self.prior.sigma_data else 1
            self.known[eta] = self._sampler(many).ladder(self.prior, eta)
        return self.known[eta]

    def _sampler(self, many: int) -> DenoisingSampler:
        if isinstance(self.denoiser, DenoisingSampler):
            return self.denoiser
        if self.denoiser == "ddim":
            return AngleODE(self.steps or STEPS * many)
        return HeatFlow(self.steps or 2 * STEPS * many)


def check_halves(
    denoiser: object, denoiser_steps: int | None, proximal: str, moves: int | None
) -> None:
    """Check the fields that say how the two halves of a sweep are made."""
    require(
        denoiser in ("ddim", "ddpm") or isinstance(denoiser, DenoisingSampler),
        f'denoiser is {denoiser!r}, expected "ddim", "ddpm" or a denoising sampler',
        remedy="such as wp.posterior.AngleODE(steps=20)",
    )
    if denoiser_steps is not None:
        whole(denoiser_steps, "denoiser_steps")
        require(
            isinstance(denoiser, str),
            f"denoiser_steps is {denoiser_steps}, and denoiser is {denoiser!r}",
            "a denoising sampler brings its own steps",
            "give the steps to the sampler, such as wp.posterior.AngleODE(steps=20)",
        )
    require(proximal in KINDS, f"proximal is {proximal!r}, expected one of {', '.join(KINDS)}")
    if moves is not None:
        whole(moves, "moves")


def posterior_prior(task: Task, name: str) -> DiffusionPrior:
    """Return the prior of a posterior task."""
    prior = task.prior
    if not isinstance(prior, DiffusionPrior):
        raise CapabilityError(
            f"{name} was given a {type(prior).__name__} prior, expected a diffusion prior",
            "it looks at the prior through a denoiser",
            "wp.GaussianMixture(...), or wp.Denoiser(function, shape)",
        )
    for what, given in (("sigmas", task.sigmas), ("start", task.start)):
        require(
            given is None,
            f"{what} was given to {name}, which has couplings of its own",
            remedy="leave it out, or take wp.sample for draws of the prior",
        )
    return prior
