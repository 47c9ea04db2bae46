"""The report of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wellposed.report.charts import losses
from wellposed.report.common import asked, made_with
from wellposed.report.model import Figure, Page, Section, Source, Table, Tile, number, tone_of
from wellposed.report.pictures import picture


def train_page(source: Source) -> Page:
    """Build the page of a train job."""
    summary, card = source.summary, source.summary["card"]
    return Page(
        "Training of a prior",
        ", ".join(card["data"]),
        subtitle(summary),
        summary["status_text"],
        tone_of(summary["status"]),
        [
            Tile("Steps", number(card["steps"]), f"{number(card['seconds'])} seconds"),
            Tile("Loss on held-out signals", number(mean_loss(card["validation"]), 3),
                 "mean over the noise levels; 1 if untrained"),
        ],
        summary["warnings"],
        [*_drawn(source), _learnt(source), asked(source), made_with(source)],
    )  # fmt: skip


def subtitle(summary: Mapping[str, Any]) -> str:
    """Say what was trained on what."""
    card = summary["card"]
    shape = " × ".join(map(str, card["shape"]))
    return (
        f"{card['network']}, for signals of {shape}; {number(card['signals'][0])} signals or "
        f"pictures to train on, {number(card['signals'][1])} held out."
    )


def validation_table(summary: Mapping[str, Any]) -> Table:
    """Return the loss at each noise level."""
    rows = [[level, number(v, 3)] for level, v in summary["card"]["validation"].items()]
    return Table(["Noise level", "Loss on held-out signals"], rows)


def mean_loss(validation: Mapping[str, float]) -> float:
    """Return the mean over the noise levels."""
    return float(np.mean(list(validation.values())))


def _drawn(source: Source) -> list[Section]:
    path = source.folder / "samples.png"
    if not path.exists():
        return []
    figure = Figure("Draws by DPM-Solver++(2M) in 20 evaluations.", address=picture(path))
    return [Section("What it has learnt", figures=[figure])]


def _learnt(source: Source) -> Section:
    log = np.loadtxt(source.folder / "losses.csv", delimiter=",", skiprows=1, ndmin=2)
    checked = {int(step): mean_loss(found) for step, found in source.summary["looks"]}
    figure = Figure("Loss over the steps.", losses("training", log[:, 0], log[:, 2], checked))
    text = (
        "The loss is the weighted squared error of the denoiser: about 1 for an untrained network "
        "at every noise level, and never zero, since noise hides what cannot be guessed."
    )
    return Section("How it learnt", text, validation_table(source.summary), [figure])
