"""All commands under one name."""

from __future__ import annotations

from collections.abc import Callable

from cyclopts import App

from wellposed._version import __version__
from wellposed.cli.calibrate import calibrate
from wellposed.cli.complete import complete
from wellposed.cli.convert import convert
from wellposed.cli.demo import demo
from wellposed.cli.methods import methods
from wellposed.cli.plan import plan
from wellposed.cli.recover import recover
from wellposed.cli.report import report
from wellposed.cli.resume import resume
from wellposed.cli.sample import sample
from wellposed.cli.separate import separate
from wellposed.cli.theory import theory
from wellposed.cli.train import train

app = App(
    name="wellposed",
    help="Recover signals from incomplete or corrupted measurements, and judge the result.",
    help_epilogue=(
        "Exit codes: 0 done, 2 bad input, 3 not converged, 4 interrupted and resumable. "
        "With --debug, errors show where they were raised."
    ),
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
COMMANDS: tuple[Callable[..., int], ...] = (
    complete, separate, recover, calibrate, sample, demo, resume, report, methods, plan, theory,
    train, convert,
)  # fmt: skip
for place, command in enumerate(COMMANDS):
    app.command(command, sort_key=place)
