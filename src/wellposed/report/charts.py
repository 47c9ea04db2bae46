"""The charts of a report, each a function from numbers to an SVG element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from wellposed.report.style import ACCENT, INK, LINE, MUTED, POINTS, SECOND, drawn

Floats = NDArray[np.floating]
POINT_LIMIT = 20_000
LEVELS = 12  # fewer distinct values than this are drawn one by one
WIDE_RANGE = 30.0  # largest over smallest: beyond this, a logarithmic axis


def residual_curve(name: str, steps: Floats, residual: Floats) -> str:
    """Draw the relative residual against the steps."""

    def draw(axes: Axes) -> None:
        axes.plot(steps, residual, color=ACCENT)
        axes.set_xlabel("step")
        axes.set_ylabel("relative residual")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if _spans(residual):
            _logarithmic(axes)

    return drawn(f"residual {name}", draw)


def losses(name: str, steps: Floats, loss: Floats, checked: Mapping[int, float]) -> str:
    """Draw the loss of a training, and on held-out signals at some steps."""

    def draw(axes: Axes) -> None:
        axes.plot(steps, loss, color=LINE, label="training")
        axes.plot(list(checked), list(checked.values()), "o-", ms=4, color=ACCENT, label="held out")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.legend(loc="best", fontsize=8.5, handlelength=1.4)
        if _spans(loss):
            _logarithmic(axes)

    return drawn(f"losses {name}", draw)


def singular_values(name: str, values: Sequence[float]) -> str:
    """Draw singular values as stems."""

    def draw(axes: Axes) -> None:
        ranks, heights = np.arange(1, len(values) + 1), np.asarray(values)
        low = 0.0
        if _spans(heights):
            _logarithmic(axes)
            low = float(heights[heights > 0].min()) / 2
        axes.set_ylim(low, (2 if low else 1.08) * (float(heights.max()) or 1.0))
        axes.vlines(ranks, low, heights, color=LINE, lw=1.4)
        axes.plot(ranks, heights, "o", ms=5, color=ACCENT)
        axes.set_xlabel("number")
        axes.set_ylabel("singular value")
        axes.set_xlim(0.5, len(values) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))

    return drawn(f"values {name}", draw)


def cumulative_energy(name: str, spectra: Mapping[str, Floats]) -> str:
    """Draw the share of the energy outside the first directions, a curve a mode."""

    def draw(axes: Axes) -> None:
        colours = (ACCENT, SECOND, MUTED, INK, POINTS)
        for (told, values), colour in zip(spectra.items(), colours, strict=False):
            energy = np.asarray(values, float) ** 2
            rest = 1 - np.cumsum(energy) / max(float(energy.sum()), 1e-300)
            ranks = np.arange(len(rest) + 1)
            left = np.concatenate([[1.0], np.maximum(rest, 1e-8)])
            axes.plot(ranks, 100 * left, color=colour, label=told)
        _logarithmic(axes)
        axes.set_xlabel("directions")
        axes.set_ylabel("energy outside, %")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.legend(loc="upper right", fontsize=8.5, handlelength=1.4)

    return drawn(f"energy {name}", draw)


def profiles(name: str, columns: Floats) -> str:
    """Draw the columns of a factor along their mode, the first ones strongest."""

    def draw(axes: Axes) -> None:
        colours = (ACCENT, SECOND, MUTED, LINE)
        for k in range(min(columns.shape[1], len(colours)) - 1, -1, -1):
            axes.plot(columns[:, k], color=colours[k], lw=1.6 if k == 0 else 1.1)
        axes.set_xlim(0, max(len(columns) - 1, 1))
        axes.set_xlabel("position")
        axes.set_ylabel("weight")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    return drawn(f"profiles {name}", draw)


def candidates(name: str, tried: Sequence[Mapping[str, Any]], rank: int) -> str:
    """Draw the best validation error of each rank, with and without offsets."""
    tried = [t for t in tried if t["error"] is not None]  # those that did not diverge

    def draw(axes: Axes) -> None:
        for biases, colour, told in ((True, ACCENT, "with offsets"), (False, SECOND, "without")):
            best = _best([t for t in tried if t["biases"] is biases])
            if best:
                axes.plot(list(best), list(best.values()), "o-", ms=4, color=colour, label=told)
        axes.axvline(rank, color=LINE, lw=1, ls=(0, (3, 3)), zorder=0)
        axes.set_xlabel("rank")
        axes.set_ylabel("validation RMSE")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if _spans(np.array([t["error"] for t in tried])):
            _logarithmic(axes)
        if len({t["biases"] for t in tried}) > 1:
            axes.legend(loc="best", fontsize=8.5, handlelength=1.4)

    return drawn(f"candidates {name}", draw)


def predicted(name: str, truth: Floats, values: Floats) -> str:
    """Draw predictions against held-out values: points, or quantiles of few levels."""
    levels = np.unique(truth)

    def draw(axes: Axes) -> None:
        if len(levels) <= LEVELS and len(truth) >= 10 * len(levels):
            _quantiles(axes, levels, truth, values)
        else:
            _points(axes, truth, values)
        low, high = float(truth.min()), float(truth.max())
        axes.plot([low, high], [low, high], color=INK, lw=1, ls=(0, (4, 3)))
        axes.set_xlabel("held-out value")
        axes.set_ylabel("prediction")

    return drawn(f"predicted {name}", draw)


def errors(name: str, off: Mapping[str, Floats]) -> str:
    """Draw how often the absolute error stays below a bound, a curve a model."""

    def draw(axes: Axes) -> None:
        for (told, error), colour in zip(off.items(), (ACCENT, SECOND, MUTED), strict=False):
            size = np.sort(np.abs(error))
            share = np.linspace(0, 1, 201)
            axes.plot(np.quantile(size, share), 100 * share, color=colour, label=told)
        axes.set_xlim(0, max(float(np.quantile(np.abs(e), 0.98)) for e in off.values()) or 1)
        axes.set_ylim(0, 100)
        axes.set_xlabel("absolute error")
        axes.set_ylabel("cells below it, %")
        axes.legend(loc="lower right", fontsize=8.5, handlelength=1.4)

    return drawn(f"errors {name}", draw)


def over_time(name: str, share: Floats) -> str:
    """Draw the share of foreground in each frame."""

    def draw(axes: Axes) -> None:
        axes.fill_between(np.arange(len(share)), 100 * share, color=ACCENT, alpha=0.15, lw=0)
        axes.plot(100 * share, color=ACCENT)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, max(len(share) - 1, 1))
        axes.set_xlabel("frame")
        axes.set_ylabel("foreground, % of pixels")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    return drawn(f"over time {name}", draw)


def layers(name: str, values: Floats, told: str) -> str:
    """Draw a number of each layer of a net."""

    def draw(axes: Axes) -> None:
        axes.plot(np.arange(len(values)), values, "o-", ms=4, color=ACCENT)
        axes.set_xlabel("layer")
        axes.set_ylabel(told)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if _spans(values):
            _logarithmic(axes)
        else:
            axes.set_ylim(0, 1.08 * float(values.max()))

    return drawn(f"layers {name}", draw)


def rank_curves(name: str, ranks: Mapping[str, Sequence[float]], band: Mapping[str, Any]) -> str:
    """Draw how far each statistic's ranks are from uniform, with the band of exact samplers."""
    at, low, high = (np.asarray(band[key]) for key in ("at", "low", "high"))

    def draw(axes: Axes) -> None:
        axes.fill_between(at, low - at, high - at, color=MUTED, alpha=0.18, lw=0)
        axes.axhline(0, color=LINE, lw=1)
        for told, u in ranks.items():
            share = np.searchsorted(np.sort(u), at, side="right") / len(u)
            out = bool(((share < low - 1e-9) | (share > high + 1e-9)).any())
            colour, label = (SECOND, told) if out else (ACCENT, None)
            axes.plot(at, share - at, color=colour, lw=1.2, alpha=0.9 if out else 0.55, label=label)
        axes.set_xlabel("rank of the truth among the draws, scaled to 0 to 1")
        axes.set_ylabel("share below it, minus uniform")
        axes.set_xlim(0, 1)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="best", fontsize=7.5, handlelength=1.2)

    return drawn(f"ranks {name}", draw)


