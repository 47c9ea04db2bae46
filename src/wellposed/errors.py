"""Typed errors. Each says what is wrong, why it matters, and how to mend it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class WellposedError(Exception):
    """Base of every error that this package raises on purpose.

    Parameters
    ----------
    what
        What is wrong: the value that was given and the one that was expected.
    why
        Why that cannot work.
    remedy
        What to do about it.
    """

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        self.what, self.why, self.remedy = what, why, remedy
        super().__init__(what, why, remedy)

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.remedy:
            lines.append(f"  try: {self.remedy}")
        return "\n".join(lines)


class InputError(WellposedError, ValueError):
    """An argument has a wrong shape, dtype, range or content."""


class FileError(WellposedError, OSError):
    """A file cannot be read or written, or does not hold what its name promises."""

    __str__ = WellposedError.__str__


class CapabilityError(WellposedError, TypeError):
    """A method was asked to work with an operator, noise or prior that it cannot handle."""


class MissingExtraError(WellposedError, ImportError):
    """An optional dependency is not installed; the remedy names the extra."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"the package {package!r} is not installed",
            f"it is needed for {purpose}",
            f'pip install "wellposed[{extra}]"',
        )

    __str__ = WellposedError.__str__


class StoreError(WellposedError):
    """A run folder is missing, damaged, or belongs to another run."""


class DoubtWarning(UserWarning):
    """What a result holds for some cells is no prediction; the result's ``doubts`` say the same."""


@contextmanager
def undoubted() -> Iterator[None]:
    """Keep doubts from being warned of, where they are told otherwise or do not matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DoubtWarning)
        yield
