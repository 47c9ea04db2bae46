"""What is refused is told in three lines: what is wrong, why, and what to do; nothing is left."""

import inspect

import numpy as np
import pytest

from wellposed.cli import main
from wellposed.cli.app import COMMANDS
from wellposed.jobs.summary import write_text
from wellposed.rng import Stream

SIDE = 16
PICTURE = Stream(0).uniform((SIDE, SIDE), "picture").numpy()
SQUARE = ["--prior", "fashion", "--draws", "2", "--budget", "8"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with small files, sound and unsound."""
    monkeypatch.chdir(tmp_path)
    holed = PICTURE.copy()
    holed[3, 4] = np.nan
    arrays = {
        "picture": PICTURE, "holed": holed, "flat": np.ones((40, 3)), "zero": np.zeros((3, 3)),
        "clip": PICTURE[None].repeat(5, 0), "small": np.ones((4, 4)), "five": np.ones((9, 9, 5)),
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(f"{name}.npy", values.astype(np.float32))
    (tmp_path / "empty").mkdir()
    return tmp_path


REFUSED = {
    "an infinite threshold": (
        ["separate", "clip.npy", "--threshold", "inf"], "expected a finite number > 0"),
    "a hole in a picture": (
        ["recover", "holed.npy", "--operator", "denoise", *SQUARE], "write any number there"),
    "axes of no picture": (
        ["recover", "five.npy", "--operator", "denoise", *SQUARE], "expected [H, W] or [H, W, 3]"),
    "a kernel of zeros": (
        ["recover", "picture.npy", "--operator", "blur:zero.npy", *SQUARE], "add up to 0"),
    "a mask of another size": (
        ["recover", "picture.npy", "--operator", "inpaint:small.npy", *SQUARE], "4 x 4 pixels"),
    "less than the prior takes": (
        ["recover", "picture.npy", "--simulate", "--operator", "denoise", "--size", "3", *SQUARE],
        "3 x 3 pixels are to be measured, expected at least 8 x 8"),
    "more draws than fit": (
        ["sample", "fashion", "-n", "300000"], "do not fit into memory"),
    "a likelihood as a sampler": (
        ["sample", "fashion", "--method", "FlowLikelihood"], "it makes no draws"),
    "a posterior method without data": (
        ["sample", "fashion", "--method", "DPnP"], "wellposed recover"),
    "a posterior method for a table": (
        ["complete", "picture.npy", "--method", "dpnp"], "wellposed recover"),
    "a sampler for a table": (
        ["complete", "picture.npy", "--method", "ddim"], "wellposed sample"),
    "a folder that is no prior": (
        ["sample", "empty"], "there is no prior 'empty'"),
    "signals that are all the same": (
        ["train", "flat.npy", "--steps", "2"], "all numbers of the signals are the same"),
    "a file as the folder of a run": (
        ["report", "picture.npy"], "picture.npy is no run folder"),
    "a file where the run shall go": (
        ["sample", "fashion", "--out", "picture.npy"], "choose another path"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "told"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_what_why_and_what_to_do(folder, capsys, words, told):
    before = set(folder.rglob("*"))
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert "  try: " in err or "expected" in err
    assert "  why: " in err or "cannot be" in err or "threshold" in err  # these tell by themselves
    assert "Report" not in out
    assert set(folder.rglob("*")) - before <= {folder / "runs"}  # where runs go, still empty


def test_what_the_refusal_of_a_hole_recommends_works(folder, capsys):
    seen = ~np.isnan(np.load("holed.npy"))
    np.save("filled.npy", np.nan_to_num(np.load("holed.npy")))
    np.save("mask.npy", seen)
    words = ["recover", "filled.npy", "--operator", "inpaint:mask.npy", *SQUARE, "--out", "run"]
    assert main(words) == 0
    assert "Report: run/report.html" in capsys.readouterr().out


WITH_OPTIONS = [c for c in COMMANDS if c.__name__ != "plan"]  # which takes dataclasses


@pytest.mark.parametrize("command", WITH_OPTIONS, ids=lambda c: c.__name__)
def test_every_option_has_a_help_of_its_own(command):
    for name in inspect.signature(command).parameters:
        assert f"\n    {name}\n        " in str(command.__doc__), name


def test_another_prior_in_the_same_file_is_another_job(folder, capsys):
    words = ["train", "clip.npy", "--steps", "1", "--batch", "1", "--holdout", "2"]
    for seed in ("0", "1"):
        assert main([*words, "--seed", seed, "--out", f"prior{seed}"]) == 0
    (folder / "prior0" / "prior.safetensors").rename("p.safetensors")
    again = ["recover", "picture.npy", "--operator", "denoise", "--prior", "p.safetensors",
             "--draws", "2", "--budget", "8", "--out", "run"]  # fmt: skip
    assert main(again) == main(again) == 0
    (folder / "prior1" / "prior.safetensors").replace("p.safetensors")
    assert main(again) == 2
    assert "run holds another run" in capsys.readouterr().err


def test_a_folder_with_the_name_of_a_prior_does_not_take_its_place(folder, capsys):
    write_text(folder / "fashion", "not a prior")
    assert main(["sample", "fashion", "-n", "1", "--steps", "1", "--out", "run"]) == 0
    assert main(["resume", "run"]) == 0
    text = (folder / "run" / "manifest.json").read_text()
    assert '"prior": "fashion"' in text
