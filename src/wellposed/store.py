"""Run folders: atomic, resumable, with a manifest and hashes.

    folder/
      manifest.json            what was asked, with which versions; files and their sha256
      problem.safetensors      measurements and operator
      checkpoint.safetensors   state, step and trace so far; gone when the run is finished
      result.safetensors       factors or draws, and the trace

A tree (dataclasses, NamedTuples, tensors) is one safetensors file: its tensors, and its JSON
form in the header's metadata. Nothing is unpickled, nothing named by a file is executed.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy
import scipy
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from wellposed._version import __version__
from wellposed.codec import AGAIN, decode, encode
from wellposed.errors import FileError, StoreError
from wellposed.files import TEMPORARY, atomic_write, file_error, sha256
from wellposed.run import Status

SCHEMA = 1
MANIFEST = "manifest.json"


def save_tree(path: Path, tree: Any) -> None:
    """Write a tree into one file, atomically."""
    tensors: dict[str, Tensor] = {}
    form = json.dumps(encode(tree, tensors))
    table = {k: v.detach().contiguous().cpu() for k, v in tensors.items()}
    data = save(table, metadata={"tree": form})
    atomic_write(path, lambda file: _write(file, data))


def load_tree(path: Path) -> Any:
    """Read a tree back.

    Raises
    ------
    FileError
        The file is missing, truncated, or not one of ours.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            # Cloned into aligned memory: unaligned products round otherwise on some processors.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise FileError(
            f"{path} cannot be read: {error}",
            "it is missing, truncated or not a safetensors file",
            AGAIN,
        ) from None
    if "tree" not in metadata:
        raise FileError(
            f"{path} holds no run data",
            "it was not written by this package",
            "give a file of a run folder",
        )
    try:
        form = json.loads(metadata["tree"])
    except (ValueError, RecursionError) as error:
        raise FileError(
            f"{path} cannot be read: {str(error)[:100]}", "its header was cut or edited", AGAIN
        ) from None
    return decode(form, tensors)


def fingerprint(tree: Any) -> str:
    """Return the sha256 of a tree: equal trees, equal hashes."""
    tensors: dict[str, Tensor] = {}
    digest = hashlib.sha256(json.dumps(encode(tree, tensors)).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().data)
    return digest.hexdigest()


@dataclass
class RunFolder:
    """A folder that one run owns.

    Parameters
    ----------
    path
        The folder; made when missing.
    seconds
        Time between checkpoints.
    """

    path: Path
    seconds: float = 30.0
    saved: float = field(default_factory=time.monotonic)

    def open(self, key: str, about: dict[str, Any]) -> dict[str, Any]:
        """Claim the folder for the run with this key, or find the same run there.

        Raises
        ------
        StoreError
            The folder holds another run, or files that are no run.
        """
        if (self.path / MANIFEST).exists():
            manifest = self.manifest()
            if manifest.get("key") != key:
                raise StoreError(
                    f"{self.path} holds another run",
                    "its problem, method, seed or versions differ from what was asked now",
                    "choose another folder, or remove this one",
                )
            return manifest
        self._make()
        manifest = {
            "schema": SCHEMA, "key": key, "status": "running", "files": {},
            "versions": versions(), **about,
        }  # fmt: skip
        self._write_manifest(manifest)
        return manifest

    def _make(self) -> None:
        """Make the folder, or take an empty one."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # A run that was killed may have left a file that it had not finished writing.
            foreign = any(not p.match(TEMPORARY) for p in self.path.iterdir())
        except OSError as error:
            raise file_error(self.path, "used for a run", error) from error
        if foreign:
            raise StoreError(
                f"{self.path} is not empty and holds no run",
                "files of another kind could be overwritten",
                "choose a new folder",
            )

    def manifest(self) -> dict[str, Any]:
        """Read the manifest."""
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(
                f"{self.path} is no run folder",
                f"it has no {MANIFEST}",
                "give the folder that a run printed",
            ) from None
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path} cannot be read: {error}",
                "without it nothing tells what was asked",
                AGAIN,
            ) from None
        if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
            raise StoreError(
                f"{path} has schema {manifest.get('schema') if isinstance(manifest, dict) else '?'}"
                f", expected {SCHEMA}",
                "it was written by another version of wellposed",
                "use that version, or start the run again in a new folder",
            )
        if not _sound(manifest):
            raise StoreError(f"{path} does not say how the run is", "it was edited", AGAIN)
        return manifest

    def request(self, what: str, verb: str) -> Any:
        """Read back what was asked of a run.

        Parameters
        ----------
        what, verb
            What may be missing, and the call that gives it again, for the error.

        Raises
        ------
        StoreError
            It could not be stored (a user's function), or was removed.
        """
        path = self.path / "problem.safetensors"
        if not path.exists():
            raise StoreError(
                f"{self.path} does not hold its {what}",
                self.manifest().get("unstored", "the file was removed"),
                f"call {verb} again with the same arguments and out=",
            )
        return load_tree(path)

    def due(self) -> bool:
        """Whether a checkpoint is due."""
        return time.monotonic() - self.saved >= self.seconds

    def save(self, state: Any, step: int, records: Any) -> None:
        """Write a checkpoint."""
        save_tree(
            self.path / "checkpoint.safetensors",
            {"state": state, "step": step, "records": _table(records)},
        )
        self.saved = time.monotonic()

    def checkpoint(self) -> dict[str, Any] | None:
        """Read the checkpoint, or None when there is none."""
        path = self.path / "checkpoint.safetensors"
        return load_tree(path) if path.exists() else None

    def finish(self, status: str, resumable: bool, **facts: Any) -> None:
        """Record the end of the run and the hashes of its files."""
        if not resumable:
            (self.path / "checkpoint.safetensors").unlink(missing_ok=True)
        manifest = self.manifest() | {"status": status, **facts}
        manifest["files"] = {p.name: sha256(p) for p in self._files()}
        self._write_manifest(manifest)

    def damaged(self) -> list[str]:
        """Return the names of recorded files that are missing or changed."""
        files: dict[str, str] = self.manifest().get("files", {})
        return [
            name
            for name, digest in files.items()
            if not (self.path / name).is_file() or sha256(self.path / name) != digest
        ]

    def _files(self) -> Iterator[Path]:
        skip = {MANIFEST, "checkpoint.safetensors"}
        files = (p for p in sorted(self.path.iterdir()) if p.is_file() and p.name not in skip)
        return (p for p in files if not p.match(TEMPORARY))

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        atomic_write(self.path / MANIFEST, lambda file: _write(file, text.encode()))


def _sound(manifest: dict[str, Any]) -> bool:
    files, inputs = manifest.get("files"), manifest.get("inputs", {})
    if not isinstance(files, dict) or not isinstance(inputs, dict):
        return False
    told = all(isinstance(text, str) for file in files.items() for text in file)
    known = manifest.get("status") in ("running", *(status.value for status in Status))
    return told and known and all(isinstance(about, dict) for about in inputs.values())


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "wellposed": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "threads": str(torch.get_num_threads()),
    }


def _table(records: Any) -> Tensor:
    rows = [tuple(r) for r in records]
    return torch.tensor(rows, dtype=torch.float64) if rows else torch.empty(0, 0)


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)
