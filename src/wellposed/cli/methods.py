"""``wellposed methods``."""

from __future__ import annotations


def methods() -> int:
    """List the methods, and which one serves when none is named."""
    from wellposed.cli import DONE
    from wellposed.cli.output import say, say_table
    from wellposed.defaults import RULES
    from wellposed.jobs.catalogue import FAMILIES, families
    from wellposed.jobs.catalogue import methods as all_methods

    say("When no method is named", "bold")
    rows = [[rule.method, rule.prior, rule.when] for rule in RULES]
    say_table(["method", "prior", "measurements"], rows)
    for family in families():
        say(FAMILIES[family], "bold")
        rows = [[m.name, m.summary, m.needs, m.reference] for m in all_methods(family)]
        say_table(["method", "what it is", "needs", "reference"], rows)
    return DONE
