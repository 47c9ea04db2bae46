"""A manifest that somebody edited is refused in words, wherever it was edited."""

import copy
import json

import numpy as np
import pytest

from wellposed.errors import WellposedError
from wellposed.jobs.again import resume
from wellposed.jobs.complete import complete
from wellposed.jobs.requests import CompleteJob, SeparateJob, TrainJob, from_plain, to_plain
from wellposed.run import Status

GONE = "(gone)"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a finished job without its report, which takes most of the time."""
    monkeypatch.setattr("wellposed.jobs.folder.write_report", lambda folder: None)
    np.save(tmp_path / "table.npy", np.outer(np.arange(1.0, 9), np.arange(1.0, 7)))
    job = CompleteJob(str(tmp_path / "table.npy"), 1, 0.0, False, holdout=0.0, steps=20)
    return complete(job, tmp_path / "run").folder


def places(tree, above=()):
    """Every place of a manifest."""
    for name, part in tree.items() if isinstance(tree, dict) else ():
        yield (*above, name)
        yield from places(part, (*above, name))


def edited(manifest, place, value):
    """A manifest with another value at one place."""
    found = copy.deepcopy(manifest)
    inside = found
    for name in place[:-1]:
        inside = inside[name]
    if value is GONE:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return json.dumps(found)


@pytest.mark.parametrize("value", [GONE, None, "x", -1, [], [{}]], ids=str)
def test_an_edited_manifest_ends_in_words_or_in_a_result(run, value):
    path, refused = run / "manifest.json", 0
    before = path.read_text()
    for place in places(json.loads(before)):
        path.write_text(edited(json.loads(before), place, value))
        try:
            assert Status(resume(run).status).ok
        except WellposedError:
            refused += 1
        if not (run.exists() and path.exists()):  # what was refused as new leaves nothing behind
            pytest.fail(f"{place} lost the run")
    path.write_text(before)
    assert refused > 5
    assert resume(run).ok


@pytest.mark.parametrize(
    "job",
    [
        CompleteJob("a", 2, biases=True),
        SeparateJob("a", method="tensor", ranks=(2, 3), threshold=1),
        TrainJob(("a", "b"), crops=(8, 16), minutes=2),
    ],
)
def test_jobs_come_back_from_json(job):
    assert from_plain(job.kind, json.loads(json.dumps(to_plain(job)))) == job
