"""Run folders: whole or not there, resumable bit for bit, honest about damage."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file

import wellposed as wp
from wellposed import files, run, store
from wellposed.errors import FileError, StoreError
from wellposed.rng import Stream
from wellposed.store import RunFolder, fingerprint, load_tree, save_tree


def problem(numpy=False):
    stream = Stream(5)
    truth = stream.normal((40, 2), "l") @ stream.normal((2, 30), "r")
    mask = stream.uniform((40, 30), "mask") < 0.5
    y = truth[mask]
    return wp.Problem(y.numpy() if numpy else y, wp.operators.Entries.from_mask(mask))


def same(a, b):
    return torch.equal(a.left, b.left) and torch.equal(a.right, b.right)


def test_a_folder_holds_a_run_that_can_be_read_again(tmp_path):
    result = wp.recover(problem(), wp.LowRank(2), out=tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "converged"
    assert set(manifest["files"]) == {"problem.safetensors", "result.safetensors"}
    again = wp.recover(problem(), wp.LowRank(2), out=tmp_path / "run")
    assert same(result, again)
    assert again.trace.residual.tolist() == result.trace.residual.tolist()
    assert same(result, wp.resume(tmp_path / "run"))


def test_another_run_is_not_overwritten(tmp_path):
    wp.recover(problem(), wp.LowRank(2), out=tmp_path)
    with pytest.raises(StoreError, match="holds another run"):
        wp.recover(problem(), wp.LowRank(2), out=tmp_path, seed=1)


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="not empty"):
        wp.recover(problem(), wp.LowRank(2), out=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


class Interrupting(run.Driver):
    """A driver whose run is interrupted after some steps."""

    stop_after = 0

    def _record(self, step, seconds, reading):
        super()._record(step, seconds, reading)
        if step == Interrupting.stop_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [1, 7, 20])
@pytest.mark.parametrize("method", [wp.ScaledGD(), wp.CountScaledGD()])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, monkeypatch, method, at):
    whole = wp.recover(problem(), wp.LowRank(2), method)
    assert whole.steps > 20
    Interrupting.stop_after = at
    with monkeypatch.context() as patch:
        patch.setattr("wellposed.recovery.Driver", Interrupting)
        part = wp.recover(problem(), wp.LowRank(2), method, out=tmp_path)
    assert part.status is wp.Status.INTERRUPTED
    assert not same(part, whole)
    resumed = wp.resume(tmp_path)
    assert same(resumed, whole)
    assert resumed.trace.residual.tolist() == whole.trace.residual.tolist()
    assert not (tmp_path / "checkpoint.safetensors").exists()


SCRIPT = """
import sys, torch, wellposed as wp
sys.path.insert(0, {tests!r})
from test_store import problem
torch.set_num_threads(1)
class Slow(wp.ScaledGD):
    pass
import time, wellposed.lowrank.scaled_gd as room
step = wp.ScaledGD.step
def slow(self, plan, state):
    time.sleep(0.05)
    return step(self, plan, state)
wp.ScaledGD.step = slow
print("ready", flush=True)
wp.recover(problem(), wp.LowRank(2), wp.ScaledGD(), out={out!r}, checkpoint_seconds=0.0)
"""


def test_a_killed_process_loses_nothing_but_time(tmp_path):
    out = tmp_path / "run"
    code = SCRIPT.format(tests=os.path.dirname(__file__), out=str(out))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (out / "checkpoint.safetensors").exists():
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert RunFolder(out).manifest()["status"] == "running"
    assert same(wp.resume(out), wp.recover(problem(), wp.LowRank(2), wp.ScaledGD()))


def test_a_changed_result_is_refused(tmp_path):
    wp.recover(problem(), wp.LowRank(2), out=tmp_path)
    path = tmp_path / "result.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert RunFolder(tmp_path).damaged() == ["result.safetensors"]
    with pytest.raises(StoreError, match=r"result.safetensors changed"):
        wp.resume(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 100])
def test_a_truncated_checkpoint_is_a_clear_error(tmp_path, size):
    save_tree(tmp_path / "x.safetensors", {"a": torch.ones(50)})
    data = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(data[:size])
    with pytest.raises(FileError, match="cannot be read"):
        load_tree(tmp_path / "x.safetensors")


@pytest.mark.parametrize("form", ["{bad", "[" * 30_000])
def test_a_header_that_is_no_json_is_said_to_be_damaged(tmp_path, form):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={"tree": form})
    with pytest.raises(FileError, match="header was cut or edited"):
        load_tree(tmp_path / "x.safetensors")


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 99}', "\x00"])
def test_a_damaged_manifest_is_a_clear_error(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(StoreError):
        wp.resume(tmp_path)


def test_no_folder_is_a_clear_error(tmp_path):
    with pytest.raises(StoreError, match="no run folder"):
        wp.resume(tmp_path / "nowhere")


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    save_tree(path, {"a": 1})
    before = path.read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(FileError, match="No space left"):
        save_tree(path, {"a": torch.ones(1000)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_function_cannot_be_stored_but_the_same_call_goes_on(tmp_path):
    operator = wp.operators.from_callable(lambda m: 2.0 * m.flatten(1)[:, ::2], (6, 5), linear=True)
    asked = wp.Problem(torch.ones(15, dtype=torch.float64), operator)
    first = wp.recover(asked, wp.LowRank(1), wp.ScaledGD(), out=tmp_path)
    with pytest.raises(StoreError, match="does not hold its problem"):
        wp.resume(tmp_path)
    assert same(first, wp.recover(asked, wp.LowRank(1), wp.ScaledGD(), out=tmp_path))


def test_fingerprints_see_every_bit():
    tree = {"a": torch.zeros(3), "b": 1}
    assert fingerprint(tree) == fingerprint({"a": torch.zeros(3), "b": 1})
    assert fingerprint(tree) != fingerprint({"a": torch.zeros(3), "b": 2})
    assert fingerprint(tree) != fingerprint({"a": torch.zeros(3).double(), "b": 1})
    changed = torch.zeros(3)
    changed[2] = 1e-45
    assert fingerprint(tree) != fingerprint({"a": changed, "b": 1})


def test_the_schema_number_is_checked(tmp_path):
    folder = RunFolder(tmp_path)
    folder.open("key", {})
    manifest = folder.manifest() | {"schema": store.SCHEMA + 1}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="another version"):
        folder.manifest()
