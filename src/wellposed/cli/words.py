"""Words of a command that stand for several values. Loads nothing heavy."""

from __future__ import annotations

from wellposed.errors import InputError


def whole_numbers(text: str, name: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them.

    Examples
    --------
    >>> whole_numbers("40,40,6", "ranks")
    (40, 40, 6)
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise InputError(
            f"{name} is {text!r}, expected whole numbers with commas between them, as in 40,40,6"
        ) from None
