"""Where a job's data come from, and where its folder goes. Loads nothing heavy."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from wellposed.errors import StoreError
from wellposed.files import file_error, sha256
from wellposed.jobs.requests import Job

RUNS = Path("runs")


def digests(job: Job) -> dict[str, dict[str, Any]]:
    """Return name and sha256 of each file (or folder of files) that a job reads."""
    paths = {field: getattr(job, field) for field in job.inputs}
    return {
        field: {"name": Path(path).name, "sha256": digest(Path(path))}
        for field, path in paths.items()
        if path is not None
    }


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of the names and hashes of all files of a folder.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> before = digest(folder)
    >>> _ = (folder / "1.png").write_bytes(b"x")
    >>> digest(folder) == before
    False
    """
    if not path.is_dir():
        return sha256(path)
    try:
        files = sorted(p for p in path.rglob("*") if p.is_file())
    except OSError as error:
        raise file_error(path, "read", error) from error
    lines = "".join(f"{sha256(p)}  {p.relative_to(path)}\n" for p in files)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def check_unchanged(known: dict[str, dict[str, Any]], job: Job, folder: Path) -> None:
    """Refuse to go on with a folder whose input is another one now.

    Raises
    ------
    StoreError
        The bytes of an input differ from those that the folder's job began with.
    FileError
        An input is gone.
    """
    now = digests(job)
    for field, about in known.items():
        if now.get(field, {}).get("sha256") != about.get("sha256"):
            raise StoreError(
                f"{getattr(job, field)} is not the file that {folder} began with",
                "its sha256 differs, so the two halves of the run would not fit together",
                "restore the file, or start the job again in a new folder",
            )


def fresh_folder(name: str, root: Path = RUNS) -> Path:
    """Make the next numbered folder for a run.

    Parameters
    ----------
    name
        What the run is about; characters other than letters and digits become hyphens.
    root
        Where the folders are; made when missing.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> fresh_folder("complete my table.csv", root).name
    '001-complete-my-table-csv'
    >>> fresh_folder("demo", root).name
    '002-demo'
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "run"
    try:
        root.mkdir(parents=True, exist_ok=True)
        taken = [m[1] for p in root.iterdir() if (m := re.match(r"([0-9]+)-", p.name))]
        number = max(map(int, taken), default=0) + 1
        while True:
            folder = root / f"{number:03d}-{plain}"
            try:
                folder.mkdir()
                return folder
            except FileExistsError:  # another run was quicker
                number += 1
    except OSError as error:
        raise file_error(root, "used for runs", error) from error
