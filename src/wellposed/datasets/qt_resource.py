"""The files inside a Qt resource bundle (.rcc), without Qt.

Layout   "qres", version, offsets of tree, data and names (big-endian words). A node of the tree
         is 14 bytes, or 22 from version 2 on: offset of its name, flags, and for a folder the
         number and index of its children, else country, language and offset of its data. A name
         is its length, a hash and UTF-16; data are their length and bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wellposed.errors import FileError
from wellposed.io.source import decoding

_FOLDER, _PACKED = 2, 1 | 4
_DEEPEST = 64


class Bundle(NamedTuple):
    """The bytes of a bundle, and where its parts begin."""

    data: bytes
    tree: int
    content: int
    names: int
    node: int  # bytes of a node


def files_in(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file of a bundle that is not compressed.

    Raises
    ------
    FileError
        It is no bundle, or damaged.
    """
    with decoding(path, "a resource bundle"):
        data = path.read_bytes()
        if data[:4] != b"qres":
            raise FileError(f"{path} is no resource bundle")
        version, tree, content, names = struct.unpack(">IIII", data[4:20])
        bundle = Bundle(data, tree, content, names, 22 if version >= 2 else 14)
        yield from _walk(bundle, 0, "", 0)


def _walk(bundle: Bundle, index: int, above: str, depth: int) -> Iterator[tuple[str, bytes]]:
    if depth > _DEEPEST:
        raise FileError("the folders of a resource bundle are nested without end")
    at = bundle.tree + index * bundle.node
    name_at, flags = struct.unpack(">IH", bundle.data[at : at + 6])
    name = f"{above}/{_name(bundle, name_at)}" if depth else ""
    if flags & _FOLDER:
        count, first = struct.unpack(">II", bundle.data[at + 6 : at + 14])
        for child in range(first, first + count):
            yield from _walk(bundle, child, name, depth + 1)
    elif not flags & _PACKED:
        (begin,) = struct.unpack(">I", bundle.data[at + 10 : at + 14])
        begin += bundle.content
        (size,) = struct.unpack(">I", bundle.data[begin : begin + 4])
        yield name, bundle.data[begin + 4 : begin + 4 + size]


def _name(bundle: Bundle, offset: int) -> str:
    at = bundle.names + offset
    (length,) = struct.unpack(">H", bundle.data[at : at + 2])
    return bundle.data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")
