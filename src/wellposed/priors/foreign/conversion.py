"""A checkpoint of another code base as a prior: which table fits, and what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from wellposed.checks import require, whole
from wellposed.errors import FileError, InputError
from wellposed.priors.foreign.adm import from_adm, is_adm
from wellposed.priors.foreign.edm import SIGMA_DATA, SIGMA_MAX, SIGMA_MIN, from_edm, is_edm
from wellposed.priors.foreign.pickles import read_state_dict
from wellposed.priors.foreign.prior import ForeignPrior
from wellposed.priors.network.prior import NetworkPrior
from wellposed.schedules import Chain, cosine_chain, linear_chain


@dataclass(frozen=True)
class Untold:
    """What the weights of an ADM network do not tell.

    Parameters
    ----------
    size
        Height and width of the image in pixels; None is an error for ADM, and read off an EDM
        file.
    schedule, steps
        The chain: DDPM's linear one scaled to its length, or the cosine; >= 2 steps.
    head_width, heads
        Channels of an attention head, or if None the number of heads.
    chunked
        Whether queries, keys and values lie one after the other (use_new_attention_order).
    """

    size: int | None = None
    schedule: Literal["linear", "cosine"] = "linear"
    steps: int = 1000
    head_width: int | None = 64
    heads: int = 1
    chunked: bool = False

    def __post_init__(self) -> None:
        whole(self.steps, "steps", 2)
        whole(self.heads, "heads")

    @property
    def chain(self) -> Chain:
        """The chain that the network was trained on."""
        if self.schedule == "cosine":
            return cosine_chain(self.steps)
        return linear_chain(self.steps, 0.1 / self.steps, min(20 / self.steps, 0.999))


def convert(path: Path, untold: Untold) -> tuple[ForeignPrior | NetworkPrior, str]:
    """Read a checkpoint as a prior.

    Parameters
    ----------
    path
        State dict of an ADM or EDM network, from torch or as safetensors.
    untold
        What an ADM checkpoint leaves open; an EDM checkpoint tells everything.

    Returns
    -------
    tuple
        The prior, for images from -1 to 1, and the name of the table: "ADM" or "EDM".

    Raises
    ------
    FileError
        The file is damaged, or its weights fit neither table.
    """
    weights = read_state_dict(path)
    try:
        if is_adm(weights):
            return _adm(weights, untold), "ADM"
        if is_edm(weights):
            return _edm(weights), "EDM"
    except ValueError as error:  # ours, or torch's own: such a network cannot be built
        told = error if isinstance(error, InputError) else InputError(str(error))
        raise FileError(f"{path}: {told.what}", told.why, told.remedy) from None
    raise FileError(
        f"{path} holds weights with other names, the first is {next(iter(weights))!r}",
        "checkpoints of guided-diffusion (ADM) and EDM can be converted",
        "a folder that diffusers saved needs no conversion: wp.load_prior(folder)",
    )


def _adm(weights: dict[str, Tensor], untold: Untold) -> ForeignPrior:
    config, renamed = from_adm(
        weights, head_width=untold.head_width, heads=untold.heads, chunked=untold.chunked
    )
    if untold.size is None:
        raise InputError(
            "the size of the image is not known",
            "no weight of an ADM network tells it",
            "name it: --size 64",
        )
    shape = (config.channels, untold.size, untold.size)
    return ForeignPrior(config, renamed, shape, "eps", untold.chain)


def _edm(weights: dict[str, Tensor]) -> NetworkPrior:
    config, side, renamed = from_edm(weights)
    require(
        config.channels == config.out,
        f"the network maps {config.channels} channels to {config.out}, expected equal numbers",
    )
    shape = (config.channels, side, side)
    return NetworkPrior(config, renamed, shape, SIGMA_DATA, SIGMA_MIN, SIGMA_MAX)
