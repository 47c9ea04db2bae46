"""Gradient descent on core and factors of a tensor, plain and block by block: the baseline.

Source     the unscaled iteration that Tong et al., JMLR 23 (2022), compare with; block by block as
           in Y. Xu, W. Yin, SIAM J. Imaging Sci. 6 (2013).
Model      y = A(T) + noise,  T = S x_1 U_1 ... x_N U_N, minimise f = 1/2 ||A(T) - y||^2 / gain
Update     U_k' = U_k - step_size / sigma_k^2 * df/dU_k      (sigma_k: largest singular value of
           S'   = S   - step_size * df/dS                     M_k(S) at the start, U_k orthonormal)
           Plain: all from the old tensor. Alternating: one after the other, each from the newest.
Cost       plain: as TensorScaledGD; alternating: N + 1 residuals a step.
Guarantee  none that is known to be linear with a rate free of the condition number.
Fails      ill-conditioned tensors: steps grow with the square of the condition number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import within
from wellposed.lowrank.tensor_scaled_gd import scaled
from wellposed.lowrank.tensor_setting import TensorSetting, read_tensor_task, tensor_start
from wellposed.multilinear import Slopes, Tucker, unfold
from wellposed.rng import Stream
from wellposed.task import Reading, Task


class State(NamedTuple):
    """Core and factors, the steps, and how those before the last step fitted."""

    core: Tensor  # [r_1, ..., r_N]
    factors: tuple[Tensor, ...]  # [n_k, r_k]
    sizes: Tensor  # [N]: step_size / sigma_k^2, in units of 1 / T^2
    residual: Tensor  # 0-d: ||A(T) - y|| / ||y||
    change: Tensor  # 0-d: step_size ||Z||_scaled / ||T||


@dataclass(frozen=True)
class TensorGradientDescent:
    """Gradient descent with one step size a factor.

    Its ``change`` is the length that a step of ``TensorScaledGD`` would have from the same
    tensor, so a tolerance means the same accuracy for both, whatever the condition number.

    Parameters
    ----------
    step_size
        Step in units of the inverse curvature at the start, in (0, 1].
    alternating
        Move one factor at a time, each from the newest others.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> a, b, c = (torch.arange(1.0, n) for n in (6, 5, 4))
    >>> truth = torch.einsum("i,j,k->ijk", a, b, c)
    >>> problem = wp.Problem(truth, wp.operators.Identity((5, 4, 3)))
    >>> wp.recover(problem, wp.LowTucker((1, 1, 1)), wp.TensorGradientDescent()).status.value
    'converged'
    """

    step_size: float = 0.3
    alternating: bool = False

    reference: ClassVar[str] = "Xu & Yin, SIAM J. Imaging Sci. 6 (2013)"
    needs: ClassVar[str] = "linear operator on tensors"

    def __post_init__(self) -> None:
        within(self.step_size, "step_size", 0, 1, open_low=True)

    def prepare(self, task: Task) -> TensorSetting:
        """Lay out the measurements."""
        return read_tensor_task(task, "TensorGradientDescent")

    def init(self, plan: TensorSetting, stream: Stream) -> State:
        """Start from the leading directions of each mode."""
        core, factors = tensor_start(plan)
        one = torch.ones((), dtype=core.dtype, device=core.device)
        tops = [torch.linalg.matrix_norm(unfold(core, k), 2) for k in range(core.ndim)]
        return State(core, factors, self.step_size / torch.stack(tops).square(), one, one)

    def step(self, plan: TensorSetting, state: State) -> State:
        """Move core and factors, together or in turn."""
        old = Tucker(state.core, state.factors)
        off = plan.operator.residual(old, plan.y)
        found = plan.operator.slopes(off, old, range(len(old.factors)))
        towards = scaled(found, old)
        change = self.step_size / plan.gain * towards.length / towards.size
        if self.alternating:
            new = self._in_turn(plan, old, state.sizes, found)
        else:
            new = self._moved(plan, old, state.sizes, found, core=True)
        return State(*new, state.sizes, off.norm() / plan.y_norm, change)

    def read(self, plan: TensorSetting, state: State) -> Reading:
        """Return core and factors and how well those before them fitted."""
        value = Tucker(state.core, state.factors)
        return Reading(value, float(state.residual), float(state.change))

    def _in_turn(self, plan: TensorSetting, tucker: Tucker, sizes: Tensor, found: Slopes) -> Tucker:
        first = Slopes(found.core, {0: found.factors[0]})
        tucker = self._moved(plan, tucker, sizes, first, core=False)
        for k in range(1, len(tucker.factors)):
            off = plan.operator.residual(tucker, plan.y)
            found = plan.operator.slopes(off, tucker, (k,))
            tucker = self._moved(plan, tucker, sizes, found, core=False)
        off = plan.operator.residual(tucker, plan.y)
        return self._moved(plan, tucker, sizes, plan.operator.slopes(off, tucker, ()), core=True)

    def _moved(
        self, plan: TensorSetting, tucker: Tucker, sizes: Tensor, found: Slopes, *, core: bool
    ) -> Tucker:
        factors = tuple(
            factor - sizes[k] / plan.gain * found.factors[k] if k in found.factors else factor
            for k, factor in enumerate(tucker.factors)
        )
        step = self.step_size / plan.gain if core else 0.0
        return Tucker((tucker.core - step * found.core).contiguous(), factors)
