"""Weigh each element of a signal: y = w x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from wellposed.checks import as_tensor, finite, require
from wellposed.operators.base import Shape
from wellposed.operators.image import ImageOperator


@dataclass(frozen=True, eq=False)
class Diagonal(ImageOperator):
    """Multiply each element by a weight of its own.

    Parameters
    ----------
    weights
        Real, of the shape of the signal; zeros are allowed, but not alone.

    Raises
    ------
    InputError
        Complex, empty or not finite weights, or only zeros.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> wp.operators.Diagonal([2.0, 0.0])(torch.tensor([1.0, 5.0])).tolist()
    [2.0, 0.0]
    """

    weights: Tensor
    pointwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        weights = as_tensor(self.weights, "weights")
        require(
            weights.ndim > 0 and weights.numel() > 0 and not weights.is_complex(),
            f"weights has shape {list(weights.shape)} and holds {weights.dtype} values, "
            "expected real ones, one for each element of a signal",
        )
        finite(weights, "weights")
        require(bool(weights.any()), "weights holds only zeros", "nothing would be measured")
        object.__setattr__(self, "weights", weights)

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        """The shape of the weights."""
        return tuple(self.weights.shape)

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """The shape of the weights."""
        return self.shape

    def forward(self, x: Tensor) -> Tensor:
        """Weigh each signal in the batch."""
        return self.weights.to(x.device, x.dtype) * x

    def backward(self, y: Tensor) -> Tensor:
        """Weigh each measurement in the batch."""
        return self.forward(y)
