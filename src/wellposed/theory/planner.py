"""Planners: what a theorem says about given sizes, and what it does not.

Almost every bound hides a constant. A planner evaluates the formula with constant 1 and says
so ("order only"); only counts and bounds whose constants are proved are given as numbers. A pilot
(``theory.pilots``) measures the constant on an instance of the user's sizes: calibrated there,
not guaranteed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

from wellposed.checks import require, whole, within

Kind = Literal["order", "bound", "count"]
P = TypeVar("P")  # a pilot
S = TypeVar("S")  # the sizes that a theorem is about


@dataclass(frozen=True)
class Sizes:
    """The sizes of a low-rank problem.

    Parameters
    ----------
    n1, n2
        Rows and columns, >= 1.
    rank
        Rank, 1 <= rank <= min(n1, n2).
    kappa
        Condition number sigma_1 / sigma_r, >= 1.
    epsilon
        Target ||L R^T - M||_F / sigma_r, in (0, 1).
    mu
        Incoherence, in [1, min(n1, n2) / rank]: the largest squared row norm of the singular
        vectors is mu rank / n.
    outliers
        Share of gross errors, in [0, 0.5).
    sigma
        Standard deviation of the noise of a measurement, >= 0, for a design that keeps norms on
        average.
    off_rank
        ||M - M_r||_F, the part of M beyond the rank, >= 0.
    step_size
        Fraction of the full step, in (0, 2/3].
    start
        Size of the random start relative to the signal, in (0, 1].

    Raises
    ------
    InputError
        A value out of range.

    Examples
    --------
    >>> Sizes(100, 80, rank=5, kappa=10).smaller
    80
    """

    n1: int
    n2: int
    rank: int = 5
    kappa: float = 1.0
    epsilon: float = 1e-6
    mu: float = 1.0
    outliers: float = 0.1
    sigma: float = 0.0
    off_rank: float = 0.0
    step_size: float = 0.5
    start: float = 0.1

    def __post_init__(self) -> None:
        for name in ("n1", "n2", "rank"):
            whole(getattr(self, name), name)
        require(
            self.rank <= self.smaller,
            f"rank is {self.rank}, expected at most {self.smaller}",
            f"a {self.n1} x {self.n2} matrix has no larger rank",
        )
        within(self.kappa, "kappa", 1, why="it is the largest over the smallest singular value")
        within(self.epsilon, "epsilon", 0, 1, open_low=True, open_high=True)
        within(
            self.mu, "mu", 1, self.smaller / self.rank,
            why="singular vectors cannot be flatter, nor more peaked",
        )  # fmt: skip
        within(
            self.outliers, "outliers", 0, 0.5, open_high=True,
            why="with half of the measurements wrong the truth is not the majority",
        )  # fmt: skip
        within(self.sigma, "sigma", 0)
        within(self.off_rank, "off_rank", 0)
        within(self.step_size, "step_size", 0, 2 / 3, open_low=True, why="that is what is proved")
        within(self.start, "start", 0, 1, open_low=True)

    @property
    def smaller(self) -> int:
        """min(n1, n2)."""
        return min(self.n1, self.n2)

    @property
    def larger(self) -> int:
        """max(n1, n2)."""
        return max(self.n1, self.n2)

    @property
    def digits(self) -> float:
        """log(1 / epsilon)."""
        return math.log(1 / self.epsilon)


@dataclass(frozen=True)
class Quantity(Generic[S]):
    """One thing that a theorem bounds.

    Parameters
    ----------
    name
        What it is, with its unit.
    relation
        How it relates to the formula: ">~" and "<~" up to a constant, ">=", "<=", "=".
    formula
        The formula, spelled.
    value
        The formula as a function, with constant 1.
    kind
        "order": the constant is not known; "bound": the constants are proved; "count": exact.
    most
        Largest value that makes sense; beyond it the theorem is silent.
    """

    name: str
    relation: str
    formula: str
    value: Callable[[S], float]
    kind: Kind = "order"
    most: Callable[[S], float] = lambda sizes: math.inf


class Line(NamedTuple):
    """A quantity at given sizes."""

    name: str
    relation: str
    formula: str
    value: float
    label: str


@dataclass(frozen=True)
class Planner(Generic[S]):
    """A theorem, as far as it can be evaluated."""

    id: str
    question: str
    assumptions: tuple[str, ...]
    quantities: tuple[Quantity[S], ...]
    source: str
    note: str | Callable[[S], str] = ""

    def remark(self, sizes: S) -> str:
        """Return what else there is to say, at these sizes where it depends on them."""
        return self.note if isinstance(self.note, str) else self.note(sizes)


_LABELS = {
    "order": "order only: the constant is not known, here it is 1",
    "bound": "proved with its constants, if the assumptions hold",
    "count": "an exact count",
}
_SILENT = "beyond what is possible: at this size the theorem says nothing"


def evaluate(planner: Planner[S], sizes: S) -> list[Line]:
    """Evaluate a planner's formulas.

    Examples
    --------
    >>> from wellposed.theory.planners import planner
    >>> [line.value for line in evaluate(planner("dof"), Sizes(100, 80, rank=5))]
    [875]
    """
    return [_line(quantity, sizes) for quantity in planner.quantities]


def _line(quantity: Quantity[S], sizes: S) -> Line:
    value = quantity.value(sizes)
    label = _SILENT if value > quantity.most(sizes) else _LABELS[quantity.kind]
    return Line(quantity.name, quantity.relation, quantity.formula, value, label)


def pilot_among(pilots: Mapping[str, P], planner: Planner[S], why: str) -> P:
    """Return the pilot of a planner.

    Raises
    ------
    InputError
        There is none; ``why`` says the reason.
    """
    require(
        planner.id in pilots,
        f"there is no pilot for {planner.id}",
        why,
        "pilots exist for " + ", ".join(pilots),
    )
    return pilots[planner.id]
