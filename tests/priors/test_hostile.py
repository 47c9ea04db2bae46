"""Checkpoints that mean harm, or are broken: refused quickly, with our error, running nothing."""

import io
import json
import pathlib
import shutil
import time
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

import wellposed as wp
from wellposed.errors import FileError
from wellposed.priors.checkpoint import save_prior
from wellposed.priors.foreign.config import ForeignConfig
from wellposed.priors.foreign.conversion import Untold, convert
from wellposed.priors.foreign.prior import ForeignPrior
from wellposed.priors.network import UNetConfig
from wellposed.priors.network.configs import fresh_weights
from wellposed.priors.network.prior import NetworkPrior
from wellposed.schedules import linear_chain

SECONDS = 2.0  # of processor time: others may use the machine too
WEIGHTS = "diffusion_pytorch_model.safetensors"
CONFIG = {
    "_class_name": "UNet2DModel", "sample_size": 8, "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "DownBlock2D"], "layers_per_block": 1,
    "up_block_types": ["UpBlock2D", "UpBlock2D"], "norm_num_groups": 4, "add_attention": False,
}  # fmt: skip
ARCHITECTURE = ForeignConfig(
    3, 3, (8, 16), 1, down=("conv",), up=("conv",), groups=4, middle_attention=False
)


@pytest.fixture
def folder(tmp_path):
    """Return a sound diffusers folder."""
    save_file(fresh_weights(ARCHITECTURE, seed=0), tmp_path / WEIGHTS)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "scheduler_config.json").write_text("{}")
    wp.load_prior(tmp_path)
    return tmp_path


def refused(load, *told):
    start = time.process_time()
    with pytest.raises(FileError) as caught:
        load()
    assert time.process_time() - start < SECONDS
    assert all(word in str(caught.value) for word in told), str(caught.value)


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_payload_is_not_run(legacy, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "net.pt"
    tree = {"input_blocks.0.0.weight": Payload(mark), "out.2.weight": torch.zeros(1)}
    torch.save(tree, path, _use_new_zipfile_serialization=not legacy)
    refused(lambda: convert(path, Untold()), "net.pt")
    with pytest.raises(wp.WellposedError) as caught:
        convert(path, Untold())
    assert "False" not in str(caught.value)  # torch's advice to run what is in the file
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()  # it would have worked


def test_a_payload_beside_the_weights_is_not_run(folder):
    mark = folder / "mark"
    torch.save({"x": Payload(mark)}, folder / "diffusion_pytorch_model.bin")
    wp.load_prior(folder)
    (folder / WEIGHTS).unlink()
    refused(lambda: wp.load_prior(folder), "0 safetensors files")
    assert not mark.exists()


def test_a_bomb_is_not_unpacked(tmp_path):
    path, plain = tmp_path / "bomb.pt", io.BytesIO()
    torch.save({"a": torch.zeros(1 << 20)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in source.namelist():
            bomb.writestr(name, source.read(name))
    assert path.stat().st_size < 1 << 17
    refused(lambda: convert(path, Untold()), "compressed")


def test_a_tensor_larger_than_its_file(tmp_path):
    path = tmp_path / "wide.pt"
    torch.save({"enc.8x8_conv.weight": torch.zeros(1).expand(10**6, 10**5)}, path)
    refused(lambda: convert(path, Untold()), "larger than the file")


@pytest.mark.parametrize("tree", [[1, 2], {}, {"a": 3}, {"a": torch.zeros(2, dtype=torch.int64)}])
def test_no_weights(tree, tmp_path):
    torch.save(tree, tmp_path / "net.pt")
    refused(lambda: convert(tmp_path / "net.pt", Untold()), "net.pt")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated(share, folder):
    data = (folder / WEIGHTS).read_bytes()
    for name in (WEIGHTS, "net.safetensors", "net.pt"):
        (folder / name).write_bytes(data[: int(share * len(data))])
    refused(lambda: wp.load_prior(folder / "net.safetensors"), "net.safetensors")
    refused(lambda: convert(folder / "net.safetensors", Untold()), "net.safetensors")
    refused(lambda: convert(folder / "net.pt", Untold()), "net.pt")
    (folder / "net.safetensors").unlink()
    refused(lambda: wp.load_prior(folder), WEIGHTS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value, folder):
    weights = load_file(folder / WEIGHTS)
    weights["conv_in.bias"][0] = value
    save_file(weights, folder / WEIGHTS)
    refused(lambda: wp.load_prior(folder), "conv_in.bias", "NaN")


def test_wrong_shapes(folder):
    weights = load_file(folder / WEIGHTS)
    weights["conv_in.bias"] = torch.zeros(9)
    save_file(weights, folder / WEIGHTS)
    refused(lambda: wp.load_prior(folder), "conv_in.bias", "[9]", "[8]")
    del weights["conv_in.bias"]
    save_file(weights, folder / WEIGHTS)
    refused(lambda: wp.load_prior(folder), "conv_in.bias", "missing")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"block_out_channels": [12_000, 16_000]}, "shape"),  # 200 GB
        ({"block_out_channels": [10**9, 10**9]}, "widths[0]"),
        ({"layers_per_block": 10**9}, "blocks"),
        ({"block_out_channels": [8] * 10**4}, "levels"),
        ({"sample_size": 10**6}, "pixels on a side"),
        ({"time_embedding_dim": 10**12}, "time_width"),
        ({"block_out_channels": "8"}, "list"),
        ({"block_out_channels": [8, None]}, "widths[1]"),
        ({"block_out_channels": [7, 14]}, "groups"),
        ({"norm_eps": "1e-5"}, "norm_eps"),
        ({"norm_num_groups": None, "sample_size": None}, "sample_size"),
        ({"down_block_types": ["FlashBlock", "DownBlock2D"]}, "FlashBlock"),
        ({"down_block_types": [["DownBlock2D"], "DownBlock2D"]}, "DownBlock2D"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"act_fn": "__import__('os')"}, "act_fn"),
        ({"_class_name": "UNet2DConditionModel"}, "UNet2DConditionModel"),
        ({"layers_per_block": True}, "blocks"),
    ],
)
def test_a_config_that_asks_for_too_much(values, told, folder):
    change(folder / "config.json", **values)
    refused(lambda: wp.load_prior(folder), told)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"num_train_timesteps": 10**12}, "num_train_timesteps"),
        ({"beta_end": 2.0}, "beta_end"),
        ({"beta_start": "0"}, "beta_start"),
        ({"trained_betas": [0.1, "x"]}, "trained_betas"),
        ({"trained_betas": [0.1, 7.0]}, "beta"),
        ({"beta_schedule": "exec"}, "beta_schedule"),
        ({"prediction_type": ["epsilon"]}, "prediction_type"),
        ({"_class_name": "ScoreSdeVeScheduler"}, "fourier"),
    ],
)
def test_a_scheduler_that_makes_no_sense(values, told, folder):
    change(folder / "scheduler_config.json", **values)
    refused(lambda: wp.load_prior(folder), told)


