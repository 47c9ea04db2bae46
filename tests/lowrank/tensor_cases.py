"""Known tensors and measurements of them."""

import math
from typing import NamedTuple

import torch
from ground_truth import sign_basis

import wellposed as wp
from wellposed.multilinear import Tucker, dense, mode_product
from wellposed.rng import Stream
from wellposed.task import Task


def truth(n, r, kappa, seed, order=3) -> Tucker:
    """Incoherent factors; unfoldings have singular values from 1 to 1 / kappa, evenly spaced.

    The core is supported where the positions sum to a multiple of r, so that all its slices
    are orthogonal; then mode 0 is scaled.
    """
    stream = Stream(seed)
    places = sum(torch.meshgrid(*[torch.arange(r)] * order, indexing="ij"))
    core = (places % r == 0).double() / math.sqrt(r)
    core = mode_product(core, torch.diag(torch.linspace(1, 1 / kappa, r).double()), 0)
    return Tucker(core, tuple(sign_basis(n, r, stream, f"{k}") for k in range(order)))


class Case(NamedTuple):
    problem: wp.Problem
    prior: wp.LowTucker
    truth: Tucker


def completion(n, r, kappa, share, seed, order=3) -> Case:
    """Entries of a tensor, each observed with probability ``share``."""
    tensor = truth(n, r, kappa, seed, order)
    mask = Stream(seed).uniform((n,) * order, "mask") < share
    operator = wp.operators.TensorEntries.from_mask(mask)
    return Case(wp.Problem(dense(tensor)[mask], operator), wp.LowTucker((r,) * order), tensor)


def regression(n, r, kappa, m, seed) -> Case:
    """Gaussian designs."""
    tensor = truth(n, r, kappa, seed)
    designs = Stream(seed).normal((m, n, n, n), "designs")
    operator = wp.operators.TensorSensing(designs)
    return Case(wp.Problem(operator(dense(tensor)), operator), wp.LowTucker((r,) * 3), tensor)


def steps_to(errors, level):
    """Steps until the error is at most the level; None if it never is."""
    below = (errors <= level).nonzero()[0]
    return int(below[0]) + 1 if len(below) else None


def run(case, method, steps=500, tol=1e-13, **more):
    return wp.recover(
        case.problem, case.prior, method, steps=steps, tol=tol, truth=case.truth, **more
    )


def planned(method, case):
    task = Task(case.problem, case.prior, dtype=case.problem.y.dtype)
    plan = method.prepare(task)
    return plan, method.init(plan, Stream(0))


def coordinates(tucker, seed=0, spread=3.0):
    """The same tensor written in other, skewed coordinates."""
    core, factors = tucker.core, []
    for k, factor in enumerate(tucker.factors):
        r = factor.shape[1]
        q = Stream(seed).normal((r, r), f"q{k}") + spread * torch.eye(r, dtype=factor.dtype)
        factors.append(factor @ q)
        core = mode_product(core, torch.linalg.inv(q), k)
    return Tucker(core.contiguous(), tuple(factors))
