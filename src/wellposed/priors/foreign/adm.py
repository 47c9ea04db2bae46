"""The table of names of ADM checkpoints (guided-diffusion and improved-diffusion).

Source     P. Dhariwal, A. Nichol, "Diffusion models beat GANs on image synthesis", NeurIPS 2021.
Model      a U-Net of our family: predicts eps on a chain, its output may also hold a variance.
Method     sizes are read off the shapes of the weights. What no shape tells must be said: the
           image's size, the width or number of attention heads, and the chain.
Fails      class labels and noise-level classifiers: refused. Written from the architecture's
           description and tested on synthetic weights with its names, not on original files.

    time_embed.0, .2           time_embedding.linear_1, .linear_2
    input_blocks.0.0           conv_in
    input_blocks.k.0, .1       a block, or what halves the image; attention
    middle_block.0, .1, .2     block, attention, block
    output_blocks.k.0, .1, .2  a block; attention; what doubles the image (or .1, without attention)
    out.0, .2                  conv_norm_out, conv_out
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from wellposed.checks import require
from wellposed.priors.foreign.config import ForeignConfig, Resample
from wellposed.priors.foreign.tables import Weights, by_chunks, by_heads, renamed

TOP = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
INSIDE = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
    "norm": "group_norm",
    "qkv": "qkv",
    "proj_out": "to_out.0",
    "op": "conv",
    "conv": "conv",
}
MIDDLE = ("mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1")


def is_adm(names: Mapping[str, object]) -> bool:
    """Tell whether weights have the names of an ADM checkpoint."""
    return "input_blocks.0.0.weight" in names and "out.2.weight" in names


def from_adm(
    weights: Weights, *, head_width: int | None = 64, heads: int = 1, chunked: bool = False
) -> tuple[ForeignConfig, dict[str, Tensor]]:
    """Return architecture and renamed weights of an ADM checkpoint.

    Parameters
    ----------
    weights
        Its state dict.
    head_width, heads
        Channels of an attention head (num_head_channels), or if None the number of heads.
    chunked
        Whether queries, keys and values lie one after the other (use_new_attention_order), or
        head by head.

    Raises
    ------
    InputError
        It is class-conditional, or names or shapes are not those of the architecture.
    """
    require(
        "label_emb.weight" not in weights,
        "the network is conditioned on class labels",
        "a prior has none",
    )
    config = _architecture(weights, head_width, heads)
    split = by_chunks if chunked else by_heads(lambda width: config.heads_of(width)[0])
    return config, renamed(weights, partial(_place, config), split)


def _architecture(weights: Weights, head_width: int | None, heads: int) -> ForeignConfig:
    ends = _level_ends(weights)
    count = len({name.split(".")[1] for name in weights if name.startswith("output_blocks.")})
    per_level = (ends[0] + 1) if ends else count
    levels = len(ends) + 1
    require(
        per_level > 1 and count == levels * per_level,
        f"there are {count} output blocks and {len(ends)} that double the image",
        "every level has as many blocks as the others",
    )
    first = [1 + level * per_level for level in range(levels)]
    widths = tuple(len(_at(weights, f"input_blocks.{k}.0.out_layers.3.weight")) for k in first)
    attention = tuple(f"input_blocks.{k}.1.qkv.weight" in weights for k in first)
    shifts = len(_at(weights, f"input_blocks.{first[0]}.0.emb_layers.1.bias")) == 2 * widths[0]
    conv_in, out = _at(weights, "input_blocks.0.0.weight"), _at(weights, "out.2.bias")
    strided: tuple[Resample, ...] = tuple(
        "conv" if f"input_blocks.{k - 1}.0.op.weight" in weights else "block" for k in first[1:]
    )
    require(conv_in.ndim == 4, "input_blocks.0.0.weight is no kernel of a convolution")
    return ForeignConfig(
        channels=conv_in.shape[1],
        out=len(out),
        widths=widths,
        blocks=per_level - 1,
        down_attention=attention,
        up_attention=attention,
        down=strided,
        up=strided,
        time_width=len(_at(weights, "time_embed.0.bias")),
        scale_shift=shifts,
        head_width=head_width,
        heads=heads,
    )


def _level_ends(weights: Weights) -> list[int]:
    """Return the output blocks that double the image: those with a second block, or a ``conv``."""
    pattern = re.compile(r"output_blocks\.(\d+)\.[12]\.(conv|in_layers\.2)\.weight")
    return sorted({int(m[1]) for name in weights if (m := pattern.fullmatch(name))})


def _place(config: ForeignConfig, module: str) -> str:
    if module in TOP:
        return TOP[module]
    match = re.fullmatch(r"(input_blocks|output_blocks)\.(\d+)\.(\d)\.(.+)", module)
    inside = module
    if match:
        place = _input_place if match[1] == "input_blocks" else _output_place
        home, inside = place(config, int(match[2]), int(match[3]), match[4]), match[4]
    elif found := re.fullmatch(r"middle_block\.([012])\.(.+)", module):
        home, inside = MIDDLE[int(found[1])], found[2]
    require(
        inside in INSIDE, f"the weight {module} is none of an ADM network", "its name is unknown"
    )
    return f"{home}.{INSIDE[inside]}"


def _input_place(config: ForeignConfig, k: int, part: int, inside: str) -> str:
    level, at = divmod(k - 1, config.blocks + 1)
    if at == config.blocks:
        return f"down_blocks.{level}.downsamplers.0"
    return f"down_blocks.{level}.{'attentions' if part else 'resnets'}.{at}"


def _output_place(config: ForeignConfig, k: int, part: int, inside: str) -> str:
    level, at = divmod(k, config.blocks + 1)
    if part == 0:
        return f"up_blocks.{level}.resnets.{at}"
    attention = inside in ("norm", "qkv", "proj_out")
    return f"up_blocks.{level}." + (f"attentions.{at}" if attention else "upsamplers.0")


def _at(weights: Weights, name: str) -> Tensor:
    require(
        name in weights and weights[name].ndim > 0,
        f"the weight {name} is missing",
        "an ADM network has one",
    )
    return weights[name]
