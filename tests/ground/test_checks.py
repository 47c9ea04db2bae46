"""Input checks: what is wrong, why, how to mend it."""

import numpy as np
import pytest
import torch

from wellposed import checks
from wellposed.errors import FileError, InputError, MissingExtraError, WellposedError


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_within_names_value_and_interval(value):
    with pytest.raises(InputError, match=r"sigma is .*expected a number in \(0, inf\)"):
        checks.within(value, "sigma", 0, open_low=True)
    checks.within(1e-9, "sigma", 0, open_low=True)


@pytest.mark.parametrize("value", [0, 1.0, True, None])
def test_whole_refuses_what_is_not_a_count(value):
    with pytest.raises(InputError, match="expected a whole number >= 1"):
        checks.whole(value, "rank")
    checks.whole(np.int64(3), "rank")


def test_finite_names_the_first_bad_element_and_their_number():
    x = torch.zeros(3, 4)
    x[1, 2] = torch.nan
    x[2, 0] = torch.inf
    with pytest.raises(InputError, match=r"y has 2 NaN.*\(1, 2\)"):
        checks.finite(x, "y")
    checks.finite(torch.full((4,), 3e38), "sums that overflow are no error")


def test_shapes_are_named():
    with pytest.raises(InputError, match=r"y has shape \[2, 3\], expected \[\*, 4\]"):
        checks.shaped(torch.zeros(2, 3), "y", (None, 4))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1, 2], torch.float64),
        (np.array([1, 2], np.uint16), torch.float64),
        (np.array([1.0], np.float32), torch.float32),
        (np.array([1.0], ">f8"), torch.float64),
        (np.arange(6.0)[::-2], torch.float64),
        (torch.tensor([1]), torch.float64),
    ],
)
def test_as_tensor_takes_any_numbers(value, dtype):
    tensor = checks.as_tensor(value, "y")
    assert tensor.dtype == dtype
    assert np.allclose(tensor.numpy(), np.asarray(value))


@pytest.mark.parametrize("value", [["a"], [[1], [2, 3]], np.array([None])])
def test_as_tensor_refuses_what_is_no_array_of_numbers(value):
    with pytest.raises(InputError, match="y "):
        checks.as_tensor(value, "y")


@pytest.mark.parametrize(
    ("value", "message"),
    [([0, 5], "from 0 to 5, expected 0 to 4"), ([0.5], "fraction"), ([[1]], "one dimension")],
)
def test_indices_stay_inside(value, message):
    with pytest.raises(InputError, match=message):
        checks.as_indices(value, "rows", 5)


def test_errors_print_what_why_and_remedy():
    error = InputError("what", "why", "remedy")
    assert str(error) == "what\n  why: why\n  try: remedy"
    assert isinstance(error, ValueError)
    assert str(FileError("what")) == "what"
    assert 'pip install "wellposed[parquet]"' in str(MissingExtraError("pyarrow", "parquet", "x"))
    assert issubclass(MissingExtraError, WellposedError)
