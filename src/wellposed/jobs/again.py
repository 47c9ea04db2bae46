"""Go on with a folder, or look after it, from the folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wellposed.errors import StoreError
from wellposed.jobs.calibrate import calibrate
from wellposed.jobs.complete import complete
from wellposed.jobs.cubes import complete_cube
from wellposed.jobs.demo import demo
from wellposed.jobs.folder import STAGES, Done, write_report
from wellposed.jobs.inputs import check_unchanged
from wellposed.jobs.pictures import CalibrateJob, RecoverJob
from wellposed.jobs.recover import recover
from wellposed.jobs.requests import (
    CompleteCubeJob,
    CompleteJob,
    DemoJob,
    SampleJob,
    SeparateJob,
    TrainJob,
    from_plain,
)
from wellposed.jobs.sample import sample
from wellposed.jobs.separate import separate
from wellposed.jobs.train import train
from wellposed.result import Recovery
from wellposed.result_tensor import TensorRecovery
from wellposed.resuming import resume as resume_run
from wellposed.run import Status
from wellposed.store import MANIFEST, RunFolder


def resume(folder: str | Path, *, progress: bool = False, checkpoint_seconds: float = 30.0) -> Done:
    """Go on with an interrupted job or run; a finished one is read back.

    Parameters
    ----------
    folder
        What a command printed, or ``out`` of ``wp.recover``.
    progress
        Show a progress bar.
    checkpoint_seconds
        Time between checkpoints of a fit, >= 0.

    Raises
    ------
    StoreError
        It is no run folder, or its input is another file now.
    FileError
        Its input is gone.
    """
    folder = Path(folder)
    manifest = RunFolder(folder).manifest()
    if "job" not in manifest:  # a run that the library made
        result = resume_run(folder, progress=progress)
        if isinstance(result, (Recovery, TensorRecovery)):
            _write_again(folder)
        return Done(folder, result.status.value, {})
    job = from_plain(str(manifest.get("kind")), manifest.get("job"))
    check_unchanged(manifest.get("inputs", {}), job, folder)
    options: dict[str, Any] = {"progress": progress, "checkpoint_seconds": checkpoint_seconds}
    match job:
        case CompleteJob():
            return complete(job, folder, **options)
        case CompleteCubeJob():
            return complete_cube(job, folder, **options)
        case SeparateJob():
            return separate(job, folder, **options)
        case DemoJob():
            return demo(job, folder, **options)
        case TrainJob():
            return train(job, folder, **options)
        case SampleJob():
            return sample(job, folder, **options)
        case RecoverJob():
            return recover(job, folder, **options)
        case CalibrateJob():
            return calibrate(job, folder, **options)


def check(folder: str | Path) -> list[str]:
    """Return the recorded files of a folder, and of those in it, that are missing or changed.

    Raises
    ------
    StoreError
        It is no run folder.
    """
    folder = Path(folder)
    RunFolder(folder).manifest()  # or say that it is none
    found = [folder, *_below(folder)]
    return sorted(
        str((place / name).relative_to(folder))
        for place in found
        for name in RunFolder(place).damaged()
    )


def rebuild(folder: str | Path) -> Path:
    """Check a folder's files, and build its report again.

    A report that is missing or changed itself is only built again.

    Raises
    ------
    StoreError
        It is no run folder, or other files are missing or changed; the error names them.
    """
    folder = Path(folder)
    broken = [name for name in check(folder) if Path(name).name != "report.html"]
    if broken:
        raise StoreError(
            f"{folder}: {', '.join(broken)} missing, or changed since the run",
            "their sha256 is not the recorded one, so the report could say what is not so",
            _remedy(folder, broken),
        )
    for place in _below(folder):
        if STAGES not in place.relative_to(folder).parts:
            _write_again(place)
    return _write_again(folder)


def _below(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/**/{MANIFEST}"))


def _remedy(folder: Path, broken: list[str]) -> str:
    if any(STAGES in Path(name).parts for name in broken):
        return f"remove the folder {STAGES} and run: wellposed resume {folder}"
    return f"write them again from the stages: wellposed resume {folder}"


def _write_again(folder: Path) -> Path:
    path, store = write_report(folder), RunFolder(folder)
    status = store.manifest()["status"]
    store.finish(status, resumable=status == Status.INTERRUPTED.value)  # records the new hash
    return path
