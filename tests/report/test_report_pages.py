"""Reports: one file, names that stay text, figures that follow the page, the same bytes again."""

import re
import shlex
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import wellposed as wp
from wellposed.cli import main
from wellposed.errors import StoreError
from wellposed.jobs.commands import command
from wellposed.jobs.complete import complete
from wellposed.jobs.folder import write_report
from wellposed.jobs.requests import CompleteJob, SeparateJob, from_plain
from wellposed.jobs.separate import separate
from wellposed.report import page
from wellposed.report.charts import candidates, predicted, residual_curve, singular_values
from wellposed.report.model import Page, Section, Table, number, percent
from wellposed.report.pictures import averaged, heat_map
from wellposed.report.render import render
from wellposed.report.style import ACCENT, INK, drawn
from wellposed.rng import Stream
from wellposed.store import RunFolder

HOSTILE = '<img src=x onerror="alert(1)">&\'"{{7*7}}.csv'


@pytest.fixture(scope="module")
def table_page(tmp_path_factory):
    """The report of a table with hostile names everywhere."""
    folder = tmp_path_factory.mktemp("pages")
    name = HOSTILE.replace("/", "")
    rows = [",".join(["<script>alert(2)</script>", *(f"</style>{j}" for j in range(8))])]
    for i in range(14):
        cells = ["" if i in (3, (5 * j) % 14) else f"{(i + 1) * (j + 2)}" for j in range(8)]
        rows.append(",".join([f"<b>row {i}", *cells]))
    (folder / name).write_text("\n".join(rows) + "\n")
    complete(CompleteJob(str(folder / name), ridge=0.01, biases=True), folder / "<run>")
    return folder / "<run>"


