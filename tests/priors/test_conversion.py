"""Checkpoints of ADM and EDM under their original key names, against references written apart.

The weights are synthetic: original files were never at hand.
"""

import pytest
import reference_nets as reference
import torch

import wellposed as wp
from wellposed.cli import main
from wellposed.priors.checkpoint import read_card
from wellposed.priors.foreign.adm import from_adm
from wellposed.priors.foreign.conversion import Untold, convert
from wellposed.priors.foreign.edm import from_edm
from wellposed.rng import Stream
from wellposed.schedules import cosine_chain, linear_chain


class Table(dict):
    """A state dict under construction, filled with small random numbers."""

    def add(self, name, *shape, bias=True):
        draw = Stream(7)
        scale = 0.5 / max(1, torch.Size(shape[1:]).numel()) ** 0.5
        offset = 1.0 if len(shape) == 1 else 0.0  # gains of normalisations
        noise = draw.normal(shape, f"{name} weight", dtype=torch.float32)
        self[f"{name}.weight"] = offset + (scale if offset == 0 else 0.1) * noise
        if bias:
            drawn = draw.normal(shape[:1], f"{name} bias", dtype=torch.float32)
            self[f"{name}.bias"] = 0.1 * drawn


def adm_block(w, name, a, b, time, shifts):
    w.add(f"{name}.in_layers.0", a)
    w.add(f"{name}.in_layers.2", b, a, 3, 3)
    w.add(f"{name}.emb_layers.1", 2 * b if shifts else b, time)
    w.add(f"{name}.out_layers.0", b)
    w.add(f"{name}.out_layers.3", b, b, 3, 3)
    if a != b:
        w.add(f"{name}.skip_connection", b, a, 1, 1)


def adm_attention(w, name, c):
    w.add(f"{name}.norm", c)
    w.add(f"{name}.qkv", 3 * c, c, 1)
    w.add(f"{name}.proj_out", c, c, 1)


def adm_weights(mults=(1, 2), blocks=2, attention=(False, True), *, residual=True, shifts=True):
    """Return a state dict as the constructor of that U-Net would lay it out."""
    w, base, time = Table(), 32, 128
    halving = set()
    w.add("time_embed.0", time, base)
    w.add("time_embed.2", time, time)
    w.add("input_blocks.0.0", base, 3, 3, 3)
    widths, c, k = [base], base, 1
    for level, mult in enumerate(mults):
        for _ in range(blocks):
            adm_block(w, f"input_blocks.{k}.0", c, mult * base, time, shifts)
            c = mult * base
            if attention[level]:
                adm_attention(w, f"input_blocks.{k}.1", c)
            widths.append(c)
            k += 1
        if level < len(mults) - 1:
            if residual:
                adm_block(w, f"input_blocks.{k}.0", c, c, time, shifts)
                halving.add(f"input_blocks.{k}")
            else:
                w.add(f"input_blocks.{k}.0.op", c, c, 3, 3)
            widths.append(c)
            k += 1
    adm_block(w, "middle_block.0", c, c, time, shifts)
    adm_attention(w, "middle_block.1", c)
    adm_block(w, "middle_block.2", c, c, time, shifts)
    k = 0
    for level, mult in reversed(list(enumerate(mults))):
        for place in range(blocks + 1):
            adm_block(w, f"output_blocks.{k}.0", c + widths.pop(), mult * base, time, shifts)
            c = mult * base
            if attention[level]:
                adm_attention(w, f"output_blocks.{k}.1", c)
            if level and place == blocks:
                part = 2 if attention[level] else 1
                if residual:
                    adm_block(w, f"output_blocks.{k}.{part}", c, c, time, shifts)
                else:
                    w.add(f"output_blocks.{k}.{part}.conv", c, c, 3, 3)
            k += 1
    w.add("out.0", c)
    w.add("out.2", 6, c, 3, 3)
    return w, halving


