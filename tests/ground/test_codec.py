"""Trees go to JSON and tensors and come back; nothing else gets in."""

import json

import pytest
import torch

import wellposed as wp
from wellposed.codec import NotStorableError, decode, encode
from wellposed.errors import StoreError
from wellposed.lowrank.setting import Factors
from wellposed.run import Record, Status


def round_trip(tree):
    tensors = {}
    form = json.loads(json.dumps(encode(tree, tensors)))
    return decode(form, tensors)


def test_trees_come_back_equal():
    tree = {
        "a": (1, 2.5, None, True, "text", float("inf")),
        "b": Record(3, 0.1, float("nan"), 1e-300, -0.0),
        "c": wp.ScaledGD(step_size=0.25),
        "d": Status.DIVERGED,
        "e": torch.float32,
        "f": (),
    }
    back = round_trip(tree)
    assert repr(back) == repr(tree)


def test_operators_are_built_again_and_work():
    operator = wp.operators.Entries([0, 1, 2], [1, 0, 2], (3, 3))
    back = round_trip(wp.Problem([1.0, 2.0, 3.0], operator, wp.noise.Gaussian(0.1)))
    x = torch.arange(9.0).reshape(3, 3)
    assert torch.equal(back.operator(x), operator(x))
    assert back.noise == wp.noise.Gaussian(0.1)


def test_shared_tensors_stay_shared():
    factor = torch.ones(2, 1)
    back = round_trip(Factors(factor, factor))
    assert back.left is back.right


def test_functions_are_refused_with_a_way_out():
    with pytest.raises(NotStorableError, match=r"call(ing)? wp.recover again"):
        encode({"f": lambda x: x}, {})


@pytest.mark.parametrize(
    "node",
    [
        {"type": "os:system", "fields": {}},
        {"type": "wellposed.files:sha256", "fields": {}},
        {"type": "wellposed.rng:Stream.normal", "fields": {}},
        {"type": "wellposed.nowhere:Thing", "fields": {}},
        {"type": "wellposed.__main__:Thing", "fields": {}},  # would run the command line
        {"type": "wellposed.run:Status", "fields": {"value": "fine"}},
        {"type": "wellposed.run:Status", "fields": {}},
        {"type": "wellposed.noise:Gaussian", "fields": {"width": 1.0}},
        {"type": "wellposed.noise:Gaussian", "fields": 3},
        {"dtype": "load"},
        {"dtype": "nothing"},
        {"device": "nowhere"},
        {"float": "x"},
        {"tensor": ["x"]},
        {"list": 3},
        {"dict": [1]},
        {"tensor": "missing"},
        {"x": 1, "y": 2},
    ],
)
def test_hostile_forms_are_refused(node):
    with pytest.raises(StoreError):
        decode(node, {})


def test_constructors_check_again():
    form = encode(wp.ScaledGD(), {})
    form["fields"]["step_size"] = 7.0
    with pytest.raises(wp.WellposedError, match="step_size is 7"):
        decode(form, {})
