"""The stages of completing a table: set aside, choose, fit and judge, fit to all, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from wellposed.io import Table, write_arrays
from wellposed.io.layout import Options
from wellposed.jobs.catalogue import method_named
from wellposed.jobs.cells import Cells, called
from wellposed.jobs.folder import Bench, Done, Limits, carry_out
from wellposed.jobs.judging import Observed, Predictor, judge, observed, predictor, set_aside
from wellposed.jobs.requests import CompleteJob
from wellposed.jobs.settings import Settings, settle
from wellposed.jobs.tables import missing_cells, write_completed, write_predictions
from wellposed.result import Recovery

MISSING_LIMIT = 2_000_000  # cells: beyond this, predictions are written for those asked for
SHOWN = 20  # ids named in a warning


def complete_table(
    job: CompleteJob,
    table: Table,
    cells: Cells | None,
    out: str | Path | None,
    progress: bool,
    checkpoint_seconds: float,
) -> Done:
    """Complete a table that was read and checked; see ``jobs.complete``."""
    method = None if job.method is None else method_named(job.method)
    limits = Limits(job.steps, job.tol, job.seed, progress, checkpoint_seconds)
    return carry_out(job, out, limits, lambda bench: _work(bench, job, table, cells, method))


def _work(
    bench: Bench, job: CompleteJob, table: Table, cells: Cells | None, method: Any
) -> dict[str, Any]:
    known = observed(table)
    settings, scores = _judged(bench, job, known, method)
    recovery = bench.fit("fit", known.problem, settings.prior, method)
    model = predictor(recovery, known)
    written, warnings = _write(bench.folder, job, table, cells, model)
    warnings = [*settings.doubts, *_doubts(table, scores), *warnings]
    return {
        "job": job.kind,
        "status": recovery.status.value,
        "status_text": recovery.status.text,
        "table": _described(job, table),
        "settings": _settings(settings, recovery),
        "scores": scores,
        "written": written,
        "warnings": warnings,
    }


def _judged(
    bench: Bench, job: CompleteJob, known: Observed, method: Any
) -> tuple[Settings, dict[str, Any]]:
    """Choose the settings, and score them unless nothing is to be set aside."""
    if job.holdout == 0:
        return settle(bench, job, known.problem, method), {}
    parts = set_aside(known, job.holdout, job.seed)
    settings = settle(bench, job, parts.fit.problem, method)
    recovery = bench.fit("judged", parts.fit.problem, settings.prior, method)
    table, cells = judge(predictor(recovery, parts.fit), parts)
    write_arrays(bench.folder / "heldout.npz", cells)
    about = {"cells": parts.y.numel(), "share": job.holdout, "status": recovery.status.value}
    return settings, about | {"alike": parts.alike} | table


def _write(
    folder: Path, job: CompleteJob, table: Table, cells: Cells | None, model: Predictor
) -> tuple[dict[str, Any], list[str]]:
    """Write factors and predictions; return what was written, and warnings."""
    write_arrays(folder / "factors.npz", _factors(model))
    missing = table.shape[0] * table.shape[1] - table.values.size
    if cells is not None:
        values = _predict(model, cells.rows, cells.cols)
        write_predictions(folder / "predictions.csv", cells, values)
        note = _unknown(cells)
        return {"file": "predictions.csv", "cells": len(cells.rows)}, note
    if table.layout == "wide":
        rows, cols = missing_cells(table)
        filled = np.full(table.shape, np.nan)
        filled[table.rows, table.cols] = table.values
        filled[rows, cols] = _predict(model, rows, cols)
        options = Options(job.layout, job.delimiter)
        path = write_completed(Path(job.table), table, filled, folder, options)
        return {"file": path.name, "cells": missing}, []
    if missing > MISSING_LIMIT:
        return {"file": None, "cells": 0}, [
            f"The {missing:,} missing cells were not written out, the limit is {MISSING_LIMIT:,}. "
            "Ask for the ones you need: --predict CELLS.csv with row id and column id on each line."
        ]
    rows, cols = missing_cells(table)
    ids = called(rows, table.row_labels), called(cols, table.col_labels)
    asked = Cells(rows, cols, *ids)
    write_predictions(folder / "predictions.csv", asked, _predict(model, rows, cols))
    return {"file": "predictions.csv", "cells": missing}, []


def _predict(model: Predictor, rows: Any, cols: Any) -> Any:
    return model.at(torch.from_numpy(rows), torch.from_numpy(cols)).numpy()


def _factors(model: Predictor) -> dict[str, Any]:
    recovery = model.recovery
    found = {"left": recovery.left, "right": recovery.right}
    if recovery.biases is not None:
        found["mean"] = np.float64(recovery.biases.mean)
        found["row_offsets"], found["column_offsets"] = recovery.biases.rows, recovery.biases.cols
    return {name: np.asarray(array) for name, array in found.items()}


def _described(job: CompleteJob, table: Table) -> dict[str, Any]:
    return {
        "name": Path(job.table).name,
        "rows": table.shape[0],
        "columns": table.shape[1],
        "layout": table.layout,
        "observed": int(table.values.size),
        "share": table.density,
        "least": float(table.values.min()),
        "largest": float(table.values.max()),
        "empty_rows": _empty(table.empty_rows, table.row_labels),
        "empty_columns": _empty(table.empty_cols, table.col_labels),
    }


def _empty(places: Any, labels: tuple[str, ...] | None) -> dict[str, Any]:
    return {"count": len(places), "first": called(places[:SHOWN], labels)}


def _settings(settings: Settings, recovery: Recovery) -> dict[str, Any]:
    return {
        "rank": recovery.rank,
        "ridge": settings.ridge,
        "biases": settings.biases,
        "method": type(recovery.method).__name__,
        "steps": recovery.steps,
        "singular_values": recovery.singular_values.tolist(),
        "tried": [c._asdict() for c in settings.tried],
    }


def _unknown(cells: Cells) -> list[str]:
    if not cells.unknown:
        return []
    return [
        f"{cells.unknown:,} of the {len(cells.rows):,} cells asked for lie in a row or column that "
        "the table does not have; they are predicted by the mean and the offset that is known."
    ]


def _doubts(table: Table, scores: dict[str, Any]) -> list[str]:
    """Say what a reader should know before trusting the predictions."""
    found = []
    sides = (
        ("row", table.empty_rows, table.row_labels),
        ("column", table.empty_cols, table.col_labels),
    )
    for side, empty, labels in sides:
        if len(empty):
            more = ", ..." if len(empty) > SHOWN else ""
            found.append(
                f"{len(empty):,} {side}(s) have no observed cell; they are predicted by the mean "
                "and the offsets of the other side: "
                f"{', '.join(called(empty[:SHOWN], labels))}{more}."
            )
    if scores and scores["model"]["rmse"] >= scores["offsets"]["rmse"]:
        found.append(
            "On the cells that were set aside the low-rank model is no better than row and column "
            "offsets alone: these data may not be low-rank, or too few cells are observed."
        )
    return found
