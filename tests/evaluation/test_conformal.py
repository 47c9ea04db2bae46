"""Conformal widening: its promise for small numbers of pairs, and what happens without it."""

import math

import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.evaluation.conformal import widening
from wellposed.rng import Stream

ITEMS, ELEMENTS, TRIALS = 5, 40, 1500


def pairs(k):
    """Items whose elements share a random size: far from independent, intervals too narrow."""
    stream = Stream(1, item=k)
    size = stream.normal((ITEMS + 1, 1), "size").exp()
    truth = size * stream.normal((ITEMS + 1, ELEMENTS), "truth")
    return truth, torch.zeros_like(truth), 0.3 * torch.ones_like(truth)


def share_of_the_next(factor_of):
    inside = []
    for k in range(TRIALS):
        truth, centre, scale = pairs(k)
        factor = factor_of(truth[:-1], centre[:-1], scale[:-1])
        inside.append(float(((truth[-1] - centre[-1]).abs() <= factor * scale[-1]).double().mean()))
    return np.mean(inside), np.std(inside) / math.sqrt(TRIALS)


def test_the_next_item_is_covered_as_promised_with_few_pairs():
    share, error = share_of_the_next(lambda *p: widening(*p, level=0.8))
    assert share > 0.8 - 3 * error  # false alarm 1.3e-3
    assert share < 0.8 + 1 / (ITEMS + 1) + 3 * error  # and not much more


def test_the_plain_quantile_breaks_the_promise():
    share, error = share_of_the_next(lambda x, c, s: float(((x - c).abs() / s).quantile(0.8)))
    assert share < 0.8 - 3 * error


def test_wide_intervals_are_made_narrower():
    truth = Stream(2).normal((200, 30), "truth")
    factor = widening(truth, torch.zeros_like(truth), 5 * torch.ones_like(truth), 0.9)
    assert factor == pytest.approx(1.645 / 5, rel=0.05)


def test_what_cannot_be_promised_is_refused():
    x = Stream(3).normal((8, 5), "x")
    with pytest.raises(InputError, match="8 held-out pairs, expected at least 9"):
        widening(x, 0 * x, 0 * x + 1, 0.9)
    with pytest.raises(InputError, match="scale is zero"):
        widening(x, 0 * x, 0 * x, 0.5)
    with pytest.raises(InputError, match="centre has shape"):
        widening(x, x[:3], x)
