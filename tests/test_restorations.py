"""The table of restorations: its tasks, its scores, its tuning, its rows."""

import json

import numpy as np
import pytest
import torch
from benchmarks import restorations as table
from benchmarks.photographs import photograph, tiles
from benchmarks.together import Together, draw, measure

import wellposed as wp
from wellposed.posterior import coupling, search
from wellposed.rng import Stream

SHAPE = (1, 16, 16)
PRIOR = wp.Gaussian(torch.zeros(SHAPE), 0.2)
IMAGES = PRIOR.sample(3, seed=5).float()
ABOUT = {"prior": "test"}


def bench(number, path, **more):
    rows = table.Rows.at(path / "rows.json", ABOUT)
    return table.Bench(table.tasks(SHAPE)[number], PRIOR, None, rows, **more)


def test_the_tasks_measure_what_they_say():
    shrunk, phase, bits = table.tasks(SHAPE)
    x = IMAGES[:1]
    assert shrunk.operator.forward(x).shape == (1, 1, 4, 4)
    assert torch.equal(phase.operator.forward(x), phase.operator.forward(-x))
    assert set(bits.noise.simulate(x[0], Stream(0)).unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("name", ["DPnP-DDIM", "DPS", "LGD-MC"])
def test_many_pictures_at_once_are_each_recovered_from_their_own_measurement(
    number, name, monkeypatch
):
    for room in (coupling, search):  # it looks at all measurements
        monkeypatch.setattr(room, "resolution", lambda prior, fit: 0.2)
    work = table.tasks(SHAPE)[number]
    setting = table.settings("photo", work, 24)[name][1]
    method, both = setting.method, setting.on(measure(work.operator, work.noise, IMAGES, 0))
    alone = Together(both.noise, both.ys[:1])
    x = draw(PRIOR, work.operator, both, method, 0).x
    swapped = Together(both.noise, both.ys[[0, 2, 1]])
    other = draw(PRIOR, work.operator, swapped, method, 0).x
    # noise and steps belong to places in the block, data to measurements
    assert torch.equal(x[0], other[0])
    assert not torch.allclose(x[1], other[1], atol=5e-2)
    single = wp.Problem(alone.ys[0], work.operator, both.noise)
    assert torch.allclose(
        both.log_density(single.y, work.operator.forward(x))[:1],
        both.noise.log_density(alone.ys, work.operator.forward(x[:1])),
    )


def test_scores_resolve_signs_where_the_measurement_does_not_see_them(tmp_path):
    x = IMAGES[:1].clamp(-1, 1)
    assert bench(1, tmp_path).scores(-x[None], x)["psnr"] == [np.inf]
    assert bench(0, tmp_path).scores(-x[None], x)["psnr"][0] < 20
    grey = bench(0, tmp_path).scores(x[None] * np.nan, x)["psnr"][0]  # diverged
    assert grey < 20
    exact = PRIOR.sample(3 * 500, seed=1).float().reshape(500, 3, *SHAPE)
    truths = PRIOR.sample(500, seed=2).float()
    held = np.mean(bench(0, tmp_path).scores(exact, truths)["covered"])
    # between the least and the largest of three exact draws: (3 - 1) / (3 + 1)
    assert held == pytest.approx(0.5, abs=0.01)


def test_tuning_takes_the_better_setting_and_rows_outlive_the_process(tmp_path):
    good, bad = (table.Setting(wp.DPS(steps=15, zeta=zeta)) for zeta in (1.0, 100.0))
    assert bench(0, tmp_path).tuned([bad, good], IMAGES) is good
    kept = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert len(kept) == 2
    again = bench(0, tmp_path)
    assert again.rows.kept == kept
    assert again.tuned([good, bad], IMAGES) is good
    fresh = again._run(good, IMAGES, "tune")
    key = f"super-resolution | tune | {good!r}"
    assert fresh["psnr"] == kept[key]["psnr"]
    assert table.Rows.at(tmp_path / "rows.json", {"prior": "another"}).kept == {}


def test_photographs_are_cut_into_tiles_that_are_not_flat():
    found = tiles(photograph("coffee"))
    assert found.shape[1:] == (3, 64, 64)
    assert len(found) >= 8
    assert float(found.flatten(1).std(1).min()) > 0.15
    assert table.spread(10, 4) == [0, 3, 6, 9]


def test_every_method_has_five_settings_and_a_temperature_sharpens_the_data():
    for prior in table.SHAPES:
        for work in table.tasks(SHAPE):
            for name, among in table.settings(prior, work, 120).items():
                assert len({repr(setting) for setting in among}) == 5, name
    work = table.tasks(SHAPE)[0]
    seen = measure(work.operator, work.noise, IMAGES, 0)
    mean = work.operator.forward(IMAGES)
    cold = table.Setting(None, 0.5).on(seen)
    assert torch.allclose(cold.gradient(mean, mean), 2 * seen.gradient(mean, mean))
    assert table.Setting(None).on(seen) is seen
