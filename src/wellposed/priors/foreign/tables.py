"""What tables of key names have in common: renaming modules, and taking attention apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from wellposed.checks import require

Weights = Mapping[str, Tensor]
Split = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def renamed(weights: Weights, place: Callable[[str], str], split: Split) -> dict[str, Tensor]:
    """Return weights under new names, each ``qkv`` in three parts, 1 x 1 kernels as matrices.

    Parameters
    ----------
    weights
        Name of a module and of its parameter, joined by a dot; the tensors.
    place
        Returns the new name of a module; ends with ``qkv`` where that is to be taken apart.
    split
        Takes queries, keys and values [3 C, ...] apart.

    Examples
    --------
    >>> import torch
    >>> found = renamed({"a.qkv.bias": torch.arange(6.0)}, lambda name: "b.qkv", by_chunks)
    >>> {name: value.tolist() for name, value in found.items()}
    {'b.to_q.bias': [0.0, 1.0], 'b.to_k.bias': [2.0, 3.0], 'b.to_v.bias': [4.0, 5.0]}
    """
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        module, _, parameter = name.rpartition(".")
        new = place(module)
        head, _, last = new.rpartition(".")
        if last == "qkv":
            require(
                value.ndim > 0 and len(value) % 3 == 0,
                f"{name} has shape {list(value.shape)}, expected three parts of equal size",
            )
            for part, piece in zip("qkv", split(value), strict=True):
                found[f"{head}.to_{part}.{parameter}"] = _matrix(piece)
        else:
            linear = head.endswith("to_out")
            found[f"{new}.{parameter}"] = _matrix(value) if linear else value
    return found


def by_chunks(value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries first, then keys, then values."""
    q, k, v = value.chunk(3)
    return q, k, v


def by_turns(value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One channel of the queries, one of the keys, one of the values, and so on."""
    return value[0::3], value[1::3], value[2::3]


def by_heads(heads: Callable[[int], int]) -> Split:
    """Head by head, and in each head as ``by_chunks``; ``heads`` tells how many for C channels."""

    def split(value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = heads(len(value) // 3)
        require(
            len(value) % (3 * count) == 0,
            f"{len(value) // 3} channels do not fall into {count} attention heads",
            remedy="name the width of a head: --head-width",
        )
        parts = value.reshape(count, 3, -1, *value.shape[1:])
        q, k, v = (parts[:, j].flatten(0, 1) for j in range(3))
        return q, k, v

    return split


def _matrix(value: Tensor) -> Tensor:
    ones = all(side == 1 for side in value.shape[2:])
    return value.flatten(1) if value.ndim > 2 and ones else value
