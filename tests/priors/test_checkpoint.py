"""Priors on disk: what is written comes back, and what is hostile is refused at once."""

import json
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from wellposed.errors import FileError
from wellposed.priors.checkpoint import read_card, read_prior, save_prior
from wellposed.priors.load import load_prior
from wellposed.priors.network import NetworkPrior, UNetConfig, fresh_weights

CONFIG = UNetConfig(1, (8, 16), (1, 1), (1, 1), 2, 8)


@pytest.fixture
def path(tmp_path):
    prior = NetworkPrior(CONFIG, fresh_weights(CONFIG, 1), (1, 8, 8), 0.5, 0.01, 50.0)
    save_prior(tmp_path / "prior.safetensors", prior, {"data": "none"})
    return tmp_path / "prior.safetensors"


def parts(path):
    with safe_open(str(path), framework="pt") as file:
        return dict(file.metadata()), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118


def altered(path, change):
    """Write the file again after a change to its config and weights."""
    metadata, weights = parts(path)
    config = json.loads(metadata["config"])
    change(config, weights)
    save_file(weights, str(path), metadata | {"config": json.dumps(config)})


def test_a_prior_comes_back_as_it_was_written(path):
    prior = read_prior(path)
    written = fresh_weights(CONFIG, 1)
    assert all(torch.equal(prior.weights[n], w.half()) for n, w in written.items())
    assert (prior.config, prior.shape, prior.sigma_data) == (CONFIG, (1, 8, 8), 0.5)
    assert (prior.sigma_min, prior.sigma_max) == (0.01, 50.0)
    assert read_card(path) == {"data": "none"}
    assert load_prior(path.parent).shape == load_prior(path).shape == (1, 8, 8)


def huge(config, weights):
    config["network"] |= {"widths": [4096] * 4, "down": [16] * 4, "up": [16] * 4}


HOSTILE = {
    "another shape": lambda c, w: w.update({"leave.bias": torch.zeros(5).half()}),
    "a weight too many": lambda c, w: w.update(more=torch.zeros(5).half()),
    "a weight too few": lambda c, w: w.pop("leave.bias"),
    "NaN": lambda c, w: w["leave.bias"].fill_(torch.nan),
    "whole numbers": lambda c, w: w.update({"leave.bias": torch.zeros(4, dtype=torch.int16)}),
    "a hundred gigabytes": huge,
    "a width without bounds": lambda c, w: c["network"].update(widths=[10**12, 8]),
    "another kind": lambda c, w: c["network"].update(kind="os.system"),
    "an unknown field": lambda c, w: c["network"].update(extra=1),
    "text for a number": lambda c, w: c.update(sigma_data="0.5; import os"),
    "a negative range": lambda c, w: c.update(sigma_min=-1.0),
    "no shape": lambda c, w: c.pop("shape"),
    "a shape that does not fit": lambda c, w: c.update(shape=[1, 7, 7]),
    "a nested shape": lambda c, w: c.update(shape=[[1], 8, 8]),
    "no object": lambda c, w: c.update(network=3),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_does_not_hold_what_it_says_is_refused_at_once(path, change):
    altered(path, change)
    begun = time.perf_counter()
    with pytest.raises(FileError, match="cannot be used as a prior"):
        read_prior(path)
    assert time.perf_counter() - begun < 2


def cut(data):
    return data[: len(data) // 2]


def claims_more(data):
    header = json.dumps({"x": {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}})
    return len(header).to_bytes(8, "little") + header.encode()


BYTES = {
    "truncated": cut,
    "empty": lambda data: b"",
    "a pickle": lambda data: b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR.",
    "a header without end": lambda data: b"\xff" * 64,
    "more than there is": claims_more,
    "another safetensors file": lambda data: b"\x02" + bytes(7) + b"{}",
}


@pytest.mark.parametrize("damage", BYTES.values(), ids=BYTES)
def test_a_damaged_file_is_refused_at_once(path, damage, monkeypatch):
    monkeypatch.chdir(path.parent)
    path.write_bytes(damage(path.read_bytes()))
    begun = time.perf_counter()
    with pytest.raises(FileError, match="cannot be used as a prior"):
        read_prior(path)
    assert time.perf_counter() - begun < 2
    assert not (path.parent / "hacked").exists()


def test_a_prior_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    with pytest.raises(FileError, match="there is no prior"):
        load_prior("landscape")
    with pytest.raises(FileError, match="cannot be read"):
        read_prior(tmp_path / "none.safetensors")
