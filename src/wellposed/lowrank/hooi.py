"""Higher-order orthogonal iteration (HOOI): the best Tucker approximation of a known tensor.

Source     L. De Lathauwer, B. De Moor, J. Vandewalle, "On the best rank-1 and rank-(R1, ..., RN)
           approximation of higher-order tensors", SIAM J. Matrix Anal. Appl. 21 (2000).
Model      minimise ||Y - S x_1 U_1 ... x_N U_N||, U_k orthonormal; Y fully known
Update     for k = 1, ..., N:  U_k = leading left singular vectors of M_k(Y x_{j != k} U_j^T),
           S = Y x_k U_k^T; from the truncated higher-order SVD.
Cost       per step N passes over Y, and N eigenproblems of side n_k.
Guarantee  the error never rises; the start is within sqrt(N) of the best error.
Fails      entries that are missing (TensorScaledGD) or grossly wrong (TensorRobustPCA).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.lowrank.tensor_setting import TensorSetting, read_tensor_task
from wellposed.multilinear import Tucker, contract, hosvd, leading_vectors, unfold
from wellposed.operators.generic import TensorIdentity
from wellposed.rng import Stream
from wellposed.task import Reading, Task


class State(NamedTuple):
    """Core and orthonormal factors."""

    core: Tensor  # [r_1, ..., r_N]
    factors: tuple[Tensor, ...]  # [n_k, r_k]
    residual: Tensor  # 0-d: ||T - Y|| / ||Y||
    change: Tensor  # 0-d: (||S'|| - ||S||) / ||S'||, the energy won


@dataclass(frozen=True)
class HOOI:
    """Best approximation of a fully known tensor by one of given ranks.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> tensor = torch.arange(60.0, dtype=torch.float64).reshape(5, 4, 3)
    >>> problem = wp.Problem(tensor, wp.operators.Identity((5, 4, 3)))
    >>> found = wp.recover(problem, wp.LowTucker((2, 2, 2)), wp.HOOI())
    >>> bool((found.signal - tensor).norm() < 1e-6 * tensor.norm())
    True
    """

    reference: ClassVar[str] = "De Lathauwer, De Moor & Vandewalle, SIAM J. Matrix Anal. 21 (2000)"
    needs: ClassVar[str] = "all entries of a tensor"

    def prepare(self, task: Task) -> TensorSetting:
        """Check that the tensor is known in full."""
        setting = read_tensor_task(task, "HOOI")
        require(
            isinstance(setting.operator, TensorIdentity),
            f"HOOI was given the operator {type(setting.operator).__name__}",
            "it needs every entry",
            "take TensorScaledGD for other measurements",
            error=CapabilityError,
        )
        return setting

    def init(self, plan: TensorSetting, stream: Stream) -> State:
        """Start from the truncated higher-order SVD."""
        core, factors = hosvd(plan.y, plan.ranks)
        one = torch.ones((), dtype=core.dtype, device=core.device)
        return State(core.contiguous(), factors, unexplained(plan, core), one)

    def step(self, plan: TensorSetting, state: State) -> State:
        """Renew each factor from the others."""
        factors = list(state.factors)
        for k, rank in enumerate(plan.ranks):
            flat = unfold(contract(plan.y, factors, skip=(k,)), k)
            factors[k] = leading_vectors(flat @ flat.mT, rank)
        core = contract(plan.y, factors).contiguous()
        won = (core.norm() - state.core.norm()) / core.norm()
        return State(core, tuple(factors), unexplained(plan, core), won.clamp_min(0))

    def read(self, plan: TensorSetting, state: State) -> Reading:
        """Return core and factors, and how well they fit."""
        value = Tucker(state.core, state.factors)
        return Reading(value, float(state.residual), float(state.change))


def unexplained(plan: TensorSetting, core: Tensor) -> Tensor:
    """Return ||T - Y|| / ||Y|| from the energies, accurate to the root of rounding, 0-d."""
    explained: Tensor = (core.norm() / plan.y_norm).square()
    return (1 - explained).clamp_min(0).sqrt()
