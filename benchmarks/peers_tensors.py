"""Low-rank tensors beside TensorLy and others, on the same data in one run.

    python -m benchmarks peers_tensors [synthetic] [rpca] [pines] [blocks] [--full]

synthetic  100^3, r = 5, kappa = 5, 20 % observed: processor seconds to an error below 1e-6.
           TensorLy's masked Tucker from its random and its SVD start.
rpca       40^3, r = 4, kappa = 5, a tenth of the entries corrupted: error and processor seconds.
           TensorLy's robust_pca with the best of five weights by the error itself; on the unfolding
           of mode 0, principal component pursuit (pyrpca), and accelerated alternating projections
           (rpca) at the true rank and one more, since it takes means off first.
pines      Indian Pines with 90 % of the cells hidden: ranks by hold-out, beside pixel x band
           completion with rank and ridge by hold-out, TensorLy at the same ranks, and the floor of
           the HOSVD of all cells.
blocks     the same with half of the cells hidden in blocks of 8 x 8 pixels and 20 bands, then in
           squares of 8 x 8 pixels with all bands; ranks, ridge and damping by hold-out in the
           shape of the gaps. "doubts": what the result says of itself.

The real cube is cut to 64 x 64 pixels; --full takes all of it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import wellposed as wp
from benchmarks.common import run_part
from benchmarks.tensors import corrupted, tensor, whole
from wellposed.datasets import load
from wellposed.multilinear import Tucker, dense, hosvd, relative_error
from wellposed.rng import Stream

SIDE = 64  # pixels of the cube that is cut out
BLOCK = (8, 8, 20)


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


def synthetic(side: int) -> dict[str, Any]:
    """Compare on a known tensor."""
    truth = tensor(100, 5, 5, 95)
    full = dense(truth)
    mask = Stream(96).uniform(full.shape, "mask") < 0.2
    start = time.process_time()
    ours = wp.recover(seen(full, mask), wp.LowTucker((5,) * 3), steps=38, tol=1e-12)
    found = {"ours": _line(ours, truth, time.process_time() - start)}
    for init in ("svd", "random"):
        fit, spent = tensorly(full, mask, (5,) * 3, init, 70)
        if spent:
            found[f"TensorLy, {init} start"] = _line(fit, truth, spent)
    return found


def rpca(side: int) -> dict[str, Any]:
    """Compare robust PCA on a known tensor."""
    truth = tensor(40, 4, 5, 63)
    full, y = dense(truth), corrupted(truth, 0.1, 64)

    def line(low: Any, start: float) -> dict[str, Any]:
        spent = time.process_time() - start
        return {"error": float((torch.as_tensor(low) - full).norm() / full.norm()),
                "seconds": spent}  # fmt: skip

    start = time.process_time()
    ours = wp.recover(whole(y), wp.LowTuckerPlusSparse((4,) * 3), steps=250, tol=1e-12)
    found = {"ours": line(ours.signal, start)}
    try:
        from pyrpca import rpca_pcp_ialm
        from rpca import RobustPCA as Projections
        from tensorly.decomposition import robust_pca
    except ImportError as error:
        return found | {"peers": {"missing": error.name}}
    tried = {}
    for weight in (0.03, 0.1, 0.3, 1.0, 3.0):  # of the sparse part; 1 is the default
        start = time.process_time()
        low = robust_pca(y.numpy(), reg_E=weight, n_iter_max=200, tol=1e-9, verbose=0)[0]
        tried[weight] = line(low, start) | {"weight": weight}
    found["TensorLy robust_pca, default"] = tried[1.0]
    found["TensorLy robust_pca, best"] = min(tried.values(), key=lambda t: t["error"])
    flat = y.reshape(40, -1).numpy()
    start = time.process_time()
    low = rpca_pcp_ialm(flat, 1 / 40, max_iter=500, verbose=False)[0]
    found["pyrpca, unfolded"] = line(low.reshape(full.shape), start)
    start = time.process_time()
    fit = Projections(5, max_iter=500, tol=1e-12, verbose=False).fit(flat)
    found["rpca, unfolded"] = line((fit.low_rank_ + fit.mean_).reshape(full.shape), start)
    return found


def pines(side: int) -> dict[str, Any]:
    """Compare on a real cube with cells hidden by chance."""
    full = cube(side)
    mask = Stream(97).uniform(full.shape, "mask") < 0.1
    start = time.process_time()
    ours = wp.recover(seen(full, mask), wp.LowTucker(), steps=200, tol=1e-4)
    found = {"ours": _line(ours, full, time.process_time() - start) | {"ranks": ours.ranks}}
    found |= _beside(full, mask, ours.ranks)
    flat = mask.flatten(0, 1)
    start = time.process_time()
    table = wp.recover(seen(full.flatten(0, 1), flat), wp.LowRank(), tol=1e-4)
    spent = time.process_time() - start
    found["pixel x band"] = {
        "error": _off(table.signal, full.flatten(0, 1)), "seconds": spent,
        "rank": table.rank, "ridge": table.ridge,
    }  # fmt: skip
    return found


def blocks(side: int) -> dict[str, Any]:
    """Compare on a real cube with whole blocks hidden: errors of the hidden cells."""
    full, found = cube(side), {}
    for name, block in (("blocks", BLOCK), ("squares", (*BLOCK[:2], full.shape[2]))):
        mask = by_blocks(full.shape, block, 0.5, 98)
        start = time.process_time()
        ours = wp.recover(seen(full, mask), wp.LowTucker(), steps=200, tol=1e-4)
        found[f"{name}: ours"] = {
            "error": _off(ours.signal[~mask], full[~mask]), "seconds": time.process_time() - start,
            "ranks": ours.ranks, "status": ours.status.value, "doubts": len(ours.doubts),
        }  # fmt: skip
        fit, spent = tensorly(full, mask, ours.ranks, "svd", 60)
        if fit is not None:
            error = _off(dense(Tucker(*fit))[~mask], full[~mask])
            found[f"{name}: TensorLy, svd start"] = {"error": error, "seconds": spent}
        start = time.process_time()
        table = wp.recover(seen(full.flatten(0, 1), mask.flatten(0, 1)), wp.LowRank(), tol=1e-4)
        found[f"{name}: pixel x band"] = {
            "error": _off(table.signal.reshape(full.shape)[~mask], full[~mask]),
            "seconds": time.process_time() - start, "rank": table.rank, "ridge": table.ridge,
            "doubts": len(table.doubts),
        }  # fmt: skip
        mean = ((full * mask).sum((0, 1)) / mask.sum((0, 1))).expand(full.shape)
        found[f"{name}: mean spectrum"] = {"error": _off(mean[~mask], full[~mask])}
    return found


def cube(side: int) -> Tensor:
    """Return the picture of fields and woods, at most side x side pixels."""
    return torch.from_numpy(load("indian-pines").values)[:side, :side].clone()


def seen(full: Tensor, mask: Tensor) -> wp.Problem:
    """Observe some cells of a matrix or a tensor."""
    cells = wp.operators.Entries if full.ndim == 2 else wp.operators.TensorEntries
    return wp.Problem(full[mask], cells.from_mask(mask))


def by_blocks(shape: Any, block: tuple[int, ...], share: float, seed: int) -> Tensor:
    """Return a mask that is constant in blocks, each true with probability ``share``."""
    counts = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
    mask = Stream(seed).uniform(counts, "blocks") < share
    for k, b in enumerate(block):
        mask = mask.repeat_interleave(b, k)
    return mask[tuple(slice(0, n) for n in shape)]


def _beside(full: Tensor, mask: Tensor, ranks: tuple[int, ...]) -> dict[str, Any]:
    """Return the floor, and TensorLy, at given ranks."""
    error = relative_error(hosvd(full, ranks), full)
    found: dict[str, Any] = {"floor: HOSVD of all cells": {"error": error}}
    fit, spent = tensorly(full, mask, ranks, "svd", 60)
    if spent:
        found["TensorLy, svd start"] = _line(fit, full, spent)
    return found


def _line(fit: Any, truth: Any, spent: float) -> dict[str, Any]:
    if fit is None:
        return {"error": float("nan"), "seconds": spent}
    return {"error": relative_error(Tucker(fit.core, fit.factors), truth), "seconds": spent}


def _off(found: Tensor, truth: Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


PARTS = {"synthetic": synthetic, "rpca": rpca, "pines": pines, "blocks": blocks}


def main(words: list[str]) -> None:
    """Run the parts that are named, or all."""
    full = "--full" in words
    for name in [w for w in words if w != "--full"] or PARTS:
        part = partial(PARTS[name], 1000 if full else SIDE)
        run_part(f"peers_tensors_{name}{'_full' if full else ''}", part)
