"""Text with a line a row, and the rules that tell it from triplets."""

import numpy as np
import pytest

from wellposed.errors import FileError
from wellposed.io import read_table
from wellposed.io.layout import Options, inspect
from wellposed.io.triplets import Format


def write(folder, text):
    path = folder / "table.csv"
    path.write_text(text)
    return path


def dense(table):
    full = np.full(table.shape, np.nan)
    full[table.rows, table.cols] = table.values
    return full


LAYOUTS = {
    # the file: (layout, header, row names)
    "user,item,rating\n1,2,3\n": ("triplets", True, False),
    "1,2,3\n4,5,6\n": ("triplets", False, False),
    "ann,Heat,3\nbob,Heat,4\n": ("triplets", False, False),
    "1::2::3::978300760\n": ("triplets", False, False),
    "user_id:token,item_id:token,a,b,c\n1,2,3,4,5\n": ("triplets", True, False),
    "row,col,value,note,more\n1,2,3,x,y\n": ("triplets", True, False),
    "a,b,c\n0.5,1.5,2.5\n3.5,4.5,5.5\n": ("wide", True, False),
    "a,b,c\n1,,2\n3,4,\n": ("wide", True, False),
    "1,2,3,4,5\n6,7,8,9,10\n": ("wide", False, False),
    "day,a,b,c,d\nmon,1,2,3,4\n": ("wide", True, True),
    "day,0,1,2,3\nmon,5,5,5,5\n": ("wide", True, True),
    ",a,b,c,d\n7,1,2,3,4\n": ("wide", True, True),
    ",0,1,2,3\n0,1.5,2,3,4\n": ("wide", True, True),
    "ann,5,3,4,1\nbob,1,2,2,5\n": ("wide", False, True),
    "id,a,b,c,d\n7,1,2,3,4\n": ("wide", True, True),
    "a,b,c,d,e\n7,1,2,3,4\n": ("wide", True, False),
    "NA,1,2,3,4\n5,6,7,8,9\n": ("wide", False, False),
    "name,a\nx,1\ny,2\n": ("wide", True, True),
}


@pytest.mark.parametrize("text", LAYOUTS)
def test_the_rules_of_layout(tmp_path, text):
    layout, header, row_names = LAYOUTS[text]
    form = inspect(write(tmp_path, text), Options())
    if isinstance(form, Format):
        assert (layout, header, row_names) == ("triplets", form.header, False)
    else:
        assert (layout, header, row_names) == ("wide", form.header is not None, form.row_names)


def test_one_bad_line_does_not_change_the_layout(tmp_path):
    text = "1,2,3\n4,5,6\n7,8,oops\n9,9,9\n"
    with pytest.raises(FileError, match="line 3: the value is 'oops'"):
        read_table(write(tmp_path, text))


def test_missing_cells_names_and_values(tmp_path):
    text = "day,6h,12h,18h,24h\nmon,1,,NA,nan\ntue,N/A,-2.5,null,3e2\nwed,,?,None,\n"
    table = read_table(write(tmp_path, text))
    assert table.layout == "wide"
    assert table.row_labels == ("mon", "tue", "wed")
    assert table.col_labels == ("6h", "12h", "18h", "24h")
    assert np.array_equal(
        dense(table),
        [[1, np.nan, np.nan, np.nan], [np.nan, -2.5, np.nan, 300], [np.nan] * 4],
        equal_nan=True,
    )
    assert table.empty_rows.tolist() == [2]
    assert table.empty_cols.tolist() == [2]


def test_names_that_count_from_zero_are_dropped(tmp_path):
    table = read_table(write(tmp_path, ",0,1,2,3\n0,1,2,3,4\n1,5,6,7,8\n"))
    assert table.row_labels is None
    assert table.col_labels is None
    assert dense(table).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_the_caller_overrides_the_rules(tmp_path):
    path = write(tmp_path, "1990,1991,1992,1993,1994\n1,2,3,4,5\n")
    assert read_table(path).shape == (2, 5)
    table = read_table(path, header=True)
    assert table.col_labels == ("1990", "1991", "1992", "1993", "1994")
    table = read_table(path, header=True, row_names=True)
    assert table.row_labels == ("1",)
    path = write(tmp_path, "1,2,3\n4,5,6\n")
    assert read_table(path, layout="wide").shape == (2, 3)
    assert read_table(path, layout="triplets", header=True).values.tolist() == [6.0]


BAD = {
    "a word": ("a,b,c,d,e\n1,2,3,4,5\n1,2,x,4,5\n", "line 3, column 3: the value is 'x'"),
    "infinity": (",a,b,c,d\nr,1,2,inf,4\n", "line 2, column 4: the value is inf"),
    "digits": ("a,b,c,d,e\n1,2,3,4,1_0\n", "line 2, column 5: the value is '1_0'"),
    "short row": ("a,b,c,d,e\n1,2,3,4\n", "line 2: there are 4 fields, expected 5"),
    "no rows": ("a,b,c,d,e\n", "holds a header and no rows"),
    "nothing seen": ("a,b,c,d,e\n,,,,\n", "has no observed cell"),
    "two columns of one name": ("a,b,a,d,e\n1,2,3,4,5\n", "columns 1 and 3 are both named 'a'"),
    "two rows of one name": (",a,b,c,d\nx,1,2,3,4\nx,1,2,3,4\n", "rows 1 and 2 are both named 'x'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused(tmp_path, name):
    text, told = BAD[name]
    with pytest.raises(FileError) as caught:
        read_table(write(tmp_path, text))
    assert told in caught.value.what
