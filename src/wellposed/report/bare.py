"""The report of a run that the library made: recover(..., out=folder)."""

from __future__ import annotations

from wellposed.report.common import made_with, the_fit
from wellposed.report.model import Page, Section, Source, Tile, number, status_line, tone_of
from wellposed.result import Recovery
from wellposed.run import Status
from wellposed.store import load_tree


def bare_page(source: Source) -> Page:
    """Build the page of a single run."""
    status = Status(source.manifest["status"])
    recovery: Recovery = load_tree(source.folder / "result.safetensors")
    rows, cols = recovery.shape
    facts = [("Seed", str(source.manifest.get("seed"))), ("Method", repr(recovery.method))]
    return Page(
        "Recovered matrix",
        source.folder.name,
        f"{number(rows)} × {number(cols)}, rank {recovery.rank}, ridge {number(recovery.ridge)}.",
        status_line(status.value, recovery.steps),
        tone_of(status.value),
        [Tile("Rank", str(recovery.rank)), Tile("Steps", number(recovery.steps))],
        (),
        [the_fit(recovery, "run"), Section("What was asked", facts=facts), made_with(source)],
    )
