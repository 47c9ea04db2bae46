"""The report of a completed table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from wellposed.io.arrays import read_npz
from wellposed.io.source import Limits
from wellposed.report.charts import candidates, errors, predicted
from wellposed.report.common import asked, fitted, made_with, the_fit
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
from wellposed.result import Recovery
from wellposed.store import load_tree

MAP_CELLS = 2_000_000  # larger tables get no heat map
NAMES = {
    "model": "Low-rank model",
    "offsets": "Row and column offsets",
    "mean": "Mean of all cells",
}


def complete_page(source: Source) -> Page:
    """Build the page of a complete job."""
    summary = source.summary
    return Page(
        "Completed table",
        summary["table"]["name"],
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
    sections = [*_judged(source), *_tried(source), _maps(source, recovery)]
    return [s for s in sections if s is not None] + [the_fit(recovery, "table")]


def subtitle(summary: Mapping[str, Any]) -> str:
    """Say what the table is and what was fitted to it."""
    table, settings = summary["table"], summary["settings"]
    offsets = "with" if settings["biases"] else "without"
    return (
        f"{number(table['rows'])} rows and {number(table['columns'])} columns, "
        f"{percent(table['share'])} of the cells observed. Fitted: rank {settings['rank']}, "
        f"ridge {number(settings['ridge'], 3)}, {offsets} row and column offsets."
    )


def tiles(summary: Mapping[str, Any]) -> list[Tile]:
    """Return the key figures."""
    scores, written = summary["scores"], summary["written"]
    found = []
    if scores:
        model, offsets = scores["model"], scores["offsets"]
        note = f"± {number(model['rmse_error'], 2)}, on {number(scores['cells'])} cells"
        found.append(Tile("Held-out RMSE", number(model["rmse"]), note))
        note = f"row and column offsets: {number(offsets['rmse'])}"
        found.append(Tile("Below the baseline", _change(model, offsets), note))
    found.append(Tile("Rank", str(summary["settings"]["rank"]), summary["settings"]["method"]))
    note = f"in {written['file']}" if written["file"] else "none written, see below"
    found.append(Tile("Cells predicted", number(written["cells"]), note))
    return found


def score_table(scores: Mapping[str, Any], **names: str) -> Table:
    """Return the hold-out table; ``names`` replace what the rows are called."""
    called = NAMES | names
    rows = [
        [
            called[name],
            f"{number(scores[name]['rmse'])} ± {number(scores[name]['rmse_error'], 2)}",
            number(scores[name]["mae"]),
            percent(scores[name]["rmse"] / scores["mean"]["rmse"])
            if scores["mean"]["rmse"]
            else "",
        ]
        for name in NAMES
    ]
    return Table(["Predicted by", "RMSE", "Mean absolute error", "RMSE, % of mean's"], rows, 0)


def how_set_aside(scores: Mapping[str, Any]) -> str:
    """Say how the cells that judge were chosen."""
    if scores["alike"]:
        return " in the shape of the gaps, since missing cells lie together,"
    return f" by chance ({percent(scores['share'])})"


def _change(model: Mapping[str, float], other: Mapping[str, float]) -> str:
    if not other["rmse"]:
        return "0 %"
    change = 1 - model["rmse"] / other["rmse"]
    return percent(change) if change >= 0 else f"\u2212{percent(-change)}"


def _judged(source: Source) -> list[Section]:
    scores = source.summary["scores"]
    if not scores:
        return []
    cells = read_npz(source.folder / "heldout.npz", Limits())
    truth, model = cells["truth"], cells["model"]
    off = {
        "model": model - truth,
        "offsets": cells["offsets"] - truth,
        "mean": cells["mean"] - truth,
    }
    figures = [
        Figure("Prediction against held-out value; the dashed line is perfect.",
               predicted("table", truth, model)),
        Figure("How many cells are predicted within a given error.", errors("table", off)),
    ]  # fmt: skip
    text = (
        f"{number(scores['cells'])} observed cells were set aside{how_set_aside(scores)} "
        "before rank, ridge and offsets were chosen and before anything was fitted. The model and "
        "its baselines predict them here; the final model is fitted to all cells."
    )
    return [Section("How good the predictions are", text, score_table(scores), figures)]


def _tried(source: Source) -> list[Section]:
    settings = source.summary["settings"]
    tried = settings["tried"]
    if len({t["rank"] for t in tried}) < 2:
        return []
    text = (
        "Each candidate was fitted to a part of the cells that may be seen, and judged on the "
        "others, set aside in the same way. The smallest rank within a fifth of a per cent of the "
        "best was taken."
    )
    chart = candidates("table", tried, settings["rank"])
    caption = f"Best error of each rank over all ridges tried; rank {settings['rank']} was taken."
    return [Section("How the rank was chosen", text, figures=[Figure(caption, chart)])]


def _maps(source: Source, recovery: Recovery) -> Section | None:
    table = source.summary["table"]
    if table["rows"] * table["columns"] > MAP_CELLS:
        return None
    seen, filled = tables(source, recovery)
    low, high = (float(q) for q in np.nanquantile(seen, (0.01, 0.99)))
    caption = f"colours run from {number(low, 3)} (dark) to {number(high, 3)} (light)."
    figures = [
        Figure(f"Observed cells; {caption}", address=heat_map(seen, low, high)),
        Figure("Completed: observed cells and predictions.", address=heat_map(filled, low, high)),
    ]
    return Section("The table", figures=figures)


def tables(source: Source, recovery: Recovery) -> tuple[Any, Any]:
    """Return the observed table, NaN where missing, and the completed one."""
    request = load_tree(source.folder / "stages" / "fit" / "problem.safetensors")
    cells, y = request.problem.operator, request.problem.y
    seen = torch.full(cells.shape, torch.nan, dtype=y.dtype)
    seen[cells.rows.long(), cells.cols.long()] = y
    return seen.numpy(), torch.where(seen.isnan(), recovery.signal, seen).numpy()
