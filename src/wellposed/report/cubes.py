"""The report of a completed cube, and what every report of a tensor shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wellposed.io.arrays import read_npz
from wellposed.io.source import Limits
from wellposed.report.charts import cumulative_energy, profiles
from wellposed.report.common import asked, fitted, made_with, the_fit
from wellposed.report.complete import how_set_aside, score_table
from wellposed.report.model import (
    Figure,
    Page,
    Section,
    Source,
    Table,
    Tile,
    number,
    percent,
    status_line,
    tone_of,
)
from wellposed.report.pictures import heat_map

SHOWN = 4  # columns of a factor that are drawn
LISTED = 16  # candidates in the table


def cube_page(source: Source) -> Page:
    """Build the page of a complete job on a cube."""
    summary = source.summary
    recovery = fitted(source)
    return Page(
        "Completed array",
        summary["cube"]["name"],
        subtitle(summary),
        status_line(summary["status"], summary["settings"]["steps"]),
        tone_of(summary["status"]),
        tiles(summary),
        summary["warnings"],
        [
            *_scores(summary),
            _slices(source),
            *the_modes(recovery, "cube"),
            *_tried(summary),
            the_fit(recovery, "cube"),
            asked(source),
            made_with(source),
        ],
    )


def subtitle(summary: Mapping[str, Any]) -> str:
    """Say what the cube is."""
    cube = summary["cube"]
    return (
        f"{' × '.join(number(n) for n in cube['shape'])} cells, "
        f"{percent(cube['observed'])} observed."
    )


def tiles(summary: Mapping[str, Any]) -> list[Tile]:
    """Return the key figures."""
    settings, scores = summary["settings"], summary["scores"]
    found = [Tile("Ranks", " × ".join(map(str, settings["ranks"])), settings["method"])]
    if scores:
        found.append(Tile("Relative error", percent(scores["relative"]), "on held-out cells"))
        rmse = scores["model"]
        found.append(Tile("RMSE", number(rmse["rmse"], 3), f"± {number(rmse['rmse_error'], 2)}"))
    size = sum(n * r for n, r in zip(summary["cube"]["shape"], settings["ranks"], strict=True))
    size += int(np.prod(settings["ranks"]))
    cells = int(np.prod(summary["cube"]["shape"]))
    return [*found, Tile("Numbers kept", number(size), f"{percent(size / cells)} of the cells")]


def cube_scores(scores: Mapping[str, Any]) -> Table:
    """Return the hold-out table."""
    return score_table(scores, offsets="Offsets of each mode")


def the_modes(recovery: Any, name: str, told: Sequence[str] = ()) -> list[Section]:
    """Show how much of the energy the leading directions of each mode explain, and the factors.

    ``told`` names the modes; without it they are numbered.
    """
    names = told or [f"mode {k}" for k in range(len(recovery.factors))]
    spectra = dict(zip(names, map(np.asarray, recovery.mode_spectra), strict=True))
    figures = [
        Figure(
            "Energy outside the leading directions of each mode: a curve that drops early tells "
            "that a smaller rank would do.",
            cumulative_energy(name, spectra),
        )
    ]
    for k, factor in enumerate(recovery.factors):
        basis = np.asarray(recovery.directions(k))[:, :SHOWN]
        caption = (
            f"{names[k].capitalize()}: {basis.shape[1]} of {factor.shape[1]} direction(s), the "
            f"strongest in blue, along {len(basis)} positions."
        )
        figures.append(Figure(caption, profiles(f"{name} {k}", basis)))
    text = (
        "The array is a small core times a factor for each mode. Directions that carry much of "
        "the energy are the patterns along that mode."
    )
    return [Section("Modes", text, figures=figures)]


def _slices(source: Source) -> Section:
    arrays = read_npz(source.folder / "slices.npz", Limits(bytes=2**34))
    figures = []
    for pair in sorted(name.removeprefix("completed_") for name in arrays if "completed" in name):
        whole = arrays[f"completed_{pair}"]
        known = whole[np.isfinite(whole)]
        low, high = np.quantile(known, (0.01, 0.99)) if known.size else (0.0, 1.0)
        for kind in ("observed", "completed"):
            caption = (
                f"Modes {pair[0]} (down) and {pair[1]} (across), {kind}: from "
                f"{number(float(low), 3)} to {number(float(high), 3)}."
            )
            picture = heat_map(arrays[f"{kind}_{pair}"].astype(float), float(low), float(high))
            figures.append(Figure(caption, address=picture))
    text = (
        "A slice of each pair of modes, of the three longest: near the middle of the others, "
        "through their gaps if they have any. Missing cells are blank."
    )
    return Section("Slices", text, figures=figures)


def _scores(summary: Mapping[str, Any]) -> list[Section]:
    scores = summary["scores"]
    if not scores:
        return []
    text = (
        f"{number(scores['cells'])} observed cells were set aside{how_set_aside(scores)} "
        "before anything was chosen or fitted. The model predicts them with a relative error of "
        f"{percent(scores['relative'])} (norm of the errors over norm of the values). Best without "
        f"a model is {scores['plain']['name']}: RMSE {number(scores['plain']['error'])}."
    )
    return [Section("How good the predictions are", text, cube_scores(scores))]


def _tried(summary: Mapping[str, Any]) -> list[Section]:
    tried = summary["settings"]["tried"]
    if not tried:
        return []
    taken = summary["settings"]["ranks"]
    rows = [[" × ".join(map(str, t["ranks"])), number(t["error"], 4)] for t in tried[-LISTED:]]
    strong = next((k for k, t in enumerate(tried[-LISTED:]) if list(t["ranks"]) == taken), -1)
    text = (
        "Of the cells that are fitted a part was set aside in the same way. All ranks climb "
        "together while the error on it falls; then each mode goes up while it pays, and down "
        "while it costs nothing."
    )
    note = "" if len(tried) <= LISTED else f"The last {LISTED} of {len(tried)} candidates."
    if any(t["error"] is None for t in tried[-LISTED:]):
        note += " A dash: the fit diverged."
    table = Table(["Ranks", "RMSE on held-out cells"], rows, strong, note=note.strip())
    return [Section("How the ranks were chosen", text, table)]
