"""Text with a line a cell: formats, ids, and errors that name the line."""

import math
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wellposed.errors import FileError, InputError
from wellposed.io import lines, read_table, triplets

IDS = st.one_of(
    st.integers(-3, 12).map(str),
    st.sampled_from(["007", "+7", "-0", "7.0", "ann", "bob b", "9" * 25, "1_0"]),
)
CELLS = st.dictionaries(st.tuples(IDS, IDS), st.floats(-1e9, 1e9, width=32), min_size=1)


def write(folder, text, name="table.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def cells(table):
    """Return {(row id, column id): value}, whatever the numbering."""
    rows = table.row_labels or tuple(map(str, range(table.shape[0])))
    cols = table.col_labels or tuple(map(str, range(table.shape[1])))
    keys = [(rows[i], cols[j]) for i, j in zip(table.rows, table.cols, strict=True)]
    return dict(zip(keys, table.values.tolist(), strict=True))


@pytest.mark.parametrize("mark", [",", "\t", ";", " ", "::"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["", "user{0}item{0}rating{0}timestamp"])
@pytest.mark.parametrize("last", [True, False])
def test_every_delimiter_with_and_without_header(tmp_path, mark, end, header, last):
    body = ["1{0}1{0}4{0}881250949", "1{0}3{0}-2.5{0}881250950", "2{0}1{0}1e-3{0}x"]
    text = end.join([header, *body] if header else body) + (end if last else "")
    table = read_table(write(tmp_path, text.replace("{0}", mark)))
    assert cells(table) == {("1", "1"): 4.0, ("1", "3"): -2.5, ("2", "1"): 1e-3}
    assert table.shape == (2, 2)
    assert table.layout == "triplets"
    assert table.rows.dtype == np.int32


def test_ids_that_count_from_zero_need_no_labels(tmp_path):
    table = read_table(write(tmp_path, "0,1,5\n1,0,4\n2,1,3\n"))
    assert table.row_labels is None
    assert table.col_labels is None
    assert table.rows.tolist() == [0, 1, 2]
    # one id missing: now they are names
    table = read_table(write(tmp_path, "0,1,5\n3,0,4\n2,1,3\n"))
    assert table.row_labels == ("0", "2", "3")
    assert table.rows.tolist() == [0, 2, 1]


def test_numbers_are_ordered_by_value_and_names_by_spelling(tmp_path):
    assert read_table(write(tmp_path, "10,0,1\n9,0,1\n-1,0,1\n")).row_labels == ("-1", "9", "10")
    assert read_table(write(tmp_path, "10,0,1\n9,0,1\nx,0,1\n")).row_labels == ("10", "9", "x")


def test_wide_ranges_of_ids_are_numbered_too(tmp_path):
    table = read_table(write(tmp_path, f"{2**62},0,1\n5,0,2\n{-(2**62)},0,3\n"))
    assert table.row_labels == (str(-(2**62)), "5", str(2**62))
    assert table.rows.tolist() == [2, 1, 0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CELLS, st.sampled_from([",", "\t", "::", ";"]), st.booleans())
def test_any_cells_come_back(tmp_path_factory, wanted, mark, header):
    body = [f"{i}{mark}{j}{mark}{v!r}" for (i, j), v in wanted.items()]
    path = write(
        tmp_path_factory.mktemp("any"), "\n".join(["r,c,v".replace(",", mark)] * header + body)
    )
    assert cells(read_table(path, layout="triplets", header=header, delimiter=mark)) == wanted


@settings(max_examples=40, deadline=None)
@given(CELLS)
def test_the_quick_and_the_careful_way_agree(tmp_path_factory, wanted):
    body = [f"{i},{j},{v!r},note" for (i, j), v in wanted.items()]
    path = write(tmp_path_factory.mktemp("two"), "\n".join(body))
    form = triplets.Format(",", 4, False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines.blocks, "__defaults__", (64,))
        quick = triplets.read_triplets(path, form, None)
        patch.setattr(triplets, "_quick", lambda *_: None)
        careful = triplets.read_triplets(path, form, None)
    for a, b in zip(vars(quick).values(), vars(careful).values(), strict=True):
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


def test_plain_numbers_take_the_quick_way(tmp_path, monkeypatch):
    path = write(tmp_path, "".join(f"{k},{k % 7},-0.5e-05,1e+3\n" for k in range(50)))
    monkeypatch.setattr(triplets, "_careful", lambda *_: pytest.fail("read line by line"))
    assert read_table(path).values.size == 50


def test_quotes_blank_lines_and_a_byte_order_mark(tmp_path):
    text = '\ufeff"user","film","stars"\n\n"Doe, Jane","He said ""go""",4\n  \nbob,Heat,5\n\n'
    wanted = {("Doe, Jane", 'He said "go"'): 4.0, ("bob", "Heat"): 5.0}
    assert cells(read_table(write(tmp_path, text))) == wanted


BAD = {
    "malformed row": ("1,1,4\n1,2,3\n1,3\n", "line 3: there are 2 fields, expected 3"),
    "too many fields": ("1,1,4\n1,2,3,9\n1,3,4\n", "line 2: there are 4 fields, expected 3"),
    "no number": ("1,1,4\n1,2,good\n", "line 2: the value is 'good', expected a number"),
    "no number in the first line": ("1,1,good\n1,2,3\n", "line 1: the value is 'good'"),
    "blank value": ("1,1,4\n1,2,\n", "line 2: the value is ''"),
    "NaN": ("u,i,r\n1,1,4\n1,2,NaN\n", "line 3: the value is nan, expected a finite number"),
    "infinity": ("u,i,r\n1,1,-inf\n", "line 2: the value is -inf, expected a finite number"),
    "python's digits": ("1,1,1_000\n1,2,3\n", "line 1: the value is '1_000'"),
    "other digits": ("1,1,4\n1,2,٣\n", "line 2: the value is '٣'"),
    "decimal comma": ("1;1;4,5\n1;2;3,5\n", "line 1: the value is '4,5'"),
    "duplicate": (
        "u,i,r\n1,1,4\n2,1,5\n\n1,1,3\n",
        "line 5: this cell was given before, in line 2",
    ),
    "blank id": ("a,b,4\n,b,3\n", "line 2: the row id is blank"),
    "blank column": ("a,b,4\na,,3\n", "line 2: the column id is blank"),
    "open quote": ('a,b,4\n"a,c,3\n', "line 2: unexpected end of data"),
    "header only": ("user,item,rating\n", "holds no values"),
    "empty": ("", "is empty"),
    "blank lines only": ("\n \n\n", "only blank lines"),
    "single column": ("1\n2\n3\n", "one column, expected at least two"),
    "latin-1": (b"1,caf\xe9,3\n", "line 1: byte 0xe9 is not UTF-8"),
    "utf-16": ("1,1,3\n".encode("utf-16"), "UTF-16"),
    "binary": (b"1,1,3\n\0\0\0", "is no text, and no .npy, .npz or parquet file"),
    "gzip": (b"\x1f\x8b\x08\0\0\0", "gzip-compressed"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_text_is_refused_with_its_line(tmp_path, name):
    text, told = BAD[name]
    with pytest.raises(FileError) as caught:
        read_table(write(tmp_path, text))
    assert told in caught.value.what
    assert str(tmp_path) in caught.value.what


def test_the_decimal_comma_has_its_own_remedy(tmp_path):
    with pytest.raises(FileError, match="write decimals with a point"):
        read_table(write(tmp_path, BAD["decimal comma"][0]))


@pytest.mark.parametrize("bad", ["x", "nan", "1,1"])
def test_errors_deep_in_a_large_file_name_the_line(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(lines.blocks, "__defaults__", (4096,))  # many small blocks
    body = [f"{k // 40},{k % 40},{k}" for k in range(4000)]
    body[3210] = f"80,10,{bad}"
    with pytest.raises(FileError, match="line 3212: "):
        read_table(write(tmp_path, "user,item,rating\n" + "\n".join(body)))


def test_all_duplicates_are_counted_and_the_first_is_named(tmp_path):
    text = "".join(f"{k % 5},{k % 3},1\n" for k in range(17))  # lines 16 and 17 repeat 1 and 2
    with pytest.raises(FileError, match=r"line 16: .* in line 1 \(2 such in all\)"):
        read_table(write(tmp_path, text))


def test_an_explicit_shape_makes_ids_positions(tmp_path):
    path = write(tmp_path, "0,1,5\n3,0,4\n")
    table = read_table(path, shape=(6, 3))
    assert table.shape == (6, 3)
    assert table.row_labels is None
    assert table.empty_rows.tolist() == [1, 2, 4, 5]
    assert table.empty_cols.tolist() == [2]
    assert math.isclose(table.density, 2 / 18)
    with pytest.raises(FileError, match="line 2: the id is 3, expected a position from 0 to 2"):
        read_table(path, shape=(3, 3))
    with pytest.raises(FileError, match="line 1: the id is 'ann', expected a position"):
        read_table(write(tmp_path, "ann,1,5\n0,0,4\n"), shape=(3, 3))


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2.0, 3), (True, 3), (2**40, 2**40), [3, 3]])
def test_a_shape_is_two_positive_whole_numbers(tmp_path, shape):
    with pytest.raises(InputError, match="shape is"):
        read_table(write(tmp_path, "0,0,5\n"), shape=shape)


@pytest.mark.parametrize("value", ["", '"', "||", "5", "a", "\n", ".", "-"])
def test_a_delimiter_is_one_mark(tmp_path, value):
    with pytest.raises(InputError, match=r"delimiter is .*, expected one mark"):
        read_table(write(tmp_path, "0,0,5\n"), delimiter=value)
    table = read_table(write(tmp_path, "0|0|5\n0|1|-2.5\n"), delimiter="|")
    assert table.values.tolist() == [5, -2.5]


def test_an_unknown_layout(tmp_path):
    with pytest.raises(InputError, match="layout is 'long', expected auto, triplets or wide"):
        read_table(write(tmp_path, "0,0,5\n"), layout="long")


def test_a_third_column_is_needed(tmp_path):
    with pytest.raises(FileError, match="line 1: there are 2 fields, expected at least 3"):
        read_table(write(tmp_path, "1,2\n3,4\n"), layout="triplets")


def test_a_hundred_thousand_lines_take_a_fraction_of_a_second(tmp_path):
    path = write(tmp_path, "".join(f"{k // 300},{k % 300},{k % 7}.25\n" for k in range(10**5)))
    start = time.process_time()
    assert read_table(path).shape == (334, 300)
    assert time.process_time() - start < 0.5
