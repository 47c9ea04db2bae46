"""What every low-rank tensor method works with: the problem in iterating layout, and its start.

Spectral start   U_k: leading directions of mode k of the measurements, S = A*(y) x_k U_k^T / gain
                 (Tong, Ma, Prater-Bennette, Tripp & Chi, JMLR 23 (2022)).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.checks import require
from wellposed.errors import CapabilityError
from wellposed.multilinear import Tucker, check_ranks
from wellposed.operators.tensor import TensorOperator
from wellposed.priors.tucker import LowTucker
from wellposed.task import Task


class TensorSetting(NamedTuple):
    """The part of a plan that all low-rank tensor methods share."""

    operator: TensorOperator
    y: Tensor
    y_norm: Tensor  # 0-d
    gain: float
    ranks: tuple[int, ...]


def read_tensor_task(task: Task, who: str) -> TensorSetting:
    """Check that a task is low-rank tensor recovery, and lay out its measurements.

    Parameters
    ----------
    task
        Problem and prior.
    who
        Name of the method, for the errors.
    """
    problem, prior = task.problem, task.prior
    if problem is None or not isinstance(prior, LowTucker):
        raise CapabilityError(
            f"{who} was given a {type(prior).__name__} prior",
            "it recovers a LowTucker tensor from a problem",
            "pass prior=LowTucker(ranks)",
        )
    operator = problem.operator
    if not isinstance(operator, TensorOperator):
        raise CapabilityError(
            f"{who} was given the operator {type(operator).__name__}",
            "it needs a linear operator on tensors of at least three modes",
            "use TensorEntries, TensorSensing, Identity, or from_callable(..., linear=True) "
            "on a shape of three or more sides",
        )
    require(
        prior.ranks is not None,
        f"{who} was given a LowTucker prior without ranks",
        remedy="wp.recover chooses them by hold-out when they are None",
    )
    ranks = tuple(prior.ranks or ())
    check_ranks(ranks, operator.shape_in)
    layout, y = operator.canonical(problem.y.to(task.device, task.dtype))
    return TensorSetting(layout, y, y.norm(), layout.gain, ranks)


def tensor_start(setting: TensorSetting) -> Tucker:
    """Return the spectral start: orthonormal factors, and the core that they see."""
    operator, y, gain, ranks = setting.operator, setting.y, setting.gain, setting.ranks
    whole = [k for k, rank in enumerate(ranks) if rank == operator.shape_in[k]]
    factors = tuple(
        torch.eye(rank, dtype=y.dtype, device=y.device)  # any basis of the whole space will do
        if k in whole
        else operator.mode_basis(y, k, rank)
        for k, rank in enumerate(ranks)
    )
    core = operator.slopes(y, Tucker(y.new_zeros(ranks), factors), (), whole).core / gain
    return Tucker(core.contiguous(), factors)
