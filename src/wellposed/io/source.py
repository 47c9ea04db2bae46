"""The door: what a file is allowed to be before anything looks inside."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wellposed.errors import FileError, InputError, WellposedError
from wellposed.files import file_error

NUMPY = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
PARQUET = b"PAR1"
NOTHING = ("there is nothing to recover from", "some cells need values")


@dataclass(frozen=True)
class Limits:
    """How much a reader may take in before it refuses.

    Parameters
    ----------
    bytes
        Largest file, and largest array in memory, in bytes; the default is 2 GiB.
    pixels
        Largest single picture, in pixels; the default is 64 million.

    Raises
    ------
    InputError
        A limit is not a positive whole number.

    Examples
    --------
    >>> Limits(bytes=8 * 2**30).pixels
    64000000
    """

    bytes: int = 2 * 2**30
    pixels: int = 64_000_000

    def __post_init__(self) -> None:
        for name in ("bytes", "pixels"):
            positive(getattr(self, name), name)


def positive(value: object, name: str) -> None:
    """Require a whole number >= 1 (checks.whole, without loading torch)."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {value!r}, expected a whole number >= 1")


def head_of(path: Path, limits: Limits) -> bytes:
    """Check that a path is a readable, regular, non-empty file of allowed size.

    Returns
    -------
    bytes
        Its first 512 bytes.
    """
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            with path.open("rb") as file:
                head = file.read(512)
    except OSError as error:
        raise file_error(path, "read", error) from error
    except ValueError as error:  # a NUL character in the path
        raise FileError(
            f"{str(path)!r} is no path: {error}", remedy="give the name of a file"
        ) from None
    if stat.S_ISDIR(found.st_mode):
        raise FileError(f"{path} is a folder, expected a file")
    if not stat.S_ISREG(found.st_mode):
        raise FileError(
            f"{path} is a device, pipe or socket, expected a regular file",
            "its size cannot be known before it is read",
            "write it to a file first",
        )
    if not head:
        raise FileError(f"{path} is empty", "there is nothing to recover", "export the data again")
    allow(path, found.st_size, limits)
    return head


def allow(path: Path, size: int, limits: Limits, what: str = "it holds") -> None:
    """Refuse more bytes than the limit."""
    if size > limits.bytes:
        raise FileError(
            f"{path} is too large: {what} {size:,} bytes, the limit is {limits.bytes:,}",
            "a small file can unfold to any size, and a large one can fill the memory",
            f"if you trust the file, raise the limit: Limits(bytes={size})",
        )


@contextmanager
def decoding(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a decoder throws at a damaged file into our error.

    Decoders of foreign formats raise dozens of types (zlib.error, struct.error, SyntaxError,
    KeyError, MemoryError, ...); a user needs one: this file is damaged.
    """
    try:
        yield
    except WellposedError:
        raise
    except Exception as error:
        told = str(error).strip().splitlines()
        raise FileError(
            f"{path} cannot be read as {kind}: {told[0][:200] if told else type(error).__name__}",
            "it is truncated, damaged, or another kind of file than its beginning says",
            "copy or export it again",
        ) from error
