"""Low-rank tensors in Tucker form, with and without a sparse part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wellposed.checks import require, whole, within


@dataclass(frozen=True)
class LowTucker:
    """Tensors S x_1 U_1 ... x_N U_N of small multilinear ranks, N >= 3.

    Parameters
    ----------
    ranks
        Number of columns of each U_k, >= 1, one for each mode; None means: chosen by hold-out.

    Raises
    ------
    InputError
        Fewer than three ranks, or one that is not a whole number >= 1.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.LowTucker([5, 5, 3])
    LowTucker(ranks=(5, 5, 3))
    """

    ranks: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.ranks is not None:
            object.__setattr__(self, "ranks", checked_ranks(self.ranks))


@dataclass(frozen=True)
class LowTuckerPlusSparse:
    """Tensors T + S: T of small multilinear ranks, S with few entries that are not zero.

    Gross errors of *measurements* that are no part of the signal are found in the same way;
    for matrices see ``LowRankPlusSparse``.

    Parameters
    ----------
    ranks
        Multilinear ranks of T, one for each mode.
    fraction
        Largest share of non-zeros of S in any fibre, in (0, 0.5); None means: estimated.

    Raises
    ------
    InputError
        Fewer than three ranks, one that is not a whole number >= 1, or a fraction out of range.

    Examples
    --------
    >>> import wellposed as wp
    >>> wp.LowTuckerPlusSparse((2, 2, 1)).ranks
    (2, 2, 1)
    """

    ranks: tuple[int, ...]
    fraction: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", checked_ranks(self.ranks))
        if self.fraction is not None:
            within(self.fraction, "fraction", 0, 0.5, open_low=True, open_high=True)


def checked_ranks(ranks: Sequence[int]) -> tuple[int, ...]:
    """Require at least three whole numbers >= 1."""
    require(
        isinstance(ranks, (tuple, list)) and len(ranks) >= 3,
        f"ranks is {ranks!r}, expected one whole number for each of three or more modes",
        remedy="for matrices take LowRank(rank)",
    )
    for rank in ranks:
        whole(rank, "a rank")
    return tuple(int(rank) for rank in ranks)
