"""summary.json: what a job found, in figures. Loads nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from wellposed.errors import StoreError
from wellposed.files import atomic_write

SUMMARY = "summary.json"


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary of a job.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_summary(folder, {"status": "converged"})
    >>> read_summary(folder)
    {'status': 'converged'}
    """
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
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


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; names that are no text get question marks."""
    data = text.encode("utf-8", "replace")

    def write(file: BinaryIO) -> None:
        file.write(data)

    atomic_write(path, write)
