"""The table of restorations: its tasks, its scores, its tuning."""

import numpy as np
import torch
from benchmarks import restorations as table
from skimage import data

import wellposed as wp
from wellposed.rng import Stream

SHAPE = (1, 16, 16)
PRIOR = wp.Gaussian(torch.zeros(SHAPE), 0.2)
IMAGES = PRIOR.sample(3, seed=5).float()


def bench(number, **more):
    return table.Bench(table.tasks(SHAPE)[number], PRIOR, None, budget=30, **more)


def test_the_tasks_measure_what_they_say():
    shrunk, phase, bits = table.tasks(SHAPE)
    x = IMAGES[:1]
    assert shrunk.operator.forward(x).shape == (1, 1, 8, 8)
    assert torch.equal(phase.operator.forward(x), phase.operator.forward(-x))
    assert set(bits.noise.simulate(x[0], Stream(0)).unique().tolist()) == {-1.0, 1.0}


def test_scores_resolve_signs_where_the_measurement_does_not_see_them():
    x = IMAGES[0].clamp(-1, 1)
    assert bench(1).scores(-x[None], x)["psnr"] == np.inf
    assert bench(0).scores(-x[None], x)["psnr"] < 20
    assert bench(0).scores(x[None] * np.nan, x)["psnr"] < 20  # a diverged draw is as good as grey
    held = bench(0).scores(PRIOR.sample(200, seed=1).float(), x)["covered"]
    assert abs(held - 0.9) < 0.1


def test_tuning_takes_the_better_setting_and_the_seed_settles_everything():
    good, bad = table.sweeps("ddim", 3, None), table.sweeps("ddim", 3, 0.44)
    assert table.tuned(bench(0), [bad, good], IMAGES) == 1
    assert table.tuned(bench(0), [good, bad], IMAGES) == 0
    first, second = (bench(0).run(good, IMAGES[:1], 0)["psnr"] for _ in range(2))
    assert first == second


def test_photographs_are_cut_into_tiles_that_are_not_flat():
    tiles = table.tiled(data.coffee())
    assert tiles.shape[1:] == (3, 64, 64)
    assert len(tiles) >= 8
    assert float(tiles.flatten(1).std(1).min()) > 0.15
    assert table.spread(10, 4) == [0, 3, 6, 9]
