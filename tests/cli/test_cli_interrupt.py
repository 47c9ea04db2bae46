"""A run that is killed or interrupted ends, once resumed, with the bytes of one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import wellposed
from wellposed.cli import main
from wellposed.io import write_csv
from wellposed.rng import Stream
from wellposed.store import RunFolder

SOURCE = str(Path(wellposed.__file__).parent.parent)
ENVIRONMENT = os.environ | {"PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
ENDED = (0, 3)  # rounding decides whether so small a tolerance can be met
CHOSEN = ["--rank", "6", "--ridge", "0", "--biases", "--steps", "300", "--tol", "1e-200"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A noisy table, and the folder of an uninterrupted run on it."""
    folder = tmp_path_factory.mktemp("interrupt")
    draw = Stream(3)
    left, right = draw.normal((60, 6), "left"), draw.normal((40, 6), "right")
    table = left @ right.T + 0.1 * draw.normal((60, 40), "noise")
    rows, cols = (draw.uniform((60, 40), "mask") < 0.6).nonzero(as_tuple=True)
    columns = {"row": rows.numpy(), "col": cols.numpy(), "value": table[rows, cols].numpy()}
    write_csv(folder / "noisy.csv", columns)
    assert main(words(folder, "whole")) in ENDED
    return folder


def words(folder, name, *more):
    out = str(folder / name / "run")
    return ["complete", str(folder / "noisy.csv"), *CHOSEN, "--out", out, *more]


def stopped(folder, name, request):
    """Start the same job in a process of its own, and stop it in the middle of a stage."""
    command = [sys.executable, "-m", "wellposed", *words(folder, name, "--checkpoint-seconds", "0")]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    checkpoint = folder / name / "run" / "stages" / "judged" / "checkpoint.safetensors"
    try:
        deadline = time.monotonic() + 60
        while not checkpoint.exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        start = time.perf_counter()
        process.send_signal(request)
        out, _ = process.communicate(timeout=30)
        return process.returncode, out, time.perf_counter() - start
    finally:
        process.kill()


def bytes_of(folder, name):
    run = folder / name / "run"
    return {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} | {"manifest.json": b""}


@pytest.mark.parametrize("request_", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_to_the_same_bytes(place, request_, capsys):
    for attempt in range(5):  # on a busy machine a run may end before the signal arrives
        name = f"{request_.name}{attempt}"
        code, out, seconds = stopped(place, name, request_)
        if code not in ENDED:
            break
    folder = place / name / "run"
    if request_ == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 4
        assert f"wellposed resume {folder}" in out
        assert seconds <= 5
        assert RunFolder(folder).manifest()["status"] == "interrupted"
    assert not (folder / "summary.json").exists()
    assert main(["resume", str(folder)]) in ENDED
    assert bytes_of(place, name) == bytes_of(place, "whole")


def test_another_seed_gives_other_bytes(place, monkeypatch):
    monkeypatch.setattr("wellposed.jobs.folder.write_report", lambda folder: folder)
    assert main(words(place, "other", "--seed", "1")) in ENDED
    other, whole = bytes_of(place, "other"), bytes_of(place, "whole")
    assert other["factors.npz"] != whole["factors.npz"]


def test_ctrl_c_while_choosing_ends_with_code_4_and_resumes(place, monkeypatch, capsys):
    folder = place / "choosing"
    monkeypatch.setattr("wellposed.jobs.folder.write_report", lambda folder: folder)
    words_ = ["complete", str(place / "noisy.csv"), "--rank", "2", "--out", str(folder)]

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("wellposed.jobs.settings.choose", interrupted)
        assert main(words_) == 4
    assert main(["resume", str(folder)]) == 0
    assert main(["resume", str(folder)]) == 0  # a finished run is read back


def test_a_termination_request_is_an_interruption(place, monkeypatch, capsys):
    def terminated(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("wellposed.jobs.complete.complete", terminated)
    assert main(["complete", str(place / "noisy.csv")]) == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_before_anything_is_written(place, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("wellposed.jobs.complete.complete", interrupted)
    assert main(["complete", str(place / "noisy.csv")]) == 130
