"""Charts of draws from a prior."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wellposed.report.style import ACCENT, POINTS, drawn

Floats = NDArray[np.floating]
BINS = 160


def values(name: str, x: Floats) -> str:
    """Draw the density of values [n], but for the last thousandths on both sides."""
    low, high = np.quantile(x, (0.001, 0.999))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    density, edges = np.histogram(x, BINS, (low, high))
    share = density / max(1, len(x)) / (edges[1] - edges[0])

    def draw(axes: Axes) -> None:
        axes.fill_between(edges[:-1], share, step="post", color=ACCENT, alpha=0.15, lw=0)
        axes.step(edges[:-1], share, where="post", color=ACCENT, lw=1.2)
        axes.set_ylim(0, 1.05 * float(np.quantile(share, 0.985)) or None)
        axes.set_xlim(low, high)
        axes.set_xlabel("value")
        axes.set_ylabel("density")

    return drawn(f"values {name}", draw, (9.4, 2.6))


def cloud(name: str, x: Floats) -> str:
    """Draw the first two coordinates of points [n, d], d >= 2."""

    def draw(axes: Axes) -> None:
        alpha = float(np.clip(60 / len(x) ** 0.75, 0.06, 0.8))
        axes.scatter(x[:, 0], x[:, 1], s=7, color=POINTS, alpha=alpha, lw=0, rasterized=True)
        axes.set_aspect("equal", "datalim")
        axes.set_xlabel("first coordinate")
        axes.set_ylabel("second coordinate")
        axes.xaxis.set_major_locator(MaxNLocator(6))

    return drawn(f"cloud {name}", draw, (4.6, 4.2))
