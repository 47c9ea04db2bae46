"""``wellposed plan``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from wellposed.theory.planner import Planner, Sizes
    from wellposed.theory.planners_diffusion import DiffusionSizes


@dataclass(frozen=True)
class Options:
    """The sizes of a low-rank problem; ``theory.planner.Sizes`` has their ranges.

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


@dataclass(frozen=True)
class DiffusionOptions:
    """The sizes of a sampling problem; ``planners_diffusion.DiffusionSizes`` has their ranges.

    Parameters
    ----------
    dimension
        Diffusion: numbers in a signal.
    steps
        Diffusion: steps of the sampler.
    tv
        Diffusion: total variation aimed at.
    score_error
        Diffusion: L2 error of the scores.
    jacobian_error
        Diffusion: error of the scores' Jacobians.
    lipschitz
        Diffusion: Lipschitz constant of the scores.
    moment
        Diffusion: root of the second moment; left out: root of the dimension.
    divergence
        Diffusion: KL of the data from N(0, I); left out: the dimension.
    horizon
        Diffusion: time at which the exponential integrator starts.
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


USUAL, USUAL_DIFFUSION = Options(), DiffusionOptions()


def plan(
    theorem: str | None = None,
    /,
    *,
    options: Annotated[Options, Parameter(name="*")] = USUAL,
    diffusion: Annotated[DiffusionOptions, Parameter(name="*")] = USUAL_DIFFUSION,
    pilot: bool = False,
    seed: int = 0,
) -> int:
    """Tell what a theorem says about given sizes, and what it does not.

    Parameters
    ----------
    theorem
        Which one; left out: list them.
    pilot
        Measure the hidden constant: on small synthetic problems, or exactly on the line.
    seed
        Seed of the pilot.
    """
    from wellposed.cli import DONE
    from wellposed.cli.output import say
    from wellposed.theory.planner import evaluate
    from wellposed.theory.planners import is_about_diffusion, planner

    if theorem is None:
        return _list()
    chosen = planner(theorem)
    sampling = is_about_diffusion(chosen)
    sizes: Any = _diffusion_sizes(diffusion) if sampling else _sizes(options)
    if pilot:
        _check_pilot(chosen, sampling=sampling)
    say(chosen.question, "bold")
    say(f"Source: {chosen.source}")
    for assumption in chosen.assumptions:
        say(f"Assumes: {assumption}")
    say()
    for line in evaluate(chosen, sizes):
        say(f"{line.name} {line.relation} {line.formula} = {_told(line.value)}", "bold")
        say(f"  {line.label}")
    if chosen.note:
        say(chosen.remark(sizes))
    if pilot:
        (_line_pilot if sampling else _pilot)(chosen, sizes, seed)
    return DONE


def _list() -> int:
    from wellposed.cli import DONE
    from wellposed.cli.output import say, say_table
    from wellposed.theory.planners import PLANNERS

    say_table(["theorem", "question"], [[p.id, p.question] for p in PLANNERS])
    say("wellposed plan THEOREM evaluates one of them; --help tells which sizes it takes.")
    return DONE


def _sizes(options: Options) -> Sizes:
    from dataclasses import asdict

    from wellposed.theory.planner import Sizes

    values = asdict(options)
    values["n2"] = options.n1 if options.n2 is None else options.n2
    return Sizes(**values)


def _diffusion_sizes(options: DiffusionOptions) -> DiffusionSizes:
    from dataclasses import asdict

    from wellposed.theory.planners_diffusion import DiffusionSizes

    return DiffusionSizes(**asdict(options))


def _check_pilot(chosen: Planner[Any], *, sampling: bool) -> None:
    """Raise an error if there is no pilot, before anything is printed."""
    if sampling:
        from wellposed.theory.pilots_diffusion import sampler_of

        sampler_of(chosen)
    else:
        from wellposed.theory.pilots import pilot_of

        pilot_of(chosen)


def _line_pilot(chosen: Planner[Any], sizes: DiffusionSizes, seed: int) -> None:
    from wellposed.cli.output import say
    from wellposed.theory.pilots_diffusion import SEEDS, line_pilot

    found = line_pilot(chosen, sizes, seed)
    say()
    say(
        f"Pilot: exact {found.quantity} on the line at {found.steps} steps with exact scores, "
        f"median of {SEEDS} mixtures: {_told(found.measured)}"
    )
    say(f"{found.quantity}: about {_told(found.value)}, constant {_told(found.constant)}", "bold")
    say("  the constant is calibrated at d = 1, the powers are the theorem's; not guaranteed")


def _pilot(chosen: Planner[Any], sizes: Sizes, seed: int) -> None:
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
