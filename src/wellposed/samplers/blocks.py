"""Chains run in fixed blocks, so that a draw does not depend on how many more were asked for.

A block is always run whole: noise and denoiser see the same tensors whether one of its chains
is wanted or all. So the size trades the waste of a small request against the cost of many
small evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

NUMBERS = 1 << 12  # of a block
CHAINS = 1024  # at most


def block_size(shape: Sequence[int]) -> int:
    """Return how many signals of a shape make a block, a power of two from 1 to 1024.

    Examples
    --------
    >>> block_size((2,)), block_size((64,)), block_size((3, 32, 32)), block_size((3, 256, 256))
    (1024, 64, 1, 1)
    """
    fitting = NUMBERS // max(1, math.prod(shape))
    return min(CHAINS, 1 << max(0, fitting.bit_length() - 1))


def rows_of(start: Tensor, block: int, size: int) -> Tensor:
    """Return a block's rows of a given start; the last row fills what is missing.

    Parameters
    ----------
    start
        [n, *shape], n > block * size.
    block, size
        Which block, of how many chains.

    Returns
    -------
    Tensor
        [size, *shape].

    Examples
    --------
    >>> rows_of(torch.tensor([[1.0], [2.0], [3.0]]), 1, 2).tolist()
    [[3.0], [3.0]]
    """
    rows = start[block * size : (block + 1) * size]
    spare = rows[-1:].expand(size - len(rows), *rows.shape[1:])
    return torch.cat([rows, spare])
