"""One way to draw error curves, so that all figures look alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.common import RESULTS

Points = Sequence[tuple[float, float]]


def curves(
    name: str,
    lines: dict[str, Points],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    title: str = "",
) -> Path:
    """Draw named curves on a logarithmic error axis and save them as PNG."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for label, points in lines.items():
        x, y = zip(*points, strict=True)
        axes.plot(x, y, label=label, marker="." if len(points) < 8 else None, linewidth=1.6)
    axes.set(xlabel=x_label, ylabel=y_label, yscale="log", title=title)
    if log_x:
        axes.set_xscale("log")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
