"""Arrays of three or more modes from files."""

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import netcdf_file

from wellposed.errors import FileError, MissingExtraError
from wellposed.io import Limits, holds_cube, read_cube, read_stack

CUBE = np.arange(24.0).reshape(2, 3, 4)


def hdf5(path, **variables):
    with h5py.File(path, "w") as file:
        for name, values in variables.items():
            file.create_dataset(name, data=values)
    return path


def test_arrays_come_back_as_they_are(tmp_path):
    gaps = np.where(CUBE % 5 == 0, np.nan, CUBE).astype(np.float32)
    np.save(tmp_path / "a.npy", gaps)
    np.savez(tmp_path / "a.npz", cube=CUBE, line=np.arange(3))
    cube = read_cube(tmp_path / "a.npy")
    assert cube.values.dtype == np.float32
    assert np.array_equal(cube.values, gaps, equal_nan=True)
    assert cube.observed == pytest.approx(1 - 5 / 24)
    assert np.array_equal(read_cube(tmp_path / "a.npz").values, CUBE)
    assert holds_cube(tmp_path / "a.npz")


def test_variables_are_unpacked_and_fill_values_are_missing(tmp_path):
    path = tmp_path / "a.nc"
    with h5py.File(path, "w") as file:
        packed = file.create_dataset("group/t2m", data=np.where(CUBE == 3, -9, CUBE).astype("i2"))
        packed.attrs["_FillValue"] = np.int16(-9)
        packed.attrs["scale_factor"] = 0.5
        packed.attrs["add_offset"] = 100.0
        file.create_dataset("time", data=np.arange(2.0))
    found = read_cube(path).values
    assert np.array_equal(found, np.where(CUBE == 3, np.nan, 0.5 * CUBE + 100), equal_nan=True)
    assert np.array_equal(read_cube(path, variable="group/t2m").values, found, equal_nan=True)
    assert read_stack(path).frames.shape == (2, 3, 4)


def test_classic_netcdf_needs_no_extra(tmp_path):
    path = tmp_path / "old.nc"
    with netcdf_file(path, "w") as file:
        for name, size in zip("abc", CUBE.shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("t", "f8", ("a", "b", "c"))[:] = CUBE
    assert np.array_equal(read_cube(path).values, CUBE)


def test_frames_run_from_zero_to_one(tmp_path):
    for k in range(3):
        Image.fromarray(np.full((4, 5), 51 * k, np.uint8)).save(tmp_path / f"{k}.png")
    assert np.allclose(
        read_cube(tmp_path).values, np.arange(3)[:, None, None] * np.ones((4, 5)) / 5
    )
    assert holds_cube(tmp_path)


def test_what_is_not_a_cube_is_told_apart(tmp_path):
    np.save(tmp_path / "table.npy", np.zeros((3, 4)))
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    assert not holds_cube(tmp_path / "table.npy")
    assert not holds_cube(tmp_path / "table.csv")
    assert holds_cube(hdf5(tmp_path / "x.h5", a=CUBE))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: np.save(p / "x.npy", np.zeros((3, 4))), "expected three or more modes"),
        (lambda p: np.save(p / "x.npy", np.full((2, 2, 2), np.nan)), "no observed cell"),
        (lambda p: np.save(p / "x.npy", np.full((2, 2, 2), np.inf)), "infinite"),
        (lambda p: np.savez(p / "x.npy.npz", a=CUBE, b=CUBE), "--variable NAME"),
        (lambda p: hdf5(p / "x.h5", a=CUBE, b=CUBE), "2 of them have 3 or more modes"),
        (lambda p: hdf5(p / "x.h5", a=np.arange(3)), "0 of them"),
        (lambda p: hdf5(p / "x.h5", a=np.array([[[b"text"]]])), "not plain numbers"),
        (lambda p: (p / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300)), "HDF5"),
    ],
    ids=["table", "empty", "infinite", "two arrays", "two", "none", "text", "damaged"],
)
def test_bad_files_are_refused(tmp_path, make, message):
    make(tmp_path)
    (path,) = tmp_path.iterdir()
    with pytest.raises(FileError, match=message):
        read_cube(path)


def test_variables_that_do_not_exist_or_are_too_large_are_refused(tmp_path):
    path = hdf5(tmp_path / "x.h5", a=CUBE)
    with pytest.raises(FileError, match="no variable 'b'; it holds a"):
        read_cube(path, variable="b")
    with h5py.File(tmp_path / "large.h5", "w") as file:  # a small file that unfolds
        file.create_dataset("a", (4000, 4000, 4000), "f8", chunks=True, compression="gzip")
    with pytest.raises(FileError, match="too large"):
        read_cube(tmp_path / "large.h5", limits=Limits())


def test_links_out_of_the_file_are_not_followed(tmp_path):
    hdf5(tmp_path / "secret.h5", a=CUBE)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = h5py.ExternalLink("secret.h5", "a")
    with pytest.raises(FileError, match="holds the variables none"):
        read_cube(tmp_path / "x.h5")


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    path = hdf5(tmp_path / "x.h5", a=CUBE)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="h5py"):
        read_cube(path)
