"""Complete a table: read and check it, then hand it to the stages.

Nothing heavy is loaded before the table is read: a bad one is refused without waiting.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wellposed.io import Table, read_table
from wellposed.jobs.bounds import rank_fits
from wellposed.jobs.cells import read_cells
from wellposed.jobs.requests import CompleteJob

if TYPE_CHECKING:
    from wellposed.jobs.folder import Done


def complete(
    job: CompleteJob,
    out: str | Path | None = None,
    *,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
) -> Done:
    """Complete a table with a low-rank model, judged on cells that it never saw.

    The folder then holds the completed table (wide input) or ``predictions.csv`` (triplets, or
    cells that were asked for), ``factors.npz``, ``heldout.npz``, ``summary.json`` and
    ``report.html``. Rows and columns without any observed cell are predicted by the baseline:
    the mean plus the other side's offset.

    Parameters
    ----------
    job
        What to do.
    out
        The folder; None makes the next numbered one under ``runs/``. The same job in the same
        folder goes on where it stopped.
    progress
        Show a progress bar.
    checkpoint_seconds
        Time between checkpoints of a fit, >= 0.

    Returns
    -------
    Done
        Folder, status and figures.

    Raises
    ------
    FileError, InputError, CapabilityError
        The table, or what was asked of it, is not sound; nothing is left behind.
    StoreError
        The folder belongs to another job.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> text = "\\n".join(",".join(str(i * j) for j in range(1, 9)) for i in range(1, 13))
    >>> _ = (folder / "products.csv").write_text(text.replace("35", "").replace("36", ""))
    >>> exact = {"rank": 1, "ridge": 0.0, "biases": False, "tol": 1e-9}
    >>> job = CompleteJob(str(folder / "products.csv"), **exact)
    >>> done = complete(job, folder / "run")
    >>> done.status, (folder / "run" / "completed.csv").read_text().splitlines()[4]
    ('converged', '5,10,15,20,25,30,35,40')
    """
    table = read_table(job.table, layout=job.layout, delimiter=job.delimiter)
    cells = None if job.predict is None else read_cells(Path(job.predict), table)
    _check(job, table)
    from wellposed.jobs.completion import complete_table  # loads torch

    return complete_table(job, table, cells, out, progress, checkpoint_seconds)


def _check(job: CompleteJob, table: Table) -> None:
    rank_fits(
        job.rank,
        min(table.shape),
        f"the table has {table.shape[0]} rows and {table.shape[1]} columns",
        "leave the rank out: it is then chosen by hold-out",
    )
