"""What a sampler's step is made of: deterministic maps and Gaussian noise.

A step is a short sequence of pieces. Run on samples, a map moves each chain and a noise adds
its own N(0, std^2 I); run on densities, a map is a change of variables and a noise is a
convolution. Both use the same pieces, so what is proved or measured about the one holds for
the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from wellposed.rng import Stream


class Moved(NamedTuple):
    """Where a map leads, and what the denoiser saw on the way."""

    y: Tensor  # [B, *shape]
    x0: Tensor  # [B, *shape]: E[x0 | y before the map]


@dataclass(frozen=True)
class Map:
    """A deterministic move of every chain by itself: y -> function(y).y.

    Parameters
    ----------
    function
        Takes [B, *shape] in the sampler's own scale; acts on each signal alone.
    evaluations
        Denoiser evaluations of a call.
    """

    function: Callable[[Tensor], Moved]
    evaluations: int = 1

    def __call__(self, y: Tensor) -> Tensor:
        """Return where the chains go, [B, *shape]."""
        return self.function(y).y


@dataclass(frozen=True)
class Noise:
    """Independent Gaussian noise on every coordinate.

    Parameters
    ----------
    std
        Standard deviation >= 0, in the sampler's own scale.
    """

    std: float


Piece = Map | Noise


def advance(
    pieces: Sequence[Piece], y: Tensor, x0: Tensor | None, stream: Stream, step: int
) -> tuple[Tensor, Tensor | None]:
    """Run the pieces of one step on samples.

    Parameters
    ----------
    pieces
        In the order in which they act.
    y
        Chains, [B, *shape].
    x0
        The last known E[x0 | y], kept where no piece is a map.
    stream, step
        Key of the noise: (stream, place in the step, step).

    Returns
    -------
    tuple
        The moved chains, and what the last map's denoiser saw.

    Examples
    --------
    >>> import torch
    >>> half = Map(lambda y: Moved(0.5 * y, y))
    >>> advance([half, Noise(0.0), half], torch.tensor([[4.0]]), None, Stream(0), 0)[0]
    tensor([[1.]])
    """
    for place, piece in enumerate(pieces):
        if isinstance(piece, Map):
            y, x0 = piece.function(y)
        elif piece.std > 0:
            y = _add_noise(y, piece.std, stream, place, step)
    return y, x0


def _add_noise(y: Tensor, std: float, stream: Stream, place: int, step: int) -> Tensor:
    noise = stream.normal(y.shape, f"piece {place}", step, dtype=y.dtype, device=y.device)
    return y.add(noise, alpha=std)