def edm_block(w, name, a, b, song, attention=False, change=False):
    w.add(f"{name}.norm0", a)
    w.add(f"{name}.conv0", b, a, 3, 3)
    if change:
        w[f"{name}.conv0.resample_filter"] = torch.full((1, 1, 2, 2), 0.25)
    w.add(f"{name}.affine", b if song else 2 * b, 128)
    w.add(f"{name}.norm1", b)
    w.add(f"{name}.conv1", b, b, 3, 3)
    if a != b or (song and change):
        w.add(f"{name}.skip", b, a, 1, 1)
    if attention:
        w.add(f"{name}.norm2", b)
        w.add(f"{name}.qkv", 3 * b, b, 1, 1)
        w.add(f"{name}.proj", b, b, 1, 1)


def edm_weights(song, mults=(1, 2), blocks=2, side=8):
    """Return a state dict of SongUNet (DDPM++) or DhariwalUNet (ADM) with attention at the end."""
    w, base = Table(), 32 if song else 64
    w.add("map_layer0", 128, base)
    w.add("map_layer1", 128, 128)
    w.add("map_augment", 128, 9, bias=False)
    w.add(f"enc.{side}x{side}_conv", base, 3, 3, 3)
    widths, c = [base], base
    last = len(mults) - 1
    for level, mult in enumerate(mults):
        at = f"{side >> level}x{side >> level}"
        if level:
            edm_block(w, f"enc.{at}_down", c, c, song, change=True)
            widths.append(c)
        for k in range(blocks):
            edm_block(w, f"enc.{at}_block{k}", c, mult * base, song, attention=level == last)
            c = mult * base
            widths.append(c)
    for level, mult in reversed(list(enumerate(mults))):
        at = f"{side >> level}x{side >> level}"
        if level == last:
            edm_block(w, f"dec.{at}_in0", c, c, song, attention=True)
            edm_block(w, f"dec.{at}_in1", c, c, song)
        else:
            edm_block(w, f"dec.{at}_up", c, c, song, change=True)
        for k in range(blocks + 1):
            wanted = level == last and (not song or k == blocks)
            edm_block(w, f"dec.{at}_block{k}", c + widths.pop(), mult * base, song, wanted)
            c = mult * base
    norm, conv = (f"dec.{at}_aux_norm", f"dec.{at}_aux_conv") if song else ("out_norm", "out_conv")
    w.add(norm, c)
    w.add(conv, 3, c, 3, 3)
    return w


def images():
    return Stream(5).normal((2, 3, 8, 8), "images", dtype=torch.float32)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("shifts", [False, True])
def test_adm_forward(residual, shifts, chunked):
    w, halving = adm_weights(residual=residual, shifts=shifts)
    config, weights = from_adm(w, head_width=16, chunked=chunked)
    network = config.build()
    network.load_state_dict(weights)
    t = torch.tensor([3.0, 700.0])
    with torch.no_grad():
        told = reference.adm(w | {"halving": halving}, images(), t, 32, 16, chunked)
        torch.testing.assert_close(network(images(), t), told, rtol=1e-5, atol=1e-5)
        wrong = reference.adm(w | {"halving": halving}, images(), t, 32, 16, not chunked)
    assert float((wrong - told).abs().max()) > 1e-3


def test_adm_with_three_levels_and_attention_in_the_middle_level():
    w, halving = adm_weights((1, 1, 2), 1, (False, True, False))
    config, weights = from_adm(w, head_width=None, heads=2)
    assert config.widths == (32, 32, 64)
    assert config.down_attention == (False, True, False)
    network = config.build()
    network.load_state_dict(weights)
    t = torch.tensor([3.0, 700.0])
    # two heads for 32 channels are 16 wide; the middle has 32
    with torch.no_grad():
        told = network(images(), t)
        config16, _ = from_adm(w, head_width=16)
        other = config16.build()
        other.load_state_dict(from_adm(w, head_width=16)[1])
        wanted = reference.adm(w | {"halving": halving}, images(), t, 32, 16)
        torch.testing.assert_close(other(images(), t), wanted, rtol=1e-5, atol=1e-5)
        assert float((told - wanted).abs().max()) > 1e-3


