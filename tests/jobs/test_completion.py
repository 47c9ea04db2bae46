"""Completing a table: an honest hold-out, exact fall-backs, files in the input's own words."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from wellposed.errors import FileError, InputError, StoreError
from wellposed.io import Table, read_table
from wellposed.jobs import completion
from wellposed.jobs.again import check, rebuild, resume
from wellposed.jobs.complete import complete
from wellposed.jobs.demo import write_gaps
from wellposed.jobs.folder import Bench, Limits
from wellposed.jobs.judging import judge, observed, predictor, score, set_aside
from wellposed.jobs.requests import CompleteJob
from wellposed.jobs.settings import settle
from wellposed.lowrank.biases import fit_biases
from wellposed.priors.lowrank import LowRank
from wellposed.recovery import recover
from wellposed.rng import Stream
from wellposed.store import load_tree

QUICK = {"rank": 2, "ridge": 0.1, "biases": True}


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """Leave the report out, which takes most of the time, where it does not matter."""
    if "pictures" in request.fixturenames:
        return
    for place in ("wellposed.jobs.folder", "wellposed.jobs.again"):
        monkeypatch.setattr(f"{place}.write_report", lambda folder: folder / "report.html")


@pytest.fixture
def pictures():
    """The test looks at the report."""


def table_of(n1=30, n2=20, rank=2, share=0.7, noise=0.05, seed=0, offsets=0.0):
    draw = Stream(seed)
    dense = draw.normal((n1, rank), "left") @ draw.normal((rank, n2), "right")
    dense = dense + offsets * (draw.normal((n1, 1), "rows") + draw.normal((1, n2), "cols"))
    dense = dense + noise * draw.normal((n1, n2), "noise")
    rows, cols = (draw.uniform((n1, n2), "mask") < share).nonzero(as_tuple=True)
    return Table(rows.numpy(), cols.numpy(), dense[rows, cols].numpy(), (n1, n2), layout="wide")


@pytest.fixture
def wide(tmp_path):
    write_gaps(tmp_path / "wide.csv", table_of())
    return tmp_path / "wide.csv"


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


# ---- the hold-out is honest


def settings_and_factors(table, folder, job):
    """Everything that was decided before the cells set aside are looked at."""
    parts = set_aside(observed(table), job.holdout, job.seed)
    bench = Bench(folder, Limits(job.steps, job.tol, job.seed))
    settings = settle(bench, job, parts.fit.problem, None)
    found = bench.fit("judged", parts.fit.problem, settings.prior, None)
    return settings, found.left @ found.right.T


def spoiled(table, job):
    """The same table with other values in the cells that are set aside."""
    parts = set_aside(observed(table), job.holdout, job.seed)
    where = np.isin(table.rows * table.shape[1] + table.cols,
                    (parts.rows * table.shape[1] + parts.cols).numpy())  # fmt: skip
    assert where.sum() == parts.y.numel()
    return replace(table, values=np.where(where, 1e3 - table.values, table.values))


def test_nothing_looks_at_the_cells_that_judge(tmp_path):
    job = CompleteJob("t", rank=2, holdout=0.2)
    table = table_of(20, 12, noise=0.3)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ours = settings_and_factors(table, tmp_path / "a", job)
    theirs = settings_and_factors(spoiled(table, job), tmp_path / "b", job)
    assert ours[0] == theirs[0]
    assert len(ours[0].tried) > 10
    assert bool((ours[1] == theirs[1]).all())


def test_a_choice_that_sees_the_cells_is_caught(tmp_path):
    job = CompleteJob("t", holdout=0.2, ridge=0.0, biases=False)
    found, given = [], table_of(20, 12, noise=0.3)
    for k, table in enumerate((given, spoiled(given, job))):
        bench = Bench(tmp_path / str(k), Limits(job.steps, job.tol, job.seed))
        (tmp_path / str(k)).mkdir()
        found.append(settle(bench, job, observed(table).problem, None))
    assert found[0] != found[1]


def test_scores_agree_with_numpy(wide, tmp_path):
    folder = tmp_path / "run"
    complete(CompleteJob(str(wide), **QUICK), folder)
    scores, cells = summary_of(folder)["scores"], np.load(folder / "heldout.npz")
    table = read_table(wide)
    dense = np.full(table.shape, np.nan)
    dense[table.rows, table.cols] = table.values
    assert np.array_equal(dense[cells["rows"], cells["columns"]], cells["truth"])
    assert scores["cells"] == round(0.1 * table.values.size) == len(cells["truth"])
    for name in ("model", "offsets", "mean"):
        off = cells[name] - cells["truth"]
        assert scores[name]["rmse"] == pytest.approx(np.sqrt((off**2).mean()), rel=1e-12)
        assert scores[name]["mae"] == pytest.approx(np.abs(off).mean(), rel=1e-12)
    kept = np.ones(table.values.size, bool)
    key = table.rows * table.shape[1] + table.cols
    kept[np.isin(key, cells["rows"] * table.shape[1] + cells["columns"])] = False
    assert np.allclose(cells["mean"], table.values[kept].mean(), rtol=1e-12)


def test_the_standard_error_of_the_rmse_is_that_of_repetitions():
    noise = Stream(1).normal((4000, 500), "noise")
    scores = [score(row, torch.zeros(500, dtype=row.dtype)) for row in noise]
    spread = np.std([s.rmse for s in scores])
    # 4000 repetitions know the spread to 1.1 %; the bound is six times that
    assert np.mean([s.rmse_error for s in scores]) == pytest.approx(spread, rel=0.07)


# ---- what cannot be learned falls back on the baseline


def test_empty_rows_and_columns_are_predicted_by_the_baseline(tmp_path):
    full = table_of(offsets=1.0)
    keep = (full.rows != 4) & (full.cols != 7)
    cells = {"rows": full.rows[keep], "cols": full.cols[keep], "values": full.values[keep]}
    table = replace(full, **cells)
    write_gaps(tmp_path / "holes.csv", table)
    for biases in (True, False):
        folder = tmp_path / f"run {biases}"
        job = CompleteJob(str(tmp_path / "holes.csv"), rank=2, ridge=0.1, biases=biases, holdout=0)
        summary = complete(job, folder).summary
        assert summary["table"]["empty_rows"] == {"count": 1, "first": ["4"]}
        assert summary["table"]["empty_columns"] == {"count": 1, "first": ["7"]}
        assert "1 row(s) have no observed cell" in summary["warnings"][0]
        filled = read_table(folder / "completed.csv").values.reshape(30, 20)
        known = fit_biases(*observed(table))
        other = np.arange(20) != 7
        assert np.allclose(filled[4, other], known.mean + known.cols.numpy()[other], atol=1e-6)
        assert np.allclose(filled[4, 7], known.mean, atol=1e-6)
        assert not np.allclose(filled[5], known.mean + known.cols.numpy(), atol=1e-2)


def test_ids_that_the_table_does_not_have_get_the_known_side_of_the_baseline(tmp_path):
    table = replace(table_of(offsets=1.0), row_labels=tuple(f"u{i}" for i in range(30)))
    write_gaps(tmp_path / "named.csv", table)
    (tmp_path / "ask.csv").write_text("who,what\nu3,5\nstranger,5\nu3,99\nx,y\nu0,0\n")
    job = CompleteJob(str(tmp_path / "named.csv"), predict=str(tmp_path / "ask.csv"), **QUICK)
    done = complete(job, tmp_path / "run")
    lines = (tmp_path / "run" / "predictions.csv").read_text().splitlines()
    assert lines[0] == "who,what,prediction"
    assert [line.rsplit(",", 1)[0] for line in lines[1:]] == [
        "u3,5", "stranger,5", "u3,99", "x,y", "u0,0"
    ]  # fmt: skip
    values = [float(line.rsplit(",", 1)[1]) for line in lines[1:]]
    known = fit_biases(*observed(table))
    assert values[1] == pytest.approx(known.mean + float(known.cols[5]), rel=1e-6)
    assert values[2] == pytest.approx(known.mean + float(known.rows[3]), rel=1e-6)
    assert values[3] == pytest.approx(known.mean, rel=1e-6)
    assert any("3 of the 5 cells" in warning for warning in done.summary["warnings"])
    factors = np.load(tmp_path / "run" / "factors.npz")
    direct = factors["left"][3] @ factors["right"][5] + factors["mean"]
    direct += factors["row_offsets"][3] + factors["column_offsets"][5]
    assert values[0] == pytest.approx(direct, rel=1e-6)


def test_cells_of_another_table_are_refused(wide, tmp_path):
    (tmp_path / "ask.csv").write_text("500,600\n700,800\n")
    with pytest.raises(FileError, match="none of them in the table"):
        complete(CompleteJob(str(wide), predict=str(tmp_path / "ask.csv")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- choosing


def test_offsets_are_kept_where_they_help_and_dropped_where_they_do_not(tmp_path):
    job = CompleteJob("t", rank=1, ridge=0.0)
    for offsets, expected in ((5.0, True), (0.0, False)):
        table = table_of(n1=60, n2=40, rank=1, noise=0.02, offsets=offsets, share=0.4)
        bench = Bench(tmp_path / str(offsets), Limits(300, 1e-6, 0))
        bench.folder.mkdir()
        found = settle(bench, job, observed(table).problem, None)
        assert found.biases is expected
        assert {t.biases for t in found.tried} == {True, False}
        best = min(found.tried, key=lambda t: t.error)
        assert best.biases is expected


def test_what_is_given_is_kept(wide, tmp_path):
    job = CompleteJob(str(wide), rank=3, ridge=0.0, biases=False, method="scaled-gd", seed=5)
    settings = complete(job, tmp_path / "run").summary["settings"]
    told = {name: settings[name] for name in ("rank", "ridge", "biases", "method", "tried")}
    assert told == {"rank": 3, "ridge": 0.0, "biases": False, "method": "ScaledGD", "tried": []}
    open_rank = CompleteJob(str(wide), ridge=0.0, biases=False)
    tried = complete(open_rank, tmp_path / "open").summary["settings"]["tried"]
    assert {t["ridge"] for t in tried} == {0.0}
    assert len(tried) > 2


# ---- files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", 'day,"a, b",c\n"x, y",1.50,\nz,NA,4\nw,2,3e0\n'),
        ("t.tsv", "\tp\tq\nr\t1\t\ns\t\t2\nt\t3\t4\n"),
        ("t.csv", "1;2;\n\n;5;6\n7;8;9\n"),
        ("t.txt", "1 2 nan\n4 5 6\nnan 8 9\n"),
    ],
)
def test_a_wide_table_keeps_its_words(name, text, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    job = CompleteJob(str(path), rank=1, ridge=0.1, biases=True, holdout=0)
    written = complete(job, tmp_path / "run").summary["written"]["file"]
    assert written == f"completed{path.suffix}"
    before, after = text.splitlines(), (tmp_path / "run" / written).read_text().splitlines()
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        blank = old.startswith(";") or old.endswith((";", ",", "\t")) or "\t\t" in old
        if blank or "NA" in old or "nan" in old:
            assert new != old
        else:
            assert new == old
    filled = read_table(tmp_path / "run" / written)
    assert filled.density == 1
    source = read_table(path)
    dense = filled.values.reshape(filled.shape)
    assert np.array_equal(dense[source.rows, source.cols], source.values)
    assert (filled.row_labels, filled.col_labels) == (source.row_labels, source.col_labels)


def test_an_array_stays_an_array(tmp_path):
    table = table_of()
    dense = np.full(table.shape, np.nan)
    dense[table.rows, table.cols] = table.values
    np.save(tmp_path / "t.npy", dense)
    complete(CompleteJob(str(tmp_path / "t.npy"), **QUICK), tmp_path / "run")
    filled = np.load(tmp_path / "run" / "completed.npy")
    assert np.array_equal(filled[table.rows, table.cols], table.values)
    assert np.isfinite(filled).all()
    kept = load_tree(tmp_path / "run" / "stages" / "fit" / "result.safetensors")
    missing = np.isnan(dense)
    assert np.allclose(filled[missing], kept.signal.numpy()[missing], rtol=1e-12)


def test_a_parquet_table_becomes_csv(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    columns = {"row": ["a", "b", "c"], "x": [1.0, 2.0, None], "y": [2.0, None, 6.0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    job = CompleteJob(str(tmp_path / "t.parquet"), rank=1, ridge=0.1, biases=True, holdout=0)
    complete(job, tmp_path / "run")
    lines = (tmp_path / "run" / "completed.csv").read_text().splitlines()
    assert lines[0] == "row,x,y"
    assert lines[1] == "a,1,2"
    assert [line.split(",")[0] for line in lines[1:]] == ["a", "b", "c"]
    assert read_table(tmp_path / "run" / "completed.csv").density == 1


def test_triplets_get_predictions_for_exactly_the_missing_cells(tmp_path, monkeypatch):
    table = table_of(8, 6, 1)
    lines = [f"u{r},{c},{v}" for r, c, v in zip(table.rows, table.cols, table.values, strict=True)]
    (tmp_path / "t.csv").write_text("user,item,value\n" + "\n".join(lines) + "\n")
    job = CompleteJob(str(tmp_path / "t.csv"), rank=1, ridge=0.1, biases=True)
    complete(job, tmp_path / "run")
    written = (tmp_path / "run" / "predictions.csv").read_text().splitlines()[1:]
    given = {tuple(line.split(",")[:2]) for line in lines}
    asked = [tuple(line.split(",")[:2]) for line in written]
    assert len(set(asked)) == len(asked) == 48 - len(lines)
    assert set(asked) | given == {(f"u{i}", str(j)) for i in range(8) for j in range(6)}
    monkeypatch.setattr(completion, "MISSING_LIMIT", 3)
    done = complete(job, tmp_path / "too many")
    assert done.summary["written"] == {"file": None, "cells": 0}
    assert "--predict" in done.summary["warnings"][0]
    assert not (tmp_path / "too many" / "predictions.csv").exists()


# ---- folders


@pytest.mark.usefixtures("pictures")
def test_the_same_job_gives_the_same_bytes(wide, tmp_path):
    job = CompleteJob(str(wide), **QUICK)
    for place in ("a", "b"):
        complete(job, tmp_path / place / "run")
    for path in (tmp_path / "a" / "run").iterdir():
        if path.is_file() and path.name != "manifest.json":
            assert path.read_bytes() == (tmp_path / "b" / "run" / path.name).read_bytes(), path


def test_a_folder_belongs_to_one_job(wide, tmp_path):
    complete(CompleteJob(str(wide), **QUICK), tmp_path / "run")
    with pytest.raises(StoreError, match="holds another run"):
        complete(CompleteJob(str(wide), seed=1, **QUICK), tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="not empty"):
        complete(CompleteJob(str(wide), **QUICK), tmp_path / "full")


def test_a_finished_job_is_read_back(wide, tmp_path, monkeypatch):
    done = complete(CompleteJob(str(wide), **QUICK), tmp_path / "run")
    monkeypatch.setattr(completion, "_work", None)
    again = resume(tmp_path / "run")
    assert again.status == done.status
    assert again.summary == json.loads(json.dumps(done.summary))


def test_damage_is_named_and_mended(wide, tmp_path):
    folder = tmp_path / "run"
    complete(CompleteJob(str(wide), **QUICK), folder)
    before = (folder / "completed.csv").read_bytes()
    assert check(folder) == []
    with (folder / "completed.csv").open("ab") as file:
        file.write(b"!")
    (folder / "heldout.npz").unlink()
    assert check(folder) == ["completed.csv", "heldout.npz"]
    with pytest.raises(StoreError, match=r"completed.csv, heldout.npz missing, or changed"):
        rebuild(folder)
    resume(folder)
    assert check(folder) == []
    assert (folder / "completed.csv").read_bytes() == before


def test_a_damaged_stage_is_named(wide, tmp_path):
    complete(CompleteJob(str(wide), **QUICK), tmp_path / "run")
    path = tmp_path / "run" / "stages" / "fit" / "result.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    assert check(tmp_path / "run") == ["stages/fit/result.safetensors"]
    with pytest.raises(StoreError) as caught:
        rebuild(tmp_path / "run")
    assert "remove the folder stages" in caught.value.remedy


@pytest.mark.usefixtures("pictures")
def test_a_lost_report_is_built_again_byte_for_byte(wide, tmp_path):
    complete(CompleteJob(str(wide), **QUICK), tmp_path / "run")
    report = tmp_path / "run" / "report.html"
    before = report.read_bytes()
    report.write_text("gone")
    rebuild(tmp_path / "run")
    assert report.read_bytes() == before
    assert check(tmp_path / "run") == []


def test_a_changed_input_is_not_resumed(wide, tmp_path):
    complete(CompleteJob(str(wide), **QUICK), tmp_path / "run")
    wide.write_text(wide.read_text().replace("1", "2"))
    with pytest.raises(StoreError, match="is not the file that"):
        resume(tmp_path / "run")


def test_a_refused_job_leaves_nothing(wide, tmp_path):
    with pytest.raises(InputError, match="too few to hold out"):
        complete(CompleteJob(str(wide), holdout=1e-6, **QUICK), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_does_not_help_is_said_not_to(tmp_path):
    table = table_of(rank=1, noise=3.0, offsets=0.0, share=0.5)
    write_gaps(tmp_path / "noise.csv", table)
    job = CompleteJob(str(tmp_path / "noise.csv"), rank=8, ridge=0.0, biases=True)
    assert "no better than row and column" in complete(job, tmp_path / "run").summary["warnings"][0]


def test_a_table_with_missing_ends_is_judged_by_ends(tmp_path):
    table = table_of(60, 30, noise=0.01, share=1.0)
    kept = (table.rows % 5 != 2) | (table.cols < 20)
    cells = {"rows": table.rows[kept], "cols": table.cols[kept], "values": table.values[kept]}
    write_gaps(tmp_path / "ends.csv", replace(table, **cells))
    job = CompleteJob(str(tmp_path / "ends.csv"), ridge=0.0, biases=False)
    summary = complete(job, tmp_path / "run").summary
    assert summary["scores"]["alike"]
    assert summary["settings"]["rank"] == 2
    hidden = np.load(tmp_path / "run" / "heldout.npz")
    rows = np.unique(hidden["rows"][(hidden["rows"] % 5 != 2)])
    for row in rows:  # those without a gap get a whole one
        assert set(range(20, 30)) == set(hidden["columns"][hidden["rows"] == row])
    filled = read_table(tmp_path / "run" / "completed.csv").values.reshape(60, 30)
    dense = table.values.reshape(60, 30)
    assert np.abs(filled - dense).max() < 0.1


def test_judging_pairs_each_cell_with_its_own_prediction():
    known = observed(table_of(noise=0.0))
    parts = set_aside(known, 0.2, 0)
    model = predictor(recover(parts.fit.problem, LowRank(2)), parts.fit)
    table, cells = judge(model, parts)
    assert table["model"]["rmse"] < 1e-4
    shuffled = cells["model"][::-1] - cells["truth"]
    assert np.sqrt((shuffled**2).mean()) > 0.5
