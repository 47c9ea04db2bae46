"""Block-keyed random streams.

Every draw is a pure function of (seed, item, block, purpose, step): a stream holds no
generator state, so a run can stop, move and go on, and a draw does not depend on how the
work was cut up or on how many more draws were asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed.checks import whole


@dataclass(frozen=True)
class Stream:
    """A source of noise, keyed and stateless.

    Parameters
    ----------
    seed
        The user's seed, a whole number >= 0.
    item, block
        Which signal, and which fixed block of its chains.

    Examples
    --------
    >>> stream = Stream(0)
    >>> bool((stream.normal((3,), "start") == stream.normal((3,), "start")).all())
    True
    """

    seed: int = 0
    item: int = 0
    block: int = 0

    def __post_init__(self) -> None:
        for name in ("seed", "item", "block"):
            whole(getattr(self, name), name, 0)

    def at(self, *, item: int | None = None, block: int | None = None) -> Stream:
        """Return the stream of another item or block with the same seed."""
        return replace(
            self,
            item=self.item if item is None else item,
            block=self.block if block is None else block,
        )

    def generator(self, purpose: str, step: int = 0) -> torch.Generator:
        """Return a fresh generator for one purpose at one step, on the CPU."""
        key = f"{self.seed}/{self.item}/{self.block}/{purpose}/{step}".encode()
        digest = hashlib.blake2b(key, digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)

    def normal(
        self,
        shape: Sequence[int],
        purpose: str,
        step: int = 0,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw standard normal noise; the same on every device."""
        noise = torch.randn(tuple(shape), generator=self.generator(purpose, step), dtype=dtype)
        return noise.to(device)

    def uniform(
        self,
        shape: Sequence[int],
        purpose: str,
        step: int = 0,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw uniform noise on [0, 1); the same on every device."""
        noise = torch.rand(tuple(shape), generator=self.generator(purpose, step), dtype=dtype)
        return noise.to(device)

    def permutation(self, size: int, purpose: str, step: int = 0) -> Tensor:
        """Draw a random order of ``range(size)``, int64."""
        return torch.randperm(size, generator=self.generator(purpose, step))