@pytest.mark.parametrize("song", [True, False])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_edm_forward(song, prefix):
    w = edm_weights(song)
    config, side, weights = from_edm({prefix + name: value for name, value in w.items()})
    assert side == 8
    network = config.build()
    network.load_state_dict(weights)
    noise = torch.tensor([-1.5, 0.7])
    with torch.no_grad():
        told = reference.edm(w, images(), noise, 32 if song else 64, song)
        torch.testing.assert_close(network(images(), noise), told, rtol=1e-5, atol=1e-5)


def test_edm_denoiser(tmp_path):
    w = edm_weights(song=True)
    torch.save(dict(w), tmp_path / "net.pt")
    prior, table = convert(tmp_path / "net.pt", Untold())
    assert table == "EDM"
    z, sigma = 3 * images(), torch.tensor([0.5, 20.0])
    s = sigma.reshape(-1, 1, 1, 1)
    f = reference.edm(w, z / (s**2 + 0.25).sqrt(), sigma.log() / 4, 32, song=True)
    told = 0.25 / (s**2 + 0.25) * z + 0.5 * s / (s**2 + 0.25).sqrt() * f
    torch.testing.assert_close(prior.denoise(z, sigma), told, rtol=1e-5, atol=1e-5)


def test_adm_denoiser_after_the_command(tmp_path, capsys):
    w, halving = adm_weights()
    torch.save({"ema": dict(w)}, tmp_path / "model.pt")
    out = tmp_path / "prior.safetensors"
    words = ["convert", str(tmp_path / "model.pt"), "--out", str(out), "--size", "8",
             "--head-width", "16", "--schedule", "cosine"]  # fmt: skip
    assert main(words) == 0
    assert "not tested on original" in " ".join(capsys.readouterr().out.split())
    prior, chain = wp.load_prior(out), cosine_chain(1000)
    z, t = 2 * images(), 400
    x = chain.a[t + 1] * z
    eps = reference.adm(w | {"halving": halving}, x, torch.full((2,), float(t)), 32, 16)[:, :3]
    told = (x - chain.b[t + 1] * eps) / chain.a[t + 1]
    torch.testing.assert_close(prior.denoise(z, chain.sigma[t + 1]), told, rtol=1e-5, atol=1e-5)
    assert read_card(out)["table"] == "ADM"
    assert len(wp.sample(prior, wp.DDIM(2), n=1, out=tmp_path / "run").x) == 1


def test_the_linear_chain_scales_with_its_length():
    assert Untold(steps=1000).chain == linear_chain(1000)
    short, long = Untold(steps=500).chain, Untold(steps=1000).chain
    assert short.sigma[500] == pytest.approx(long.sigma[1000], rel=0.1)


def refused(weights, tmp_path, *options):
    torch.save(dict(weights), tmp_path / "net.pt")
    return main(["convert", str(tmp_path / "net.pt"), "--out", str(tmp_path / "p.safetensors"),
                 *options])  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"label_emb.weight": torch.zeros(10, 128)}, "class labels"),
        ({"input_blocks.1.0.odd.weight": torch.zeros(1)}, "none of an ADM network"),
    ],
)
def test_other_adm_networks_are_refused(extra, told, tmp_path, capsys):
    assert refused(adm_weights()[0] | extra, tmp_path, "--size", "8", "--head-width", "16") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "p.safetensors").exists()


def test_what_is_not_told_must_be_said(tmp_path, capsys):
    assert refused(adm_weights()[0], tmp_path, "--head-width", "16") == 2
    assert "--size 64" in capsys.readouterr().err
    assert refused(adm_weights()[0], tmp_path, "--size", "8", "--head-width", "48") == 2
    assert "to_q" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"map_label.weight": torch.zeros(128, 10)}, "class labels"),
        ({"enc.8x8_aux_residual.weight": torch.zeros(1)}, "NCSN++"),
        ({"enc.4x4_down.conv0.resample_filter": torch.zeros(1, 1, 4, 4)}, "NCSN++"),
    ],
)
def test_other_edm_networks_are_refused(extra, told, tmp_path, capsys):
    assert refused(edm_weights(True) | extra, tmp_path) == 2
    assert told in capsys.readouterr().err


def test_weights_of_strangers_are_refused(tmp_path, capsys):
    assert refused({"layer.weight": torch.zeros(3, 3)}, tmp_path) == 2
    assert "other names" in capsys.readouterr().err
