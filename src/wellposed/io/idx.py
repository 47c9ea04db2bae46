"""IDX files, the format of MNIST: a header, then whole numbers or floats, maybe gzipped.

Layout   two zero bytes, a code of the type, the number of axes, the length of each axis as a
         big-endian word, then the values, big-endian, last axis fastest.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wellposed.errors import FileError
from wellposed.io.source import Limits, allow, decoding, head_of

GZIP = b"\x1f\x8b"
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_AXES = 8


def read_idx(path: str | Path, limits: Limits | None = None) -> NDArray[Any]:
    """Read an IDX file.

    Parameters
    ----------
    path
        The file, plain or gzipped.
    limits
        Largest file and largest array, 2 GiB by default.

    Raises
    ------
    FileError
        Missing, truncated, too large, or no IDX file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    >>> read_idx(path)
    array([7, 8, 9], dtype=uint8)
    """
    path, limits = Path(path), limits or Limits()
    packed = head_of(path, limits).startswith(GZIP)
    with decoding(path, "an IDX file"), (gzip.open if packed else open)(path, "rb") as file:
        return _array(path, file, limits)  # type: ignore[arg-type]


def is_idx(head: bytes) -> bool:
    """Tell whether a plain file that begins like this is an IDX file.

    Examples
    --------
    >>> is_idx(bytes([0, 0, 8, 3])), is_idx(b"PK")
    (True, False)
    """
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in _TYPES and 1 <= head[3] <= _AXES


def _array(path: Path, file: IO[bytes], limits: Limits) -> NDArray[Any]:
    lead = file.read(4)
    if not is_idx(lead):
        raise FileError(
            f"{path} does not begin like an IDX file",
            "it is of another kind",
            "an .npy array, or a folder of images, will do too",
        )
    shape = tuple(np.frombuffer(file.read(4 * lead[3]), ">u4").tolist())
    dtype = np.dtype(_TYPES[lead[2]])
    size = math.prod(shape) * dtype.itemsize
    allow(path, size, limits)
    data = file.read(size + 1)
    if len(shape) != lead[3] or len(data) != size:
        raise FileError(
            f"{path} does not hold the {size:,} bytes that its header promises for {list(shape)}",
            "the file is truncated" if len(data) < size else "the header is wrong",
            "copy it again",
        )
    return np.frombuffer(data, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
