"""What a training learns from: every kind of data, split and brought into form."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from wellposed.errors import FileError, InputError, StoreError
from wellposed.jobs.material import gather
from wellposed.jobs.requests import TrainJob, from_plain, to_plain
from wellposed.jobs.train import train
from wellposed.priors.load import load_prior
from wellposed.rng import Stream

RNG = np.random.default_rng(0)


def array(tmp_path, values, name="x.npy"):
    np.save(tmp_path / name, values)
    return str(tmp_path / name)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    for k in range(14):
        shape = (40 + k, 50) if k == 3 else (40 + k, 50, 3)  # one is grey
        pixels = RNG.integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{k}.png")
    return str(tmp_path / "pictures")


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((40, 28, 28), (1, 32, 32)), ((40, 8, 10, 3), (3, 8, 16)), ((40, 3, 8, 16), (3, 8, 16)),
        ((40, 5, 5, 1), (1, 8, 8)),
    ],
)  # fmt: skip
def test_images_of_one_size_get_a_black_border(tmp_path, shape, seen):
    material = gather(TrainJob((array(tmp_path, RNG.integers(1, 256, shape, np.uint8)),), batch=5))
    x = material.source.batch(Stream(0), 0)
    assert x.shape == (5, *seen)
    assert material.shape == seen
    assert material.counts == (37, 3)
    black = (x == -1).all(0).all(0).double().sum()
    sides = [n for n in shape[1:] if n > 3]
    assert black == seen[1] * seen[2] - sides[0] * sides[1]
    assert sum(len(b) for b in material.checks) == 3


def test_vectors_stay_as_they_are_and_their_spread_is_measured(tmp_path):
    values = 3 * RNG.standard_normal((4000, 5))
    material = gather(TrainJob((array(tmp_path, values),)))
    assert material.shape == (5,)
    assert material.sigma_data == pytest.approx(3, rel=0.1)
    assert gather(TrainJob((array(tmp_path, values),), sigma_data=2.0)).sigma_data == 2.0
    assert sum(len(b) for b in material.checks) == 333


def test_npz_and_idx_files_and_several_files_at_once(tmp_path):
    pixels = RNG.integers(0, 256, (30, 8, 8), np.uint8)
    np.savez(tmp_path / "x.npz", images=pixels)
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 30, 8, 8)
    (tmp_path / "x.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
    (tmp_path / "x-idx3").write_bytes(head + pixels.tobytes())
    names = [str(tmp_path / n) for n in ("x.npz", "x.gz", "x-idx3")]
    assert len({gather(TrainJob((name,))).digest for name in names}) == 1
    assert gather(TrainJob(tuple(names))).counts == (83, 7)


def test_pictures_are_cut_into_crops_and_held_out_whole(folder):
    material = gather(TrainJob((folder,), batch=4, crops=(32, 16), holdout=7))
    assert material.shape == (3, 16, 16)
    assert material.counts == (12, 2)
    shapes = {tuple(material.source.batch(Stream(0), k).shape) for k in range(20)}
    assert shapes == {(4, 3, 32, 32), (16, 3, 16, 16)}
    assert {tuple(b.shape[1:]) for b in material.checks} <= {(3, 32, 32), (3, 16, 16)}
    learnt = torch.cat([p.flatten() for p in material.source.pyramids])
    assert learnt.dtype == torch.uint8


def test_a_folder_of_pictures_becomes_a_prior_with_the_command_line_of_its_card(folder, tmp_path):
    job = TrainJob((folder,), steps=2, batch=2, crops=(16, 32), holdout=7, sigma_data=0.5)
    done = train(job, tmp_path / "prior")
    assert load_prior(done.folder).shape == (3, 16, 16)
    assert done.summary["card"]["signals"] == [12, 2]
    assert "--crops 16 --crops 32" in done.summary["card"]["command"]
    kept = from_plain("train", to_plain(job))
    assert kept == job
    assert "Training of a prior" in (done.folder / "report.html").read_text()
    with Image.open(done.folder / "samples.png") as picture:
        assert picture.size[0] > 100


def test_data_that_changed_are_not_gone_on_with(tmp_path):
    job = TrainJob((array(tmp_path, RNG.standard_normal((40, 2))),), steps=2, digest="0" * 64)
    with pytest.raises(StoreError, match="are not those"):
        train(job, tmp_path / "prior")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((3, 4)), "expected at least 12 rows"),
        (np.zeros(50), "expected at least 12 rows"),
        (np.full((50, 2), np.nan), "NaN"),
        (RNG.standard_normal((50, 2, 5, 5)), "unet does not take|divisible by"),
    ],
)
def test_data_that_cannot_be_learnt_from_are_refused(tmp_path, values, told):
    with pytest.raises(InputError, match=told):
        train(TrainJob((array(tmp_path, values),), steps=1), tmp_path / "prior")
    assert not (tmp_path / "prior").exists()


def test_mixed_unknown_and_missing_data_are_refused(tmp_path, folder):
    (tmp_path / "x.txt").write_text("1,2\n")
    two = array(tmp_path, np.zeros((50, 2)), "2.npy"), array(tmp_path, np.zeros((50, 3)), "3.npy")
    with pytest.raises(InputError, match="several kinds"):
        gather(TrainJob(two))
    with pytest.raises(InputError, match="several kinds"):
        gather(TrainJob((folder, two[0])))
    with pytest.raises(FileError, match="neither"):
        gather(TrainJob((str(tmp_path / "x.txt"),)))
    with pytest.raises(FileError, match="cannot be read"):
        gather(TrainJob(("nothing",)))
    with pytest.raises(InputError, match="holds no images"):
        gather(TrainJob(("temperatures",)))
    for wrong in ({"data": ()}, {"crops": ()}, {"holdout": 1}, {"minutes": 0}, {"rate": -1.0}):
        with pytest.raises(InputError):
            TrainJob(**({"data": ("x",)} | wrong))


def test_networks_fit_the_signals():
    from wellposed.training.networks import NAMES, network_named

    for name in NAMES:
        config = network_named(name, (4,) if name == "mlp" else (1, 32, 32))
        assert isinstance(config.build(), torch.nn.Module)
    for name, shape in (("mlp", (1, 8, 8)), ("unet", (8,)), ("cnn", (1, 8, 8)), ("dit", (1, 9, 9))):
        with pytest.raises(InputError):
            network_named(name, shape)
