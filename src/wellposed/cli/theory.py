"""``wellposed theory``."""

from __future__ import annotations

from pathlib import Path


def theory(*, out: Path | None = None, seed: int = 0) -> int:
    """Measure exact errors of the samplers beside their proved bounds.

    Parameters
    ----------
    out
        Folder for the page and the figures; left out: the next one under runs/.
    seed
        Seed of the data, a mixture of three Gaussians on the line.
    """
    from wellposed.cli import DONE
    from wellposed.cli.output import say, say_table, watched
    from wellposed.jobs.theory import PAGE
    from wellposed.jobs.theory import theory as carry_out

    kept = carry_out(seed, out, (lambda told: say(f"... {told}", "dim")) if watched() else None)
    say(kept.page.subtitle)
    for section in kept.page.sections:
        say()
        say(section.title, "bold")
        if section.table is not None:
            say_table(section.table.heads, section.table.rows, numbers=True)
    say()
    say(kept.page.status)
    say(f"Report: {kept.folder / PAGE}", "bold")
    return DONE
