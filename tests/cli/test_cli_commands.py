"""Commands in this process: exit codes, what is printed, and errors of three lines."""

import errno
import json
import os

import numpy as np
import pytest

from wellposed import files
from wellposed.cli import main
from wellposed.defaults import RULES
from wellposed.errors import WellposedError
from wellposed.jobs.catalogue import families, methods
from wellposed.theory.planners_lowrank import PLANNERS


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A product table with some gaps, in the working folder."""
    monkeypatch.chdir(tmp_path)
    rows = [",".join("" if (i + 2 * j) % 7 == 0 else str(i * j) for j in range(1, 9))
            for i in range(1, 13)]  # fmt: skip
    (tmp_path / "products.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "products.csv"


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave the report out, which takes most of the time."""
    monkeypatch.setattr(
        "wellposed.jobs.folder.write_report", lambda folder: (folder / "report.html").touch()
    )


def run(capsys, *words):
    code = main(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_complete_prints_figures_and_a_path_that_exists(table, capsys):
    code, out, err = run(capsys, "complete", "products.csv", "--rank", "1")
    assert (code, err) == (0, "")
    path = out.strip().splitlines()[-1].removeprefix("Report: ")
    assert path == "runs/001-complete-products/report.html"
    assert os.path.getsize(path) > 10_000
    assert "Row and column offsets" in out
    assert "14 predicted cells in completed.csv" in out


def test_a_second_run_takes_the_next_folder(table, capsys, no_pictures):
    for number in ("001", "002"):
        _, out, _ = run(capsys, "complete", "products.csv", "--rank", "1", "--holdout", "0",
                        "--ridge", "0", "--no-biases")  # fmt: skip
        assert f"runs/{number}-complete-products" in out


def test_too_few_steps_end_with_code_3(table, capsys, no_pictures):
    code, out, _ = run(capsys, "complete", "products.csv", "--rank", "1", "--ridge", "0",
                       "--no-biases", "--steps", "2", "--out", "short")  # fmt: skip
    assert code == 3
    assert "Not converged" in out
    assert (
        json.loads((table.parent / "short" / "summary.json").read_text())["status"] == "max_steps"
    )


BAD = {
    "no such file": ["complete", "none.csv"],
    "malformed": ["complete", "malformed.csv"],
    "truncated array": ["complete", "cut.npy"],
    "rank above the shape": ["complete", "products.csv", "--rank", "9"],
    "rank zero": ["complete", "products.csv", "--rank", "0"],
    "rank no number": ["complete", "products.csv", "--rank", "many"],
    "negative ridge": ["complete", "products.csv", "--ridge", "-1"],
    "half held out": ["complete", "products.csv", "--holdout", "0.6"],
    "no such method": ["complete", "products.csv", "--method", "magic"],
    "a method for another prior": ["complete", "products.csv", "--method", "RobustPCA"],
    "no such cells": ["complete", "products.csv", "--predict", "none.csv"],
    "cells of another table": ["complete", "products.csv", "--predict", "foreign.csv"],
    "unknown option": ["complete", "products.csv", "--ranks", "3"],
    "unknown command": ["finish", "products.csv"],
    "no table": ["complete"],
    "no frames": ["separate", "products.csv"],
    "two frames": ["separate", "two.npy"],
    "no run folder": ["resume", "."],
    "no report": ["report", "."],
    "no planner": ["plan", "magic"],
    "sizes out of range": ["plan", "dof", "--rank", "0"],
    "no pilot": ["plan", "dof", "--pilot"],
}


@pytest.mark.parametrize("words", BAD.values(), ids=BAD)
def test_bad_input_ends_with_code_2_and_leaves_nothing(words, table, capsys):
    folder = table.parent
    (folder / "malformed.csv").write_text("u,v,w\n1,2,3\n1,3,x\n1,4,5\n")
    (folder / "foreign.csv").write_text("9,99\n99,9\n")
    np.save(folder / "two.npy", np.zeros((2, 4, 4)))
    np.save(folder / "cut.npy", np.zeros((9, 9)))
    os.truncate(folder / "cut.npy", 300)
    code, out, err = run(capsys, *words)
    lines = err.splitlines()
    assert (code, out) == (2, "")
    assert lines[0].startswith("error: ")
    assert all(line.startswith(("  why: ", "  try: ")) for line in lines[1:])
    assert len(lines) <= 3
    assert not list((folder / "runs").glob("*"))


def test_errors_name_line_and_file(table, capsys):
    (table.parent / "malformed.csv").write_text("u,v,w\n1,2,3\n1,3,x\n1,4,5\n")
    _, _, err = run(capsys, "complete", "malformed.csv")
    assert err.startswith("error: malformed.csv, line 3: the value is 'x', expected a number")


def test_debug_shows_where_an_error_was_raised(table):
    with pytest.raises(WellposedError):
        main(["--debug", "complete", "none.csv"])


def test_a_mistake_of_ours_is_said_to_be_one(table, capsys, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("wellposed.jobs.complete.complete", broken)
    code, _, err = run(capsys, "complete", "products.csv")
    assert code == 1
    assert err.splitlines()[0] == "error: ZeroDivisionError: oh"
    assert "mistake in wellposed" in err


def test_names_cannot_steer_the_terminal(table, capsys):
    _, _, err = run(capsys, "complete", "a\x1b[31m[bold]b.csv")
    assert "\x1b" not in err
    assert "a\\x1b[31m[bold]b.csv" in err


def test_a_full_disk_is_said_and_the_run_goes_on_afterwards(
    table, capsys, monkeypatch, no_pictures
):
    words = ["complete", "products.csv", "--rank", "1", "--out", "full"]
    real = files.atomic_write

    def full(path, write):
        if path.name == "completed.csv":
            raise files.file_error(path, "written", OSError(errno.ENOSPC, "No space left"))
        real(path, write)

    with monkeypatch.context() as patch:
        patch.setattr("wellposed.jobs.tables.atomic_write", full)
        code, _, err = run(capsys, *words)
    assert code == 2
    assert "completed.csv cannot be written: No space left" in err
    assert run(capsys, "resume", "full")[0] == 0
    assert (table.parent / "full" / "completed.csv").exists()


def test_methods_lists_every_method_and_rule(capsys):
    code, out, _ = run(capsys, "methods")
    assert code == 0
    rules, _, table = out.partition("Low-rank recovery")
    assert all(rule.method in rules and rule.when in rules for rule in RULES)
    for family in families():
        assert all(entry.name in table for entry in methods(family))
    assert {"ScaledGD", "RobustPCA", "CountScaledGD"} <= {entry.name for entry in methods()}
    assert [entry.name for entry in methods("bilinear")] == ["SelfCalibration"]


def test_plan_lists_and_evaluates(capsys):
    _, out, _ = run(capsys, "plan")
    assert all(p.id in out for p in PLANNERS)
    code, out, _ = run(capsys, "plan", "scaledgd-rpca", "--rank", "4", "--kappa", "1")
    assert code == 0
    assert "= 0.125" in out
    assert "order only" in out
    assert "Assumes: the rank is known" in out


def test_plan_shows_a_pilot_as_what_it_is(capsys):
    code, out, _ = run(capsys, "plan", "scaledgd-sensing", "--n1", "12", "--rank", "1",
                       "--kappa", "1", "--epsilon", "0.01", "--pilot")  # fmt: skip
    assert code == 0
    assert "calibrated on your instance, not guaranteed" in out
