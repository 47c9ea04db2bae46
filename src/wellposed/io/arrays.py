"""numpy's own files, .npy and .npz: the header is read and checked before anything else.

Only plain numbers are taken: object arrays hold pickles, which run code when read. A header
must say exactly what the file holds; the members of a .npz are added up before one is unfolded.
"""

from __future__ import annotations

import ast
import math
import re
import struct
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.source import NUMPY, Limits, allow, decoding

_PLAIN = re.compile(r"[<>=|]?[biuf][1248]")
_HEADER = 65536  # longest header that is looked at


class Header(NamedTuple):
    """What a .npy file says about itself."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int  # of the data, in bytes

    @property
    def size(self) -> int:
        """Bytes of data."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(path: Path, limits: Limits) -> NDArray[Any]:
    """Read a .npy file of plain numbers.

    Raises
    ------
    FileError
        Truncated, lying about its size, too large, or not plain numbers.
    """
    with decoding(path, "a numpy array"), path.open("rb") as file:
        return _array(path, file, path.stat().st_size, limits)


def read_npz(path: Path, limits: Limits) -> dict[str, NDArray[Any]]:
    """Read all arrays of a .npz file, by name.

    Raises
    ------
    FileError
        As for ``read_npy``; or the members together are larger than the limit.
    """
    with decoding(path, "a numpy archive"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        foreign = [m.filename for m in members if not m.filename.endswith(".npy")]
        if foreign or not members:
            raise FileError(
                f"{path} is a zip file with {foreign[0]!r} in it, expected arrays only"
                if foreign
                else f"{path} is a zip file without arrays",
                "a .npz file holds .npy members",
                "export a spreadsheet as csv; unpack other archives first",
            )
        total = sum(member.file_size for member in members)
        allow(path, total, limits, f"its {len(members)} arrays unfold to")
        return {m.filename[:-4]: _member(path, archive, m, limits) for m in members}


def header_of(path: Path, file: IO[bytes]) -> Header:
    """Read the header of a .npy stream that stands at its beginning."""
    lead = file.read(8)
    if len(lead) < 8 or lead[:6] != NUMPY or lead[6] not in (1, 2, 3):
        raise FileError(
            f"{path} does not begin like a numpy array",
            "the file is damaged",
            "take it again from where it came",
        )
    form = "<H" if lead[6] == 1 else "<I"
    (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
    if length > _HEADER:
        raise FileError(f"{path} has a header of {length:,} bytes, expected <= {_HEADER:,}")
    text = file.read(length)
    if len(text) < length:
        raise FileError(f"{path} ends in its header", "the file is truncated", "copy it again")
    told = ast.literal_eval(text.decode("utf-8" if lead[6] == 3 else "latin1").strip())
    start = 8 + struct.calcsize(form) + length
    return Header(_dtype(path, told["descr"]), _shape(path, told), told["fortran_order"], start)


def _member(
    path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits
) -> NDArray[Any]:
    with archive.open(member) as file:
        return _array(path, file, member.file_size, limits)


def _array(path: Path, file: IO[bytes], length: int, limits: Limits) -> NDArray[Any]:
    header = header_of(path, file)
    held = length - header.start
    if held != header.size:
        raise FileError(
            f"{path} holds {held:,} bytes of data, its header promises {header.size:,} "
            f"for {list(header.shape)} {header.dtype}",
            "the file is truncated" if held < header.size else "the header is wrong",
            "copy or export it again",
        )
    allow(path, header.size, limits)
    flat = np.empty(math.prod(header.shape), header.dtype)
    _fill(path, file, flat)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _fill(path: Path, file: IO[bytes], flat: NDArray[Any]) -> None:
    into, done = flat.view(np.uint8).data, 0
    while done < len(into):
        # 16 MiB at a time: a zip member that breaks off is noticed before all is unfolded
        piece = file.read(min(len(into) - done, 2**24))
        if not piece:
            raise FileError(
                f"{path} ends after {done:,} of {len(into):,} bytes of data",
                "it was cut short",
                "take it again from where it came",
            )
        into[done : done + len(piece)] = piece
        done += len(piece)


def _dtype(path: Path, told: object) -> np.dtype[Any]:
    if isinstance(told, str) and _PLAIN.fullmatch(told):
        return np.dtype(told)
    pickled = isinstance(told, str) and "O" in told
    raise FileError(
        f"{path} holds an array of dtype {told!r}, expected plain real numbers",
        "Python objects would be unpickled, which runs code" if pickled else "",
        "save it as numbers: array.astype(float)",
    )


def _shape(path: Path, told: dict[str, Any]) -> tuple[int, ...]:
    shape = told["shape"]
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not whole or len(shape) > 16 or not isinstance(told["fortran_order"], bool):
        raise FileError(
            f"{path} has a header with shape {shape!r}",
            "the header is damaged",
            "take it again from where it came",
        )
    return tuple(shape)
