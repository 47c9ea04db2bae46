"""Scaled gradient descent for low-rank tensors in Tucker form.

Source     T. Tong, C. Ma, A. Prater-Bennette, E. Tripp, Y. Chi, "Scaling and scalability:
           provable nonconvex low-rank tensor estimation from incomplete measurements",
           JMLR 23 (2022).
Model      y = A(T) + noise,  T = S x_1 U_1 ... x_N U_N,  A linear, N >= 3
Update     Z    = A*(A(T) - y) / gain
           H_k  = M_k(S x_{j != k} U_j^T U_j) M_k(S)^T
           U_k' = U_k - step_size * M_k(Z x_{j != k} U_j^T) M_k(S)^T H_k^-1
           S'   = S   - step_size * Z x_k (U_k^T U_k)^-1 U_k^T       (all from the old tensor)
           Iterates T do not depend on how T is written as core and factors.
Damping    for ranks that are only upper bounds: H_k + d (U_k^T U_k)^-1 in place of H_k, with
           d = (damping ||A(T) - y||)^2 / gain, which vanishes as the data are fitted.
           Damping slows directions that are far below the residual: near a tensor of lower rank
           steps are short though it is a saddle. A run has not settled while, of late, a
           singular value of an unfolding of T still moved by a hundredth of itself in a step.
Projection ``projection`` shortens rows of M_k(T) to that multiple of their root mean square.
Cost       per step two passes over the residual; see ``operators.tensor_entries`` for entries.
Guarantee  from the spectral start the error shrinks by a constant factor a step that does not
           depend on the condition number, for about n^1.5 incoherent entries, step_size <= 0.4.
Fails      too few entries for the start to see the smallest direction (few entries, small
           rank, decaying modes): the run then ends with a large residual, which its status
           tells; gross errors (TensorRobustPCA).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from wellposed.checks import within
from wellposed.linalg import cholesky, gram
from wellposed.lowrank.tensor_setting import TensorSetting, read_tensor_task, tensor_start
from wellposed.multilinear import Slopes, Tucker, expand, mode_gram, mode_spectra
from wellposed.rng import Stream
from wellposed.task import Reading, Task

DRIFT = 0.01  # relative motion of a singular value from which on a run has not settled
FADING = 0.9  # a step: a singular value that turns from falling to rising does not stand still
ROUNDING = 1e3  # roundings of the largest, below which a singular value says nothing


class State(NamedTuple):
    """Core and factors, and how those before the last step fitted."""

    core: Tensor  # [r_1, ..., r_N]
    factors: tuple[Tensor, ...]  # [n_k, r_k]
    residual: Tensor  # 0-d: ||A(T) - y|| / ||y||
    change: Tensor  # 0-d: ||step||_scaled / ||T||
    spectra: Tensor  # [r_1 + ... + r_N]: singular values of the unfoldings; none without damping
    drift: Tensor  # 0-d: by how much of itself one of them moved in a step, of late


class Scaled(NamedTuple):
    """Preconditioned slopes."""

    core: Tensor
    factors: dict[int, Tensor]
    length: Tensor  # 0-d: scaled metric of Z
    size: Tensor  # 0-d: ||T||


@dataclass(frozen=True)
class TensorScaledGD:
    """Gradient descent on core and factors, preconditioned by their Grams.

    Parameters
    ----------
    step_size
        Fraction of the full step, in (0, 1]; the paper uses 0.3 and proves up to 0.4.
        Relative to the operator's gain, so rescaling y or A changes nothing.
    damping
        Damping >= 0 of the Grams as a multiple of the residual; 0 as in the paper, about 0.3
        where the ranks are only upper bounds, up to 1 where the start fails.
    projection
        Bound on the rows of each unfolding of T, as a multiple >= 1 of their root mean square;
        None, as in the reference code, projects nothing.

    Raises
    ------
    InputError
        A field outside its range.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> a, b, c = (torch.arange(1.0, n) for n in (9, 8, 7))
    >>> truth = torch.einsum("i,j,k->ijk", a, b, c)
    >>> mask = torch.rand(8, 7, 6, generator=torch.Generator().manual_seed(0)) < 0.6
    >>> problem = wp.Problem(truth[mask], wp.operators.TensorEntries.from_mask(mask))
    >>> found = wp.recover(problem, wp.LowTucker((1, 1, 1)), wp.TensorScaledGD())
    >>> bool((found.signal - truth).abs().max() < 1e-2)
    True
    """

    step_size: float = 0.3
    damping: float = 0.0
    projection: float | None = None

    reference: ClassVar[str] = "Tong et al., JMLR 23 (2022)"
    needs: ClassVar[str] = "linear operator on tensors"

    def __post_init__(self) -> None:
        within(
            self.step_size, "step_size", 0, 1, open_low=True,
            why="larger steps leave the region where the method contracts",
            remedy="use 0.3 unless you have a reason",
        )  # fmt: skip
        within(self.damping, "damping", 0)
        if self.projection is not None:
            within(self.projection, "projection", 1)

    def prepare(self, task: Task) -> TensorSetting:
        """Lay out the measurements."""
        return read_tensor_task(task, "TensorScaledGD")

    def init(self, plan: TensorSetting, stream: Stream) -> State:
        """Start from the leading directions of each mode."""
        start = self._project(tensor_start(plan))
        one = torch.ones((), dtype=start.core.dtype, device=start.core.device)
        return State(*start, one, one, self._spectra(start), one)

    def step(self, plan: TensorSetting, state: State) -> State:
        """Move core and factors from the old tensor."""
        old = Tucker(state.core, state.factors)
        off = plan.operator.residual(old, plan.y)
        size = off.norm()
        found = plan.operator.slopes(off, old, range(len(old.factors)))
        towards = scaled(found, old, (self.damping * size) ** 2 / plan.gain)
        new = self._project(moved(old, towards, self.step_size / plan.gain))
        change = self.step_size / plan.gain * towards.length / towards.size
        spectra = self._spectra(new)
        drift = torch.maximum(FADING * state.drift, relative_motion(state.spectra, spectra))
        return State(*new, size / plan.y_norm, change, spectra, drift)

    def read(self, plan: TensorSetting, state: State) -> Reading:
        """Return core and factors and how well those before them fitted."""
        value = Tucker(state.core, state.factors)
        ready = self.damping == 0 or float(state.drift) <= DRIFT
        return Reading(value, float(state.residual), float(state.change), ready=ready)

    def _project(self, tucker: Tucker) -> Tucker:
        return tucker if self.projection is None else project_rows(tucker, self.projection)

    def _spectra(self, tucker: Tucker) -> Tensor:
        return torch.cat(mode_spectra(tucker)) if self.damping else tucker.core.new_zeros(0)


def relative_motion(old: Tensor, new: Tensor) -> Tensor:
    """Return max |log(new / old)| of the singular values above rounding, 0-d; 0 where none is."""
    floor = torch.cat([new, new.new_zeros(1)]).max() * ROUNDING * torch.finfo(new.dtype).eps
    seen = torch.minimum(old, new) > floor
    moves = torch.where(seen, torch.log(new / old), 0.0).abs()
    return torch.cat([moves, moves.new_zeros(1)]).max()


def scaled(
    found: Slopes, tucker: Tucker, damping: float | Tensor = 0.0, fixed: Collection[int] = ()
) -> Scaled:
    """Return the slopes times the inverse (damped) Grams, and their scaled length.

    The factors of the modes ``fixed`` have orthonormal columns: their Grams are known.
    """
    core, factors = tucker
    grams = {k: gram(factor) for k, factor in enumerate(factors) if k not in fixed}
    inverses = {k: torch.cholesky_inverse(cholesky(g)) for k, g in grams.items()}
    to_core = expand(found.core, inverses, skip=fixed)
    squared, energy = (found.core * to_core).sum(), core.square().sum()
    towards = {}
    for k, slope in found.factors.items():
        h = mode_gram(core, grams, k)
        energy = (h * grams[k]).sum()  # ||T||^2, by whichever mode
        towards[k] = solved(slope, cholesky(h + damping * inverses[k]))
        squared = squared + (slope * towards[k]).sum()
    return Scaled(to_core, towards, squared.clamp_min(0).sqrt(), energy.clamp_min(0).sqrt())


def solved(right_side: Tensor, lower: Tensor) -> Tensor:
    """Return B (L L^T)^-1 for B [n, r], stored by rows."""
    return torch.cholesky_solve(right_side.mT, lower).mT.contiguous()


def moved(tucker: Tucker, towards: Scaled, step: float | Tensor) -> Tucker:
    """Return the tensor after a step against the scaled slopes; other factors stay."""
    factors = tuple(
        factor - step * towards.factors[k] if k in towards.factors else factor
        for k, factor in enumerate(tucker.factors)
    )
    return Tucker((tucker.core - step * towards.core).contiguous(), factors)


def project_rows(tucker: Tucker, multiple: float) -> Tucker:
    """Scale down rows of the factors whose part of T is longer than the bound.

    Row i of U_k is multiplied by min(1, B / ||row i of M_k(T)||), all factors from the old
    tensor, with B ``multiple`` times the root mean square of the rows.
    """
    grams = {k: gram(factor) for k, factor in enumerate(tucker.factors)}
    factors = []
    for k, factor in enumerate(tucker.factors):
        energy = ((factor @ mode_gram(tucker.core, grams, k)) * factor).sum(1).clamp_min(0)
        bound = multiple * energy.mean().sqrt()
        tiny = torch.finfo(factor.dtype).tiny
        factors.append(factor * (bound / energy.sqrt().clamp_min(tiny)).clamp_max(1.0)[:, None])
    return Tucker(tucker.core, tuple(factors))
