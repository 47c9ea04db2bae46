"""A problem: what was measured, how, and with which noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from wellposed.checks import as_tensor, finite, require
from wellposed.noise import Noise
from wellposed.operators.base import Operator


@dataclass(frozen=True, eq=False)
class Problem:
    """One measurement, without a batch axis.

    Parameters
    ----------
    y
        The measurement, ``operator.shape_out``: numpy, torch or a list; finite.
    operator
        The forward model.
    noise
        The law of the errors; None means noiseless, or least squares.
    as_numpy
        Whether results come back as numpy arrays; None means: as y came.

    Raises
    ------
    InputError
        y has the wrong shape, is NaN or infinite somewhere, or is impossible with the noise.

    Examples
    --------
    >>> import wellposed as wp
    >>> cells = wp.operators.Entries([0, 1], [1, 0], (2, 2))
    >>> wp.Problem([3.0, 4.0], cells).y.tolist()
    [3.0, 4.0]
    """

    y: Tensor
    operator: Operator
    noise: Noise | None = None
    as_numpy: bool | None = None

    def __post_init__(self) -> None:
        require(
            isinstance(self.operator, Operator),
            f"operator is a {type(self.operator).__name__}, expected a forward model",
            remedy="take one of wellposed.operators, or wrap a function by from_callable",
        )
        require(
            self.noise is None or isinstance(self.noise, Noise),
            f"noise is {self.noise!r}, expected a noise model or None",
            remedy="for white noise of standard deviation s write noise.Gaussian(s)",
        )
        if self.as_numpy is None:
            object.__setattr__(self, "as_numpy", not isinstance(self.y, Tensor))
        object.__setattr__(self, "y", as_tensor(self.y, "y"))
        want = tuple(self.operator.shape_out)
        require(
            tuple(self.y.shape) == want,
            f"y has shape {list(self.y.shape)}, expected {list(want)}",
            f"that is what {type(self.operator).__name__} returns for one signal",
        )
        known = self.operator.complex_values
        require(
            known is None or known == self.y.is_complex(),
            f"y holds {self.y.dtype} values, {type(self.operator).__name__} returns "
            f"{'complex' if known else 'real'} ones",
            "a measurement is compared with what the operator returns",
            "y.to(torch.complex64)" if known else "take its real part, or another operator",
        )
        finite(self.y, "y")
        if self.noise is not None:
            self.noise.check(self.y)
