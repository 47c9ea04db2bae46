"""The verb ``recover``: a problem and a prior become an estimate.

Choosing (rank, method), taking off biases, driving the steps and keeping the run folder are
done here, once, for every method.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

from torch import Tensor

from wellposed.baselines import untold
from wellposed.checks import as_tensor, require, whole, within
from wellposed.codec import NotStorableError
from wellposed.defaults import default_method
from wellposed.errors import CapabilityError, DoubtWarning, StoreError
from wellposed.generation import Callback
from wellposed.growth import first_state
from wellposed.inference import draw_posterior
from wellposed.lowrank.biases import Biases, fit_biases
from wellposed.lowrank.count_scaled_gd import CountScaledGD
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.multilinear import Tucker
from wellposed.multilinear import relative_error as tensor_error
from wellposed.operators.entries import Entries
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.lowrank import LowRank, LowRankPlusSparse
from wellposed.priors.tucker import LowTucker, LowTuckerPlusSparse
from wellposed.problem import Problem
from wellposed.progress import Progress
from wellposed.result import Recovery
from wellposed.result_tensor import TensorRecovery
from wellposed.rng import Stream
from wellposed.run import Driver, Outcome, Record, as_records
from wellposed.selection import Candidate, choose
from wellposed.selection_tensor import choose_ranks
from wellposed.store import RunFolder, fingerprint, load_tree, save_tree
from wellposed.task import Method, Task
from wellposed.uncertainty import Posterior

STEPS = 500
TOLERANCE = 1e-6
UNTOLD = "nothing is known of them, and what the result holds there is no prediction"

Truth = Tensor | Factors | Tucker | None


@dataclass(frozen=True, eq=False)
class Request:
    """All that determines a run."""

    problem: Problem
    prior: Any
    method: Any
    steps: int = STEPS
    tol: float = TOLERANCE
    seed: int = 0


class Options(TypedDict, total=False):
    """What every kind of prior can be asked for; see ``recover``."""

    steps: int | None
    seed: int
    out: str | Path | None
    progress: bool
    checkpoint_seconds: float


class EstimateOptions(Options, total=False):
    """Of low-rank priors."""

    tol: float | None
    truth: Any


class DrawOptions(Options, total=False):
    """Of diffusion priors."""

    draws: int | None
    trace: bool
    callback: Callback | None


@overload
def recover(
    problem: Problem, prior: DiffusionPrior, method: Any = None, **options: Unpack[DrawOptions]
) -> Posterior: ...
@overload
def recover(
    problem: Problem,
    prior: LowRank | LowRankPlusSparse,
    method: Any = None,
    **options: Unpack[EstimateOptions],
) -> Recovery: ...
@overload
def recover(
    problem: Problem,
    prior: LowTucker | LowTuckerPlusSparse,
    method: Any = None,
    **options: Unpack[EstimateOptions],
) -> TensorRecovery: ...
def recover(
    problem: Problem,
    prior: Any,
    method: Any = None,
    *,
    steps: int | None = None,
    tol: float | None = None,
    draws: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    truth: Any = None,
    trace: bool = False,
    callback: Callback | None = None,
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
) -> Any:
    """Recover a signal from a measurement: an estimate (low rank) or posterior draws.

    Parameters
    ----------
    problem
        What was measured, how, with which noise.
    prior
        What signals look like: ``LowRank``, ``LowTucker``, or either ``PlusSparse``; or a
        diffusion prior.
    method
        How to solve; None takes the default of ``wellposed methods``.
    steps
        Largest number of steps, >= 1; default 500, for diffusion priors the method's own.
    tol
        Relative tolerance of the stopping rules, > 0; default 1e-6 (low rank).
    draws
        Posterior draws, >= 1; default 16 (diffusion). The first n of N are the same numbers.
    seed
        Seed of every random choice, >= 0.
    out
        Run folder; the same call with the same folder goes on where the last one stopped.
    truth
        The true signal, dense or its factors (left, right) or ``Tucker(core, factors)``: the
        trace then holds the relative error (low rank).
    trace, callback
        Record or look at each step (diffusion), as in ``sample``.
    progress, checkpoint_seconds
        Show a progress bar; time between checkpoints, > 0.

    Returns
    -------
    Recovery, TensorRecovery or Posterior
        Not converging is a status, never an exception; ``doubts`` are warnings too.

    Raises
    ------
    CapabilityError, InputError
        The method cannot work with this operator or prior; a value out of range.
    StoreError, FileError
        The folder holds another run, or cannot be written.

    Examples
    --------
    >>> import torch, wellposed as wp
    >>> truth = torch.outer(torch.arange(1.0, 21.0), torch.arange(1.0, 16.0))
    >>> mask = torch.rand(20, 15, generator=torch.Generator().manual_seed(0)) < 0.5
    >>> cells = wp.operators.Entries.from_mask(mask)
    >>> result = wp.recover(wp.Problem(truth[mask], cells), wp.LowRank(1))
    >>> bool((result.signal - truth).abs().max() < 1e-2)
    True
    """
    if isinstance(prior, DiffusionPrior):
        _check_problem(problem)
        _unused("a diffusion prior", tol=tol, truth=truth)
        return draw_posterior(
            problem, prior, method, draws=draws, steps=steps, seed=seed, out=out, trace=trace,
            callback=callback, progress=progress, checkpoint_seconds=checkpoint_seconds,
        )  # fmt: skip
    _unused("a low-rank prior", draws=draws, trace=trace or None, callback=callback)
    limits = STEPS if steps is None else steps, TOLERANCE if tol is None else tol
    request = _check(Request(problem, prior, method, *limits, seed))
    within(checkpoint_seconds, "checkpoint_seconds", 0)
    folder = None if out is None else RunFolder(Path(out), checkpoint_seconds)
    return _told(_estimate(request, folder, truth, progress=progress))


def _told(result: Any) -> Any:
    """Warn the caller of ``recover`` of what the result doubts."""
    for doubt in result.doubts:
        warnings.warn(doubt, DoubtWarning, stacklevel=3)
    return result


def _estimate(request: Request, folder: RunFolder | None, truth: Any, *, progress: bool) -> Any:
    """Solve a low-rank problem, or read the answer from the folder of the finished run."""
    if folder is not None:
        done = _claim(folder, request)
        if done is not None:
            return done.as_numpy() if request.problem.as_numpy else done
    with Progress(request.steps, shown=progress) as bar:
        result = solve(request, folder, truth_of(truth), bar.record, bar.candidate)
    if folder is not None:
        save_tree(folder.path / "result.safetensors", result)
        folder.finish(result.status.value, result.status.value == "interrupted")
    return result.as_numpy() if request.problem.as_numpy else result


def resume(folder: str | Path, *, progress: bool = False) -> Any:
    """Go on with an interrupted run from its folder alone, to the same result.

    Parameters
    ----------
    folder
        What was given as ``out`` to ``recover``.
    progress
        Show a progress bar.

    Raises
    ------
    StoreError
        The folder is no run, or its problem could not be stored (a user's function).
    """
    store = RunFolder(Path(folder))
    request: Request = store.request("problem", "wp.recover")
    result: Recovery = recover(
        request.problem, request.prior, request.method, steps=request.steps, tol=request.tol,
        seed=request.seed, out=folder, progress=progress,
    )  # fmt: skip
    return result


def solve(
    request: Request,
    folder: RunFolder | None,
    truth: Truth,
    watch: Callable[[Record], None] | None = None,
    watch_choice: Callable[[Candidate], None] | None = None,
) -> Recovery | TensorRecovery:
    """Choose what was left open, take off biases, drive the method."""
    stream = Stream(request.seed)
    prior = request.prior
    tried: tuple[Any, ...] = ()
    doubts: tuple[str, ...] = ()
    method = request.method
    if not getattr(prior, "biases", False):  # offsets of the other side tell something
        doubts = untold(request.problem.operator, UNTOLD)
    if isinstance(prior, LowRank) and prior.rank is None:
        named = method or _named(default_method(request.problem, replace(prior, rank=1)))
        choice = choose(request.problem, prior, named, stream, watch_choice)
        prior = replace(prior, rank=choice.best.rank, ridge=choice.best.ridge)
        tried, doubts = choice.tried, doubts + choice.doubts
    if isinstance(prior, LowTucker) and prior.ranks is None:
        found = choose_ranks(request.problem, method, stream, watch_choice)
        prior, method = LowTucker(found.best.ranks), method or found.method
        tried, doubts = found.tried, doubts + found.doubts
    method = method or default_method(request.problem, prior)
    problem, biases = _without_biases(request.problem, prior, method)
    task = Task(problem, prior, dtype=problem.y.dtype, device=problem.y.device)
    plan = method.prepare(task)
    outcome = _drive(
        request, method, plan, lambda: first_state(method, task, plan, stream), folder, truth, watch
    )
    finish = getattr(method, "finish", None)
    value = finish(plan, outcome.state) if finish else outcome.reading.value
    ended = (outcome.status, outcome.step, outcome.trace, getattr(value, "sparse", None))
    if hasattr(value, "core"):
        return TensorRecovery(
            value.core, value.factors, *ended, method=method, choice=tried, doubts=doubts
        )
    return Recovery(
        value.left, value.right, *ended, biases=getattr(value, "biases", biases),
        rank=value.left.shape[1], ridge=getattr(prior, "ridge", 0.0), method=method, choice=tried,
        doubts=doubts,
    )  # fmt: skip


def _named(default: Any) -> Any:
    """Return the default as if it had been asked for; None for the one that searches ridges."""
    return None if isinstance(default, CountScaledGD) else default


def truth_of(truth: Any) -> Truth:
    """Turn the caller's truth into a tensor or factors."""
    if truth is None or isinstance(truth, Tucker):
        return truth
    if isinstance(truth, (tuple, list)) and len(truth) == 2:
        return Factors(as_tensor(truth[0], "truth"), as_tensor(truth[1], "truth"))
    return as_tensor(truth, "truth")


def _check_problem(problem: Any) -> None:
    require(
        isinstance(problem, Problem),
        f"problem is a {type(problem).__name__}, expected a Problem",
        remedy="wp.Problem(y, operator, noise)",
    )


def _unused(prior: str, **arguments: Any) -> None:
    """Refuse arguments that have no meaning for a kind of prior."""
    for name, value in arguments.items():
        require(
            value is None,
            f"{name} was given with {prior}, which has no use for it",
            remedy="leave it out",
        )


def _check(request: Request) -> Request:
    _check_problem(request.problem)
    whole(request.steps, "steps")
    within(request.tol, "tol", 0, 1, open_low=True)
    whole(request.seed, "seed", 0)
    require(
        request.method is None or isinstance(request.method, Method),
        f"method is {request.method!r}, expected a method such as wp.ScaledGD()",
        error=CapabilityError,
    )
    return request


def _claim(folder: RunFolder, request: Request) -> Recovery | TensorRecovery | None:
    """Open the folder for this request; return the result if the run there is finished."""
    about: dict[str, Any] = {"kind": "recover", "seed": request.seed}
    try:
        key = fingerprint(request)
    except NotStorableError as error:
        key, about["unstored"] = f"unstored/{request.seed}", str(error)
    manifest = folder.open(key, about)
    finished = folder.path / "result.safetensors"
    if finished.exists() and manifest["status"] not in ("running", "interrupted"):
        damaged = folder.damaged()
        require(
            not damaged,
            f"{folder.path}: {', '.join(damaged)} changed since the run",
            remedy="restore the file, or run again in a new folder",
            error=StoreError,
        )
        result: Recovery | TensorRecovery = load_tree(finished)
        return result
    if "unstored" not in about and not (folder.path / "problem.safetensors").exists():
        save_tree(folder.path / "problem.safetensors", request)
    return None


def _drive(
    request: Request,
    method: Method,
    plan: Any,
    start: Callable[[], Any],
    folder: RunFolder | None,
    truth: Truth,
    watch: Callable[[Record], None] | None,
) -> Outcome:
    kept = None if folder is None else folder.checkpoint()
    driver = Driver(
        request.steps, request.tol, error_against(truth), watch, folder,
        records=[] if kept is None else as_records(kept["records"]),
    )  # fmt: skip
    if kept is not None:
        return driver.run(method, plan, kept["state"], kept["step"])
    return driver.run(method, plan, start())


def error_against(truth: Any) -> Callable[[Any], float] | None:
    """Return the function that measures a reading's relative error."""
    if truth is None:
        return None

    def error(value: Any) -> float:
        if isinstance(value, Tucker):
            return tensor_error(value, truth)
        return relative_error(Factors(value.left, value.right), truth)

    return error


def _without_biases(problem: Problem, prior: Any, method: Any) -> tuple[Problem, Biases | None]:
    """Take the offsets off the measurements, unless the method fits them itself."""
    if not (isinstance(prior, LowRank) and prior.biases):
        return problem, None
    operator = problem.operator
    if not isinstance(operator, Entries):
        raise CapabilityError(
            f"biases were asked for with the operator {type(operator).__name__}",
            "row and column offsets belong to observed entries",
            "use LowRank(biases=False)",
        )
    if getattr(method, "fits_biases", False):
        return problem, None
    biases = fit_biases(operator, problem.y)
    offsets = biases.at(operator.rows.long(), operator.cols.long())
    return replace(problem, y=problem.y - offsets), biases
