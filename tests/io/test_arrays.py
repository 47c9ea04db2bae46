"""numpy files: what a header may claim, and what must not be read at all."""

import io
import struct
import zipfile

import numpy as np
import pytest

from wellposed.errors import FileError
from wellposed.io import Limits, read_stack, read_table

MATRIX = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])


def npy(array):
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def claim(shape, descr="'<f8'", version=b"\x01\x00"):
    """Return a .npy file of six numbers whose header says what we like."""
    told = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version[0] == 1 else "<I", len(told))
    return b"\x93NUMPY" + version + length + told + MATRIX.tobytes()


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "."), data)
    return path


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "i2", "<u4", "?", "i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_matrices_of_any_plain_kind(tmp_path, dtype, order):
    wanted = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    np.save(tmp_path / "m.npy", np.asarray(wanted, order=order))
    np.savez_compressed(tmp_path / "m.npz", m=np.asarray(wanted, order=order))
    for name in ("m.npy", "m.npz"):
        table = read_table(tmp_path / name)
        assert table.shape == (2, 3)
        assert table.values.dtype == np.float64
        assert table.values.reshape(2, 3).tolist() == wanted.astype(float).tolist()


def test_nan_is_missing(tmp_path):
    np.save(tmp_path / "m.npy", MATRIX)
    table = read_table(tmp_path / "m.npy")
    assert (table.rows.tolist(), table.cols.tolist()) == ([0, 0], [0, 2])
    assert table.empty_rows.tolist() == [1]
    assert table.empty_cols.tolist() == [1]


def test_triplets_with_and_without_a_shape(tmp_path):
    cells = {"rows": np.array([0, 2], "u2"), "cols": np.array([1, 0]), "values": [1.5, 2.5]}
    np.savez(tmp_path / "a.npz", **cells)
    assert read_table(tmp_path / "a.npz").row_labels == ("0", "2")
    np.savez(tmp_path / "b.npz", **cells, shape=(4, 2))
    table = read_table(tmp_path / "b.npz")
    assert table.shape == (4, 2)
    assert table.rows.tolist() == [0, 2]
    assert read_table(tmp_path / "b.npz", shape=(5, 5)).shape == (5, 5)


def triplets(**changes):
    return {"rows": np.array([0, 1]), "cols": np.array([0, 1]), "values": np.ones(2), **changes}


BAD_TRIPLETS = {
    "unequal lengths": (triplets(cols=np.array([0])), r"cols has shape \[1\], expected \[2\]"),
    "floating ids": (triplets(rows=np.ones(2)), "rows holds float64, expected whole numbers"),
    "id out of range": (triplets(shape=[2, 1]), "entry 1: the id is 1, expected a position"),
    "negative id": (triplets(rows=[0, -1], shape=[2, 2]), "entry 1: the id is -1, expected"),
    "nan": (triplets(values=[1, np.nan]), "entry 1: the value is nan"),
    "twice": (
        triplets(rows=[0, 0], cols=[1, 1]),
        "entry 1: this cell was given before, in entry 0",
    ),
    "bad shape": (triplets(shape=[2]), "shape is .2., expected two whole numbers"),
    "zero shape": (triplets(shape=[0, 2]), "shape is 0, expected a whole number >= 1"),
    "no cells": (triplets(rows=np.zeros(0, int), cols=np.zeros(0, int), values=[]), "no values"),
}


@pytest.mark.parametrize("name", BAD_TRIPLETS)
def test_bad_triplets_are_refused(tmp_path, name):
    arrays, told = BAD_TRIPLETS[name]
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(FileError, match=told):
        read_table(tmp_path / "t.npz")


