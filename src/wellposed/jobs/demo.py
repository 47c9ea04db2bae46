"""A demonstration on real data that come with the package: a table, a clip, a picture.

Three cells in ten of a temperature table are hidden, the table is completed, and the hidden
cells are compared with the truth. A clip of people crossing a path is separated. Seven
pixels in ten of a photograph are hidden, and it is recovered six times over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from wellposed.datasets import fetch
from wellposed.io import Table, read_table, write_arrays, write_csv
from wellposed.jobs.cells import called
from wellposed.jobs.complete import complete
from wellposed.jobs.folder import Bench, Done, Limits, carry_out
from wellposed.jobs.judging import observed, score, set_aside
from wellposed.jobs.pictures import RecoverJob
from wellposed.jobs.recover import recover
from wellposed.jobs.requests import CompleteJob, DemoJob, SeparateJob
from wellposed.jobs.separate import separate

HIDDEN = 0.3  # share of the table's cells
STEPS = 5000  # of each fit, at most: the table is small and badly conditioned
TABLE, CLIP, PICTURE = "table", "clip", "picture"
DRAWS = 6


def demo(
    job: DemoJob,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
) -> Done:
    """Complete the embedded table, separate the embedded clip, recover the embedded picture.

    Parameters
    ----------
    job
        What to do.
    out
        The folder; None makes the next numbered one under ``runs/``. The jobs have folders
        of their own in it.
    progress, checkpoint_seconds
        As for ``jobs.complete``.

    Raises
    ------
    StoreError
        The folder belongs to another job.
    """
    limits = Limits(0, 0.0, job.seed, progress, checkpoint_seconds)
    return carry_out(job, out, limits, lambda bench: _work(bench, job))


def _work(bench: Bench, job: DemoJob) -> dict[str, Any]:
    truth = read_table(fetch("temperatures")[0])
    known, hidden = _hide(truth, job.seed)
    source = bench.folder / "temperatures-with-gaps.csv"
    write_gaps(source, known)
    table = _sub(bench, complete, CompleteJob(str(source), seed=job.seed, steps=STEPS), TABLE)
    clip = _sub(bench, separate, SeparateJob(str(fetch("walkers")[0]), seed=job.seed), CLIP)
    picture = _sub(bench, recover, _picture(job), PICTURE)
    filled = read_table(table.folder / "completed.csv")
    dense = np.full(filled.shape, np.nan)
    dense[filled.rows, filled.cols] = filled.values
    against = np.full(truth.shape, np.nan)
    against[truth.rows, truth.cols] = truth.values
    write_arrays(bench.folder / "truth.npz", {"truth": against, "hidden": hidden})
    scored = score(torch.from_numpy(dense[hidden]), torch.from_numpy(against[hidden]))
    return {
        "job": job.kind,
        "status": max((table.status, clip.status, picture.status), key=_badness),
        "hidden": {"cells": int(hidden.sum()), "share": HIDDEN} | scored._asdict(),
        "table": dict(table.summary),
        "clip": dict(clip.summary),
        "picture": dict(picture.summary),
    }


def _picture(job: DemoJob) -> RecoverJob:
    return RecoverJob(
        str(fetch("cat")[0]), "inpaint:0.7", "gaussian:0.02", draws=DRAWS, simulate=True,
        budget=job.budget, seed=job.seed,
    )  # fmt: skip


def _sub(bench: Bench, verb: Any, job: Any, name: str) -> Done:
    done: Done = verb(
        job, bench.folder / name,
        progress=bench.limits.progress, checkpoint_seconds=bench.limits.checkpoint_seconds,
    )  # fmt: skip
    if done.interrupted:
        raise KeyboardInterrupt
    return done


def _hide(truth: Table, seed: int) -> tuple[Table, Any]:
    """Return the table without some of its cells, and which were hidden, [n1, n2] bool."""
    parts = set_aside(observed(truth), HIDDEN, seed)
    cells, y = parts.fit
    known = Table(
        cells.rows.numpy(), cells.cols.numpy(), y.numpy(), truth.shape,
        truth.row_labels, truth.col_labels, "wide",
    )  # fmt: skip
    hidden = np.zeros(truth.shape, bool)
    hidden[parts.rows.numpy(), parts.cols.numpy()] = True
    return known, hidden


def write_gaps(path: Path, table: Table) -> None:
    """Write a table as wide csv with blanks where it has no cell.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "gaps.csv"
    >>> one = np.array([1])
    >>> write_gaps(path, Table(one, one, np.array([2.5]), (2, 2), ("a", "b"), ("x", "y")))
    >>> path.read_text()
    'row,x,y\\na,,\\nb,,2.5\\n'
    """
    dense = np.full(table.shape, np.nan)
    dense[table.rows, table.cols] = table.values
    columns: dict[str, Any] = {"row": called(np.arange(table.shape[0]), table.row_labels)}
    for j, name in enumerate(called(np.arange(table.shape[1]), table.col_labels)):
        columns[name] = [None if v != v else v for v in dense[:, j].tolist()]
    write_csv(path, columns)


def _badness(status: str) -> int:
    return ["converged", "complete", "max_steps", "diverged"].index(status)
