"""Low-rank matrices, with and without a sparse part."""

from __future__ import annotations

from dataclasses import dataclass

from wellposed.checks import whole, within


@dataclass(frozen=True)
class LowRank:
    """Matrices M = L R^T of small rank.

    Parameters
    ----------
    rank
        Number of columns of L and R, >= 1; None means: chosen by hold-out.
    symmetric
        M = L L^T, positive semi-definite.
    ridge
        Weight rho >= 0 of the penalty rho/2 (||L||^2 + ||R||^2) against
        1/2 ||A(M) - y||^2, in units of squared y per squared factor.
    biases
        Fit a mean, row and column offsets beside L R^T (observed entries only).
    """

    rank: int | None = None
    symmetric: bool = False
    ridge: float = 0.0
    biases: bool = False

    def __post_init__(self) -> None:
        if self.rank is not None:
            whole(self.rank, "rank")
        within(self.ridge, "ridge", 0)


@dataclass(frozen=True)
class LowRankPlusSparse:
    """Matrices L R^T + S with few non-zero entries in S: a background and what moves on it.

    Gross errors of *measurements* are noise instead (``noise.SparseOutliers``).

    Parameters
    ----------
    rank
        Rank of the background, >= 1.
    fraction
        Largest share of non-zeros of S in any row or column, in (0, 0.5);
        None means: estimated by the method.
    """

    rank: int
    fraction: float | None = None

    def __post_init__(self) -> None:
        whole(self.rank, "rank")
        if self.fraction is not None:
            within(self.fraction, "fraction", 0, 0.5, open_low=True, open_high=True)
