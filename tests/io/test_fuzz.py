"""Damaged files: whatever the damage, our own error or a table, and soon.

Each reader gets 200 files: truncated, with bytes changed, dropped or doubled, and with numbers
of the header replaced by extreme ones. The time limit is 2 s a file.
"""

import io
import struct
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from wellposed.errors import WellposedError
from wellposed.io import read_stack, read_table
from wellposed.rng import Stream

COUNT = 200
EXTREME = [struct.pack("<I", n) for n in (0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)]
PICTURE = (np.arange(4 * 20 * 30) % 251).astype(np.uint8).reshape(4, 20, 30)


def npy():
    out = io.BytesIO()
    np.save(out, PICTURE[0].astype(float))
    return out.getvalue()


def npz(method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr("m.npy", npy())
    return out.getvalue()


def picture(kind, **options):
    out = io.BytesIO()
    pages = [Image.fromarray(page) for page in PICTURE]
    more = {"save_all": True, "append_images": pages[1:]} if kind in ("TIFF", "GIF") else {}
    pages[0].save(out, kind, **more, **options)
    return out.getvalue()


def parquet():
    arrow = pytest.importorskip("pyarrow")
    out = io.BytesIO()
    columns = {"u": ["a", "b"] * 30, "i": list(range(60)), "r": np.arange(60.0)}
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table(columns), out)
    return out.getvalue()


TRIPLETS = "user,item,rating\n" + "".join(f"{k},{k % 9},{k / 7}\n" for k in range(40))
WIDE = "day,a,b,c,d\n" + "".join(f'"d {k}",{k},,{k / 7},NA\n' for k in range(20))
SAMPLES = {
    "triplets": (read_table, TRIPLETS.encode),
    "wide": (read_table, WIDE.encode),
    "npy": (read_table, npy),
    "npz stored": (read_table, lambda: npz(zipfile.ZIP_STORED)),
    "npz deflated": (read_table, lambda: npz(zipfile.ZIP_DEFLATED)),
    "parquet": (read_table, parquet),
    "png": (read_stack, lambda: picture("PNG")),
    "jpeg": (read_stack, lambda: picture("JPEG")),
    "tiff": (read_stack, lambda: picture("TIFF")),
    "tiff lzw": (read_stack, lambda: picture("TIFF", compression="tiff_lzw")),
    "gif": (read_stack, lambda: picture("GIF")),
    "bmp": (read_stack, lambda: picture("BMP")),
    "ppm": (read_stack, lambda: picture("PPM")),
    "webp": (read_stack, lambda: picture("WEBP")),
}


def numbers(k, high, count, purpose):
    return (Stream(11).uniform((count,), purpose, k) * high).long().tolist()


def damage(data, k):
    """Return the k-th damaged version of some bytes."""
    kind, size = k % 5, len(data)
    at, _ = numbers(k, size, 2, "place")
    early = numbers(k, min(size, 200), 1, "header")[0]
    if kind == 0:
        return data[:at]
    if kind == 1:
        out = bytearray(data)
        for where, value in zip(
            numbers(k, size, 8, "flip"), numbers(k, 256, 8, "value"), strict=True
        ):
            out[where] = value
        return bytes(out)
    if kind == 2:
        return data[:early] + EXTREME[k // 5 % len(EXTREME)] + data[early + 4 :]
    if kind == 3:
        return data[:at] + data[at + 1 + k % 40 :]
    return data[:at] + data[at // 2 :]


def attempt(read, path):
    """Return what a reader says of a file, and the seconds it took."""
    start, told = time.perf_counter(), ""
    try:
        read(path)
    except WellposedError as error:
        told = str(error)
    return told, time.perf_counter() - start


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files(tmp_path, name):
    read, make = SAMPLES[name]
    data = make()
    path = tmp_path / "file"
    path.write_bytes(data)
    read(path)  # libraries are loaded now
    refused = 0
    for k in range(COUNT):
        path.write_bytes(damage(data, k))
        told, seconds = attempt(read, path)
        assert seconds < 2
        assert not told or str(path) in told
        refused += bool(told)
    assert refused > COUNT / 4


def test_every_kind_of_damage_changes_the_file():
    versions = {damage(TRIPLETS.encode(), k) for k in range(COUNT)}
    assert len(versions) > COUNT * 0.95
    assert TRIPLETS.encode() not in versions


def test_a_foreign_error_would_be_seen(tmp_path):
    def careless(path):
        raise KeyError(path)

    with pytest.raises(KeyError):
        attempt(careless, tmp_path)


@pytest.mark.certify
def test_damaged_videos(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    from test_video import encode

    for suffix in ("avi", "mp4", "mkv"):
        clip = tmp_path / f"clip.{suffix}"
        encode(clip)
        data = clip.read_bytes()
        for k in range(COUNT):
            clip.write_bytes(damage(data, k))
            assert attempt(read_stack, clip)[1] < 2
