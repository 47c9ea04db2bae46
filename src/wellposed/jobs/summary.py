"""summary.json: what a job found, in figures. Loads nothing heavy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from wellposed.errors import StoreError
from wellposed.files import atomic_write

SUMMARY = "summary.json"


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary of a job; numbers that are not finite become null.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_summary(folder, {"status": "converged", "errors": [0.5, math.inf]})
    >>> read_summary(folder)
    {'status': 'converged', 'errors': [0.5, None]}
    """
    text = json.dumps(_plain(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(folder / SUMMARY, text)


def read_summary(folder: Path) -> dict[str, Any]:
    """Read the summary of a job.

    Raises
    ------
    StoreError
        It is missing or damaged.
    """
    try:
        found: dict[str, Any] = json.loads((folder / SUMMARY).read_text("utf-8"))
        return found
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{folder / SUMMARY} cannot be read: {error}",
            "it is missing or damaged",
            f"make it again from the stages: wellposed resume {folder}",
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; names that are no text get question marks."""
    data = text.encode("utf-8", "replace")

    def write(file: BinaryIO) -> None:
        file.write(data)

    atomic_write(path, write)
