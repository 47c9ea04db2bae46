"""``wellposed convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def convert(
    checkpoint: Path,
    /,
    *,
    out: Path,
    size: int | None = None,
    schedule: Literal["linear", "cosine"] = "linear",
    chain_steps: int = 1000,
    head_width: int = 64,
    heads: int | None = None,
    chunked: bool = False,
) -> int:
    """Turn a checkpoint of guided-diffusion (ADM) or EDM into a prior.

    Nothing in the checkpoint is run. EDM files tell everything; of ADM files the options below
    must be known, since the weights do not tell them.

    Parameters
    ----------
    checkpoint
        State dict, from torch or as safetensors.
    out
        File of the prior, for example prior.safetensors.
    size
        Height and width of an image, in pixels.
    schedule
        Of the noise.
    chain_steps
        Length of the chain.
    head_width
        Channels of an attention head.
    heads
        Number of attention heads, instead of their width.
    chunked
        Queries, keys and values lie one after the other (use_new_attention_order).
    """
    from wellposed.cli import DONE
    from wellposed.cli.output import say
    from wellposed.files import sha256
    from wellposed.priors.checkpoint import save_prior
    from wellposed.priors.foreign.conversion import Untold
    from wellposed.priors.foreign.conversion import convert as carry_out

    width = head_width if heads is None else None
    untold = Untold(size, schedule, chain_steps, width, heads or 1, chunked)
    prior, table = carry_out(checkpoint, untold)
    warning = (
        f"The names were mapped by the table for {table} networks, which was not tested on "
        "original checkpoints: look at some samples before you trust the prior."
    )
    card = {"source": checkpoint.name, "sha256": sha256(checkpoint), "table": table}
    save_prior(out, prior, card | {"warning": warning}, half=False)
    count = sum(weight.numel() for weight in prior.weights.values())
    say(f"{table} network of {count:,} parameters, images {' × '.join(map(str, prior.shape))}.")
    say(warning, "yellow")
    say(f"Prior: {out}", "bold")
    say(f"Try: wellposed sample {out} -n 16")
    return DONE
