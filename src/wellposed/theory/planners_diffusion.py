"""The theorems on diffusion samplers, as planners.

Sources    Li, Wei, Chen & Chi (ICLR 2024); Li, Wei, Chi & Chen (arXiv:2408.02320); Li, Huang,
           Efimov, Wei, Chi & Chen (ICML 2024); Chen, Chewi, Li, Li, Salim & Zhang (ICLR 2023).
Notation   d dimension, T steps of a chain, eps the L2 error of the scores, epsJ that of their
           Jacobians, both averaged over the chain. Bounds are on the total variation between the
           sampler's law and the data with the least noise; logarithms are left out.
Scale      the powers of d are far from what is seen: with constant 1 most of these bounds say
           nothing for images. Use them for their powers, and a pilot or ``wellposed theory`` for
           figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from wellposed.checks import whole, within
from wellposed.theory.budget import Terms, theorem_terms
from wellposed.theory.path_kl import path_kl
from wellposed.theory.planner import Planner, Quantity
from wellposed.theory.unbalanced import unequal_modes

BOUNDED = "data in a ball whose radius is at most a power of T"
SCHEDULE = "the schedule of the theorems (theory_chain), stopped at t = 1"
SCORES = "scores with L2 error eps on average over the chain"
JACOBIANS = "Jacobians of the scores with error epsJ on average over the chain"


@dataclass(frozen=True)
class DiffusionSizes:
    """The sizes of a sampling problem.

    Parameters
    ----------
    dimension
        d, numbers in a signal, >= 1.
    steps
        T, or N for the exponential integrator, >= 2.
    tv
        Total variation aimed at, in (0, 1).
    score_error, jacobian_error
        eps and epsJ, >= 0.
    lipschitz
        L > 1, the Lipschitz constant of the scores.
    moment
        m, the root of E |x|^2, >= 0; None takes sqrt(d).
    divergence
        KL(q | N(0, I)) of the data, > 0; None takes d.
    horizon
        Time of the Ornstein-Uhlenbeck process at which a sampler starts, > 0.

    Raises
    ------
    InputError
        A value out of range.

    Examples
    --------
    >>> DiffusionSizes(dimension=16).second_moment
    4.0
    """

    dimension: int = 3072
    steps: int = 1000
    tv: float = 0.1
    score_error: float = 0.0
    jacobian_error: float = 0.0
    lipschitz: float = 10.0
    moment: float | None = None
    divergence: float | None = None
    horizon: float = 4.0

    def __post_init__(self) -> None:
        whole(self.dimension, "dimension")
        whole(self.steps, "steps", 2)
        within(self.tv, "tv", 0, 1, open_low=True, open_high=True)
        within(self.score_error, "score_error", 0)
        within(self.jacobian_error, "jacobian_error", 0)
        within(self.lipschitz, "lipschitz", 1, open_low=True, why="the theorem is for L > 1")
        within(self.horizon, "horizon", 0, open_low=True)
        within(self.second_moment, "moment", 0)
        within(self.relative, "divergence", 0, open_low=True)

    @property
    def second_moment(self) -> float:
        """Root of E |x|^2."""
        return math.sqrt(self.dimension) if self.moment is None else self.moment

    @property
    def relative(self) -> float:
        """KL(q | N(0, I))."""
        return float(self.dimension) if self.divergence is None else self.divergence

    @property
    def stochastic_floor(self) -> float:
        """What wrong scores cost a stochastic sampler, up to a constant."""
        return math.sqrt(self.dimension) * self.score_error

    @property
    def deterministic_floor(self) -> float:
        """What wrong scores and Jacobians cost a deterministic sampler, up to a constant."""
        return self.stochastic_floor + self.dimension * self.jacobian_error


def _one(sizes: DiffusionSizes) -> float:
    """No total variation is larger."""
    return 1.0


def _terms(s: DiffusionSizes) -> Terms:
    return theorem_terms(
        relative=s.relative, slopes=s.lipschitz, moment=s.second_moment, horizon=s.horizon,
        steps=s.steps, error=s.score_error, dimension=s.dimension,
    )  # fmt: skip


def _where_it_pays(s: DiffusionSizes) -> str:
    choice = {"start": "a longer horizon", "steps": "more steps", "score": "better scores"}
    return f"What pays most here is {choice[_terms(s).largest]}: that term is the largest."


def _product_bound(s: DiffusionSizes) -> float:
    """KL adds up over independent coordinates."""
    return math.sqrt(s.dimension * path_kl(unequal_modes(2.0), s.steps, s.horizon).total / 2)


_NOISE_FLOOR: Quantity[DiffusionSizes] = Quantity(
    "of it, from wrong scores", "<~", "sqrt(d) eps", lambda s: s.stochastic_floor, most=_one
)
_FLOW_FLOOR: Quantity[DiffusionSizes] = Quantity(
    "of it, from wrong scores", "<~", "sqrt(d) eps + d epsJ", lambda s: s.deterministic_floor,
    most=_one,
)  # fmt: skip

PLANNERS: tuple[Planner[DiffusionSizes], ...] = (
    Planner(
        "ddim-plain",
        "How many steps does the plain deterministic sampler need (PFEuler)?",
        (BOUNDED, SCHEDULE, SCORES, JACOBIANS),
        (Quantity("TV", "<~", "d / T + sqrt(d) eps + d epsJ",
                  lambda s: s.dimension / s.steps + s.deterministic_floor, most=_one),
         Quantity("TV, as first proved", "<~", "d^2 / T + sqrt(d) eps + d epsJ",
                  lambda s: s.dimension**2 / s.steps + s.deterministic_floor, most=_one),
         _FLOW_FLOOR,
         Quantity("steps T with exact scores", ">~", "d / tv", lambda s: s.dimension / s.tv)),
        "Li, Wei, Chi & Chen, arXiv:2408.02320; first proof in ICLR 2024",
        "The Jacobian term is needed: see the oscillating error in wellposed theory.",
    ),
    Planner(
        "ddpm-plain",
        "How many steps does the plain stochastic sampler need (DDPM)?",
        (BOUNDED, SCHEDULE, SCORES),
        (Quantity("TV", "<~", "d / sqrt(T) + sqrt(d) eps",
                  lambda s: s.dimension / math.sqrt(s.steps) + s.stochastic_floor, most=_one),
         Quantity("TV, as first proved", "<~", "d^2 / sqrt(T) + sqrt(d) eps",
                  lambda s: s.dimension**2 / math.sqrt(s.steps) + s.stochastic_floor, most=_one),
         _NOISE_FLOOR,
         Quantity("steps T with exact scores", ">~", "(d / tv)^2",
                  lambda s: (s.dimension / s.tv) ** 2)),
        "Li, Wei, Chen & Chi, ICLR 2024, and later work",
        "On mixtures the error falls like 1 / T: the power of T is an upper bound.",
    ),
    Planner(
        "acc-ode",
        "What does the accelerated deterministic sampler gain (AcceleratedODE)?",
        (BOUNDED, SCHEDULE, SCORES, JACOBIANS),
        (Quantity("TV", "<~", "d^6 / T^2 + sqrt(d) eps + d epsJ",
                  lambda s: s.dimension**6 / s.steps**2 + s.deterministic_floor, most=_one),
         _FLOW_FLOOR,
         Quantity("steps T with exact scores", ">~", "d^3 / sqrt(tv)",
                  lambda s: s.dimension**3 / math.sqrt(s.tv)),
         Quantity("steps T beyond which this bound is below ddim-plain's", ">~", "d^5",
                  lambda s: float(s.dimension**5))),
        "Li, Huang, Efimov, Wei, Chi & Chen, ICML 2024",
        "On mixtures the error falls like 1 / T^2, from T of about 50 on, in one dimension.",
    ),
    Planner(
        "acc-sde",
        "What does the accelerated stochastic sampler gain (AcceleratedSDE)?",
        (BOUNDED, SCHEDULE, SCORES),
        (Quantity("TV", "<~", "d^3 / T + sqrt(d) eps",
                  lambda s: s.dimension**3 / s.steps + s.stochastic_floor, most=_one),
         _NOISE_FLOOR,
         Quantity("steps T with exact scores", ">~", "d^3 / tv", lambda s: s.dimension**3 / s.tv)),
        "Li, Huang, Efimov, Wei, Chi & Chen, ICML 2024",
        "On mixtures the error is about half of DDPM's and falls at the same rate.",
    ),
    Planner(
        "ccl-thm1",
        "Where does the error of the exponential integrator come from (ExponentialOU)?",
        ("scores that are L-Lipschitz at every time", "a finite second moment m^2",
         "scores with L2 error eps at every time", "steps h = horizon / N at most about 1 / L"),
        (Quantity("TV, from starting at noise", "<~", "sqrt(KL) exp(-horizon)",
                  lambda s: _terms(s).start, most=_one),
         Quantity("TV, from frozen scores", "<~", "(L sqrt(d h) + L m h) sqrt(horizon)",
                  lambda s: _terms(s).steps, most=_one),
         Quantity("TV, from wrong scores", "<~", "eps sqrt(horizon)",
                  lambda s: _terms(s).score, most=_one),
         Quantity("horizon", ">~", "log(KL / tv)", lambda s: math.log(s.relative / s.tv)),
         Quantity("steps N", ">~", "L^2 d / tv^2",
                  lambda s: s.lipschitz**2 * s.dimension / s.tv**2)),
        "Chen, Chewi, Li, Li, Salim & Zhang, ICLR 2023",
        _where_it_pays,
    ),
    Planner(
        "path-kl",
        "What does the computed path bound say (ExponentialOU)?",
        ("the data: d independent coordinates with modes at -2 and 2, weights 0.8 and 0.2, "
         "standard deviation 0.5", "exact scores"),
        (Quantity("TV", "<=", "sqrt(d KL / 2), KL computed for one coordinate", _product_bound,
                  "bound", most=_one),),
        "Girsanov's theorem, as in Chen et al., ICLR 2023; evaluated exactly",
        "For other exact priors: wellposed.theory.path_kl, also by samples.",
    ),
)  # fmt: skip
