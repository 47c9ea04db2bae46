"""Error against seconds, beside other packages, on the same data in one run.

    python -m benchmarks peers_lowrank [completion] [rpca] [ratings]

Every package gets the same sparse data, the true rank where it takes one, the same two threads,
and its best documented settings. Seconds include a package's own set-up and start, and exclude
the measuring of errors, which is done on kept iterates afterwards.

completion  1000 x 1000, rank 10, kappa 10, 20 % observed, clean. pymanopt: fixed-rank manifold,
            conjugate gradients, cost and gradient on the sparse residual. fancyimpute: SoftImpute
            at the true rank. TensorLy: masked CP at the true rank.
rpca        500 x 500, rank 10, kappa 10, 10 % corrupted. pyrpca and TensorLy: principal
            component pursuit by the inexact augmented Lagrangian.
ratings     MovieLens 100k, five random 90/10 splits. scikit-surprise's SVD, tuned on the same
            validation cells for the same time, and for five times as long. All predictions are
            clipped to the scale of one to five stars, as scikit-surprise does by itself.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import svds

import wellposed as wp
from benchmarks.common import random_cells, save, truth
from benchmarks.plots import curves
from wellposed.lowrank.biases import fit_biases
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.operators.entries import predict_cells
from wellposed.rng import Stream
from wellposed.run import Driver
from wellposed.selection import hold_out
from wellposed.task import Method, Task

Curve = list[tuple[float, Any]]  # seconds since the data were handed over, iterate
REPEATS = 5
SPLITS = range(9300, 9305)
SCALE = (1.0, 5.0)  # stars
SLOW = 4.0  # seconds: a package that takes longer is run once


class Clock:
    """Seconds since the start."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self) -> float:
        """Return the seconds so far."""
        return time.perf_counter() - self.start


def ours(problem: wp.Problem, prior: Any, method: Method, steps: int) -> Curve:
    """Run one of our methods and keep every iterate."""
    clock, kept = Clock(), []

    def keep(value: Any) -> float:
        kept.append((clock(), Factors(value.left, value.right)))
        return 0.0

    task = Task(problem, prior, dtype=problem.y.dtype)
    plan = method.prepare(task)
    Driver(steps, 1e-13, error=keep).run(method, plan, method.init(plan, Stream(0)))
    return kept


