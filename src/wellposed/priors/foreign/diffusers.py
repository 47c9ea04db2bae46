"""Read a U-Net that diffusers saved: a folder with config.json and safetensors weights.

Model      UNet2DModel with the blocks below, unconditional, predicting eps, v or x0 on the chain
           of its scheduler, or the score of a variance-exploding process.
Method     config and weights are checked against each other before anything is allocated;
           nothing is executed, nothing is unpickled.
Fails      class labels, FIR resampling (Skip blocks), other activations than SiLU: refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellposed.checks import require
from wellposed.errors import FileError, InputError
from wellposed.priors.foreign.config import ForeignConfig, Resample
from wellposed.priors.foreign.files import Weights, number, read_json
from wellposed.priors.foreign.prior import ForeignPrior, Kind
from wellposed.priors.foreign.scheduler import chain_of
from wellposed.priors.network.prior import check_weights

KINDS: dict[str, Kind] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
PLAIN, ATTENTION, BLOCK = "{}Block2D", "Attn{}Block2D", "Resnet{}sampleBlock2D"
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
FIXED = {  # what is supported, where diffusers has a choice
    "act_fn": ("silu", "swish"),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "time_embedding_type": ("positional", "fourier"),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "mid_block_type": ("UNetMidBlock2D", None),
    "downsample_type": ("conv", "resnet"),
    "upsample_type": ("conv", "resnet"),
}
DEFAULTS: dict[str, Any] = {
    "act_fn": "silu", "add_attention": True, "attention_head_dim": 8, "center_input_sample": False,
    "down_block_types": ["DownBlock2D", *3 * ["AttnDownBlock2D"]], "downsample_padding": 1,
    "downsample_type": "conv", "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 3,
    "layers_per_block": 2, "mid_block_scale_factor": 1, "mid_block_type": "UNetMidBlock2D",
    "norm_eps": 1e-5, "norm_num_groups": 32, "out_channels": 3,
    "resnet_time_scale_shift": "default", "time_embedding_type": "positional",
    "up_block_types": [*3 * ["AttnUpBlock2D"], "UpBlock2D"], "upsample_type": "conv",
    "block_out_channels": [224, 448, 672, 896],
}  # fmt: skip


def read_diffusers(folder: Path) -> ForeignPrior:
    """Read the U-Net and scheduler of a folder.

    Parameters
    ----------
    folder
        A pipeline's (with ``unet`` and ``scheduler`` in it), or one with config.json,
        scheduler_config.json and the weights.

    Returns
    -------
    ForeignPrior
        For images from -1 to 1. x0 is not clipped to that range, as some pipelines do.

    Raises
    ------
    FileError
        A file is missing or damaged, or describes what this reader does not know.
    """
    unet = folder / "unet" if (folder / "unet").is_dir() else folder
    config = read_json(unet / "config.json")
    scheduler = read_json(_scheduler(folder, unet))
    try:
        architecture = architecture_of(config)
        weights = Weights.open(_weights_file(unet))
        names = {name: _new_name(name) for name in weights.shapes}
        check_weights(architecture, {names[n]: shape for n, shape in weights.shapes.items()})
        tensors = {names[n]: value for n, value in weights.read().items()}
        shape = (architecture.channels, *_sides(config.get("sample_size")))
        return ForeignPrior(architecture, tensors, shape, **_frame(scheduler, architecture))
    except ValueError as error:  # ours, or torch's own: such a network cannot be built
        told = error if isinstance(error, InputError) else InputError(str(error))
        raise FileError(f"{folder}: {told.what}", told.why, told.remedy) from None


def architecture_of(config: Mapping[str, Any]) -> ForeignConfig:
    """Return the architecture that a config.json of UNet2DModel describes.

    Raises
    ------
    InputError
        It is no UNet2DModel, or one with parts that are not supported.
    """
    name = config.get("_class_name", "UNet2DModel")
    require(name == "UNet2DModel", f"config.json describes a {name}, expected a UNet2DModel")
    told = DEFAULTS | {key: value for key, value in config.items() if value is not None}
    told["mid_block_type"] = config.get("mid_block_type", "UNetMidBlock2D")
    for key, known in FIXED.items():
        require(
            told.get(key) in known,
            f"config.json asks for {key} = {told.get(key)!r}",
            f"this reader knows {' and '.join(map(repr, known))} only",
        )
    shifts = told["resnet_time_scale_shift"] == "scale_shift"
    groups, middle_groups = told["norm_num_groups"], config.get("attn_norm_num_groups")
    require(
        middle_groups in (None, groups),
        f"config.json asks for {middle_groups} groups in the middle and {groups} elsewhere",
        "this reader knows equal numbers only",
    )
    down = _kinds("Down", told["down_block_types"], told["downsample_type"])
    up = _kinds("Up", told["up_block_types"], told["upsample_type"])[::-1]
    heads = config.get("attention_head_dim", 8)
    return ForeignConfig(
        channels=told["in_channels"],
        out=told["out_channels"],
        widths=_listed(told["block_out_channels"], "block_out_channels"),
        blocks=told["layers_per_block"],
        down_attention=tuple(attends for attends, _ in down),
        up_attention=tuple(attends for attends, _ in up),
        down=tuple(kind for _, kind in down[:-1]),
        up=tuple(kind for _, kind in up[1:]),
        middle=told["mid_block_type"] is not None,
        middle_attention=bool(told["add_attention"]),
        middle_normalised=not shifts or middle_groups is not None,
        middle_rescale=number(told, "mid_block_scale_factor", 1),
        embedding=told["time_embedding_type"],
        time_width=config.get("time_embedding_dim") or 0,
        sine_first=not told["flip_sin_to_cos"],
        frequency_shift=number(told, "freq_shift", 0),
        scale_shift=shifts,
        groups=groups,
        head_width=heads,
        eps=number(told, "norm_eps", 1e-5),
        padding=told["downsample_padding"],
        centre=bool(told["center_input_sample"]),
    )


def _kinds(way: str, names: Any, resampling: str) -> list[tuple[bool, Resample]]:
    """Return for each block of config.json whether it attends, and how it resamples."""
    block: Resample = "block" if resampling == "resnet" else "conv"
    known: dict[str, tuple[bool, Resample]] = {
        PLAIN.format(way): (False, "conv"),
        ATTENTION.format(way): (True, block),
        BLOCK.format(way): (False, "block"),
    }
    for name in _listed(names, f"{way.lower()}_block_types"):
        require(
            isinstance(name, str) and name in known,
            f"config.json asks for the block {name!r}",
            f"this reader knows {', '.join(known)}",
        )
    return [known[name] for name in names]


def _frame(scheduler: Mapping[str, Any], architecture: ForeignConfig) -> dict[str, Any]:
    """Return how the network's output is read: kind, and chain or noise levels."""
    name = scheduler.get("_class_name", "")
    exploding = name == "ScoreSdeVeScheduler"
    require(
        exploding == (architecture.embedding == "fourier"),
        f"the scheduler is {name or 'not named'}, the time embedding {architecture.embedding}",
        "networks with a fourier embedding predict a score and belong to ScoreSdeVeScheduler; "
        "those with a positional one belong to schedulers with betas",
    )
    if exploding:
        low, high = number(scheduler, "sigma_min", 0.01), number(scheduler, "sigma_max", 1348)
        return {"kind": "score", "sigma_min": low, "sigma_max": high}
    told = str(scheduler.get("prediction_type", "epsilon"))
    require(
        told in KINDS,
        f"prediction_type is {told!r}, expected one of {', '.join(KINDS)}",
    )
    return {"kind": KINDS[told], "chain": chain_of(scheduler)}


