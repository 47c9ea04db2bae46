"""Completing arrays of three modes, and separating frames as a tensor, from files to reports."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from wellposed.cli import main
from wellposed.errors import InputError, StoreError
from wellposed.jobs.again import rebuild, resume
from wellposed.jobs.cube_completion import slices
from wellposed.jobs.cubes import complete_cube
from wellposed.jobs.requests import CompleteCubeJob, SeparateJob
from wellposed.jobs.separate import separate
from wellposed.report import page
from wellposed.rng import Stream
from wellposed.selection_tensor import RankCandidate, RankChoice
from wellposed.store import load_tree, save_tree

SIDES = (18, 16, 14)


def cube(path, share=0.4, noise=0.01, empty=False):
    stream = Stream(3)
    truth = np.einsum("ia,ja,ka->ijk", *(stream.normal((n, 2), f"{n}").numpy() for n in SIDES))
    values = truth + noise * stream.normal(SIDES, "noise").numpy()
    values[stream.uniform(SIDES, "mask").numpy() > share] = np.nan
    if empty:
        values[:, 5] = np.nan
    np.save(path / "cube.npy", values)
    return truth, values


def test_a_cube_is_completed_and_judged(tmp_path):
    truth, values = cube(tmp_path)
    done = complete_cube(CompleteCubeJob(str(tmp_path / "cube.npy")), tmp_path / "run")
    assert done.ok
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert all(2 <= r <= 4 for r in summary["settings"]["ranks"])
    assert summary["scores"]["model"]["rmse"] < 0.03 < summary["scores"]["offsets"]["rmse"]
    completed = np.load(tmp_path / "run" / "completed.npy")
    seen = ~np.isnan(values)
    assert np.array_equal(completed[seen], values[seen])
    assert np.linalg.norm((completed - truth)[~seen]) < 0.03 * np.linalg.norm(truth[~seen])
    factors = np.load(tmp_path / "run" / "factors.npz")
    formed = np.einsum(
        "abc,ia,jb,kc->ijk", factors["core"], *(factors[f"factor_{k}"] for k in range(3))
    )
    assert np.allclose(formed[~seen], completed[~seen])
    html = page(tmp_path / "run")
    assert "Modes 0 (down) and 1 (across), completed" in html
    assert "Offsets of each mode" in html
    assert "wellposed complete cube.npy --seed 0" in html
    assert resume(tmp_path / "run").status == done.status
    assert rebuild(tmp_path / "run").read_text() == html


def test_slices_without_a_cell_stay_empty_and_are_named(tmp_path):
    cube(tmp_path, empty=True)
    job = CompleteCubeJob(str(tmp_path / "cube.npy"), ranks=(2, 2, 2), holdout=0.0)
    done = complete_cube(job, tmp_path / "run")
    completed = np.load(tmp_path / "run" / "completed.npy")
    assert np.isnan(completed[:, 5]).all()
    assert not np.isnan(np.delete(completed, 5, 1)).any()
    assert "1 of the 16 slices of mode 1 have no observed cell" in done.summary["warnings"][0]


def test_slices_show_the_longest_modes_and_the_gaps():
    values = Stream(5).normal((3, 9, 8, 7), "v")
    values[1, :, 6, 2:] = torch.nan  # a gap, off the middle
    values[:, :, 7] = torch.nan  # an empty slice tells nothing
    found = slices(values, values.nan_to_num(5.0))
    assert sorted(found) == sorted(
        f"{k}_{p}" for k in ("observed", "completed") for p in ("12", "13", "23")
    )
    gap = np.isnan(found["observed_13"])
    assert gap.shape == (9, 7)
    assert gap[:, 2:].all()
    assert not gap[:, :2].any()
    assert (found["completed_13"][:, 2:] == 5.0).all()


def test_missing_ends_are_judged_by_ends_and_filled(tmp_path, capsys):
    stream = Stream(73141)
    factors = [stream.uniform((n, 2), f"{n}").numpy() for n in (24, 12, 18)]
    truth = np.einsum("ia,ja,ka->ijk", *factors)
    values = truth + 0.01 * stream.normal(truth.shape, "noise").numpy()
    values[2::6, :, -6:] = np.nan
    values[:, 7] = np.nan
    np.save(tmp_path / "ends.npy", values)
    assert main(["complete", str(tmp_path / "ends.npy"), "--out", str(tmp_path / "run")]) == 0
    assert "held-out cells in the shape of the gaps" in capsys.readouterr().out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    (told,) = summary["warnings"]
    assert told.startswith("1 of the 12 slices of mode 1 have no observed cell")
    assert told.endswith(": 7.")
    scores = summary["scores"]
    assert scores["alike"]
    assert scores["model"]["rmse"] < 0.02 < scores["plain"]["error"]
    completed = np.load(tmp_path / "run" / "completed.npy")
    ends = np.delete((completed - truth)[2::6, :, -6:], 7, 1)
    assert np.sqrt((ends**2).mean()) < 0.01
    html = page(tmp_path / "run")
    assert "in the shape of the gaps, since missing cells lie together" in html
    assert html.index("have no observed cell") < html.index("How good the predictions are")


def test_ranks_whose_fit_diverged_are_a_dash(tmp_path, monkeypatch):
    cube(tmp_path)
    tried = RankCandidate((2, 2, 2), 0.1), RankCandidate((3, 3, 3), math.inf)
    monkeypatch.setattr(
        "wellposed.jobs.cube_completion.choose_ranks", lambda *_: RankChoice(tried[0], tried)
    )
    job = CompleteCubeJob(str(tmp_path / "cube.npy"))
    done = complete_cube(job, tmp_path / "run")
    assert [t["error"] for t in done.summary["settings"]["tried"]] == [0.1, None]
    assert "A dash: the fit diverged." in page(tmp_path / "run")
    assert complete_cube(job, tmp_path / "run").summary == done.summary


@pytest.mark.parametrize(
    ("ranks", "message"),
    [((2, 2), "2 ranks"), ((2, 17, 2), "rank of mode 1 is 17"), ((), "whole numbers")],
)
def test_ranks_that_do_not_fit_leave_nothing_behind(tmp_path, ranks, message):
    cube(tmp_path)
    with pytest.raises(InputError, match=message):
        complete_cube(CompleteCubeJob(str(tmp_path / "cube.npy"), ranks=ranks), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_takes_tables_and_cubes(tmp_path, capsys):
    cube(tmp_path)
    path = str(tmp_path / "cube.npy")
    words = ["complete", path, "--ranks", "2,2,2", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    assert "Relative error on held-out cells" in capsys.readouterr().out
    assert main(["complete", path, "--rank", "2"]) == 2
    assert main(["complete", path, "--ranks", "2,x,2"]) == 2
    (tmp_path / "table.csv").write_text("1,2\n3,4\n")
    assert main(["complete", str(tmp_path / "table.csv"), "--ranks", "2,2,2"]) == 2
    assert "--ranks is for an array of more modes" in capsys.readouterr().err


def clip(path):
    """A smooth background that brightens, and a square that crosses it."""
    rows, cols, time = np.arange(24), np.arange(30), np.arange(20)
    scene = 0.4 + 0.2 * np.outer(np.sin(rows / 5), np.cos(cols / 7))
    frames = scene * (1 + 0.01 * time)[:, None, None]
    mask = np.zeros(frames.shape, bool)
    for t in time:
        mask[t, 8:12, t : t + 5] = True
    frames = frames + 0.25 * mask + 0.005 * Stream(0).normal(frames.shape, "n").numpy()
    np.save(path / "clip.npy", frames)
    return mask


@pytest.mark.parametrize("ranks", [None, (6, 6)])
def test_frames_are_separated_as_a_tensor(tmp_path, ranks):
    mask = clip(tmp_path)
    job = SeparateJob(str(tmp_path / "clip.npy"), rank=1, method="tensor", ranks=ranks)
    done = separate(job, tmp_path / "run")
    found = np.load(tmp_path / "run" / "separated.npz")["mask"]
    hits = (found & mask).sum()
    assert 2 * hits / (found.sum() + mask.sum()) > 0.98
    assert done.summary["settings"]["method"] == "TensorRobustPCA"
    assert "Energy outside" in page(tmp_path / "run")


def test_ranks_are_for_the_tensor_method():
    for method in ("matrix", "unrolled-matrix"):
        with pytest.raises(InputError, match="a matrix has one rank"):
            SeparateJob("clip.npy", method=method, ranks=(3, 3))


@pytest.mark.parametrize("method", ["unrolled", "unrolled-matrix"])
def test_a_tuned_net_is_saved_and_serves_another_run(tmp_path, method):
    mask = clip(tmp_path)
    path, first = str(tmp_path / "clip.npy"), str(tmp_path / "one")
    words = ["separate", path, "--rank", "1", "--method", method]
    assert main([*words, "--tune", "self", "--out", first]) == 0
    net = str(tmp_path / "one" / "net.safetensors")
    assert main([*words, "--tune", net, "--out", str(tmp_path / "two")]) == 0
    found = [np.load(tmp_path / run / "separated.npz")["mask"] for run in ("one", "two")]
    assert np.array_equal(*found)
    assert 2 * (found[0] & mask).sum() / (found[0].sum() + mask.sum()) > 0.95
    told = [
        json.loads((tmp_path / run / "summary.json").read_text())["settings"]["net"]
        for run in ("one", "two")
    ]
    assert told[0] == told[1]
    numbers = load_tree(tmp_path / "one" / "net.safetensors")
    assert list(numbers.thresholds) == told[0]["thresholds"]
    apart = len(set(told[0]["step_sizes"]))
    assert apart == 1 if method == "unrolled" else apart > 3  # numbers of its own for each layer
    assert "tuned on these data alone" in page(tmp_path / "one")
    html = page(tmp_path / "two")
    assert "those of another run" in html
    assert f"wellposed separate CLIP --method {method} --tune two/net.safetensors" in html
    assert main([*words, "--tune", path, "--out", str(tmp_path / "three")]) == 2
    assert not (tmp_path / "three").exists()
    again = SeparateJob(path, rank=1, method=method, tune=net)
    assert separate(again, tmp_path / "two").ok
    halved = tuple(t / 2 for t in numbers.thresholds)
    save_tree(tmp_path / "one" / "net.safetensors", replace(numbers, thresholds=halved))
    with pytest.raises(StoreError, match="holds another run"):
        separate(again, tmp_path / "two")


def test_a_net_is_tuned_where_pixels_are_missing(tmp_path):
    mask = clip(tmp_path)
    frames = np.load(tmp_path / "clip.npy")
    lost = Stream(4).uniform(frames.shape, "lost").numpy() < 0.3
    np.save(tmp_path / "holes.npy", np.where(lost, np.nan, frames))
    seen, false = mask & ~lost, []
    for tune in ("self", "none"):
        job = SeparateJob(str(tmp_path / "holes.npy"), rank=1, method="unrolled-matrix", tune=tune)
        separate(job, tmp_path / tune)
        found = np.load(tmp_path / tune / "separated.npz")["mask"]
        assert not (seen & ~found).any()
        false.append(int((found & ~seen).sum()))
    assert false[0] < false[1] / 3
