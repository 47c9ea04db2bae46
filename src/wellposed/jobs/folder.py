"""A job's folder: stages below it, a summary and a report in it.

folder/
  manifest.json     the job, the hash of its input, versions, status, hashes of the files
  summary.json      what was found, in figures
  report.html       the same for people
  ...               the job's own files
  stages/           runs and choices that are read back when the job is done again
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wellposed import generation
from wellposed.checks import require
from wellposed.draws import Draws
from wellposed.errors import CapabilityError, InputError, undoubted
from wellposed.jobs.inputs import digests, fresh_folder
from wellposed.jobs.requests import Job, to_plain
from wellposed.jobs.summary import read_summary, write_summary, write_text
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.problem import Problem
from wellposed.recovery import recover
from wellposed.run import Status
from wellposed.sampling import sample
from wellposed.store import MANIFEST, RunFolder, fingerprint, load_tree, save_tree
from wellposed.uncertainty import Posterior

STAGES = "stages"


@dataclass(frozen=True)
class Limits:
    """What bounds each fit of a job, and what is seen of it."""

    steps: int
    tol: float
    seed: int
    progress: bool = False
    checkpoint_seconds: float = 30.0


@dataclass(frozen=True)
class Done:
    """How a job ended.

    Attributes
    ----------
    folder
        Where its files are.
    status
        As a run's: converged, complete, max_steps, diverged, interrupted.
    summary
        The content of summary.json; empty when interrupted.
    """

    folder: Path
    status: str
    summary: Mapping[str, Any]

    @property
    def interrupted(self) -> bool:
        """Whether the job can be resumed."""
        return self.status == Status.INTERRUPTED.value

    @property
    def ok(self) -> bool:
        """Whether every fit ended as it should."""
        return Status(self.status).ok


@dataclass(frozen=True)
class Bench:
    """Where a job works: its folder, its limits."""

    folder: Path
    limits: Limits

    def fit(self, stage: str, problem: Problem, prior: Any, method: Any) -> Any:
        """Recover in a stage of its own, or read back what it found.

        Raises
        ------
        KeyboardInterrupt
            The fit was interrupted; its checkpoint is written.
        """
        limits = self.limits
        with undoubted():  # the job's summary has its own words
            result = recover(
                problem, prior, method, steps=limits.steps, tol=limits.tol, seed=limits.seed,
                out=self.folder / STAGES / stage, progress=limits.progress,
                checkpoint_seconds=limits.checkpoint_seconds,
            )  # fmt: skip
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return result

    def draw(self, stage: str, prior: DiffusionPrior, method: Any, sigmas: Any, n: int) -> Draws:
        """Draw from a prior in a stage of its own, or read back what was drawn.

        Raises
        ------
        KeyboardInterrupt
            The run was interrupted; its checkpoint is written.
        """
        limits = self.limits
        draws = sample(
            prior, method, n=n, seed=limits.seed, sigmas=sigmas, out=self.folder / STAGES / stage,
            progress=limits.progress, checkpoint_seconds=limits.checkpoint_seconds,
        )  # fmt: skip
        if draws.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return draws

    def infer(self, stage: str, problem: Problem, prior: Any, method: Any, n: int) -> Posterior:
        """Draw from a posterior in a stage of its own, or read back what was drawn.

        Raises
        ------
        KeyboardInterrupt
            The run was interrupted; its checkpoint is written.
        """
        limits = self.limits
        found: Posterior = recover(
            problem, prior, method, draws=n, seed=limits.seed,
            out=self.folder / STAGES / stage, progress=limits.progress,
            checkpoint_seconds=limits.checkpoint_seconds,
        )  # fmt: skip
        if found.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return found

    def once(self, stage: str, compute: Callable[[], Any]) -> Any:
        """Compute a tree of data, or read back what was computed before."""
        path = self.folder / STAGES / f"{stage}.safetensors"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            save_tree(path, compute())
        return load_tree(path)


def carry_out(
    job: Job, out: str | Path | None, limits: Limits, work: Callable[[Bench], dict[str, Any]]
) -> Done:
    """Do a job in its folder, or return what was done there.

    Parameters
    ----------
    job
        What to do; its inputs have been read and checked.
    out
        The folder; made when missing. None makes the next numbered one under ``runs/``.
    limits
        Of each fit.
    work
        Does the job: writes its files, returns its summary with the key ``status``.

    Raises
    ------
    StoreError
        The folder belongs to another job, or holds other files.
    """
    inputs = digests(job)
    out = fresh_folder(_title(job)) if out is None else Path(out)
    folder, new = RunFolder(out), not (out / MANIFEST).exists()
    manifest = folder.open(_key(job, inputs), _about(job, inputs))
    if manifest["status"] not in ("running", "interrupted") and not folder.damaged():
        return Done(out, manifest["status"], read_summary(out))
    clock = time.perf_counter()
    try:
        summary = work(Bench(out, limits))
        write_summary(out, summary)
        write_report(out)
    except KeyboardInterrupt:
        folder.finish(Status.INTERRUPTED.value, resumable=True)
        return Done(out, Status.INTERRUPTED.value, {})
    except (InputError, CapabilityError):
        if new:  # what was refused leaves nothing behind
            shutil.rmtree(out)
        raise
    seconds = round(time.perf_counter() - clock, 2)
    folder.finish(summary["status"], resumable=False, seconds=seconds)
    return Done(out, summary["status"], read_summary(out))


def check_memory(draws: int, size: int, verb: str) -> None:
    """Refuse more draws of ``size`` numbers than can be held: a job writes them into one file."""
    require(
        draws * size <= generation.HELD,
        f"{draws:,} draws of {size:,} numbers do not fit into memory",
        f"together they may have {generation.HELD:,}",
        f"ask for fewer draws, or use {verb}(..., out=folder), which keeps them on disk",
    )


def write_report(folder: Path) -> Path:
    """Build report.html from the files of a folder."""
    from wellposed.report import page  # pictures need matplotlib, which takes its time to load

    path = folder / "report.html"
    write_text(path, page(folder))
    return path


def _key(job: Job, inputs: dict[str, dict[str, Any]]) -> str:
    # Where the input lies does not matter, its bytes do.
    asked = {name: value for name, value in to_plain(job).items() if name not in job.inputs}
    hashes = {field: about["sha256"] for field, about in inputs.items()}
    return fingerprint({"kind": job.kind, "job": asked, "inputs": hashes})


def _title(job: Job) -> str:
    subject = () if job.subject is None else getattr(job, job.subject)
    about = [Path(path).stem for path in ((subject,) if isinstance(subject, str) else subject)]
    return " ".join([job.kind, *about])


def _about(job: Job, inputs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    plain = to_plain(job)
    for field in job.inputs:
        if plain.get(field) is not None:
            plain[field] = str(Path(plain[field]).absolute())
    return {"kind": job.kind, "job": plain, "inputs": inputs}
