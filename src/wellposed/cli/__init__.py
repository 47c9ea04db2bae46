"""The command line: parse, call, print.

Nothing heavy is loaded before it is needed: ``--help`` answers at once, and the readers refuse a
bad file before torch is imported.

Exit codes: 0 done; 2 bad input; 3 not converged; 4 interrupted, and can be resumed;
130 interrupted before there was anything to resume; 1 a mistake of ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from wellposed.errors import WellposedError

DONE, MISTAKE, BAD_INPUT, NOT_CONVERGED, RESUMABLE, STOPPED = 0, 1, 2, 3, 4, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv
        The words after ``wellposed``; None takes them from the command line.

    Examples
    --------
    >>> main(["--version"])
    0.1.0
    0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    from wellposed.cli.output import say_error

    try:
        with _stopped_by_sigterm():
            return _run(words)
    except WellposedError as error:
        if debug:
            raise
        say_error(error.what, error.why, error.remedy)
        return BAD_INPUT
    except KeyboardInterrupt:
        say_error("interrupted before there was anything to resume")
        return STOPPED
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if debug:
            raise
        say_error(
            f"{type(error).__name__}: {error}",
            "this is a mistake in wellposed, not in your data",
            "run the same command with --debug, and report what it prints",
        )
        return MISTAKE


def _run(words: list[str]) -> int:
    from cyclopts import CycloptsError

    from wellposed.cli.app import app
    from wellposed.cli.output import say_error

    try:
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        told = str(error).strip() or type(error).__name__
        say_error(told, "", "wellposed COMMAND --help tells what a command takes")
        return BAD_INPUT
    return code if isinstance(code, int) else DONE


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let a termination request end a run as Ctrl-C does: with a checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
