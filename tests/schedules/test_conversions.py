"""Conversions between predictions are exact identities."""

import itertools
from typing import get_args

import mpmath
import pytest
import torch

from wellposed.errors import InputError
from wellposed.rng import Stream
from wellposed.schedules import EDM, OU, VE, VP, Cosine, Pair, RectifiedFlow, convert, merge, split
from wellposed.schedules.conversions import Kind, Level

KINDS = get_args(Kind)
PROCESSES = [OU(), VP(), Cosine(), VE(), EDM(), RectifiedFlow()]
X0 = Stream(1).normal((64,), "x0")
EPS = Stream(1).normal((64,), "eps")


def _off(have, want):
    return float((have - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(KINDS, 2)))
def test_every_pair_of_kinds(process, source, target):
    for t in (0.1, 0.5, 0.9):
        level = process.level(t)
        x = level.a * X0 + level.b * EPS
        given = merge(source, Pair(X0, EPS), level)
        want = merge(target, Pair(X0, EPS), level)
        assert _off(convert(given, x, level, source, target), want) <= 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_definitions(kind):
    """x0, eps, score, v and velocity of a known pair, written out."""
    t = 0.3
    level = RectifiedFlow().level(t)
    want = {
        "x0": X0,
        "eps": EPS,
        "score": -EPS / t,
        "v": (1 - t) * EPS - t * X0,
        "velocity": EPS - X0,
    }
    assert _off(merge(kind, Pair(X0, EPS), level), want[kind]) <= 1e-14


def test_velocity_is_the_slope_of_the_path():
    for process in PROCESSES:
        h, t = 1e-6, 0.4
        ahead, behind = (process.a(s) * X0 + process.b(s) * EPS for s in (t + h, t - h))
        slope = (ahead - behind) / (2 * h)
        assert _off(merge("velocity", Pair(X0, EPS), process.level(t)), slope) <= 1e-6


def test_v_of_a_unit_process_is_salimans_and_ho():
    level = Level(0.6, 0.8)
    x = 0.6 * X0 + 0.8 * EPS
    v = merge("v", Pair(X0, EPS), level)
    assert _off(0.6 * x - 0.8 * v, X0) <= 1e-14
    assert _off(0.8 * x + 0.6 * v, EPS) <= 1e-14


@pytest.mark.parametrize(("source", "target"), [("score", "eps"), ("eps", "score"), ("v", "eps")])
def test_no_digits_are_lost_at_little_noise(source, target):
    """Through the signal, (x - a D) / b would lose log10(1 / b) digits; the split does not."""
    level = Level(1.0, 1e-9)
    x = X0 + 1e-9 * EPS
    given = merge(source, Pair(X0, EPS), level)
    got = convert(given, x, level, source, target)
    with mpmath.workdps(50):  # x and the prediction are floats: solve for eps exactly
        b = mpmath.mpf(1e-9)
        exact = []
        for xi, gi in zip(x.tolist(), given.tolist(), strict=True):
            xi, gi = mpmath.mpf(xi), mpmath.mpf(gi)
            eps = {"score": -b * gi, "eps": gi, "v": (b * xi + gi) / (1 + b * b)}[source]
            exact.append(float(-eps / b if target == "score" else eps))
    assert _off(got, torch.tensor(exact, dtype=torch.float64)) <= 1e-12
    through_signal = (x - split(source, given, x, level).x0) / level.b
    wrong = -through_signal / level.b if target == "score" else through_signal
    assert _off(wrong, torch.tensor(exact, dtype=torch.float64)) > 1e-9


def test_a_sign_error_is_seen():
    """Negative control: the velocity of the other direction fails the identity."""
    level = RectifiedFlow().level(0.3)
    x = level.a * X0 + level.b * EPS
    assert _off(split("velocity", X0 - EPS, x, level).x0, X0) > 0.1


def test_levels_broadcast_over_a_batch():
    t = torch.tensor([0.2, 0.7], dtype=torch.float64)
    level = Level(*(c[:, None] for c in VP().level(t)))
    x0, eps = X0.reshape(2, 32), EPS.reshape(2, 32)
    x = level.a * x0 + level.b * eps
    assert _off(split("v", merge("v", Pair(x0, eps), level), x, level).x0, x0) <= 1e-12


def test_unknown_kind():
    with pytest.raises(InputError, match="'epsilon' is unknown, expected one of x0"):
        convert(X0, X0, Level(1.0, 1.0), "epsilon", "x0")