@pytest.mark.parametrize("text", ["", "[]", "{" * 10**5, '{"a":' * 10**5, "[" * 10**5, " " * 2**21])
def test_a_config_that_is_no_object(text, folder):
    (folder / "config.json").write_text(text)
    refused(lambda: wp.load_prior(folder), "config.json")


def test_no_schedule(folder):
    (folder / "scheduler_config.json").unlink()
    refused(lambda: wp.load_prior(folder), "scheduler_config.json")


def foreign_file(path):
    weights = fresh_weights(ARCHITECTURE, seed=0)
    prior = ForeignPrior(ARCHITECTURE, weights, (3, 8, 8), "eps", linear_chain(10))
    save_prior(path, prior, {}, half=False)


def own_file(path):
    config = UNetConfig(1, (8, 8), (1, 1), (1, 1), embedding=8)
    weights = fresh_weights(config, seed=0)
    save_prior(path, NetworkPrior(config, weights, (1, 8, 8), 0.5), {})


@pytest.mark.parametrize("write", [foreign_file, own_file])
@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c["network"].update(widths=[60_000, 60_000]),
        lambda c: c["network"].update(widths=[10**12, 8]),
        lambda c: c["network"].update(kind="os.system"),
        lambda c: c["network"].update(extra=1),
        lambda c: c.update(shape=[3, 10**9, 10**9], sigma_data="x"),
        lambda c: c.update(predicts="everything", betas=[0.1]),
        lambda c: c.update(predicts="eps", betas=[9.0, 9.0, 9.0]),
        lambda c: c.pop("network"),
    ],
)
def test_a_prior_file_that_lies(write, edit, tmp_path):
    write(tmp_path / "good.safetensors")
    wp.load_prior(tmp_path / "good.safetensors")
    raw = (tmp_path / "good.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    config = json.loads(header["__metadata__"]["config"])
    edit(config)
    header["__metadata__"]["config"] = json.dumps(config)
    told = json.dumps(header).encode()
    path = tmp_path / "bad.safetensors"
    path.write_bytes(len(told).to_bytes(8, "little") + told + raw[8 + size :])
    refused(lambda: wp.load_prior(path), "bad.safetensors")


def test_a_foreign_prior_comes_back(tmp_path):
    foreign_file(tmp_path / "a.safetensors")
    prior = wp.load_prior(tmp_path / "a.safetensors")
    weights = fresh_weights(ARCHITECTURE, seed=0)
    same = ForeignPrior(ARCHITECTURE, weights, (3, 8, 8), "eps", linear_chain(10))
    z = torch.ones(2, 3, 8, 8)
    assert torch.equal(prior.denoise(z, 0.05), same.denoise(z, 0.05))
    shutil.copy(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert wp.load_prior(tmp_path / "b.safetensors", shape=(3, 16, 8)).shape == (3, 16, 8)
