"""The verb: conversions at the edge, limits, statuses, and what it refuses."""

import numpy as np
import pytest
import torch

import wellposed as wp
from wellposed.result import SIGNAL_LIMIT
from wellposed.rng import Stream
from wellposed.run import Record


def problem(dtype=torch.float64, as_numpy=False):
    stream = Stream(5)
    truth = stream.normal((40, 2), "l", dtype=dtype) @ stream.normal((2, 30), "r", dtype=dtype)
    mask = stream.uniform((40, 30), "mask") < 0.5
    y = truth[mask]
    cells = wp.operators.Entries.from_mask(mask)
    return truth, wp.Problem(y.numpy() if as_numpy else y, cells)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("as_numpy", [False, True])
def test_types_come_back_as_they_went_in(dtype, as_numpy):
    _, asked = problem(dtype, as_numpy)
    found = wp.recover(asked, wp.LowRank(2, biases=True))
    kind = np.ndarray if as_numpy else torch.Tensor
    for value in (found.left, found.right, found.signal, found.singular_values):
        assert isinstance(value, kind)
        assert str(value.dtype).removeprefix("torch.") == str(dtype).removeprefix("torch.")
    assert isinstance(found.predict([0], [1]), kind)


def test_the_trace_knows_the_truth_when_told():
    truth, asked = problem()
    found = wp.recover(asked, wp.LowRank(2), truth=truth)
    exact = (found.signal - truth).norm() / truth.norm()
    assert found.trace.error[-1] == pytest.approx(float(exact), rel=1e-6)
    assert found.trace.error[-1] < 1e-5 < found.trace.error[0]
    assert np.isnan(wp.recover(asked, wp.LowRank(2)).trace.error).all()


def test_singular_values_are_those_of_the_signal():
    _, asked = problem()
    found = wp.recover(asked, wp.LowRank(2))
    assert torch.allclose(found.singular_values, torch.linalg.svdvals(found.signal)[:2])


def test_predictions_are_the_signal_at_those_cells():
    _, asked = problem()
    found = wp.recover(asked, wp.LowRank(2, biases=True))
    rows, cols = torch.tensor([0, 39, 7]), torch.tensor([29, 0, 7])
    assert torch.allclose(found.predict(rows, cols), found.signal[rows, cols])
    with pytest.raises(wp.WellposedError, match="rows runs from 40 to 40"):
        found.predict([40], [0])


def test_a_huge_signal_is_not_formed():
    n = int(SIGNAL_LIMIT**0.5) + 1
    thin = torch.zeros(n, 1)
    found = wp.Recovery(thin, thin, wp.Status.CONVERGED, 0, None)
    with pytest.raises(wp.WellposedError, match="ask for the cells you need"):
        _ = found.signal
    assert float(found.predict([n - 1], [n - 1])[0]) == 0


def test_running_out_of_steps_is_a_status():
    _, asked = problem()
    found = wp.recover(asked, wp.LowRank(2), steps=2)
    assert found.status is wp.Status.MAX_STEPS
    assert not found.status.ok


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"tol": 0.0}, "tol is 0.0"),
        ({"seed": -1}, "seed is -1"),
        ({"method": "scaledgd"}, "method is 'scaledgd'"),
        ({"prior": 3}, "no method recovers"),
        ({"prior": wp.LowRank(31)}, "rank is 31, expected a whole number from 1 to 30"),
        ({"method": wp.RobustPCA()}, "RobustPCA was given a LowRank prior"),
        ({"method": wp.ScaledGD(), "prior": wp.LowRank(2, ridge=1.0)}, "ScaledGD does not use"),
        ({"prior": wp.LowRank(2, symmetric=True)}, "symmetric but the matrix is 40 x 30"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    _, asked = problem()
    with pytest.raises(wp.WellposedError, match=message):
        wp.recover(asked, **({"prior": wp.LowRank(2)} | arguments))


def test_a_problem_must_be_a_problem():
    with pytest.raises(wp.WellposedError, match="expected a Problem"):
        wp.recover(torch.ones(3), wp.LowRank(1))


@pytest.mark.parametrize(
    ("y", "message"),
    [([1.0, np.nan], "1 NaN"), ([1.0], r"expected \[2\]"), (["a", "b"], "expected numbers")],
)
def test_bad_measurements_are_named(y, message):
    with pytest.raises(wp.WellposedError, match=message):
        wp.Problem(y, wp.operators.Entries([0, 1], [0, 1], (2, 2)))


def test_progress_reports_without_changing_the_result(capsys):
    _, asked = problem()
    shown = wp.recover(asked, wp.LowRank(), progress=True)
    silent = wp.recover(asked, wp.LowRank())
    assert torch.equal(shown.left, silent.left)
    assert isinstance(shown.trace.records[0], Record)
