"""The command that a report shows does the same job again: it is read by the command line."""

import shlex

import pytest

from wellposed.cli.app import app
from wellposed.jobs.commands import command
from wellposed.jobs.pictures import CalibrateJob, RecoverJob
from wellposed.jobs.requests import (
    CompleteCubeJob,
    CompleteJob,
    DemoJob,
    SampleJob,
    SeparateJob,
    TrainJob,
)

# A job whose fields all differ from their defaults, and what the command line makes of it.
JOBS = [
    CompleteJob("a b.csv", 3, 0.1, False, "ScaledGD", 0.2, "c.csv", 7, 9, 1e-3, "wide", ";"),
    CompleteCubeJob("a.npz", "heat", (4, 5, 6), "HOOI", 0.2, 7, 9, 1e-3),
    SeparateJob("a.avi", 2, "tensor", (6, 8), "none", 0.2, 9, 2, 3, True, 7, 9, 1e-3),
    DemoJob(7, 20),
    TrainJob(
        ("a", "b c"), "unet", 5, 2.0, 8, (32, 64), 100, False, 1e-4, 0.2, "sgd", -1.0, 1.0, 0.4, 5,
        True, "fashion", 7, "0123",
    ),
    SampleJob("fashion", 3, "DDIM", 9, 64, True, 7),
    RecoverJob(
        "a.png", "denoise", "laplace:0.1", "fashion", "dps", 3, True, 64, 20, 30, "tiff", 7
    ),
    CalibrateJob("denoise", "laplace:0.1", "fashion", "dps", 64, 30, 5, 20, "b.npy", 7),
]  # fmt: skip


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
def test_a_command_is_read_by_the_command_line(job):
    words = shlex.split(command(job))
    assert words[0] == "wellposed"
    _, bound, *_ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    got = {str(value) for value in (*bound.args, *bound.kwargs.values())}
    for name, value in vars(job).items():
        if name in ("digest", "data"):
            continue
        told = ",".join(map(str, value)) if name == "ranks" else str(value)
        assert told in got, name


def test_files_are_told_by_their_names():
    job = CompleteJob("/far/away/a.csv", predict="/far/away/b.csv")
    inputs = {"table": {"name": "a.csv"}, "predict": {"name": "b.csv"}}
    assert command(job, inputs) == "wellposed complete a.csv --predict b.csv --seed 0"
