"""Photographs with their licences and authors."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wellposed.datasets.debian_copyright import Notice, Owned, notice_of, paragraphs
from wellposed.datasets.qt_resource import files_in
from wellposed.errors import FileError
from wellposed.io.source import decoding

SMALLEST = 150  # pixels of the shorter side
_FORMATS = ("JPEG", "WEBP")
_DRAWN = ("/alphabets/", "/numbers/")  # letters and digits among the photographs


@dataclass(frozen=True, eq=False)
class Picture:
    """A photograph.

    Parameters
    ----------
    name
        Its path in the source.
    pixels
        Bytes [H, W, 3].
    notice
        Licence and copyright holder.
    """

    name: str
    pixels: NDArray[np.uint8]
    notice: Notice


@dataclass(frozen=True, eq=False)
class Pictures:
    """Photographs of several sizes."""

    items: tuple[Picture, ...]

    @property
    def shape(self) -> tuple[int]:
        """How many there are."""
        return (len(self.items),)


def read_gcompris(paths: tuple[Path, ...]) -> Pictures:
    """Return the free photographs of resource bundles; the last path is the copyright file."""
    known = paragraphs(paths[-1].read_text("utf-8"))
    found: list[Picture] = []
    for path in paths[:-1]:
        for name, data in files_in(path):
            if name.endswith((".jpg", ".jpeg", ".webp")) and not any(d in name for d in _DRAWN):
                source = "src" + name.removeprefix("/gcompris/src")
                found += _free(source, data, path, known, any_suffix=True)
    return Pictures(tuple(found))


def read_lomiri(paths: tuple[Path, ...]) -> Pictures:
    """Return free photographs that are files; the last path is the copyright file."""
    known = paragraphs(paths[-1].read_text("utf-8"))
    found: list[Picture] = []
    for path in paths[:-1]:
        found += _free(f"16.04/{path.name}", path.read_bytes(), path, known, any_suffix=False)
    if len(found) != len(paths) - 1:
        raise FileError(
            f"{len(paths) - 1 - len(found)} of the photographs are not free or too small",
            "the copyright file says something else than when this recipe was written",
        )
    return Pictures(tuple(found))


def _free(
    name: str, data: bytes, path: Path, known: list[Owned], *, any_suffix: bool
) -> Iterator[Picture]:
    notice = notice_of(name, known, any_suffix=any_suffix)
    if notice is None or not notice.free:
        return
    from PIL import Image  # loaded only where a picture is read

    with decoding(path, "a picture"), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        if min(image.size) >= SMALLEST:
            yield Picture(name, np.asarray(image.convert("RGB")), notice)
