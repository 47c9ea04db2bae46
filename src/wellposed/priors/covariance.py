"""A covariance of few directions plus white variance."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from wellposed.checks import as_tensor, finite, require, within


@dataclass(frozen=True, eq=False)
class LowRankPlusIdentity:
    """The covariance F F^T + variance I, without forming it.

    Parameters
    ----------
    factor
        F, [d, k], k <= d; finite.
    variance
        Variance in every direction, > 0.

    Raises
    ------
    InputError
        A wrong shape, a NaN, or a variance that is not positive.

    Examples
    --------
    >>> LowRankPlusIdentity([[1.0], [2.0]], 0.5).dense().tolist()
    [[1.5, 2.0], [2.0, 4.5]]
    """

    factor: Tensor
    variance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", as_tensor(self.factor, "factor"))
        require(
            self.factor.ndim == 2 and 1 <= self.factor.shape[1] <= self.factor.shape[0],
            f"factor has shape {list(self.factor.shape)}, expected [d, k] with 1 <= k <= d",
        )
        require(self.factor.is_floating_point(), f"factor holds {self.factor.dtype} values")
        finite(self.factor, "factor")
        within(self.variance, "variance", 0, open_low=True)

    def dense(self) -> Tensor:
        """Return the matrix, [d, d]."""
        full = self.factor @ self.factor.mT
        full.diagonal().add_(self.variance)
        return full
