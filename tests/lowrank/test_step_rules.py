"""Step rules alone: what they return, remember, and refuse."""

import pytest
import torch

import wellposed as wp
from wellposed.lowrank.step_rules import (
    CORE,
    GROWTH,
    PATIENCE,
    Geometric,
    Polyak,
    clean_sum,
    median_size,
)
from wellposed.rng import Stream

DOUBLE = torch.float64


def number(value):
    return torch.tensor(value, dtype=DOUBLE)


def test_polyak_reaches_the_optimum_of_an_absolute_value_in_one_step():
    """f(x) = 3 |x - 2| + 5 from x = 7: the subgradient is 3, the step lands on 2."""
    rule = Polyak(optimum=5.0)
    off = torch.tensor([3.0 * 5, -5.0], dtype=DOUBLE)
    step, _ = rule.step(rule.begin(number(1.0)), off, number(3.0))
    assert 7 - float(step) * 3 == pytest.approx(2)


def test_polyak_never_goes_backwards():
    rule = Polyak(optimum=100.0)
    step, _ = rule.step(rule.begin(number(1.0)), torch.ones(3, dtype=DOUBLE), number(2.0))
    assert float(step) == 0


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
def test_the_estimated_gap_is_that_of_the_clean_residuals(share):
    """Random signs: f - f* is the clean part within a few per cent; the estimate stays below."""
    stream = Stream(0)
    clean = stream.normal((20_000,), "clean")
    gross = 50 * (2 * stream.uniform((20_000,), "gross") - 1)
    hit = stream.uniform((20_000,), "hit") < share
    errors = torch.where(hit, gross, torch.zeros_like(gross))
    gap = float((clean + errors).abs().sum() - errors.abs().sum())
    estimate = float(clean_sum(clean + errors))
    assert 0.75 * gap <= estimate <= 1.4 * gap
    assert float((clean + errors).abs().sum()) > 3 * gap  # what f alone would say


def test_cells_that_were_not_observed_do_not_count():
    values = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, -2.0, 3.0], dtype=DOUBLE)
    assert float(median_size(values)) == 2
    assert float(clean_sum(values)) == 6
    assert float(median_size(torch.zeros(4))) == 0
    assert float(clean_sum(torch.tensor([1.0, 1.0, 1.0, CORE + 0.1]))) == 3


def test_steps_are_halved_after_a_wait_and_grow_back():
    rule, pace, one = Polyak(), Polyak().begin(number(1.0)), number(1.0)
    still = torch.ones(5, dtype=DOUBLE)
    sizes = []
    for _ in range(2 * PATIENCE + 1):
        step, pace = rule.step(pace, still, one)
        sizes.append(float(step))
    assert sizes[:PATIENCE] == [5.0] * PATIENCE
    assert sizes[PATIENCE : 2 * PATIENCE] == [2.5] * PATIENCE
    assert sizes[-1] == 1.25
    step, pace = rule.step(pace, 0.9 * still, one)
    assert float(step) == pytest.approx(0.9 * 5 * 0.25 * GROWTH)
    for k in range(20):
        step, pace = rule.step(pace, 0.9**k * 0.8 * still, one)
    assert float(pace.scale) == 1


def test_geometric_steps_have_the_promised_length():
    rule = Geometric(first=0.5, ratio=0.8)
    pace, off = rule.begin(number(6.0)), torch.ones(3, dtype=DOUBLE)
    for k in range(5):
        step, pace = rule.step(pace, off, number(7.0))
        assert float(step) * 7 == pytest.approx(3 * 0.8**k)


@pytest.mark.parametrize("rule", [Polyak(), Polyak(0.0), Geometric()])
def test_no_direction_means_no_step(rule):
    step, _ = rule.step(rule.begin(number(1.0)), torch.zeros(3, dtype=DOUBLE), number(0.0))
    assert float(step) == 0


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Polyak(-1.0),
        lambda: Polyak(float("nan")),
        lambda: Geometric(first=0.0),
        lambda: Geometric(ratio=1.0),
        lambda: wp.Subgradient(0.5),
        lambda: wp.ScaledSubgradient("polyak"),
    ],
)
def test_bad_rules_are_refused(bad):
    with pytest.raises(wp.WellposedError, match="expected"):
        bad()
