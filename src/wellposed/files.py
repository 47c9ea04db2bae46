"""Files on disk: atomic writing, hashes, and errors that say what to do.

A file written here is the old one or the new one, never a piece: the bytes go to a temporary
file in the same folder, are forced to disk, and take the name in one step.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from wellposed.errors import FileError, WellposedError

TEMPORARY = ".wellposed-*.tmp"  # what a killed process may leave behind; safe to remove

_REMEDIES = {
    errno.ENOSPC: "free some space on that disk, or write to another one",
    errno.EDQUOT: "free some of your quota, or write to another disk",
    errno.EFBIG: "write to a file system without this limit on file sizes",
    errno.EACCES: "change the permissions, or choose another place",
    errno.EPERM: "change the permissions, or choose another place",
    errno.EROFS: "choose a place that is not mounted read-only",
    errno.ENOENT: "check the path, and make the folder first",
    errno.EEXIST: "choose another path: a file has this one",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EISDIR: "give the path of a file; this is a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "mend the symbolic links of the path: they form a loop",
    errno.EIO: "check the disk: it reports a fault",
}


def atomic_write(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Replace a file by what ``write`` writes, or leave everything as it was.

    Parameters
    ----------
    path
        The file; its folder exists.
    write
        Called once with a new binary file. If it raises, the old file stays.

    Raises
    ------
    FileError
        The disk is full, or the place is not writable; the message has the remedy.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> atomic_write(folder / "note.txt", lambda file: print(file.write(b"done")))
    4
    >>> [item.name for item in folder.iterdir()]
    ['note.txt']
    """
    path = Path(path)
    temporary = path.parent / TEMPORARY.replace("*", f"{os.getpid()}-{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except WellposedError:
        raise
    except OSError as error:
        raise file_error(path, "written", error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def file_error(path: Path, verb: str, error: OSError) -> FileError:
    """Turn a system error into ours: "<path> cannot be <verb>: ...", with a remedy.

    Examples
    --------
    >>> print(file_error(Path("a.csv"), "written", OSError(errno.ENOSPC, "disk full")))
    a.csv cannot be written: disk full
      try: free some space on that disk, or write to another one
    """
    what = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "check the path, its permissions and the disk")
    if verb == "read" and error.errno == errno.ENOENT:
        remedy = "check the path"
    return FileError(f"{path} cannot be {verb}: {what}", remedy=remedy)


def sha256(path: Path) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits.

    Raises
    ------
    FileError
        The file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "empty"
    >>> path.touch()
    >>> sha256(path)[:16]
    'e3b0c44298fc1c14'
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise file_error(path, "read", error) from error


def _sync_folder(folder: Path) -> None:
    # Without this the new name may be lost by a power cut although the bytes are safe.
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
