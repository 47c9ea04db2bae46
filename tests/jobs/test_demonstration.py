"""The demonstration: all parts on one page, and a comparison with a truth that was hidden."""

import json
import time

import numpy as np
import pytest

from wellposed.cli import main
from wellposed.io import read_table
from wellposed.jobs.again import check


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("demo") / "run"
    start = time.process_time()
    assert main(["demo", "--out", str(place), "--budget", "64"]) == 0
    assert time.process_time() - start < 45
    return place


def test_the_hidden_cells_were_hidden_and_are_compared_with_the_truth(folder):
    known = np.load(folder / "truth.npz")
    truth, hidden = known["truth"], known["hidden"]
    given = read_table(folder / "temperatures-with-gaps.csv")
    assert not hidden[given.rows, given.cols].any()
    assert hidden.sum() + given.values.size == (~np.isnan(truth)).sum()
    filled = read_table(folder / "table" / "completed.csv").values.reshape(truth.shape)
    off = filled[hidden] - truth[hidden]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["hidden"]["rmse"] == pytest.approx(np.sqrt((off**2).mean()), rel=1e-9)
    assert np.sqrt((off**2).mean()) < 0.3  # degrees, of a spread of 8.5
    judged = summary["table"]["scores"]["model"]
    assert judged["rmse"] == pytest.approx(summary["hidden"]["rmse"], rel=0.25)


def test_the_clip_is_separated(folder):
    layers = json.loads((folder / "summary.json").read_text())["clip"]["layers"]
    assert 0.03 < layers["foreground_share"] < 0.15
    mask = np.load(folder / "clip" / "separated.npz")["mask"]
    assert mask[:, 20:, :].any((1, 2)).all()  # somebody walks in every frame


def test_the_picture_is_recovered_with_draws(folder):
    arrays = np.load(folder / "picture" / "recovered.npz")
    assert arrays["draws"].shape == (6, 96, 96, 3)
    blank = ((arrays["truth"] - 0.5) ** 2).mean()
    assert ((arrays["mean"] - arrays["truth"]) ** 2).mean() < 0.1 * blank


def test_one_page_holds_all_and_links_to_the_reports_of_each(folder):
    text = (folder / "report.html").read_text()
    for part in ("table/report.html", "clip/report.html", "picture/report.html"):
        assert f'href="{part}"' in text
        assert (folder / part).exists()
    assert text.count("data:image/gif") == 1
    assert "Error against the truth" in text


def test_every_file_is_as_it_was_left(folder):
    assert check(folder) == []
    assert main(["resume", str(folder)]) == 0
    assert main(["report", str(folder)]) == 0
    assert check(folder) == []