def pymanopt_completion(y: np.ndarray, cells: Any, shape: tuple[int, int], rank: int) -> Curve:
    """Conjugate gradients on the manifold of fixed-rank matrices, sparse residuals."""
    import pymanopt
    from pymanopt.manifolds import FixedRankEmbedded
    from pymanopt.optimizers import ConjugateGradient

    clock, kept = Clock(), []
    rows, cols = cells
    pattern = sparse.csr_array((y, (rows, cols)), shape=shape)
    rows, cols = pattern.nonzero()
    y = pattern.data
    manifold = FixedRankEmbedded(*shape, rank)

    def residual(u: np.ndarray, s: np.ndarray, vt: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", (u * s)[rows], vt.T[cols]) - y

    @pymanopt.function.numpy(manifold)
    def cost(u: np.ndarray, s: np.ndarray, vt: np.ndarray) -> float:
        return 0.5 * float(np.sum(residual(u, s, vt) ** 2))

    @pymanopt.function.numpy(manifold)
    def gradient(u: np.ndarray, s: np.ndarray, vt: np.ndarray) -> tuple[np.ndarray, ...]:
        kept.append((clock(), Factors(torch.from_numpy(u * s), torch.from_numpy(vt.T.copy()))))
        z = sparse.csr_array((residual(u, s, vt), pattern.indices, pattern.indptr), shape=shape)
        zv, utz = z @ vt.T, (z.T @ u).T
        return zv * s, np.einsum("ij,ij->j", u, zv), s[:, None] * utz

    u, s, vt = svds(pattern / (y.size / (shape[0] * shape[1])), k=rank, v0=np.ones(min(shape)))
    problem = pymanopt.Problem(manifold, cost, euclidean_gradient=gradient)
    optimizer = ConjugateGradient(
        max_iterations=400, min_gradient_norm=1e-13, min_step_size=1e-14, verbosity=0
    )
    optimizer.run(problem, initial_point=type(manifold.random_point())(u, s, vt))
    return kept


def fancyimpute_completion(y: np.ndarray, cells: Any, shape: tuple[int, int], rank: int) -> Curve:
    """SoftImpute at the true rank, run to a few budgets (it keeps no iterates)."""
    from fancyimpute import SoftImpute

    table = np.full(shape, np.nan)
    table[cells] = y
    kept: Curve = []
    for iterations in (5, 20, 60):
        clock = Clock()
        solver = SoftImpute(
            shrinkage_value=1e-3 * np.abs(y).max() * shape[0] ** 0.5, max_rank=rank,
            max_iters=iterations, convergence_threshold=1e-12, verbose=False,
        )  # fmt: skip
        kept.append((clock(), torch.from_numpy(solver.fit_transform(table))))
        kept[-1] = (clock(), kept[-1][1])
    return kept


def tensorly_completion(y: np.ndarray, cells: Any, shape: tuple[int, int], rank: int) -> Curve:
    """Masked CP of order two, run to a few budgets."""
    from tensorly.decomposition import parafac

    table, mask = np.zeros(shape), np.zeros(shape)
    table[cells], mask[cells] = y, 1.0
    kept: Curve = []
    for iterations in (5, 20, 60):
        clock = Clock()
        _, (left, right) = parafac(
            table,
            rank,
            n_iter_max=iterations,
            init="svd",
            mask=mask,
            tol=0,
            normalize_factors=False,
        )
        kept.append((clock(), Factors(torch.from_numpy(left), torch.from_numpy(right))))
    return kept


def completion() -> None:
    """Complete one clean table with every package."""
    n, rank = 1000, 10
    true = truth(n, n, rank, 10.0, 3)
    cells = random_cells(n, n, 0.2, 3)
    rows, cols = (torch.from_numpy(a) for a in cells)
    y = predict_cells(true.left, true.right, rows, cols)
    problem = wp.Problem(y, wp.operators.Entries(rows, cols, (n, n)))
    arguments = (y.numpy(), cells, (n, n), rank)
    runs: dict[str, Callable[[], Curve]] = {
        "wellposed ScaledGD": lambda: ours(problem, wp.LowRank(rank), wp.ScaledGD(), 200),
        "wellposed CountScaledGD": lambda: ours(problem, wp.LowRank(rank), wp.CountScaledGD(), 200),
        "pymanopt CG": lambda: pymanopt_completion(*arguments),
        "fancyimpute SoftImpute": lambda: fancyimpute_completion(*arguments),
        "TensorLy masked CP": lambda: tensorly_completion(*arguments),
    }
    report("completion", runs, lambda value: relative_error_of(value, true), (1e-3, 1e-6, 1e-10))


def corrupted(seed: int) -> tuple[Factors, torch.Tensor]:
    """Return a low-rank truth and its corrupted sum; a tenth of the entries is wrong."""
    n, rank = 500, 10
    true = truth(n, n, rank, 10.0, seed)
    low = true.left @ true.right.T
    stream = Stream(seed)
    hit = stream.uniform((n, n), "where") < 0.1
    size = 10 * low.abs().mean()
    return true, low + hit * size * (2 * stream.uniform((n, n), "how much") - 1)


def rpca() -> None:
    """Separate one corrupted matrix with every package."""
    from pyrpca import rpca_pcp_ialm
    from tensorly.decomposition import robust_pca

    true, y = corrupted(5)
    n, array = y.shape[0], y.numpy()
    problem = wp.Problem(y, wp.operators.Identity((n, n)))

    def budgets(solve: Callable[[int], np.ndarray], counts: tuple[int, ...]) -> Curve:
        kept: Curve = []
        for count in counts:
            clock = Clock()
            low = solve(count)
            kept.append((clock(), torch.from_numpy(low)))
        return kept

    runs: dict[str, Callable[[], Curve]] = {
        "wellposed RobustPCA (soft)": lambda: ours(
            problem, wp.LowRankPlusSparse(10), wp.RobustPCA(), 150
        ),
        "pyrpca IALM": lambda: budgets(
            lambda k: rpca_pcp_ialm(array, 1 / n**0.5, max_iter=k, verbose=False)[0],
            (10, 15, 20, 25, 30, 40),
        ),
        "TensorLy robust_pca": lambda: budgets(
            lambda k: robust_pca(array, reg_E=1 / n**0.5, n_iter_max=k, verbose=0)[0], (20, 60)
        ),
    }
    report("rpca", runs, lambda value: relative_error_of(value, true), (1e-3, 1e-6))


def relative_error_of(value: Any, true: Factors) -> float:
    """Return the relative error of factors or of a dense matrix."""
    if isinstance(value, Factors):
        return relative_error(value, true)
    dense = true.left @ true.right.T
    return float((value - dense).norm() / dense.norm())


def report(
    name: str,
    runs: dict[str, Callable[[], Curve]],
    error: Callable[[Any], float],
    levels: tuple[float, ...],
) -> None:
    """Run every package several times in turn; print median seconds to each error, and ratios."""
    first = next(iter(runs))
    found: dict[str, list[list[tuple[float, float]]]] = {key: [] for key in runs}
    for repeat in range(REPEATS + 1):
        for key, run in runs.items():
            if repeat > 0 and max(curve[-1][0] for curve in found[key]) > SLOW:
                continue  # measured once
            if repeat == 1:
                found[key].clear()  # the first run only warmed up
            found[key].append([(at, error(value)) for at, value in run()])
    table = {
        key: {level: median([seconds_to(curve, level) for curve in many]) for level in levels}
        for key, many in found.items()
    }
    print(f"{name}: median seconds to a relative error, of {REPEATS} runs (and times ours)")
    for key, row in table.items():
        cells = [
            f"{level:.0e}: {_text(row[level])} ({_text(row[level] / table[first][level])}x)"
            for level in levels
        ]
        best = min(e for _, e in found[key][-1])
        print(f"  {key:28s} {'   '.join(cells)}   best error {best:.1e}")
    save(
        f"peers_{name}",
        {"seconds": {k: {str(a): b for a, b in v.items()} for k, v in table.items()}},
    )
    curves(
        f"peers_{name}", {key: many[-1] for key, many in found.items()},
        "seconds", "relative error", log_x=True,
    )  # fmt: skip


def seconds_to(curve: list[tuple[float, float]], level: float) -> float:
    """Return when a curve first falls below a level, or infinity."""
    return next((at for at, e in curve if e < level), float("inf"))


def median(values: list[float]) -> float:
    """Return the median, infinity if most are."""
    return float(np.median(values)) if np.isfinite(values).any() else float("inf")


def _text(value: float) -> str:
    return f"{value:8.3f}" if np.isfinite(value) else "   never"


def ratings() -> None:
    """Five splits of MovieLens 100k: ours by hold-out, scikit-surprise tuned likewise.

    One thread each: scikit-surprise uses one.
    """
    torch.set_num_threads(1)
    from wellposed import datasets

    table = datasets.load("ml-100k")
    rows, cols, values = (np.asarray(a) for a in (table.rows, table.cols, table.values))
    lines = []
    for seed in SPLITS:
        order = np.random.default_rng(seed).permutation(values.size)
        test, train = order[: values.size // 10], order[values.size // 10 :]
        cells = wp.operators.Entries(rows[train], cols[train], table.shape)
        problem = wp.Problem(values[train], cells)
        clock = Clock()
        found = wp.recover(problem, wp.LowRank(biases=True), seed=seed)
        took = clock()
        b = fit_biases(cells, problem.y)
        guess = np.clip(found.predict(rows[test], cols[test]), *SCALE)
        base = b.at(torch.from_numpy(rows[test]), torch.from_numpy(cols[test])).numpy()
        split = hold_out(problem, 0.1, Stream(seed))
        lines.append(
            {
                "ours": rmse(guess, values[test]),
                "biases": rmse(np.clip(base, *SCALE), values[test]),
                "surprise": surprise(split, problem, (rows[test], cols[test]), values[test], took),
                "surprise, 5x time": surprise(
                    split, problem, (rows[test], cols[test]), values[test], 5 * took
                ),
                "seconds": took,
            }
        )
        print("  " + "  ".join(f"{k} {v:.4f}" for k, v in lines[-1].items()))
    print("ratings: mean test RMSE of five splits")
    for key in ("ours", "biases", "surprise", "surprise, 5x time"):
        off = np.array([line["ours"] - line[key] for line in lines])
        error = off.std(ddof=1) / len(off) ** 0.5
        mean = np.mean([line[key] for line in lines])
        print(f"  {key:20s} {mean:.4f}   ours minus it {off.mean():+.4f} (s.e. {error:.4f})")
    save("peers_ratings", {"splits": lines})


def surprise(
    split: Any, problem: wp.Problem, cells: Any, target: np.ndarray, budget: float
) -> float:
    """Tune SVD on the validation cells until the time is used up, refit, and test."""
    from surprise import SVD

    draw = np.random.default_rng(0)
    fitted = split.fit.operator
    trainset = as_trainset(fitted.rows, fitted.cols, split.fit.y)
    best, clock = (float("inf"), {}), Clock()
    while clock() < budget:
        setting = {
            "n_factors": int(draw.choice([5, 10, 20, 50, 100])),
            "n_epochs": int(draw.choice([10, 20, 30, 50])),
            "lr_all": float(draw.choice([0.002, 0.005, 0.01])),
            "reg_all": float(draw.choice([0.02, 0.05, 0.1, 0.15])),
            "random_state": 0,
        }
        model = SVD(**setting).fit(trainset)
        error = rmse(estimates(model, split.rows, split.cols), split.y.numpy())
        best = min(best, (error, setting), key=lambda pair: pair[0])
    whole = as_trainset(problem.operator.rows, problem.operator.cols, problem.y)
    return rmse(estimates(SVD(**best[1]).fit(whole), *cells), target)


def as_trainset(rows: Any, cols: Any, values: Any) -> Any:
    """Return surprise's own structure."""
    from surprise import Dataset, Reader

    triples = [(int(i), int(j), float(v), None) for i, j, v in zip(rows, cols, values, strict=True)]
    dataset = Dataset(Reader(rating_scale=(1, 5)))
    return dataset.construct_trainset(triples)


def estimates(model: Any, rows: Any, cols: Any) -> np.ndarray:
    """Return surprise's predictions."""
    return np.array([model.predict(int(i), int(j)).est for i, j in zip(rows, cols, strict=True)])


def rmse(guess: np.ndarray, target: np.ndarray) -> float:
    """Return the root mean square error."""
    return float(np.mean((np.asarray(guess) - target) ** 2) ** 0.5)


def main(arguments: list[str]) -> None:
    """Run the comparisons that are named, or all."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    for name in arguments or ["completion", "rpca", "ratings"]:
        {"completion": completion, "rpca": rpca, "ratings": ratings}[name]()