BAD_NPY = {
    "truncated data": (npy(MATRIX)[:-1], "holds 47 bytes of data, its header promises 48"),
    "data too long": (npy(MATRIX) + b"x", "holds 49 bytes of data, its header promises 48"),
    "a huge claim": (claim("(1000000, 1000000)"), "header promises 8,000,000,000,000"),
    "truncated header": (npy(MATRIX)[:50], "ends in its header"),
    "truncated magic": (npy(MATRIX)[:7], "does not begin like a numpy array"),
    "future version": (claim("(2, 3)", version=b"\x09\x00"), "does not begin like"),
    "a long header": (npy(MATRIX)[:8] + b"\xff\xff" * 2, "ends in its header"),
    "a longer header": (b"\x93NUMPY\x02\0\xff\xff\xff\x0f", "a header of 268,435,455 bytes"),
    "negative shape": (claim("(-2, -3)"), "header with shape"),
    "shape is text": (claim("'seven'"), "header with shape 'seven'"),
    "header is code": (claim("exit()"), "cannot be read as a numpy array"),
    "deep header": (claim("(" * 5000), "cannot be read as a numpy array"),
    "odd dtype": (claim("(2, 3)", "'<f1'"), "cannot be read as a numpy array"),
    "objects": (npy(np.array([[{}]], object)), "dtype '|O', expected plain real numbers"),
    "text": (npy(np.array([["a"]])), "dtype '<U1', expected plain real numbers"),
    "records": (npy(np.zeros((2, 2), "i4,f4")), "expected plain real numbers"),
    "complex": (npy(np.zeros((2, 2), complex)), "dtype '<c16', expected plain real"),
    "a vector": (npy(np.zeros(3)), r"array of shape \[3\], expected a matrix"),
    "no cells": (npy(np.zeros((0, 3))), r"shape \[0, 3\], expected a matrix with cells"),
    "infinity": (npy(np.array([[1, np.inf]])), r"entry \[0, 1\]: the value is inf"),
    "all missing": (npy(np.full((2, 2), np.nan)), "no observed cell"),
    "wrong magic": (b"not a numpy file", "does not begin like a .npy file"),
}


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00"])
def test_every_version_of_the_header(tmp_path, version):
    (tmp_path / "m.npy").write_bytes(claim("(2, 3)", version=version))
    assert read_table(tmp_path / "m.npy").values.tolist() == [1.0, 3.0]


@pytest.mark.parametrize("name", BAD_NPY)
def test_bad_npy_files_are_refused(tmp_path, name):
    data, told = BAD_NPY[name]
    (tmp_path / "m.npy").write_bytes(data)
    with pytest.raises(FileError, match=told.replace("|", r"\|")):
        read_table(tmp_path / "m.npy")


BAD_NPZ = {
    "no arrays": ({}, "a zip file without arrays"),
    "a spreadsheet": ({"xl/workbook__xml": "<xml>"}, "'xl/workbook.xml' in it"),
    "two matrices": ({"a__npy": npy(MATRIX), "b__npy": npy(MATRIX)}, r"holds a \[2, 3\], b"),
    "no matrix": ({"a__npy": npy(np.zeros(3))}, "expected one matrix, or rows, cols and values"),
    "a lying member": ({"a__npy": npy(MATRIX)[:-8]}, "holds 40 bytes of data"),
    "objects": ({"a__npy": npy(np.array([[{}]], object))}, "expected plain real numbers"),
}


@pytest.mark.parametrize("name", BAD_NPZ)
def test_bad_npz_files_are_refused(tmp_path, name):
    members, told = BAD_NPZ[name]
    with pytest.raises(FileError, match=told):
        read_table(archive(tmp_path / "m.npz", **members))


def test_a_zip_bomb_is_weighed_before_it_is_unfolded(tmp_path):
    path = archive(tmp_path / "bomb.npz", a__npy=npy(np.zeros((1000, 2500))))
    assert path.stat().st_size < 30_000
    with pytest.raises(FileError, match="its 1 arrays unfold to 20,000,128 bytes, the limit is"):
        read_table(path, limits=Limits(bytes=10**7))
    with pytest.raises(FileError, match=r"raise the limit: Limits\(bytes=20000128\)"):
        read_stack(path, limits=Limits(bytes=10**7))


def test_many_small_members_add_up(tmp_path):
    members = {f"a{k}__npy": npy(np.zeros((100, 100))) for k in range(50)}
    path = archive(tmp_path / "bomb.npz", **members)
    with pytest.raises(FileError, match="its 50 arrays unfold to 4,006,400 bytes"):
        read_table(path, limits=Limits(bytes=10**6))


def test_a_file_above_the_limit_is_not_opened(tmp_path):
    (tmp_path / "big.csv").write_text("1,1,1\n" * 100)
    with pytest.raises(FileError, match="it holds 600 bytes, the limit is 599"):
        read_table(tmp_path / "big.csv", limits=Limits(bytes=599))
