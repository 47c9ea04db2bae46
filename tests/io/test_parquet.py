"""Parquet tables."""

import numpy as np
import pytest

from wellposed.errors import FileError
from wellposed.io import Limits, read_table

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def write(folder, columns, **options):
    path = folder / "t.parquet"
    parquet.write_table(arrow.table(columns), path, **options)
    return path


def test_triplets(tmp_path):
    columns = {"u": ["ann", "bob", "ann"], "i": [3, 3, 9], "r": [1, 2, 3], "t": [0, 0, 0]}
    table = read_table(write(tmp_path, columns))
    assert table.layout == "triplets"
    assert table.row_labels == ("ann", "bob")
    assert table.col_labels == ("3", "9")
    assert table.rows.tolist() == [0, 1, 0]
    assert table.values.tolist() == [1, 2, 3]
    with pytest.raises(FileError, match="row 0: the id is 'ann', expected a position"):
        read_table(write(tmp_path, columns), shape=(3, 10))


def test_text_may_be_a_dictionary(tmp_path):
    users = arrow.array(["a", "b", "a"]).dictionary_encode()
    table = read_table(write(tmp_path, {"u": users, "i": [0, 0, 1], "r": [1.0, 2.0, 3.0]}))
    assert table.row_labels == ("a", "b")
    assert table.col_labels is None


def test_wide_tables(tmp_path):
    columns = {"day": ["mon", "tue"], "a": [1.5, None], "b": [None, 2], "c": [np.nan, 4.0]}
    table = read_table(write(tmp_path, columns))
    assert table.layout == "wide"
    assert table.row_labels == ("mon", "tue")
    assert table.col_labels == ("a", "b", "c")
    cells = zip(table.rows, table.cols, table.values, strict=True)
    assert list(cells) == [(0, 0, 1.5), (1, 1, 2.0), (1, 2, 4.0)]


def test_agrees_with_csv(tmp_path):
    columns = {"user": [5, 2, 5], "item": [1, 1, 7], "rating": [0.5, 1.5, 2.5]}
    (tmp_path / "t.csv").write_text("user,item,rating\n5,1,0.5\n2,1,1.5\n5,7,2.5\n")
    first, second = read_table(write(tmp_path, columns)), read_table(tmp_path / "t.csv")
    for a, b in zip(vars(first).values(), vars(second).values(), strict=True):
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


BAD = {
    "blank id": ({"u": [1, None], "i": [1, 2], "r": [1, 2]}, "column 'u' of ids has blanks"),
    "blank value": ({"u": [1, 2], "i": [1, 2], "r": [1.0, None]}, "row 1: the value is nan"),
    "duplicate": ({"u": [1, 1], "i": [2, 2], "r": [1.0, 3]}, "row 1: this cell was given before"),
    "infinity": ({"u": ["a"], "x": [1.5], "y": [np.inf]}, "row 0, column 2: the value is inf"),
    "no rows": ({"u": arrow.array([], "int64"), "i": arrow.array([], "int64")}, "has 0 rows"),
    "one column": ({"u": [1.5]}, "1 rows and 1 columns"),
    "text": ({"u": ["a"], "x": ["b"], "y": ["c"]}, "column 'x' holds string, expected numbers"),
    "names twice": ({"n": ["a", "a"], "x": [1.5, 2]}, "rows 1 and 2 are both named 'a'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused(tmp_path, name):
    columns, told = BAD[name]
    with pytest.raises(FileError, match=told):
        read_table(write(tmp_path, columns))


def test_a_bomb_is_weighed_before_it_is_unfolded(tmp_path):
    path = write(tmp_path, {f"c{k}": np.zeros(10**5) for k in range(5)}, use_dictionary=False)
    assert path.stat().st_size < 10**6
    with pytest.raises(FileError, match="unfolds to"):
        read_table(path, limits=Limits(bytes=10**6))
