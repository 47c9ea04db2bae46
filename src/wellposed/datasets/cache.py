"""The cache of fetched files: one folder a data set, every file checked by its hash."""

from __future__ import annotations

import os
from pathlib import Path

from wellposed.datasets.archives import fetch_members
from wellposed.datasets.recipe import Member, Recipe
from wellposed.errors import FileError
from wellposed.files import file_error, sha256

EMBEDDED = Path(__file__).parents[1] / "data"


def cache_folder() -> Path:
    """Return the cache: the environment variable WELLPOSED_CACHE, or ~/.cache/wellposed.

    Examples
    --------
    >>> cache_folder().is_absolute()
    True
    """
    named = os.environ.get("WELLPOSED_CACHE")
    return Path(named).absolute() if named else Path.home() / ".cache" / "wellposed"


def files_of(recipe: Recipe) -> tuple[Path, ...]:
    """Return the files of a recipe; fetch those that are missing or damaged."""
    if recipe.archive is None:
        return tuple(EMBEDDED / member.name for member in recipe.members)
    folder = cache_folder() / recipe.name
    bad = [member for member in recipe.members if not _good(folder, member)]
    if bad:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_error(folder, "made", error) from error
        fetch_members(recipe.archive, bad, folder)
    return tuple(folder / member.name for member in recipe.members)


def _good(folder: Path, member: Member) -> bool:
    try:
        return sha256(folder / member.name) == member.sha256
    except FileError:
        return False
