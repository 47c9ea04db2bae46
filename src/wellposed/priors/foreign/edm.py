"""The table of names of EDM checkpoints: DDPM++ and ADM networks behind EDM preconditioning.

Source     T. Karras, M. Aittala, T. Aila, S. Laine, "Elucidating the design space of
           diffusion-based generative models", NeurIPS 2022.
Model      F of D = c_skip z + c_out F(c_in z, ln(sigma) / 4), sigma_data = 0.5: a U-Net of our
           family; DDPM++ divides each block's output by sqrt(2).
Method     sizes are read off names and shapes. The original files are pickles that need their own
           code: save the state dict of the network there first.
Fails      NCSN++ (residual encoder, long resampling filters) and class labels: refused. Written
           from the architecture's description and tested on synthetic weights with its names,
           not on original files.

    map_layer0, map_layer1           time_embedding.linear_1, .linear_2
    enc.RxR_conv, _down, _block{i}   conv_in, what halves the image, blocks
    dec.RxR_in0, _in1                the middle
    dec.RxR_up, _block{i}            what doubles the image, blocks
    dec.RxR_aux_norm, _aux_conv      conv_norm_out, conv_out   (DDPM++; ADM: out_norm, out_conv)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from wellposed.checks import require
from wellposed.priors.foreign.config import ForeignConfig
from wellposed.priors.foreign.tables import Weights, by_turns, renamed

TOP = {
    "map_layer0": "time_embedding.linear_1",
    "map_layer1": "time_embedding.linear_2",
    "out_norm": "conv_norm_out",
    "out_conv": "conv_out",
}
BLOCK = {
    "norm0": "norm1",
    "conv0": "conv1",
    "affine": "time_emb_proj",
    "norm1": "norm2",
    "conv1": "conv2",
    "skip": "conv_shortcut",
}
ATTENTION = {"norm2": "group_norm", "qkv": "qkv", "proj": "to_out.0"}
UNUSED = ("map_augment.", ".resample_filter")  # augmentation is off; filters are checked
SIGMA_DATA, SIGMA_MIN, SIGMA_MAX = 0.5, 0.002, 80.0


def is_edm(names: Mapping[str, object]) -> bool:
    """Tell whether weights have the names of an EDM checkpoint."""
    return any(re.fullmatch(r"(model\.)?enc\.\d+x\d+_conv\.weight", name) for name in names)


def from_edm(weights: Weights) -> tuple[ForeignConfig, int, dict[str, Tensor]]:
    """Return architecture, side of the image in pixels, and renamed weights.

    Parameters
    ----------
    weights
        State dict of the preconditioned network, or of the network inside.

    Raises
    ------
    InputError
        It is class-conditional or NCSN++, or names or shapes are not those of the architecture.
    """
    plain = {name.removeprefix("model."): value for name, value in weights.items()}
    _refuse(plain)
    sides = sorted({int(m[1]) for n in plain if (m := re.match(r"enc\.(\d+)x", n))}, reverse=True)
    config = _architecture(plain, sides)
    kept = {n: v for n, v in plain.items() if not any(part in n for part in UNUSED)}
    return config, sides[0], renamed(kept, partial(_place, sides), by_turns)


def _refuse(weights: Weights) -> None:
    require(
        not any(name.startswith("map_label.") for name in weights),
        "the network is conditioned on class labels",
        "a prior has none",
    )
    for name, value in weights.items():
        plain = ".resample_filter" not in name or (
            value.numel() == 4 and bool((value == 0.25).all())
        )
        require(
            plain and "_aux_residual" not in name and "_aux_skip" not in name,
            f"{name} belongs to an NCSN++ network",
            "its residual encoder and long resampling filters are not known here",
            "take the DDPM++ or the ADM network of the same data",
        )


def _architecture(weights: Weights, sides: list[int]) -> ForeignConfig:
    widths, attention, up_attention = [], [], []
    for side in sides:
        widths.append(len(_at(weights, f"enc.{side}x{side}_block0.conv1.bias")))
        attention.append(f"enc.{side}x{side}_block0.qkv.weight" in weights)
        up_attention.append(any(
            re.match(rf"dec\.{side}x{side}_block\d+\.qkv", name) for name in weights
        ))  # fmt: skip
    blocks = len([n for n in weights if re.fullmatch(
        rf"enc\.{sides[0]}x{sides[0]}_block\d+\.conv1\.bias", n)])  # fmt: skip
    song = "out_conv.weight" not in weights
    conv_in = _at(weights, f"enc.{sides[0]}x{sides[0]}_conv.weight")
    out = f"dec.{sides[0]}x{sides[0]}_aux_conv" if song else "out_conv"
    require(conv_in.ndim == 4, "the first convolution has no kernel")
    changes = ("block",) * (len(sides) - 1)
    return ForeignConfig(
        channels=conv_in.shape[1],
        out=len(_at(weights, f"{out}.weight")),
        widths=tuple(widths),
        blocks=blocks,
        down_attention=tuple(attention),
        up_attention=tuple(up_attention),
        only_last=song,
        down=changes,  # type: ignore[arg-type]
        up=changes,  # type: ignore[arg-type]
        embedding_width=_at(weights, "map_layer0.weight").shape[-1],
        time_width=len(_at(weights, "map_layer0.bias")),
        sine_first=song,
        frequency_shift=1.0 if song else 0.0,
        scale_shift=not song,
        group_width=4,
        head_width=None if song else 64,
        eps=1e-6 if song else 1e-5,
        bridge=song,
        rescale=2**0.5 if song else 1.0,
        middle_rescale=2**0.5 if song else 1.0,
    )


def _place(sides: list[int], module: str) -> str:
    if module in TOP:
        return TOP[module]
    match = re.fullmatch(r"(enc|dec)\.(\d+)x\2_(\w+?)(?:\.(\w+))?", module)
    require(
        match is not None and int(match[2]) in sides,
        f"the weight {module} is none of an EDM network",
        "its name is unknown",
    )
    way, side, name, inside = match.groups()  # type: ignore[union-attr]
    level = sides.index(int(side))
    plain = {"conv": "conv_in", "aux_norm": "conv_norm_out", "aux_conv": "conv_out"}
    if inside is None and name in plain:
        return plain[name]
    home, at = _home(way, level, len(sides), name)
    if inside in ATTENTION:
        return f"{home}.attentions.{at}.{ATTENTION[inside]}"
    require(inside in BLOCK, f"the weight {module} is none of an EDM network")
    kind = {"down": "downsamplers", "up": "upsamplers"}.get(name, "resnets")
    return f"{home}.{kind}.{at}.{BLOCK[inside]}"


def _home(way: str, level: int, levels: int, name: str) -> tuple[str, int]:
    """Return the stage of ours that a block belongs to, and its place there."""
    if name in ("in0", "in1"):
        return "mid_block", int(name[-1])
    if name == "down":  # named by the level it leads to
        return f"down_blocks.{level - 1}", 0
    if name == "up":
        return f"up_blocks.{levels - 2 - level}", 0
    found = re.fullmatch(r"block(\d+)", name)
    require(found is not None, f"the block {name} is none of an EDM network")
    at = int(found[1])  # type: ignore[index]
    return (f"down_blocks.{level}" if way == "enc" else f"up_blocks.{levels - 1 - level}"), at


def _at(weights: Weights, name: str) -> Tensor:
    require(
        name in weights and weights[name].ndim > 0,
        f"the weight {name} is missing",
        "an EDM network has one",
    )
    return weights[name]
