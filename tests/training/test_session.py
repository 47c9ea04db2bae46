"""Sittings: stopping, killing, going on, and several processes."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from wellposed.errors import InputError, StoreError
from wellposed.jobs.again import resume
from wellposed.jobs.material import gather
from wellposed.jobs.requests import TrainJob
from wellposed.jobs.train import _session, train
from wellposed.priors.load import load_prior
from wellposed.priors.network import MLPConfig, UNetConfig
from wellposed.rng import Stream
from wellposed.run import Status
from wellposed.store import RunFolder
from wellposed.training.loop import Trainer
from wellposed.training.networks import network_named
from wellposed.training.objective import loss_of_each

STEPS = 48


@pytest.fixture
def job(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (60, 6, 8), np.uint8))
    return TrainJob((str(tmp_path / "x.npy"),), steps=STEPS, batch=4, half=True)


def session(job, folder=None, seconds=0.0):
    """A small network, so that a step takes milliseconds."""
    material = gather(job)
    config = UNetConfig(1, (8, 16), (1, 1), (1, 1), 2, 8)
    keeper = None if folder is None else RunFolder(folder, seconds)
    return _session(job, material, config, keeper)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_a_run_that_was_interrupted_anywhere_ends_with_the_same_weights(job, tmp_path):
    whole = session(job)
    assert whole.run() is Status.COMPLETE
    (tmp_path / "run").mkdir()
    for stop in (3, 20, 33, None):
        part = session(job, tmp_path / "run", seconds=1e9)
        if stop is not None:
            part.trainer.advance = interrupting(part.trainer, stop)
        assert part.run() is (Status.COMPLETE if stop is None else Status.INTERRUPTED)
    assert part.trainer.step == STEPS
    assert same(part.trainer.average, whole.trainer.average)
    assert same(
        dict(part.trainer.denoiser.named_parameters()),
        dict(whole.trainer.denoiser.named_parameters()),
    )
    assert part.looks == whole.looks
    other = session(TrainJob(job.data, steps=STEPS, batch=4, half=True, seed=1))
    other.run()
    assert not same(other.trainer.average, whole.trainer.average)


def interrupting(trainer, stop):
    advance = trainer.advance

    def step():
        loss = advance()
        if trainer.step == stop:
            os.kill(os.getpid(), signal.SIGINT)  # held back until the step is done
            time.sleep(0.01)
        return loss

    return step


def test_a_killed_command_goes_on_to_the_same_prior(job, tmp_path):
    """The process dies without notice; the weights are those of a run that was left alone."""
    words = ["--steps", "60", "--batch", "4", "--checkpoint-seconds", "0"]
    command = [sys.executable, "-m", "wellposed", "train", *job.data, *words]
    env = dict(os.environ, OMP_NUM_THREADS=str(torch.get_num_threads()))
    running = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], env=env)
    kept = tmp_path / "killed" / "stages" / "training" / "checkpoint.safetensors"
    for _ in range(600):
        if kept.exists() or running.poll() is not None:
            break
        time.sleep(0.05)
    running.kill()
    assert running.wait() != 0
    assert kept.exists()
    assert not (tmp_path / "killed" / "prior.safetensors").exists()
    done = resume(tmp_path / "killed")
    assert done.status == "complete"
    left_alone = train(TrainJob(job.data, steps=60, batch=4), tmp_path / "whole").folder
    assert same(load_prior(done.folder).weights, load_prior(left_alone).weights)
    assert (done.folder / "samples.png").exists()
    assert "60 steps" in (done.folder / "card.md").read_text()
    np.save(job.data[0], np.arange(60 * 6 * 8, dtype=np.uint8).reshape(60, 6, 8))
    with pytest.raises(StoreError, match="holds another run"):
        train(TrainJob(job.data, steps=60, batch=4), done.folder)


@pytest.mark.parametrize("bad", [5, 30])
def test_a_run_that_diverges_keeps_its_last_finite_weights(tmp_path, bad, monkeypatch):
    np.save(tmp_path / "v.npy", np.random.default_rng(1).standard_normal((60, 3)).astype("f4"))
    job = TrainJob((str(tmp_path / "v.npy"),), steps=60, batch=8)
    advance = Trainer.advance

    def poisoned(trainer):
        if trainer.step == bad:
            trainer.weights["network.leave.bias"].data.fill_(np.nan)
        return advance(trainer)

    monkeypatch.setattr(Trainer, "advance", poisoned)
    done = train(job, tmp_path / "run")
    assert (done.status, done.ok) == ("diverged", False)
    assert done.summary["card"]["steps"] == (0 if bad == 5 else 20)
    assert "diverged: its weights" in done.summary["status_text"]
    found = load_prior(done.folder).denoise(torch.zeros(1, 3), 1.0)
    assert torch.isfinite(found).all()
    assert "diverged" in (done.folder / "report.html").read_text()


def test_minutes_become_steps_once(job, tmp_path):
    (tmp_path / "run").mkdir()
    first = session(TrainJob(job.data, minutes=2.0, batch=4), tmp_path / "run")
    first.trainer.advance = interrupting(first.trainer, 45)
    assert first.run() is Status.INTERRUPTED
    steps = first.trainer.training.steps
    assert 40 <= steps < 100_000
    second = session(TrainJob(job.data, minutes=50.0, batch=4), tmp_path / "run")
    second._begin()
    assert second.trainer.training.steps == steps


def test_two_processes_take_the_steps_of_their_averaged_gradients(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(1).standard_normal((60, 3)).astype("f4"))
    job = TrainJob((str(tmp_path / "v.npy"),), steps=7, batch=8, rate=0.01)
    command = [
        sys.executable, "-m", "wellposed", "train", *job.data, "--steps", "7", "--batch", "8",
        "--rate", "0.01", "--out", str(tmp_path / "two"),
    ]  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = dict(  # what torchrun sets
        os.environ, OMP_NUM_THREADS="1", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo",
    )  # fmt: skip
    pair = [subprocess.Popen(command, env=env | {"RANK": str(k)}) for k in (0, 1)]
    assert [process.wait(timeout=60) for process in pair] == [0, 0]
    material = gather(job)
    one = _session(job, material, network_named(None, (3,)), None).trainer
    one._loss = lambda: (shared(one, 0) + shared(one, 1)) / 2
    for _ in range(7):
        one.advance()
    found = load_prior(tmp_path / "two").weights
    for name, weight in one.average.items():
        half = weight.half().float()
        torch.testing.assert_close(
            found[name.removeprefix("network.")].float(), half, rtol=2e-3, atol=1e-5
        )
    alone = _session(job, material, network_named(None, (3,)), None).trainer
    for _ in range(7):
        alone.advance()
    assert not torch.allclose(
        alone.average["network.leave.weight"], one.average["network.leave.weight"], rtol=1e-2
    )


def shared(trainer, rank):
    stream, step = Stream(0, block=rank), trainer.step
    x0 = trainer.source.batch(stream, step)
    sigma = trainer.training.levels.draw(len(x0), stream, step)
    noise = stream.normal(x0.shape, "noise", step, dtype=x0.dtype)
    return loss_of_each(trainer.denoiser, x0, sigma, noise, trainer.sigma_data).mean()


def test_a_checkpoint_of_another_network_is_refused(job, tmp_path):
    kept = session(job).trainer
    kept.advance()
    other = _session(job, gather(job), UNetConfig(1, (8,), (1,), (1,), 2, 8), None).trainer
    with pytest.raises(InputError, match="another network"):
        other.restore(kept.state())


def test_rates_rise_stay_and_fall(job):
    training = session(job).trainer.training
    rates = [training.rate_at(k) for k in range(STEPS)]
    assert rates[0] == pytest.approx(1e-3 / 201)
    assert all(a < b for a, b in itertools.pairwise(rates[:30]))
    long = TrainJob(job.data, steps=10_000)
    rate_at = session(long).trainer.training.rate_at
    assert rate_at(3000) == rate_at(6499) == 1e-3
    assert rate_at(8250) == pytest.approx(0.5e-3)
    assert rate_at(9999) < 1e-6


def test_a_training_begins_from_another_prior(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(1).standard_normal((60, 3)).astype("f4"))
    job = TrainJob((str(tmp_path / "v.npy"),), steps=3, batch=8)
    first = train(job, tmp_path / "first").folder
    more = replace(job, start=str(first), decay=1.0)
    trainer = _session(more, gather(more), network_named(None, (3,)), None).trainer
    held = load_prior(first).weights
    assert all(
        torch.equal(w, held[n.removeprefix("network.")].float()) for n, w in trainer.average.items()
    )
    assert trainer.training.decay == 1.0
    with pytest.raises(InputError, match="another network"):
        _session(more, gather(more), MLPConfig(3, 16), None)
