"""The report of a calibration: does stated uncertainty hold?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wellposed.report.charts import coverage_chart, rank_curves
from wellposed.report.common import asked, made_with
from wellposed.report.model import Figure, Page, Section, Source, Table, Tile, number, percent
from wellposed.report.pictures import heat_map


def calibrate_page(source: Source) -> Page:
    """Build the page of a calibrate job."""
    from wellposed.report.recover import model_in_words

    summary, found = source.summary, source.summary["calibration"]
    settings = summary["settings"]
    return Page(
        "Calibration",
        model_in_words(settings["operator"], settings["noise"]),
        f"{settings['method']} with the prior {settings['prior']} on signals of "
        f"{' × '.join(map(str, settings['shape']))}, {settings['evaluations']} denoiser "
        f"evaluations a draw; the true signals are {settings['signals']}.",
        found["text"][0],
        "good" if found["ok"] else "warn",
        tiles(found),
        (),
        [calibration_section(found, "calibrate"), _tests(found), asked(source), made_with(source)],
    )


def tiles(found: Mapping[str, Any]) -> list[Tile]:
    """Return the key figures."""
    c = next(c for c in found["coverage"] if c["level"] == 0.9)
    told = [
        Tile("Held by 90 % intervals", percent(c["share"]), f"± {percent(c['error'])}"),
        Tile("Tests failed", f"{len(found['failures'])} of {len(found['adjusted'])}",
             f"false alarms: at most {percent(found['false_alarm'])}"),
        Tile("Trials", number(found["trials"]), f"of {found['draws']} draws"),
    ]  # fmt: skip
    if found["mean_ratio"] is not None:
        told.append(Tile("Distance of the mean", f"{found['mean_ratio']:.2f} ×", "exact draws: 1"))
    return told


def calibration_section(found: Mapping[str, Any], name: str) -> Section:
    """Return what a calibration found, in words and pictures."""
    figures = [
        Figure(
            "Ranks of the truth among the draws, a curve a statistic: within the grey band if the "
            "sampler is exact (19 of 20 times, for each).",
            rank_curves(name, found["ranks"], found["band"]),
        ),
        Figure(
            "Found against stated coverage, over all elements; bars are two standard errors.",
            coverage_chart(name, found["coverage"]),
        ),
    ]
    if found["map"] is not None:
        low, high = 0.6, 1.0
        caption = f"Share of trials in which a pixel's 90 % interval held it, {low} to {high}."
        figures.append(Figure(caption, address=heat_map(np.array(found["map"]), low, high)))
    intro = (
        "A signal was drawn, measured, and drawn again from the measurement, many times over. If "
        "the sampler is exact, nothing tells the true signal from the draws."
    )
    return Section("Does the uncertainty hold?", " ".join([intro, *found["text"]]), figures=figures)


def _tests(found: Mapping[str, Any]) -> Section:
    rows = []
    for name, test in found["tests"].items():
        p = [found["adjusted"][f"{name}: {kind}"] for kind in ("bias", "spread", "shape")]
        told = [f"{test['bias']:+.3f}".replace("-", "\u2212"), f"{test['spread']:.2f}"]
        rows.append([name, *told, *(f"{x:.2g}" for x in p)])
    heads = ["Statistic", "Bias", "Spread", "p, bias", "p, spread", "p, shape"]
    note = (
        "Bias: mean rank minus one half. Spread: 1 if uniform, above where draws are too narrow. "
        "p-values after Holm's correction for their number."
    )
    return Section("Test by test", table=Table(heads, rows, note=note))