def coverage_chart(name: str, coverage: Sequence[Mapping[str, float]]) -> str:
    """Draw found against stated coverage, with two standard errors."""

    def draw(axes: Axes) -> None:
        axes.plot([0.4, 1], [0.4, 1], color=INK, lw=1, ls=(0, (4, 3)))
        for c in coverage:
            axes.plot([c["level"]] * 2, [c["share"] - 2 * c["error"], c["share"] + 2 * c["error"]],
                      color=ACCENT, lw=1.6)  # fmt: skip
            axes.plot(c["level"], c["share"], "o", ms=5, color=ACCENT)
        axes.set_xlabel("stated")
        axes.set_ylabel("found")

    return drawn(f"coverage {name}", draw)


def _points(axes: Axes, truth: Floats, values: Floats) -> None:
    stride = -(-len(truth) // POINT_LIMIT)
    x, y = truth[::stride], values[::stride]
    alpha = float(np.clip(60 / len(x) ** 0.75, 0.06, 0.8))
    axes.scatter(x, y, s=7, color=POINTS, alpha=alpha, lw=0, rasterized=True)


def _quantiles(axes: Axes, levels: Floats, truth: Floats, values: Floats) -> None:
    gap = float(np.diff(levels).min()) if len(levels) > 1 else 1.0
    for level in levels:
        q = np.quantile(values[truth == level], (0.05, 0.25, 0.5, 0.75, 0.95))
        axes.plot([level, level], [q[0], q[4]], color=ACCENT, lw=1.4)
        axes.plot(
            [level, level], [q[1], q[3]], color=ACCENT, lw=8, solid_capstyle="butt", alpha=0.5
        )
        axes.plot([level - gap / 6, level + gap / 6], [q[2], q[2]], color=ACCENT, lw=2.2)


def _best(tried: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    best: dict[int, float] = {}
    for t in sorted(tried, key=lambda t: int(t["rank"])):
        best[t["rank"]] = min(t["error"], best.get(t["rank"], np.inf))
    return best


def _spans(values: Floats) -> bool:
    """Tell whether values differ so much that a logarithmic axis shows more."""
    good = values[np.isfinite(values) & (values > 0)]
    return len(good) > 1 and bool(good.max() > WIDE_RANGE * good.min())


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
