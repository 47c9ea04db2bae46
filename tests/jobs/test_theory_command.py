"""``wellposed theory``: what it prints, draws and keeps, at short lengths."""

import json
from functools import partial

import pytest

from wellposed.cli import main
from wellposed.report.theory import _verdict
from wellposed.samplers.langevin import ULA
from wellposed.theory import sensitivity, study
from wellposed.theory.lineup import LINEUP
from wellposed.theory.unbalanced import weights

KEPT = ("PFEuler", "DDIM", "DDPM", "AcceleratedSDE")


@pytest.fixture(scope="module")
def found():
    """A study of four samplers at short lengths, of one pair of modes."""
    short = {
        (study, "LINEUP"): [e._replace(steps=(20, 40, 60, 80)) for e in LINEUP if e.name in KEPT],
        (study, "LENGTHS"): (10, 20, 40, 80),
        (study, "HALF_GAPS"): (2.0,),
        (study, "weights"): partial(weights, langevin=ULA(200, step_size=0.02)),
        (sensitivity, "STEPS"): 20,
        (sensitivity, "GRID"): 1024,
    }
    with pytest.MonkeyPatch.context() as patch:
        for (room, name), value in short.items():
            patch.setattr(room, name, value)
        return study.study(3)


def test_the_command_prints_slopes_bounds_and_a_page(found, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("wellposed.jobs.theory.study", lambda seed, watch: found)
    assert main(["theory", "--out", str(tmp_path / "page"), "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "Consistent with the proved bound: PFEuler, DDPM, AcceleratedSDE." in out
    assert "confirm" not in out.lower()
    for told in ("d / T", "d^2 / sqrt(T)", "Langevin", "budget", "Wrong scores", "seed 3"):
        assert told in out
    html = (tmp_path / "page" / "theory.html").read_text()
    assert html.count("<svg") == 7
    kept = json.loads((tmp_path / "page" / "theory.json").read_text())
    assert [rate["entrant"]["name"] for rate in kept["rates"]] == list(KEPT)
    assert kept["splits"][-1]["path"]["score"] > kept["splits"][0]["path"]["score"] == 0


def test_a_sampler_that_is_too_slow_is_named(found):
    first = found.rates[0]
    flat = first.fixed._replace(found=(first.fixed.found[0],) * 4)
    told = _verdict((first._replace(fixed=flat), *found.rates[1:]))
    assert told == "Shallower than the proved bound at these lengths: PFEuler."
