"""``wellposed plan``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from wellposed.theory.planner import Planner, Sizes


@dataclass(frozen=True)
class Options:
    """The sizes of a problem; ``theory.planner.Sizes`` has their ranges.

    Parameters
    ----------
    n1
        Rows.
    n2
        Columns; left out: as many as rows.
    rank
        Rank of the matrix.
    kappa
        Condition number: the largest over the smallest non-zero singular value.
    epsilon
        Error aimed at, relative to the smallest singular value.
    mu
        Incoherence: 1 for perfectly spread singular vectors.
    outliers
        Share of gross errors.
    sigma
        Standard deviation of the noise.
    off_rank
        Size of the part of the matrix beyond the rank.
    step_size
        Fraction of the full step.
    start
        Size of the random start relative to the signal.
    """

    n1: int = 1000
    n2: int | None = None
    rank: int = 5
    kappa: float = 10.0
    epsilon: float = 1e-6
    mu: float = 1.0
    outliers: float = 0.1
    sigma: float = 0.0
    off_rank: float = 0.0
    step_size: float = 0.5
    start: float = 0.1


USUAL = Options()


def plan(
    theorem: str | None = None,
    /,
    *,
    options: Annotated[Options, Parameter(name="*")] = USUAL,
    pilot: bool = False,
    seed: int = 0,
) -> int:
    """Tell what a theorem on low-rank recovery says about given sizes, and what it does not.

    Parameters
    ----------
    theorem
        Which one; left out: list them.
    pilot
        Measure the hidden constant on small synthetic problems of this kind.
    seed
        Seed of the pilot.
    """
    from wellposed.cli import DONE
    from wellposed.cli.output import say
    from wellposed.theory.planner import evaluate
    from wellposed.theory.planners_lowrank import planner

    if theorem is None:
        return _list()
    chosen, sizes = planner(theorem), _sizes(options)
    if pilot:
        from wellposed.theory.pilots import pilot_of

        pilot_of(chosen)  # or say that there is none, before anything is printed
    say(chosen.question, "bold")
    say(f"Source: {chosen.source}")
    for assumption in chosen.assumptions:
        say(f"Assumes: {assumption}")
    say()
    for line in evaluate(chosen, sizes):
        say(f"{line.name} {line.relation} {line.formula} = {_told(line.value)}", "bold")
        say(f"  {line.label}")
    if chosen.note:
        say(chosen.note)
    if pilot:
        _pilot(chosen, sizes, seed)
    return DONE


def _list() -> int:
    from wellposed.cli import DONE
    from wellposed.cli.output import say, say_table
    from wellposed.theory.planners_lowrank import PLANNERS

    say_table(["theorem", "question"], [[p.id, p.question] for p in PLANNERS])
    say("wellposed plan THEOREM --n1 1000 --rank 5 evaluates one of them.")
    return DONE


def _sizes(options: Options) -> Sizes:
    from dataclasses import asdict

    from wellposed.theory.planner import Sizes

    values = asdict(options)
    values["n2"] = options.n1 if options.n2 is None else options.n2
    return Sizes(**values)


def _pilot(chosen: Planner, sizes: Sizes, seed: int) -> None:
    from wellposed.cli.output import say
    from wellposed.theory.pilots import SEEDS
    from wellposed.theory.pilots import pilot as run

    found = run(chosen, sizes, seed)
    small = found.sizes
    say()
    say(
        f"Pilot: {small.n1} x {small.n2}, rank {small.rank}, kappa {small.kappa:g}, "
        f"epsilon {small.epsilon:g}, median of {SEEDS} seeds: {_told(found.measured)}"
    )
    say(f"{found.quantity}: about {_told(found.value)}, constant {_told(found.constant)}", "bold")
    say("  calibrated on your instance, not guaranteed")
    if found.kind == "bound" and found.constant > 1:
        say("  more than the bound: its assumptions do not hold on the pilot's instances")


def _told(value: float) -> str:
    if value >= 1e6 or (value and value < 1e-3):
        return f"{value:.2g}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
