"""``wellposed complete``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def complete(
    table: Path,
    /,
    *,
    rank: Literal["auto"] | int = "auto",
    ridge: Literal["auto"] | float = "auto",
    biases: bool | None = None,
    method: str | None = None,
    holdout: float = 0.1,
    predict: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
    steps: int = 2000,
    tol: float = 1e-6,
    layout: Literal["auto", "triplets", "wide"] = "auto",
    delimiter: str | None = None,
    checkpoint_seconds: float = 30.0,
) -> int:
    """Complete a table with missing cells by a low-rank model.

    Parameters
    ----------
    table
        Text (csv, tsv: a line a cell or a line a row), .npy, .npz or parquet; NaN is missing.
    rank
        Rank of the model; auto: by hold-out.
    ridge
        Penalty against overfitting; auto: by hold-out.
    biases
        Fit row and column offsets; left out: if they lower the hold-out error.
    method
        One of those that wellposed methods lists.
    holdout
        Share of the observed cells that judges the model and is never used to choose or fit it.
    predict
        Cells to predict, row id and column id a line; left out: all missing ones.
    out
        Folder of the run; left out: the next one under runs/.
    seed
        Seed of all random choices.
    steps
        Largest number of steps of a fit.
    tol
        Relative tolerance of the stopping rules.
    layout
        How to read text: a line a cell, or a line a row.
    delimiter
        What separates the columns of text; left out: found out.
    checkpoint_seconds
        Time between checkpoints.
    """
    from wellposed.cli.done import tell
    from wellposed.cli.output import watched
    from wellposed.jobs.complete import complete as carry_out
    from wellposed.jobs.requests import CompleteJob

    job = CompleteJob(
        str(table),
        rank=None if rank == "auto" else rank,
        ridge=None if ridge == "auto" else ridge,
        biases=biases,
        method=method,
        holdout=holdout,
        predict=None if predict is None else str(predict),
        seed=seed,
        steps=steps,
        tol=tol,
        layout=layout,
        delimiter=delimiter,
    )
    done = carry_out(job, out, progress=watched(), checkpoint_seconds=checkpoint_seconds)
    return tell(done)
