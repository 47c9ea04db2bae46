"""How figures look: colours that follow the page, light or dark, and fonts that are the page's.

Matplotlib draws with placeholder colours; in the finished SVG they become CSS variables, so one
figure serves the light page, the dark page and the printed one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, LINE, ACCENT, SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", SECOND: "second"}
POINTS = "#4a86c5"  # of what is drawn as pixels: readable on white and on black
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.formatter.useoffset": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.labelcolor": MUTED,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "mathtext.default": "regular",
}


def drawn(name: str, draw: Callable[[Axes], None], size: tuple[float, float] = (4.6, 2.8)) -> str:
    """Return an SVG element with one pair of axes.

    Parameters
    ----------
    name
        Distinguishes the figures of a page; the same name and data give the same bytes.
    draw
        Fills the axes.
    size
        Width and height in inches; the page scales it to the column.

    Examples
    --------
    >>> drawn("line", lambda axes: axes.plot([0, 1], color=ACCENT))[:4]
    '<svg'
    """
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        return svg_of(figure)


def svg_of(figure: Figure) -> str:
    """Turn a figure into an SVG element whose colours and fonts are the page's."""
    out = io.StringIO()
    figure.savefig(
        out, format="svg", transparent=True, dpi=200, metadata={"Date": None, "Creator": None}
    )
    text = out.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[0-9.]+pt"', "", text, count=2)
    text = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r" ?font-family: [^;\"]*;?", "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text
