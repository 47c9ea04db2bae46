"""The report of the demonstration: all jobs on one page, and the truth beside the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wellposed.io.arrays import read_npz
from wellposed.io.source import Limits
from wellposed.report import complete, recover, separate
from wellposed.report.charts import predicted
from wellposed.report.common import asked, fitted, made_with
from wellposed.report.model import Figure, Page, Section, Source, Tile, number, percent, tone_of
from wellposed.report.pictures import heat_map
from wellposed.store import RunFolder

TABLE, CLIP, PICTURE = "table", "clip", "picture"


def demo_page(source: Source) -> Page:
    """Build the page of a demo job."""
    summary = source.summary
    table, clip, picture = (_part(source, name) for name in (TABLE, CLIP, PICTURE))
    good = tone_of(summary["status"])
    return Page(
        "Demonstration",
        "A table completed, a clip separated, a picture recovered",
        "Real data that come with the package: normal temperatures of each hour of the year in "
        "two cities, people crossing a path before a still camera, and the face of a cat.",
        "Every part came to its end." if good == "good" else "A part did not; see its own page.",
        good,
        _tiles(summary),
        [*summary["table"]["warnings"], *summary["clip"]["warnings"]],
        [
            _truth(source, table),
            _scores(table),
            replace(separate.findings(clip)[0], title="The clip: what moves and what stays",
                    link=("The full report of the clip", f"{CLIP}/report.html")),
            *_picture(picture),
            asked(source),
            made_with(source),
        ],
    )  # fmt: skip


def _picture(picture: Source) -> list[Section]:
    """The first sections of the picture's report, under one heading."""
    seen, draws, spread, *_ = recover.findings(picture)
    told = recover.subtitle(picture.summary)
    link = ("The full report of the picture", f"{PICTURE}/report.html")
    return [
        replace(seen, title="The picture: seven pixels in ten were hidden", text=told),
        replace(draws, title="The picture: draws"),
        replace(spread, title="The picture: how sure it is", link=link),
    ]


def _part(source: Source, name: str) -> Source:
    folder: Path = source.folder / name
    return Source(folder, RunFolder(folder).manifest(), source.summary[name])


def _tiles(summary: Any) -> list[Tile]:
    hidden, layers = summary["hidden"], summary["clip"]["layers"]
    note = f"root mean square, over {number(hidden['cells'])} hidden cells"
    return [
        Tile("Error against the truth", f"{number(hidden['rmse'], 3)} °F", note),
        Tile("Rank of the table", str(summary["table"]["settings"]["rank"]), "by hold-out"),
        Tile("Foreground of the clip", percent(layers["foreground_share"]), "of all pixels"),
        Tile(
            "Error of the picture",
            f"{summary['picture']['scores']['psnr_mean']:.1f} dB",
            "seven pixels in ten hidden",
        ),
    ]


def _truth(source: Source, table: Source) -> Section:
    seen, filled = complete.tables(table, fitted(table))
    known = read_npz(source.folder / "truth.npz", Limits())
    truth, hidden = known["truth"], known["hidden"]
    low, high = (float(q) for q in np.nanquantile(truth, (0.01, 0.99)))
    off = np.abs(np.where(hidden, filled - truth, np.nan))
    bound = float(np.nanquantile(off, 0.99))
    maps = [
        ("What was given: a day a row, an hour and city a column.", heat_map(seen, low, high)),
        ("Completed.", heat_map(filled, low, high)),
        (f"Absolute error at the hidden cells, 0 (dark) to {number(bound, 2)} °F (light).",
         heat_map(off, 0, bound)),
    ]  # fmt: skip
    figures = [Figure(caption, address=address) for caption, address in maps]
    chart = predicted("hidden", truth[hidden], filled[hidden])
    figures.append(Figure("Prediction against the hidden truth, °F.", chart))
    text = (
        f"{percent(source.summary['hidden']['share'])} of the cells were hidden at random before "
        "the table was handed over. Nobody but this comparison has seen them."
    )
    return Section("The table: against the truth", text, figures=figures)


def _scores(table: Source) -> Section:
    scores = table.summary["scores"]
    text = (
        f"The command also judges itself, as it would on your data: {number(scores['cells'])} of "
        "the given cells were set aside. The error below should be close to the true one above, "
        "and a little larger, since the model that it judges has seen fewer cells."
    )
    link = ("The full report of the table", f"{TABLE}/report.html")
    table_ = complete.score_table(scores)
    return Section("The table: judged without the truth", text, table_, link=link)
