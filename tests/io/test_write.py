"""Writers: what is written reads back equal."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellposed.errors import FileError, InputError
from wellposed.io import read_table, write_array, write_arrays, write_csv, write_table
from wellposed.io.table import Table

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=6)
VALUES = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=15, deadline=None)
@given(st.dictionaries(st.tuples(NAMES, NAMES), VALUES, min_size=1))
def test_tables_read_back_equal(tmp_path_factory, wanted):
    path = tmp_path_factory.mktemp("back") / "t.csv"
    rows, cols = (sorted({key[k] for key in wanted}) for k in (0, 1))
    table = Table(
        np.array([rows.index(i) for i, _ in wanted]),
        np.array([cols.index(j) for _, j in wanted]),
        np.array(list(wanted.values())),
        (len(rows), len(cols)),
        tuple(rows),
        tuple(cols),
    )
    write_table(path, table)
    back = read_table(path, layout="triplets", header=True, delimiter=",")
    assert np.array_equal(back.values, table.values)
    own = [(back.row_labels or rows)[i] for i in back.rows]
    assert [str(i) for i in own] == [i for i, _ in wanted]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_are_as_short_as_they_can_be(tmp_path, dtype):
    wanted = np.array([0.1, 1e-30, -3.0, 2 / 3], dtype)
    write_csv(tmp_path / "a.csv", {"x": wanted, "y": ["a", None, 'b"', "c,d"]})
    with (tmp_path / "a.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["x", "y"]
    assert lines[1] == ["0.1", "a"]
    assert np.array_equal(np.array([row[0] for row in lines[1:]], dtype), wanted)
    assert [row[1] for row in lines[1:]] == ["a", "", 'b"', "c,d"]


def test_columns_of_unequal_length(tmp_path):
    with pytest.raises(InputError, match=r"columns have lengths .'x': 1, 'y': 2., expected equal"):
        write_csv(tmp_path / "a.csv", {"x": [1], "y": [1, 2]})
    assert list(tmp_path.iterdir()) == []


def test_arrays_read_back_equal_and_are_the_same_bytes_each_time(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    write_array(tmp_path / "a.npy", array)
    assert read_table(tmp_path / "a.npy").values.tolist() == list(range(6))
    write_arrays(tmp_path / "a.npz", {"m": array})
    first = (tmp_path / "a.npz").read_bytes()
    write_arrays(tmp_path / "a.npz", {"m": array})
    assert (tmp_path / "a.npz").read_bytes() == first
    assert read_table(tmp_path / "a.npz").shape == (2, 3)


def test_objects_are_not_pickled(tmp_path):
    for write in (
        lambda: write_array(tmp_path / "a.npy", np.array([{}], object)),
        lambda: write_arrays(tmp_path / "a.npz", {"m": np.array([{}], object)}),
    ):
        with pytest.raises(InputError, match="expected numbers"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="make the folder first"):
        write_csv(tmp_path / "no" / "a.csv", {"x": [1]})
