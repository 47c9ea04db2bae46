"""The report of a run: one HTML file that needs nothing else.

It is built from the files of the run's folder alone, so it can be made again at any time, and
it holds no clock and no path: the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wellposed.errors import StoreError
from wellposed.jobs.summary import SUMMARY, read_summary
from wellposed.report.bare import bare_page
from wellposed.report.calibrate import calibrate_page
from wellposed.report.complete import complete_page
from wellposed.report.cubes import cube_page
from wellposed.report.demo import demo_page
from wellposed.report.model import Page, Source
from wellposed.report.recover import recover_page
from wellposed.report.render import render
from wellposed.report.sample import sample_page
from wellposed.report.separate import separate_page
from wellposed.report.train import train_page
from wellposed.store import RunFolder

_PAGES: dict[str, Callable[[Source], Page]] = {
    "complete": complete_page,
    "complete-cube": cube_page,
    "separate": separate_page,
    "demo": demo_page,
    "train": train_page,
    "sample": sample_page,
    "recover": recover_page,
    "calibrate": calibrate_page,
}
_RUNS: dict[str, Callable[[Source], Page]] = {"recover": bare_page}  # that the library made


def page(folder: str | Path) -> str:
    """Return the report of a run folder as HTML.

    Parameters
    ----------
    folder
        What a command, or ``recover(..., out=folder)``, has filled.

    Raises
    ------
    StoreError
        It is no run folder, or the run has not ended yet.
    FileError
        A file of it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> import torch, wellposed as wp
    >>> folder = Path(tempfile.mkdtemp())
    >>> cells = wp.operators.Entries(*torch.ones(6, 5).nonzero().T, (6, 5))
    >>> table = torch.outer(torch.arange(1.0, 7.0), torch.arange(1.0, 6.0))
    >>> _ = wp.recover(wp.Problem(cells(table), cells), wp.LowRank(1), out=folder)
    >>> "Recovered matrix" in page(folder)
    True
    """
    folder = Path(folder)
    manifest = RunFolder(folder).manifest()
    kind, job = manifest.get("kind"), "job" in manifest
    pages = _PAGES if job else _RUNS
    if kind not in pages:
        raise StoreError(f"{folder} holds a run of the kind {kind!r}, which has no report")
    needed = SUMMARY if job else "result.safetensors"
    if not (folder / needed).exists():
        raise StoreError(
            f"{folder} has no result yet",
            f"its run is {manifest.get('status')}, and {needed} is missing",
            f"finish it first: wellposed resume {folder}",
        )
    summary = read_summary(folder) if job else {}
    return render(pages[kind](Source(folder, manifest, summary)))