class Links(HTMLParser):
    """Every address that a page mentions, its tags and handlers."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.tags, self.handlers = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)


def test_a_page_needs_nothing_else(table_page):
    text = (table_page / "report.html").read_text()
    links = Links(text)
    outside = [a for a in links.addresses if not a.startswith(("data:image/", "#"))]
    assert outside == []
    assert not {"script", "link", "iframe", "object"} & links.tags
    assert not re.findall(r"url\((?!#)", text)
    assert "@import" not in text


def test_the_check_sees_an_address_and_a_handler():
    links = Links('<a href="http://x"><script></script><img src=x onerror="y">')
    assert (links.addresses, links.handlers) == (["http://x", "x"], ["onerror"])
    assert "script" in links.tags


def test_names_stay_text(table_page):
    text = (table_page / "report.html").read_text()
    links = Links(text)
    assert links.handlers == []
    assert "b" not in links.tags
    assert "&lt;img src=x onerror=" in text
    assert "{{7*7}}" in text  # a name is no template either
    assert "49.csv" not in text
    assert "&lt;run&gt;" in text


def test_escaping_is_what_protects():
    hostile = Section(HOSTILE, HOSTILE, Table([HOSTILE], [[HOSTILE]]), facts=[(HOSTILE, HOSTILE)],
                      code=[HOSTILE], link=(HOSTILE, HOSTILE))  # fmt: skip
    links = Links(
        render(Page(HOSTILE, HOSTILE, HOSTILE, HOSTILE, "good", (), [HOSTILE], [hostile]))
    )
    assert links.handlers == []
    assert "img" not in links.tags
    raw = Links(f"<p>{HOSTILE}</p>")
    assert raw.handlers == ["onerror"]


def test_a_page_shows_what_was_asked_and_found(table_page):
    text = (table_page / "report.html").read_text()
    summary = RunFolder(table_page).manifest()
    for told in ("Held-out RMSE", "How good the predictions are", "How the rank was chosen",
                 "The table", "The fit", "What was asked", "Files and versions", "Seed",
                 "1 row(s) have no observed cell", "torch " + torch.__version__):  # fmt: skip
        assert told in text
    assert summary["files"]["completed.csv"][:16] in text
    assert summary["inputs"]["table"]["sha256"] in text
    assert text.count("<svg") >= 4
    assert text.count("data:image/png") >= 2


def test_a_report_is_the_same_each_time(table_page):
    before = (table_page / "report.html").read_bytes()
    write_report(table_page)
    assert (table_page / "report.html").read_bytes() == before


def test_the_command_does_the_same_again(table_page):
    manifest = RunFolder(table_page).manifest()
    job = from_plain(manifest["kind"], manifest["job"])
    words = shlex.split(command(job, manifest["inputs"]))
    assert words[:2] == ["wellposed", "complete"]
    assert words[2] == HOSTILE.replace("/", "")
    assert words[3:] == ["--ridge", "0.01", "--biases", "--seed", "0"]


def test_a_clip_is_taken_into_its_page(tmp_path):
    frames = (255 * Stream(0).uniform((6, 8, 9), "frames").numpy()).astype(np.uint8)
    np.save(tmp_path / "clip.npy", frames)
    separate(SeparateJob(str(tmp_path / "clip.npy")), tmp_path / "run")
    text = (tmp_path / "run" / "report.html").read_text()
    assert text.count("data:image/png") >= 1
    assert text.count("data:image/gif") == 1
    assert "6 frames of 9 × 8 pixels, grey." in text


def test_a_run_of_the_library_has_a_page(tmp_path):
    truth = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 7.0))
    cells = wp.operators.Entries.from_mask(torch.ones(8, 6).tril(2).bool())
    wp.recover(wp.Problem(cells(truth), cells), wp.LowRank(1), out=tmp_path / "run")
    assert main(["resume", str(tmp_path / "run")]) == 0  # read back, as it is finished
    text = (tmp_path / "run" / "report.html").read_text()
    assert text == page(tmp_path / "run")
    assert "8 × 6, rank 1" in text
    assert "The fit converged in" in text


def test_an_unfinished_run_has_no_page(tmp_path):
    RunFolder(tmp_path / "run").open("key", {"kind": "complete", "job": {}})
    with pytest.raises(StoreError, match="has no result yet"):
        page(tmp_path / "run")
    RunFolder(tmp_path / "odd").open("key", {"kind": "odd"})
    with pytest.raises(StoreError, match="has no report"):
        page(tmp_path / "odd")


def test_charts_are_sound_and_follow_the_page():
    truth = Stream(2).normal((300,), "truth").numpy()
    stars = np.clip(np.round(truth) + 3, 1, 5)
    tried = [{"rank": r, "biases": b, "error": 1 / r + b} for r in (1, 2, 3) for b in (True, False)]
    charts = [
        predicted("points", truth, truth + 0.1),
        predicted("levels", stars, truth + 3),
        residual_curve("falling", np.arange(1, 50), 10.0 ** -np.arange(1.0, 50)),
        residual_curve("flat", np.arange(1, 50), np.full(49, 0.5)),
        singular_values("three", [100.0, 1.0, 0.0]),
        singular_values("none", [0.0]),
        candidates("ranks", tried, 2),
    ]
    for chart in charts:
        root = ElementTree.fromstring(chart.replace("xlink:href", "href"))
        assert root.tag.endswith("svg")
        assert {"viewBox"} <= root.attrib.keys()
        assert not {"width", "height"} & root.attrib.keys()
        assert "var(--muted)" in chart
        assert "font-family" not in chart
        assert not re.search(r"#0[1-5]0[1-5]0[1-5]", chart)


def test_colours_are_the_pages():
    assert "var(--accent)" in drawn("a", lambda axes: axes.plot([0, 1], color=ACCENT))
    assert "var(--ink)" in drawn("b", lambda axes: axes.set_title("t", color=INK))


def test_heat_maps_average_and_keep_gaps():
    table = np.arange(24.0).reshape(4, 6)
    table[0] = np.nan
    assert np.array_equal(averaged(table, (4, 6)), table, equal_nan=True)
    small = averaged(table, (2, 3))
    assert small[0, 0] == np.nanmean(table[:2, :2])
    assert small[1, 2] == table[2:, 4:].mean()
    assert np.isnan(averaged(table, (4, 1))[0, 0])
    assert len(heat_map(np.random.default_rng(0).random((3000, 50)), 0, 1)) < 10**6


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (12345, "12,345"), (0.5, "0.5"), (123456.7, "123,457"), (-2.5, "−2.5")],
)
def test_numbers_are_written_for_people(value, told):
    assert number(value) == told


def test_shares_are_written_for_people():
    assert [percent(x) for x in (0, 0.5, 0.0004, 0.99999)] == ["0 %", "50 %", "0.04 %", "100 %"]
