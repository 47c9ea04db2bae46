"""IDX files: every type, gzipped or not, and those that lie."""

import gzip
import struct

import numpy as np
import pytest

from wellposed.errors import FileError
from wellposed.io.idx import read_idx
from wellposed.io.source import Limits

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx(array, code):
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", CODES)
def test_every_type_comes_back(tmp_path, kind, packed):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    data = idx(array, CODES[kind])
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    found = read_idx(tmp_path / "x")
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


RIGHT = idx(np.arange(12, dtype="u1").reshape(3, 4), 8)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (RIGHT[:-1], "does not hold the 12 bytes"),
        (RIGHT + b"x", "does not hold the 12 bytes"),
        (RIGHT[:6], "cannot be read as an IDX file"),
        (b"\0\0\x07\x02" + RIGHT[4:], "does not begin like"),
        (b"PK" + RIGHT[2:], "does not begin like"),
        (gzip.compress(RIGHT, mtime=0)[:-9], "cannot be read as an IDX file"),
        (bytes([0, 0, 8, 4]) + struct.pack(">4I", *[2**20] * 4), "too large"),
    ],
)
def test_a_file_that_lies_is_refused(tmp_path, data, told):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(FileError, match=told):
        read_idx(tmp_path / "x")


def test_a_small_file_does_not_unfold_beyond_the_limit(tmp_path):
    data = bytes([0, 0, 8, 1]) + struct.pack(">I", 10**7) + bytes(10**7)
    (tmp_path / "x").write_bytes(gzip.compress(data))
    with pytest.raises(FileError, match="too large"):
        read_idx(tmp_path / "x", Limits(bytes=10**6))
