"""``wellposed sample``: what its folder holds, every sampler by name, interruption, refusals."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import wellposed as wp
from wellposed.cli import main
from wellposed.jobs.again import rebuild
from wellposed.jobs.catalogue import methods
from wellposed.jobs.grids import WIDTH, grid
from wellposed.jobs.inputs import digest
from wellposed.jobs.requests import SampleJob
from wellposed.jobs.sample import sample
from wellposed.priors.checkpoint import save_prior
from wellposed.priors.network import MLPConfig, UNetConfig
from wellposed.priors.network.configs import fresh_weights
from wellposed.priors.network.prior import NetworkPrior
from wellposed.rng import Stream

SAMPLERS = [
    m.name
    for m in methods("samplers")
    if hasattr(m.cls, "evaluations_per_step") and m.name != "MALA"  # which needs a density
]


def network(config, shape, scale=0.1):
    """Return a prior with random weights everywhere."""
    weights = {
        name: w + scale * Stream(1).normal(tuple(w.shape), name, dtype=torch.float32)
        for name, w in fresh_weights(config, seed=0).items()
    }
    return NetworkPrior(config, weights, shape, 0.5)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("priors")
    pictures = UNetConfig(1, (8, 8), (1, 1), (1, 1), embedding=8)
    card = {"licence": "CC0", "data": ["dots"], "steps": 12_345}
    save_prior(folder / "dots.safetensors", network(pictures, (1, 16, 8)), card)
    vectors = MLPConfig(size=3, width=8, depth=1)
    save_prior(folder / "points.safetensors", network(vectors, (3,)), {})
    save_prior(folder / "wild.safetensors", network(vectors, (3,), 1e30), {}, half=False)
    return folder


def run(place, out, *options, prior="dots"):
    return main(["sample", str(place / f"{prior}.safetensors"), "--out", str(out), *options])


def test_the_folder(place, tmp_path, capsys):
    out = tmp_path / "a"
    assert run(place, out, "-n", "5", "--steps", "4", "--seed", "3", "--method", "ddim") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "5 grey images of 8 × 16 pixels by DDIM" in told
    assert "4 evaluations" in told
    prior = wp.load_prior(place / "dots.safetensors")
    x = np.load(out / "samples.npy")
    draws = wp.sample(prior, wp.DDIM(4), n=5, seed=3)
    np.testing.assert_array_equal(x, draws.x.numpy())
    summary = json.loads((out / "summary.json").read_text())
    assert summary["draws"]["count"] == 5
    assert summary["draws"]["std"] == pytest.approx(float(draws.x.std(correction=0)), rel=1e-5)
    assert summary["path"] == [1, 2, 3, 4]
    assert json.loads((out / "manifest.json").read_text())["status"] == "complete"
    page = (out / "report.html").read_text()
    assert "12,345" in page
    assert "CC0" in page
    assert "wellposed sample dots.safetensors --n 5 --method ddim --steps 4 --seed 3" in page


def test_pictures_show_the_draws(place, tmp_path):
    run(place, tmp_path / "a", "-n", "5", "--steps", "4")
    x = np.load(tmp_path / "a" / "samples.npy")
    shown = np.asarray(Image.open(tmp_path / "a" / "grid.png"))
    times = WIDTH // (3 * 8)
    assert shown.shape == (2 * 16 * times + 6, 3 * 8 * times + 12, 4)  # two rows of three
    tile = shown[16 * times + 6 :: times, 8 * times + 6 :: times][:16, :8]
    shades = np.round((x[4, 0].clip(-1, 1) + 1) * 127.5)
    np.testing.assert_array_equal(tile[..., 0], shades)
    assert (tile[..., 3] == 255).all()
    assert shown[-1, -1, 3] == 0  # there is no sixth draw
    path = np.asarray(Image.open(tmp_path / "a" / "path.png"))
    times = WIDTH // (5 * 8)
    last = path[::times, -8 * times :: times][:16]
    np.testing.assert_array_equal(last[..., 0], np.round((x[0, 0].clip(-1, 1) + 1) * 127.5))


def test_shades_and_gaps():
    images = np.broadcast_to(np.array([-2.0, 0.0, 0.5])[:, None, None], (3, 3, 400, 600))
    found = grid(images)
    assert found[0, 0].tolist() == [0, 128, 191, 255]
    assert found[0, 603, 3] == 0  # a gap
    assert (found[406:, 606:, 3] == 0).all()  # there is no fourth image


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_by_name(name, place, tmp_path):
    out = tmp_path / name
    code = run(place, out, "-n", "2", "--steps", "4", "--method", name.lower())
    assert code == 0
    assert json.loads((out / "summary.json").read_text())["method"]["name"] == name
    assert np.isfinite(np.load(out / "samples.npy")).all()


def test_vectors_have_a_cloud_instead_of_pictures(place, tmp_path, capsys):
    assert run(place, tmp_path / "a", "-n", "40", prior="points") == 0
    assert not (tmp_path / "a" / "grid.png").exists()
    assert "first two coordinates" in (tmp_path / "a" / "report.html").read_text()
    assert "pictures" not in capsys.readouterr().out


def test_an_interrupted_run_goes_on_to_the_same_bytes(place, tmp_path, monkeypatch):
    job = SampleJob(str(place / "dots.safetensors"), n=40, steps=6)  # two blocks
    whole = sample(job, tmp_path / "whole")
    calls = 0
    denoise = NetworkPrior.denoise

    def stopping(self, z, sigma):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt
        return denoise(self, z, sigma)

    monkeypatch.setattr(NetworkPrior, "denoise", stopping)
    assert run(place, tmp_path / "half", "-n", "40", "--steps", "6") == 4
    assert not (tmp_path / "half" / "samples.npy").exists()
    assert main(["resume", str(tmp_path / "half")]) == 0
    for name in ("samples.npy", "grid.png", "path.png", "summary.json"):
        assert (tmp_path / "half" / name).read_bytes() == (whole.folder / name).read_bytes()


def test_the_report_can_be_built_again(place, tmp_path):
    run(place, tmp_path / "a", "-n", "3", "--steps", "4")
    before = (tmp_path / "a" / "report.html").read_bytes()
    (tmp_path / "a" / "report.html").unlink()
    assert rebuild(tmp_path / "a").read_bytes() == before
    np.save(tmp_path / "a" / "samples.npy", np.zeros(3))
    assert main(["report", str(tmp_path / "a")]) == 2


def test_draws_that_diverge_are_told(place, tmp_path, capsys):
    assert run(place, tmp_path / "a", "-n", "3", "--steps", "4", prior="wild") == 3
    assert "NaN or infinite" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "a" / "report.html").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--method", "ddimm"], "did you mean DDIM?"),
        (["--method", "mala", "--steps", "0"], "steps is 0"),
        (["-n", "0"], "n is 0"),
        (["--size", "9"], "divisible"),
        (["--method", "exponentialou", "--seed", "-1"], "seed is -1"),
        (["--method", "flowlikelihood"], "expected a sampler"),
        (["--method", "mala"], "expected a prior with a density"),
    ],
)
def test_refusals_leave_nothing(options, told, place, tmp_path, capsys):
    assert run(place, tmp_path / "a", *options) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_an_unknown_prior(tmp_path, capsys):
    assert main(["sample", "fashon", "--out", str(tmp_path / "a")]) == 2
    assert "fashion, photo" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_another_prior_in_the_same_place_is_noticed(place, tmp_path, capsys):
    copy = tmp_path / "mine.safetensors"
    shutil.copy(place / "dots.safetensors", copy)
    assert main(["sample", str(copy), "-n", "2", "--steps", "2", "--out", str(tmp_path / "a")]) == 0
    shutil.copy(place / "points.safetensors", copy)
    assert main(["resume", str(tmp_path / "a")]) == 2
    assert "not the file" in capsys.readouterr().err


def test_files_in_subfolders_count(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    before = digest(tmp_path)
    (tmp_path / "unet" / "config.json").write_text("[]")
    assert digest(tmp_path) != before
