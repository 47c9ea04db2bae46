"""Inpainting: see some elements of a signal.

Model      y = x[mask],  the seen elements in row order.
Adjoint    writes them back into zeros; A* A is the mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from wellposed.operators.base import Shape, numel
from wellposed.operators.generic import checked_shape
from wellposed.operators.image import ImageOperator, boolean_mask, trailing


@dataclass(frozen=True, eq=False)
class Mask(ImageOperator):
    """Read the elements of a signal where a mask is true.

    Parameters
    ----------
    mask
        Booleans, or zeros and ones: one for each element of the signal, or of its last axes
        (one mask for all channels).
    shape
        Shape of one signal; by default that of the mask.

    Raises
    ------
    InputError
        Nothing is seen, other values than 0 and 1, or a mask that does not fit the shape.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> seen = wp.operators.Mask([[True, False], [True, True]])
    >>> y = seen(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> y.tolist(), seen.adjoint(y).tolist()
    ([1.0, 3.0, 4.0], [[1.0, 0.0], [3.0, 4.0]])
    """

    mask: Tensor
    shape: Shape = ()
    pointwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        mask = boolean_mask(self.mask)
        shape = checked_shape(self.shape, "shape", default=tuple(mask.shape))
        trailing(shape, tuple(mask.shape), "mask")
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "shape", shape)

    @property
    def shape_out(self) -> Shape:  # type: ignore[override]
        """(number of seen elements,)."""
        return (self._places.numel(),)

    @cached_property
    def _places(self) -> Tensor:
        return self.mask.expand(self.shape).flatten().nonzero()[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Read the seen elements of each signal in the batch."""
        return x.flatten(1).index_select(1, self._places)

    def backward(self, y: Tensor) -> Tensor:
        """Write the seen elements of each signal into zeros."""
        out = torch.zeros(y.shape[0], numel(self.shape), dtype=y.dtype, device=y.device)
        return out.index_copy(1, self._places, y).reshape(-1, *self.shape)
