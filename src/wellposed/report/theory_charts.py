"""The charts of ``wellposed theory``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, NullFormatter, NullLocator

from wellposed.report.style import ACCENT, INK, LINE, MUTED, SECOND, drawn
from wellposed.theory.budget import Split
from wellposed.theory.comparison import FEW, FewSteps, Rate
from wellposed.theory.unbalanced import Weights

Look = tuple[str, str]  # colour, line style
_LOOKS: Mapping[str, Look] = {
    "PFEuler": (MUTED, "-"),
    "DDIM": (MUTED, "--"),
    "AcceleratedODE": (ACCENT, "-"),
    "AcceleratedODEReuse": (ACCENT, "--"),
    "AcceleratedODEExact": (ACCENT, ":"),
    "Heun": (SECOND, "-"),
    "DPMSolverPP2M": (SECOND, "--"),
    "DDPM": (MUTED, "-"),
    "DDPM, scaled": (MUTED, "--"),
    "DDPM, posterior": (MUTED, ":"),
    "AcceleratedSDE": (ACCENT, "-"),
}
WIDE = (7.2, 4.0)


def against_steps(name: str, rates: Sequence[Rate], *, on_schedule: bool = False) -> str:
    """Draw total variation against steps, and the order of each proved bound.

    Parameters
    ----------
    name
        Distinguishes the figure.
    rates
        Samplers of one kind.
    on_schedule
        Draw the errors on the theorems' schedule instead of the fixed grid.
    """

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        drawn_powers: set[float] = set()
        for one in rates:
            found = one.theory if on_schedule else one.fixed
            if found is None:
                continue
            colour, style = _LOOKS[one.entrant.name]
            places = _places(found.steps, on_schedule=on_schedule)
            axes.plot(
                places, found.tv, style, color=colour, marker="o", ms=3.5,
                label=one.entrant.name,
            )  # fmt: skip
            bound = one.entrant.bound
            if bound is not None and bound.power not in drawn_powers:
                drawn_powers.add(bound.power)
                _guide(axes, places, found.tv[0], bound.power)
        steps = rates[0].fixed.steps
        told = "steps T, spaced like T / log T" if on_schedule else "steps T"
        _steps_axis(axes, steps, told, _places(steps, on_schedule=on_schedule))
        axes.set_ylabel("total variation")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8.5, handlelength=2.6)

    return drawn(f"steps {name}", draw, WIDE)


def with_few(name: str, few: Sequence[FewSteps]) -> str:
    """Draw the Wasserstein distance at few evaluations."""

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for one in few:
            colour, style = _LOOKS[one.name]
            w2 = [distances.w2 for distances in one.found]
            axes.plot(FEW, w2, style, color=colour, marker="o", ms=3.5, label=one.name)
        _steps_axis(axes, FEW, "denoiser evaluations")
        axes.set_ylabel("W2")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8.5, handlelength=2.6)

    return drawn(f"few {name}", draw, WIDE)


def weight_of_left(name: str, found: Weights, moves: int) -> str:
    """Draw the weight of the left mode against denoiser evaluations."""

    def draw(axes: Axes) -> None:
        walks = (
            ("ULA", found.langevin, 1, MUTED),
            ("annealed Langevin", found.annealed, moves, SECOND),
            ("DDPM", found.diffusion, 1, ACCENT),
        )
        axes.axhline(found.truth, color=INK, lw=1, ls=(0, (4, 3)))
        axes.text(1, found.truth + 0.012, "truth", fontsize=8.5)
        for told, weights, each, colour in walks:
            spent = each * np.arange(1, len(weights))
            axes.plot(spent, weights[1:], color=colour, label=told)
        axes.set_xscale("log")
        axes.set_xlabel("denoiser evaluations")
        axes.set_ylabel("weight of the left mode")
        axes.set_ylim(0.35, 0.9)
        axes.legend(loc="lower left", ncols=3, fontsize=8, handlelength=1.2, columnspacing=1)

    return drawn(f"weights {name}", draw)


def budget(name: str, splits: Sequence[Split]) -> str:
    """Draw exact and bounded error of the exponential integrator."""

    def draw(axes: Axes) -> None:
        steps = [one.steps for one in splits]
        axes.set_xscale("log")
        axes.set_yscale("log")
        lines = (
            ("proved bound, constant 1", [one.theorem.total for one in splits], MUTED, ":"),
            ("path bound, computed", [one.path.pinsker for one in splits], SECOND, "--"),
            ("exact", [one.exact.tv for one in splits], ACCENT, "-"),
        )
        for told, values, colour, style in lines:
            axes.plot(steps, values, style, color=colour, marker="o", ms=3.5, label=told)
        axes.axhline(1, color=LINE, lw=1)
        _steps_axis(axes, steps, "steps N")
        axes.set_ylabel("total variation")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8.5, handlelength=2.6)

    return drawn(f"budget {name}", draw, WIDE)


def _places(steps: Sequence[int], *, on_schedule: bool) -> list[float]:
    return [T / math.log(T) if on_schedule else float(T) for T in steps]


def _guide(axes: Axes, steps: Sequence[float], first: float, power: float) -> None:
    """A line of the bound's order; its height means nothing."""
    ends = np.array([steps[0], steps[-1]], dtype=float)
    heights = 1.6 * first * (ends / ends[0]) ** power
    axes.plot(ends, heights, color=MUTED, lw=1.0, ls=(0, (1, 2.5)), zorder=0)
    told = {-0.5: "$T^{-1/2}$", -1.0: "$T^{-1}$", -2.0: "$T^{-2}$"}[power]
    axes.annotate(
        told, (ends[1], heights[1]), xytext=(4, 0), textcoords="offset points", fontsize=8.5,
        color=MUTED, va="center",
    )  # fmt: skip


def _steps_axis(
    axes: Axes, steps: Sequence[int], label: str, places: Sequence[float] | None = None
) -> None:
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(FixedLocator(list(places or steps)))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{T}" for T in steps]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_formatter(NullFormatter())
