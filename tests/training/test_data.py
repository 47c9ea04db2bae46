"""Batches: functions of seed and step, of the right sizes and ranges."""

import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.rng import Stream
from wellposed.training.data import Crops, Rows, held_out, pyramid


def pictures():
    """Each pixel tells its picture, row and column."""
    found = []
    for k, (high, wide) in enumerate([(40, 30), (64, 80), (20, 90)]):
        rows, columns = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
        found.append(torch.stack([torch.full_like(rows, k), rows, columns]).to(torch.uint8))
    return tuple(found)


def seen(x):
    return ((x + 1) * 127.5).round().long()


def test_crops_are_windows_of_pictures_that_are_large_enough():
    source = Crops(pictures(), (16, 32), 2048)
    counts, sizes = torch.zeros(3), set()
    for step in range(200):
        x = source.batch(Stream(1), step)
        assert torch.equal(x, source.batch(Stream(1), step))
        size = x.shape[-1]
        assert x.shape == (2048 // size**2, 3, size, size)
        sizes.add(size)
        for which, rows, columns in seen(x):
            assert which.unique().numel() == 1
            assert torch.equal(rows, rows[:1, :1] + torch.arange(size)[:, None].expand(size, size))
            step_right = columns[0, 1] - columns[0, 0]
            along = step_right * torch.arange(size)
            assert torch.equal(columns, (columns[0, 0] + along).expand(size, size))
            assert size == 16 or which[0, 0] == 1  # only one has 32 pixels on both sides
            counts[which[0, 0]] += size == 16
    assert sizes == {16, 32}
    roots = torch.tensor([1200.0, 5120.0, 1800.0]).sqrt()
    wanted = counts.sum() * roots / roots.sum()
    # chi-squared with 2 degrees of freedom: above 18.4 once in 10,000 times
    assert ((counts - wanted) ** 2 / wanted).sum() < 18.4


def test_half_of_the_crops_are_mirrored():
    x = torch.cat([Crops(pictures(), (16,), 4096).batch(Stream(0), k) for k in range(60)])
    mirrored = (seen(x)[:, 2, 0, 0] > seen(x)[:, 2, 0, 1]).double().mean()
    assert abs(float(mirrored) - 0.5) < 4 * 0.5 / len(x) ** 0.5
    still = Crops(pictures(), (16,), 4096, flips=False).batch(Stream(0), 0)
    assert (seen(still)[:, 2, 0, 0] < seen(still)[:, 2, 0, 1]).all()


def test_every_corner_can_be_reached():
    tops = set()
    for step in range(300):
        tops |= set(
            seen(Crops(pictures()[:1], (30,), 3600).batch(Stream(3), step))[:, 1, 0, 0].tolist()
        )
    assert tops == set(range(11))


def test_crops_larger_than_every_picture_are_refused():
    with pytest.raises(InputError, match="no picture has 128 pixels"):
        Crops(pictures(), (16, 128), 2048)


def test_rows_are_drawn_evenly_and_bytes_become_a_range():
    values = torch.arange(10, dtype=torch.uint8)[:, None] * 25
    x = torch.cat([Rows(values, 50).batch(Stream(0), k) for k in range(100)])
    counts = torch.bincount((seen(x) // 25).flatten(), minlength=10).double()
    assert ((counts - 500) ** 2 / 500).sum() < 33.7  # chi-squared, 9 degrees: 1 in 10,000
    assert (float(x.min()), float(x.max())) == (-1.0, pytest.approx(225 / 127.5 - 1))
    floats = torch.randn(10, 3, generator=Stream(0).generator("x"))
    assert torch.equal(Rows(floats, 4).batch(Stream(0), 0), Rows(floats, 4).batch(Stream(0), 0))


def test_pyramids_halve_the_area_and_keep_the_mean():
    picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    levels = pyramid(picture, 240, 60)
    assert [tuple(level.shape) for level in levels] == [
        (3, 160, 240), (3, 113, 170), (3, 80, 120)
    ]  # fmt: skip
    assert all(abs(float(level.double().mean()) - picture.mean()) < 1 for level in levels)
    assert pyramid(picture[:50], 300, 60) == []
    assert torch.equal(pyramid(picture[..., 0], 300, 200)[0][0], torch.from_numpy(picture[..., 0]))


def test_what_is_held_out_depends_on_names_only():
    names = [f"p{k:02d}" for k in range(24)]
    chosen = {n for n, h in zip(names, held_out(names, 12), strict=True) if h}
    assert chosen == {"p06", "p18"}
    again = names[::-1]
    assert {n for n, h in zip(again, held_out(again, 12), strict=True) if h} == chosen
