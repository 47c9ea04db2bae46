"""Tensor completion beside TensorLy, on the same data in one run.

    python -m benchmarks peers_tensors [synthetic] [pines] [blocks]

synthetic  100^3, r = 5, kappa = 5, 20 % observed: processor seconds to an error below 1e-6.
           TensorLy's masked Tucker from its random and its SVD start.
pines      Indian Pines with 90 % of the cells hidden: ranks by hold-out, beside pixel x band
           completion with rank and ridge by hold-out, TensorLy at the same ranks, and the floor of
           the HOSVD of all cells.
blocks     the same with half of the picture hidden in squares of 8 x 8 pixels, all bands.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import save
from benchmarks.tensors import tensor
from wellposed.datasets import load
from wellposed.multilinear import Tucker, dense, hosvd, relative_error
from wellposed.rng import Stream


def tensorly(full: Tensor, mask: Tensor, ranks: tuple[int, ...], init: str, steps: int) -> Any:
    """Return TensorLy's masked Tucker decomposition and its seconds; None where it fails."""
    try:
        from tensorly.decomposition import tucker
    except ImportError:
        return None, 0.0
    known = torch.where(mask, full, torch.zeros_like(full)).numpy()
    start = time.process_time()
    try:
        core, factors = tucker(
            known, list(ranks), n_iter_max=steps, init=init, mask=mask.numpy(), tol=0,
            random_state=0,
        )  # fmt: skip
    except np.linalg.LinAlgError:
        return None, time.process_time() - start
    found = Tucker(torch.from_numpy(core), tuple(map(torch.from_numpy, factors)))
    return found, time.process_time() - start


def synthetic() -> dict[str, Any]:
    """Compare on a known tensor."""
    truth = tensor(100, 5, 5, 95)
    full = dense(truth)
    mask = Stream(96).uniform(full.shape, "mask") < 0.2
    problem = wp.Problem(full[mask], wp.operators.TensorEntries.from_mask(mask))
    start = time.process_time()
    ours = wp.recover(problem, wp.LowTucker((5,) * 3), steps=38, tol=1e-12)
    found = {"ours": _line(ours, truth, time.process_time() - start)}
    for init in ("svd", "random"):
        fit, spent = tensorly(full, mask, (5,) * 3, init, 70)
        if spent:
            found[f"TensorLy, {init} start"] = _line(fit, truth, spent)
    return found


def pines(blocks: bool = False) -> dict[str, Any]:
    """Compare on a real cube."""
    full = torch.from_numpy(load("indian-pines").values)
    mask = Stream(97).uniform(full.shape, "mask") < 0.1
    if blocks:
        squares = Stream(98).uniform((19, 19), "blocks") < 0.5
        shown = squares.repeat_interleave(8, 0).repeat_interleave(8, 1)[:145, :145]
        mask = shown[:, :, None].expand(full.shape).clone()
    problem = wp.Problem(full[mask], wp.operators.TensorEntries.from_mask(mask))
    start = time.process_time()
    ours = wp.recover(problem, wp.LowTucker(), steps=200, tol=1e-4)
    found = {"ours": _line(ours, full, time.process_time() - start) | {"ranks": ours.ranks}}
    floor = relative_error(hosvd(full, ours.ranks), full)
    found["floor: HOSVD of all cells"] = {"error": floor}
    fit, spent = tensorly(full, mask, ours.ranks, "svd", 60)
    if spent:
        found["TensorLy, svd start"] = _line(fit, full, spent)
    flat = mask.reshape(-1, full.shape[2])
    cells = wp.operators.Entries.from_mask(flat)
    start = time.process_time()
    table = wp.recover(wp.Problem(full.reshape(flat.shape)[flat], cells), wp.LowRank(), tol=1e-4)
    off = table.signal - full.reshape(flat.shape)
    spent = time.process_time() - start
    found["pixel x band"] = {"error": float(off.norm() / full.norm()), "seconds": spent,
                             "rank": table.rank, "ridge": table.ridge}  # fmt: skip
    return found


def _line(fit: Any, truth: Any, spent: float) -> dict[str, Any]:
    if fit is None:
        return {"error": float("nan"), "seconds": spent}
    return {"error": relative_error(Tucker(fit.core, fit.factors), truth), "seconds": spent}


PARTS = {"synthetic": synthetic, "pines": pines, "blocks": lambda: pines(blocks=True)}


def main(words: list[str]) -> None:
    """Run the parts that are named, or all."""
    torch.set_num_threads(1)
    for name in words or PARTS:
        found = PARTS[name]()
        save(f"peers_tensors_{name}", found)
        print(name)
        for row, values in found.items():
            told = ", ".join(
                f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items()
            )
            print(f"  {row:28s} {told}", flush=True)
