"""One picture in and out: kinds, depths, limits, and files that are hostile or damaged."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from wellposed.errors import FileError, InputError
from wellposed.io import Limits, read_picture, write_picture

GREY = np.linspace(0, 1, 48).reshape(6, 8)
COLOUR = np.stack([GREY, GREY[::-1], GREY**2], 2)


@pytest.mark.parametrize("kind", ["png", "tiff", "npy"])
@pytest.mark.parametrize(("values", "bits"), [(GREY, 8), (GREY, 16), (COLOUR, 8)])
def test_what_is_written_is_read_back(tmp_path, kind, values, bits):
    path = tmp_path / f"picture.{kind}"
    write_picture(path, values, bits)
    found = read_picture(path)
    steps = {"npy": 2**24}.get(kind, 2**bits - 1)
    assert found.grey == (values.ndim == 2)
    assert found.bits == (32 if kind == "npy" else bits)
    assert np.abs(found.values - values).max() <= 0.51 / steps


def test_jpeg_is_near_and_beyond_white_is_clipped_but_not_in_arrays(tmp_path):
    write_picture(tmp_path / "a.jpeg", np.full((16, 16), 1.7))
    assert read_picture(tmp_path / "a.jpeg").values.min() > 0.99
    write_picture(tmp_path / "a.npy", np.full((4, 4), 1.7))
    assert read_picture(tmp_path / "a.npy").values.max() == np.float32(1.7)


@pytest.mark.parametrize(("array", "top"), [
    (np.full((3, 4), 65535, np.uint16), 1.0), (np.ones((3, 4), bool), 1.0),
    (np.full((3, 4, 1), 51, np.uint8), 0.2), (np.full((3, 4, 3), 0.3), 0.3),
])  # fmt: skip
def test_arrays_are_brought_to_the_scale_from_black_to_white(tmp_path, array, top):
    np.save(tmp_path / "a.npy", array)
    assert read_picture(tmp_path / "a.npy").values.max() == pytest.approx(top, rel=1e-6)


def test_floating_tiff_and_transparency(tmp_path):
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif").bits == 32
    Image.fromarray(np.dstack([(255 * COLOUR).astype(np.uint8), np.zeros((6, 8), np.uint8)])).save(
        tmp_path / "b.png"
    )
    assert read_picture(tmp_path / "b.png").values.shape == (6, 8, 3)


@pytest.mark.parametrize(("array", "told"), [
    (np.full((3, 4), 200.0), "expected the scale from 0 to 1"),
    (np.full((3, 4), np.nan), "NaN or infinite"),
    (np.zeros((3, 4), np.int32), "holds int32 values"),
    (np.zeros((3, 4, 2)), r"shape \[3, 4, 2\]"),
    (np.zeros((0, 4)), r"shape \[0, 4\]"),
    (np.zeros((3000, 3000), np.uint8), "the limit is 4,000,000"),
])  # fmt: skip
def test_unsound_arrays_are_refused(tmp_path, array, told):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FileError, match=told):
        read_picture(tmp_path / "a.npy")


def test_a_decompression_bomb_is_refused_before_it_unfolds(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(FileError, match=r"100000 x 100000|exceeds limit|cannot be read"):
        read_picture(tmp_path / "bomb.png")
    big = tmp_path / "big.png"
    Image.new("L", (3000, 2000)).save(big)
    with pytest.raises(FileError):
        read_picture(big)
    assert read_picture(big, Limits(pixels=6_000_000)).values.shape == (2000, 3000)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(FileError, match="no picture or array"):
        read_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", GREY)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:60])
    with pytest.raises(FileError):
        read_picture(tmp_path / "b.png")
    with pytest.raises(FileError):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(InputError, match="cannot hold an array"):
        write_picture(tmp_path / "c.webp", GREY)
