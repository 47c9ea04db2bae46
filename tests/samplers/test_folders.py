"""Draws in a run folder: interrupted, killed, damaged, finished - and the same bits each time."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from sampler_cases import uneven

import wellposed as wp
from wellposed import generation, shards
from wellposed.errors import StoreError
from wellposed.rng import Stream
from wellposed.store import RunFolder


def at(block, step):
    """A callback that stops the run there."""

    def stop(view):
        if (view.first, view.step) == (1024 * block, step):
            raise KeyboardInterrupt

    return stop


def wide():
    return wp.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], 0.25)


def ask(out=None, n=5000, **more):
    return wp.sample(wide(), wp.DDPM(20), n=n, seed=3, trace=True, out=out, **more)


def test_a_folder_holds_draws_that_can_be_read_again(tmp_path):
    out = tmp_path / "run"
    first = ask(out)
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["status"], manifest["kind"]) == ("complete", "sample")
    assert set(manifest["files"]) == {
        "problem.safetensors", "result.safetensors", "draws-00000.safetensors",
    }  # fmt: skip
    for again in (ask(out), wp.resume(out)):
        assert torch.equal(again.x, first.x)
        assert again.trace.seconds.tolist() == first.trace.seconds.tolist()
        assert (again.status, again.evaluations) == (first.status, first.evaluations)


@pytest.mark.parametrize("like", [torch.zeros(2), torch.zeros(2).numpy()])
def test_draws_that_do_not_fit_into_memory_are_read_from_the_folder(tmp_path, monkeypatch, like):
    prior, method = wp.Gaussian([0.0, 1.0], 0.5), wp.DDIM(5)
    given = {"n": 3000, "start": 3 * like + 1}
    whole = torch.as_tensor(wp.sample(prior, method, **given).x)
    monkeypatch.setattr(generation, "HELD", 100)
    for _ in range(2):  # made, and read back
        found = wp.sample(prior, method, **given, out=tmp_path / "run")
        assert len(found.x) == 3000
        assert torch.equal(torch.cat(list(found.x)), whole)


def test_another_request_is_not_overwritten(tmp_path):
    ask(tmp_path / "run")
    for other in ({"n": 5001}, {"sigmas": wp.schedules.grids.log_uniform(21)}):
        with pytest.raises(StoreError, match="holds another run"):
            ask(tmp_path / "run", **other)


@pytest.mark.parametrize("small_shards", [False, True])
@pytest.mark.parametrize(("block", "step"), [(0, 1), (0, 20), (2, 7), (4, 20)])
def test_interrupted_draws_go_on_to_the_same_bits(tmp_path, monkeypatch, block, step, small_shards):
    if small_shards:
        monkeypatch.setattr(shards, "NUMBERS", 4096)  # two blocks a shard
    whole = ask()
    part = ask(tmp_path, callback=at(block, step))
    assert part.status is wp.Status.INTERRUPTED
    assert torch.equal(part.x, whole.x[: 1024 * block])
    again = wp.resume(tmp_path)
    assert torch.equal(again.x, whole.x)
    assert again.trace.sigma.tolist() == whole.trace.sigma.tolist()
    assert len(list(tmp_path.glob("draws-*"))) == (3 if small_shards else 1)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_interrupted_twice(tmp_path):
    ask(tmp_path, callback=at(1, 5))
    ask(tmp_path, callback=at(3, 2))
    assert torch.equal(wp.resume(tmp_path).x, ask().x)


def test_numpy_starts_and_encodings_resume(tmp_path):
    start = Stream(1).normal((1500, 2), "start").numpy()
    sigmas = wp.schedules.grids.log_uniform(9).flip(0)

    def encode(**more):
        return wp.sample(wide(), wp.Heun(8), n=1500, start=start, sigmas=sigmas, **more)

    encode(out=tmp_path, callback=at(1, 3))
    assert (wp.resume(tmp_path).x == encode().x).all()


def test_users_denoisers_resume_by_the_same_call(tmp_path):
    prior = wp.Denoiser(lambda z, sigma: 0.5 * z, (2,))

    def call(**more):
        return wp.sample(prior, wp.DDIM(8), n=1500, **more)

    call(out=tmp_path, callback=at(1, 3))
    with pytest.raises(StoreError, match="does not hold its prior"):
        wp.resume(tmp_path)
    assert torch.equal(call(out=tmp_path).x, call().x)
    with pytest.raises(StoreError, match="another run"):
        call(out=tmp_path, seed=1)


def test_a_run_that_nobody_watches_resumes_too(tmp_path):
    """Interrupted inside the denoiser, before the first reading: the checkpoint has no records."""
    calls = []

    def stops(z, sigma):
        calls.append(1)
        if len(calls) == 13:
            raise KeyboardInterrupt
        return 0.5 * z

    def call(function, **more):
        return wp.sample(wp.Denoiser(function, (2,)), wp.DPMSolverPP2M(8), n=1500, **more)

    part = call(stops, out=tmp_path)
    assert (part.status, len(part)) == (wp.Status.INTERRUPTED, 1024)
    assert torch.equal(call(stops, out=tmp_path).x, call(lambda z, sigma: 0.5 * z).x)
    assert len(calls) == 13 + 4  # four steps were not made again


def test_a_diverged_run_keeps_what_was_sound(tmp_path):
    calls = []

    def breaks(z, sigma):
        calls.append(1)
        return z * (float("nan") if len(calls) == 12 else 0.5)

    prior = wp.Denoiser(breaks, (2,))
    for _ in range(2):  # made, then read
        draws = wp.sample(prior, wp.DDIM(8), n=1500, out=tmp_path)
        assert (draws.status, len(draws)) == (wp.Status.DIVERGED, 1024)
    assert "draws 1024 to 1499" in draws.note


def test_changed_draws_are_refused(tmp_path):
    ask(tmp_path)
    shard = tmp_path / "draws-00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"draws-00000\.safetensors changed since the run"):
        ask(tmp_path)


SCRIPT = """
import sys, time, torch, wellposed as wp
sys.path.insert(0, {tests!r})
from test_folders import wide
torch.set_num_threads(1)
def slow(view):
    time.sleep(0.003)
print("ready", flush=True)
wp.sample(wide(), wp.DDPM(20), n=5000, seed=3, trace=True, out={out!r}, callback=slow,
          checkpoint_seconds=0.02)
"""


def test_killed_draws_lose_nothing_but_time(tmp_path):
    out = tmp_path / "run"
    code = SCRIPT.format(tests=os.path.dirname(__file__), out=str(out))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (out / "checkpoint.safetensors").exists():
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.01)
    time.sleep(0.15)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert RunFolder(out).manifest()["status"] == "running"
    again = wp.resume(out)
    assert torch.equal(again.x, ask().x)
    assert again.trace.step.tolist() == list(range(1, 21))


def test_mala_resumes_with_its_acceptance(tmp_path):
    def call(**more):
        return wp.sample(uneven(1.0), wp.MALA(10, 0.2), n=2000, **more)

    call(out=tmp_path, callback=at(1, 4))
    again = wp.resume(tmp_path)
    assert again.acceptance == call().acceptance
    assert torch.equal(again.x, call().x)
