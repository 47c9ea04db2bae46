"""The report of a separated stack of frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wellposed.io.arrays import read_npz
from wellposed.io.source import Limits
from wellposed.jobs.previews import moving
from wellposed.report.charts import over_time
from wellposed.report.common import asked, fitted, made_with, the_fit
from wellposed.report.cubes import the_modes
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
from wellposed.report.nets import the_net
from wellposed.report.pictures import picture
from wellposed.result_tensor import TensorRecovery

AXES = ("time", "height", "width", "colour")
MOVING = 4_000_000  # bytes: a larger animation is not taken into the page


def separate_page(source: Source) -> Page:
    """Build the page of a separate job."""
    summary = source.summary
    return Page(
        "Background and foreground",
        summary["stack"]["name"],
        subtitle(summary),
        status_line(summary["status"], summary["settings"]["steps"]),
        tone_of(summary["status"]),
        tiles(summary),
        summary["warnings"],
        [*findings(source), asked(source), made_with(source)],
    )


def findings(source: Source) -> list[Section]:
    """Return the sections that show what was found."""
    recovery = fitted(source)
    modes = (
        the_modes(recovery, "stack", AXES[: len(recovery.factors)])
        if isinstance(recovery, TensorRecovery)
        else []
    )
    return [
        _pictures(source), *_tried(source), *the_net(source), *modes, the_fit(recovery, "stack"),
    ]  # fmt: skip


def subtitle(summary: Mapping[str, Any]) -> str:
    """Say what the stack is."""
    stack = summary["stack"]
    colour = "grey" if stack["channels"] == 1 else "colour"
    missing = f", {percent(stack['missing'])} of the pixels missing" if stack["missing"] else ""
    return (
        f"{number(stack['frames'])} frames of {stack['width']} × {stack['height']} pixels, "
        f"{colour}{missing}."
    )


def tiles(summary: Mapping[str, Any]) -> list[Tile]:
    """Return the key figures."""
    layers, settings = summary["layers"], summary["settings"]
    share = percent(layers["foreground_share"])
    made_by = settings["method"]
    if settings["ranks"]:
        made_by += f", {' × '.join(map(str, settings['ranks']))}"
    return [
        Tile("Foreground", share, "of all pixels"),
        Tile("Rank of the background", str(settings["rank"]), made_by),
        Tile("Noise", number(layers["noise"], 3), "robust standard deviation"),
        Tile("Threshold", number(layers["threshold"], 3), "from there on it is foreground"),
    ]


def _pictures(source: Source) -> Section:
    caption = (
        "From top to bottom: frame, background, and foreground before a pale ghost of the "
        "background. Each column is the busiest moment of its part of the time."
    )
    figures = [Figure(caption, address=picture(source.folder / "preview.png"), wide=True)]
    film = source.folder / "preview.gif"
    if film.stat().st_size <= MOVING:
        caption = "The same in motion: frame, background, foreground."
        figures.append(Figure(caption, address=picture(film), wide=True))
    mask = read_npz(source.folder / "separated.npz", Limits(bytes=2**34))["mask"]
    share = moving(mask).mean((1, 2))
    busiest = source.summary["layers"]["busiest_frame"]
    caption = f"Foreground in each frame; the busiest is frame {busiest}."
    figures.append(Figure(caption, over_time("stack", share)))
    threshold = source.summary["layers"]["threshold"]
    text = (
        "The background is what repeats from frame to frame. A pixel is foreground where it "
        f"differs from the background by more than {number(threshold, 3)}, in units of the frames."
    )
    return Section("What moves and what stays", text, figures=figures)


def _tried(source: Source) -> list[Section]:
    tried = source.summary["settings"]["tried"]
    if not tried:
        return []
    taken = source.summary["settings"]["rank"]
    rows = [[str(t["rank"]), number(t["error"], 3)] for t in tried]
    strong = next((k for k, t in enumerate(tried) if t["rank"] == taken), -1)
    text = (
        "A tenth of the pixels was set aside and predicted from the rest. People who pause look "
        "like background, and each further rank lets more of them in, so a rank is only taken if "
        "it lowers the median error by three tenths."
    )
    table = Table(["Rank", "Median absolute error on held-out pixels"], rows, strong)
    return [Section("How the rank was chosen", text, table)]
