"""Ranges of what is asked of a job. Loads nothing heavy (checks.py needs torch)."""

from __future__ import annotations

import math

from wellposed.errors import InputError


def whole(name: str, value: int | None, low: int) -> None:
    """Require None or a whole number that is at least ``low``."""
    if value is not None and value < low:
        raise InputError(f"{name} is {value}, expected a whole number >= {low}")


def positive(name: str, value: float | None) -> None:
    """Require None or a finite number > 0."""
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{name} is {value!r}, expected a finite number > 0")


def between(name: str, value: float, low: float, high: float) -> None:
    """Require a finite number in a closed interval."""
    if not (low <= value <= high and math.isfinite(value)):
        raise InputError(f"{name} is {value!r}, expected a number from {low:g} to {high:g}")


def rank_fits(rank: int | None, most: int, why: str, remedy: str, name: str = "rank") -> None:
    """Require None or a rank that the data can have."""
    if rank is not None and rank > most:
        raise InputError(f"{name} is {rank}, expected at most {most}", why, remedy)