def _scheduler(folder: Path, unet: Path) -> Path:
    name = "scheduler_config.json"
    found = [p for p in (folder / "scheduler" / name, folder / name, unet / name) if p.exists()]
    if not found:
        raise FileError(
            f"{folder} has no {name}",
            "a network means nothing without the noise levels it was trained on",
            f"save the pipeline, or put the {name} beside config.json",
        )
    return found[0]


def _weights_file(folder: Path) -> Path:
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise FileError(
            f"{folder} has {len(found)} safetensors files, expected one",
            "weights in parts, in several precisions, or pickled are not read",
            "save them once more with diffusers: model.save_pretrained(folder)",
        )
    return found[0]


def _sides(size: Any) -> tuple[int, int]:
    sides = [size, size] if isinstance(size, int) else size
    require(
        isinstance(sides, list) and len(sides) == 2,
        f"sample_size is {size!r}, expected a number of pixels, or two",
        "the size of an image is part of a prior",
        "write sample_size into config.json",
    )
    return sides[0], sides[1]


def _listed(value: Any, name: str) -> tuple[Any, ...]:
    require(isinstance(value, list), f"{name} is {value!r}, expected a list")
    return tuple(value)


def _new_name(name: str) -> str:
    """Return today's name of a weight: attention layers were once called otherwise."""
    head, _, tail = name.rpartition(".")
    stem, _, last = head.rpartition(".")
    return f"{stem}.{OLD_NAMES[last]}.{tail}" if last in OLD_NAMES else name
