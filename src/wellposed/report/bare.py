"""The report of a run that the library made: recover(..., out=folder)."""

from __future__ import annotations

from wellposed.report.common import made_with, the_fit
from wellposed.report.cubes import the_modes
from wellposed.report.model import Page, Section, Source, Tile, number, status_line, tone_of
from wellposed.result import Recovery
from wellposed.result_tensor import TensorRecovery
from wellposed.run import Status
from wellposed.store import load_tree


def bare_page(source: Source) -> Page:
    """Build the page of a single run."""
    status = Status(source.manifest["status"])
    recovery: Recovery | TensorRecovery = load_tree(source.folder / "result.safetensors")
    sides = " × ".join(number(n) for n in recovery.shape)
    facts = [("Seed", str(source.manifest.get("seed"))), ("Method", repr(recovery.method))]
    if isinstance(recovery, TensorRecovery):
        kind, rank = "tensor", " × ".join(map(str, recovery.ranks))
        told, shown = f"{sides}, ranks {rank}.", the_modes(recovery, "run")
    else:
        kind, rank, shown = "matrix", str(recovery.rank), []
        told = f"{sides}, rank {rank}, ridge {number(recovery.ridge)}."
    return Page(
        f"Recovered {kind}",
        source.folder.name,
        told,
        status_line(status.value, recovery.steps),
        tone_of(status.value),
        [Tile("Rank", rank), Tile("Steps", number(recovery.steps))],
        (),
        [
            *shown,
            the_fit(recovery, "run"),
            Section("What was asked", facts=facts),
            made_with(source),
        ],
    )
