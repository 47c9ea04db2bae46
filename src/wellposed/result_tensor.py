"""What ``wp.recover`` returns for low-rank tensor priors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.checks import as_indices, as_tensor, require, whole
from wellposed.multilinear import Tucker, at, dense, mode_spectra, orthogonal, unfold
from wellposed.result import SIGNAL_LIMIT
from wellposed.run import Status, Trace


@dataclass(frozen=True)
class TensorRecovery:
    """A recovered low-rank tensor.

    Attributes
    ----------
    core, factors
        S [r_1, ..., r_N] and U_k [n_k, r_k]: the signal is S x_1 U_1 ... x_N U_N.
    sparse
        The sparse part, in the shape of the signal, where the prior has one, else None.
    status
        How the run ended; ``status.ok`` is false when it did not converge.
    steps
        Steps made.
    trace
        Step, seconds, residual, change and error at each reading, as arrays.
    method
        What was used, also where it was chosen for you.
    choice
        The ranks that were tried, and their errors on held-out cells.
    doubts
        Sentences: slices of which no cell is observed, gaps that ranks could not be chosen for.
    """

    core: Any
    factors: tuple[Any, ...]
    status: Status
    steps: int
    trace: Trace
    sparse: Any = None
    method: Any = None
    choice: tuple[Any, ...] = field(default=(), repr=False)
    doubts: tuple[str, ...] = ()

    @property
    def ranks(self) -> tuple[int, ...]:
        """(r_1, ..., r_N)."""
        return tuple(self.core.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_1, ..., n_N)."""
        return tuple(factor.shape[0] for factor in self.factors)

    @property
    def signal(self) -> Any:
        """The dense tensor, without the sparse part.

        Raises
        ------
        InputError
            It would have more than 2e8 elements: use ``predict``.
        """
        require(
            math.prod(self.shape) <= SIGNAL_LIMIT,
            f"the dense signal would have {math.prod(self.shape)} elements, "
            f"the limit is {SIGNAL_LIMIT}",
            "it may not fit in memory",
            "ask for the cells you need: .predict(indices)",
        )
        return self._as_given(dense(self._tucker))

    @property
    def mode_spectra(self) -> tuple[Any, ...]:
        """Singular values of each unfolding, [r_k] each, descending; squares are energies."""
        tucker = self._tucker
        return tuple(self._as_given(values) for values in mode_spectra(tucker))

    def directions(self, mode: int) -> Any:
        """Return the left singular vectors of an unfolding, [n_k, r_k], strongest first.

        Parameters
        ----------
        mode
            Counted from zero.
        """
        whole(mode, "mode", 0)
        require(mode < len(self.factors), f"mode is {mode}, expected < {len(self.factors)}")
        core, factors = orthogonal(self._tucker)
        turn = torch.linalg.svd(unfold(core, mode), full_matrices=False)[0]
        return self._as_given(factors[mode] @ turn)

    def predict(self, indices: Any) -> Any:
        """Return the signal at given cells, [m].

        Parameters
        ----------
        indices
            Positions counted from zero, [m, N].
        """
        table = as_tensor(indices, "indices", floating=False)
        require(
            table.ndim == 2 and table.shape[1] == len(self.shape),
            f"indices has shape {list(table.shape)}, expected [m, {len(self.shape)}]",
            "each cell has one position in each mode",
        )
        columns = [as_indices(table[:, k], f"indices[:, {k}]", n) for k, n in enumerate(self.shape)]
        tucker = self._tucker
        return self._as_given(at(tucker, torch.stack(columns, 1).to(tucker.core.device)))

    @property
    def _tucker(self) -> Tucker:
        return Tucker(torch.as_tensor(self.core), tuple(map(torch.as_tensor, self.factors)))

    def _as_given(self, value: Tensor) -> Any:
        return value.numpy() if isinstance(self.core, np.ndarray) else value

    def as_numpy(self) -> TensorRecovery:
        """Return the same recovery with numpy arrays in place of tensors."""
        return replace(
            self,
            core=self.core.cpu().numpy(),
            factors=tuple(factor.cpu().numpy() for factor in self.factors),
            sparse=None if self.sparse is None else self.sparse.cpu().numpy(),
        )
