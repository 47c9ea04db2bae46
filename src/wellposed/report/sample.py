"""The report of draws from a prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wellposed.report.common import asked, made_with
from wellposed.report.model import Figure, Page, Section, Source, Tile, number, percent, tone_of
from wellposed.report.pictures import picture
from wellposed.report.sample_charts import cloud, values
from wellposed.run import Status

_CARD = {"licence": "Licence", "data": "Trained on", "steps": "Training steps", "note": "Note",
         "warning": "Warning", "source": "Converted from", "table": "Table of names"}  # fmt: skip


def sample_page(source: Source) -> Page:
    """Build the page of a sample job."""
    summary = source.summary
    return Page(
        "Draws from a prior",
        summary["prior"]["name"],
        subtitle(summary),
        status(summary),
        tone_of(summary["status"]),
        _tiles(summary),
        summary["warnings"],
        [*_shown(source), _prior(summary), asked(source), made_with(source)],
    )


def subtitle(summary: Mapping[str, Any]) -> str:
    """Say what was drawn, and how.

    Examples
    --------
    >>> subtitle({"draws": {"count": 64}, "prior": {"shape": [1, 32, 32]},
    ...           "method": {"name": "DDIM", "reference": "Song, Meng & Ermon, ICLR 2021"}})
    '64 grey images of 32 × 32 pixels by DDIM (Song, Meng & Ermon, ICLR 2021).'
    """
    shape, method = summary["prior"]["shape"], summary["method"]
    sides = " × ".join(map(str, shape))
    what = f"signals of {sides} numbers"
    if len(shape) == 3 and shape[0] in (1, 3):
        colour = "grey" if shape[0] == 1 else "colour"
        what = f"{colour} images of {shape[2]} × {shape[1]} pixels"
    count = number(summary["draws"]["count"])
    return f"{count} {what} by {method['name']} ({method['reference']})."


def status(summary: Mapping[str, Any]) -> str:
    """Say how the run ended."""
    if Status(summary["status"]).ok:
        return f"All {number(summary['method']['steps'])} steps were made."
    return str(summary["status_text"])


def _tiles(summary: Mapping[str, Any]) -> list[Tile]:
    draws, method = summary["draws"], summary["method"]
    tiles = [
        Tile("Draws", number(draws["count"]), "independent chains"),
        Tile("Evaluations", number(draws["evaluations"]), "of the denoiser, for each draw"),
        Tile("Steps", number(method["steps"]), method["name"]),
    ]
    if draws["acceptance"] is not None:
        tiles.append(Tile("Accepted", percent(draws["acceptance"]), "of the proposed moves"))
    if draws["std"] is not None:
        low, high = number(draws["low"], 3), number(draws["high"], 3)
        tiles.append(Tile("Spread", number(draws["std"], 3), f"values from {low} to {high}"))
    return tiles


def _shown(source: Source) -> list[Section]:
    folder, summary = source.folder, source.summary
    x = np.load(folder / "samples.npy", allow_pickle=False)
    sections = []
    if (folder / "grid.png").exists():
        sections.append(_grid(source, len(x)))
    if (folder / "path.png").exists():
        sections.append(_path(source))
    if len(x) and not sections:
        flat = x.reshape(len(x), -1)
        figures = [Figure("The first two coordinates of the draws.", cloud("draws", flat))]
        sections.append(Section("The draws", figures=figures if flat.shape[1] > 1 else ()))
    if len(x):
        caption = f"Density of all {number(x.size)} values, in the prior's units."
        text = (
            f"Standard deviation {number(summary['draws']['std'], 3)}; the prior states "
            f"{number(summary['prior']['sigma_data'], 3)} for its data."
        )
        figure = Figure(caption, values("draws", x.ravel()), wide=True)
        sections.append(Section("Values", text, figures=[figure]))
    return sections


def _grid(source: Source, count: int) -> Section:
    shown = "All draws" if count <= 100 else f"The first 100 of {number(count)} draws"
    caption = f"{shown}, in the order in which they were drawn: nothing was picked."
    address = picture(source.folder / "grid.png")
    return Section("The draws", figures=[Figure(caption, address=address, wide=True)])


def _path(source: Source) -> Section:
    steps = source.summary["path"]
    told = ", ".join(number(step) for step in steps)
    caption = f"What the denoiser expects before step {told}; right, the draw itself."
    text = (
        "Each row is one of the first draws. At high noise the denoiser expects the average of "
        "all that is possible; as the noise falls, one possibility is left."
    )
    address = picture(source.folder / "path.png")
    return Section("On the way", text, figures=[Figure(caption, address=address, wide=True)])


def _prior(summary: Mapping[str, Any]) -> Section:
    prior, method = summary["prior"], summary["method"]
    facts = [("Shape", " × ".join(map(str, prior["shape"]))), ("Sampler", method["settings"])]
    if method["sigmas"] is not None:
        levels = [number(sigma, 3) for sigma in method["sigmas"]]
        few = levels if len(levels) <= 6 else [*levels[:3], "…", *levels[-2:]]
        facts.append(("Noise levels", ", ".join(few)))
    card = prior["card"]
    facts += [(told, _told(card[key])) for key, told in _CARD.items() if key in card]
    return Section("Prior and sampler", facts=facts)


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return number(value) if isinstance(value, (int, float)) else str(value)
