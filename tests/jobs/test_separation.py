"""Separating a stack: exact masks on clips whose parts are known, ranks, missing pixels."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from wellposed.errors import InputError
from wellposed.jobs.background import Trial, choose_rank, chosen
from wellposed.jobs.previews import Layered, panels, write_previews
from wellposed.jobs.requests import SeparateJob
from wellposed.jobs.separate import separate
from wellposed.rng import Stream

FRAMES, HIGH, WIDE = 24, 16, 20


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("wellposed.jobs.folder.write_report", lambda folder: folder)


def clip(noise=0.005, lamps=1, seed=0):
    """A background in changing light, a bright block that crosses it, and where that is."""
    draw = Stream(seed)
    time = torch.linspace(0, 6, FRAMES, dtype=torch.float64)
    blinking = (torch.arange(FRAMES) // 3 % 2).to(time)
    light = torch.stack([1 + 0.1 * time.sin(), blinking])[:lamps]
    scene = 0.1 + 0.3 * draw.uniform((lamps, HIGH, WIDE), "scene")
    frames = torch.einsum("lt,lhw->thw", light, scene)
    frames = (frames + noise * draw.normal(frames.shape, "noise")).numpy()
    moving = np.zeros(frames.shape, bool)
    for t in range(FRAMES):
        at = t * (WIDE - 4) // FRAMES
        moving[t, 5:9, at : at + 3] = True
    return np.where(moving, 0.95, frames), moving


def run(tmp_path, frames, name="clip", **options):
    np.save(tmp_path / f"{name}.npy", frames)
    done = separate(SeparateJob(str(tmp_path / f"{name}.npy"), **options), tmp_path / name)
    arrays = np.load(tmp_path / name / "separated.npz")
    return done, {k: arrays[k] for k in arrays}


def test_what_moves_is_found_exactly(tmp_path):
    frames, moving = clip()
    done, found = run(tmp_path, frames)
    assert done.ok
    assert done.summary["settings"]["rank"] == 1
    assert np.array_equal(found["mask"] & moving, moving)
    assert (found["mask"] & ~moving).mean() < 1e-3  # five sigma of a noise that is Gaussian
    still, _ = clip(noise=0.0)
    behind = np.where(moving, np.nan, still)
    assert np.nanmax(np.abs(found["background"] - behind)) < 0.01


def test_the_layers_add_up(tmp_path):
    frames, _ = clip()
    done, found = run(tmp_path, frames, rank=1)
    off = frames.astype(np.float32) - found["background"]
    threshold = done.summary["layers"]["threshold"]
    assert np.array_equal(found["mask"], np.abs(off) > threshold)
    assert np.array_equal(found["foreground"], np.where(found["mask"], off, np.float32(0)))
    noise = 1.4826 * np.median(np.abs(off))
    assert threshold == pytest.approx(max(5 * noise, 0.01 * float(np.ptp(frames))), rel=1e-3)
    _, given = run(tmp_path, frames, "given", rank=1, threshold=0.3)
    assert np.array_equal(given["mask"], np.abs(off) > 0.3)


def test_missing_pixels_are_filled_and_never_foreground(tmp_path):
    frames, moving = clip()
    lost = Stream(9).uniform(frames.shape, "lost").numpy() < 0.2
    _, found = run(tmp_path, np.where(lost, np.nan, frames), rank=1)
    assert not found["mask"][lost].any()
    assert (found["foreground"][lost] == 0).all()
    still, _ = clip(noise=0.0)
    assert np.abs(found["background"] - still)[lost & ~moving].max() < 0.02
    assert np.isfinite(found["background"]).all()


def test_colour_frames_keep_their_shape(tmp_path):
    frames, moving = clip()
    colour = np.stack([frames, 0.8 * frames, 0.6 * frames], -1)
    done, found = run(tmp_path, (255 * colour).round().astype(np.uint8), rank=1)
    assert found["mask"].shape == colour.shape
    assert found["background"].max() <= 1.01  # eight-bit frames are told from 0 to 1
    assert found["mask"].any(-1)[moving].all()
    share = done.summary["layers"]["foreground_share"]
    assert share == found["mask"].any(-1).mean()  # of pixels, whatever their colours
    assert done.summary["stack"]["channels"] == 3


@pytest.mark.parametrize("lamps", [1, 2])
def test_the_rank_is_that_of_the_light(lamps):
    frames, _ = clip(lamps=lamps)
    trials = choose_rank(torch.from_numpy(frames.reshape(FRAMES, -1).T.copy()), 0)
    assert chosen(trials) == lamps


def test_a_rank_is_taken_only_if_it_is_worth_it():
    assert chosen([Trial(1, 1.0), Trial(2, 0.71), Trial(3, 0.1)]) == 1
    assert chosen([Trial(1, 1.0), Trial(2, 0.69), Trial(3, 0.5)]) == 2


def test_a_moving_camera_is_said_to_be_one(tmp_path):
    frames = Stream(4).uniform((10, 12, 12), "everything moves").numpy()
    done, _ = run(tmp_path, frames, rank=1, threshold=0.05)
    assert "the camera may move" in done.summary["warnings"][0]


@pytest.mark.parametrize(
    ("options", "told"),
    [({"rank": 30}, "rank is 30, expected at most 24"), ({"max_frames": 2}, "2 frame")],
)
def test_what_cannot_be_is_refused(options, told, tmp_path):
    frames, _ = clip()
    with pytest.raises(InputError, match=told):
        run(tmp_path, frames, **options)
    assert not (tmp_path / "clip").exists()


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("wellposed.jobs.separate.LARGEST", 1000)
    with pytest.raises(InputError, match="the limit is 1,000"):
        run(tmp_path, clip()[0])


def test_the_same_stack_gives_the_same_bytes(tmp_path):
    frames, _ = clip()
    for name in ("a", "b"):
        run(tmp_path, frames, name)
    for file in ("separated.npz", "preview.png", "preview.gif"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    one, other = (json.loads((tmp_path / n / "summary.json").read_text()) for n in "ab")
    assert one["layers"] == other["layers"]


def test_previews_show_frame_background_and_foreground(tmp_path):
    frames, moving = clip(noise=0.0)
    still = np.where(moving, 0.2, frames)
    write_previews(tmp_path, Layered(frames, still, moving))
    strip = np.asarray(Image.open(tmp_path / "preview.png"), float) / 255
    times = 240 // WIDE
    assert strip.shape == (3 * HIGH * times + 12, 5 * WIDE * times + 24)
    with Image.open(tmp_path / "preview.gif") as animation:
        assert animation.n_frames == FRAMES
        assert animation.size == (3 * WIDE * times + 12, HIGH * times)
    told, behind, before = (p[:: times, :: times, 0] / 255 for p in panels(
        Layered(frames, still, moving), 7, (0.0, 1.0)))  # fmt: skip
    assert np.abs(told - frames[7]).max() < 1 / 255
    assert np.abs(behind - still[7]).max() < 1 / 255
    assert np.array_equal(before < 0.85, np.zeros_like(moving[7]))  # the block is bright
    assert (before[moving[7]] == told[moving[7]]).all()
    assert np.abs(before - (0.86 + 0.12 * still[7]))[~moving[7]].max() < 1 / 255


def test_large_frames_are_shrunk_by_averaging(tmp_path):
    frames = np.repeat(np.linspace(0, 1, 1000)[None, :], 10, 0)[None].repeat(3, 0)
    told = panels(Layered(frames, frames, np.zeros(frames.shape, bool)), 0, (0.0, 1.0))[0]
    assert told.shape == (3, 333, 3)
    assert told[0, 0, 0] == round(255 * frames[0, 0, :3].mean())
