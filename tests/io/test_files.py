"""Atomic writing: the old file or the new one, whatever happens."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from wellposed import files
from wellposed.errors import FileError
from wellposed.files import TEMPORARY, atomic_write, file_error, sha256


def fill(folder, size):
    """Write blocks into the only file that may fail."""
    atomic_write(folder / "big", lambda file: [file.write(bytes(2**16)) for _ in range(size)])


def test_the_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "a"
    for text in (b"first", b"second, longer", b""):
        atomic_write(path, lambda file, text=text: file.write(text))
        assert path.read_bytes() == text
        assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permissions"),
        (errno.EIO, "check the disk"),
    ],
)
@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_failure_at_any_moment_leaves_the_old_file(tmp_path, monkeypatch, code, remedy, moment):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(code, os.strerror(code))

    if moment == "fsync":
        monkeypatch.setattr(files.os, "fsync", fail)
    elif moment == "replace":
        monkeypatch.setattr(type(path), "replace", fail)
    write = fail if moment == "write" else lambda file: file.write(b"new")
    with pytest.raises(FileError, match="cannot be written") as caught:
        atomic_write(path, write)
    assert remedy in caught.value.remedy
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
def test_other_failures_pass_through_and_leave_nothing(tmp_path, error):
    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        atomic_write(tmp_path / "a", fail)
    assert list(tmp_path.iterdir()) == []


def test_our_own_errors_keep_their_words(tmp_path):
    def fail(_):
        raise FileError("the source ended early")

    with pytest.raises(FileError, match="the source ended early"):
        atomic_write(tmp_path / "a", fail)


@pytest.mark.parametrize(
    ("path", "remedy"),
    [("no/such/folder/a", "make the folder first"), ("a/b", "a part of it is a file")],
)
def test_places_that_cannot_be_written(tmp_path, path, remedy):
    (tmp_path / "a").touch()
    with pytest.raises(FileError, match=remedy):
        atomic_write(tmp_path / path, lambda file: file.write(b"x"))


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(FileError, match="this is a folder"):
        atomic_write(tmp_path / "a", lambda file: file.write(b"x"))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_every_system_error_has_a_remedy():
    assert file_error("a", "read", OSError()).remedy
    assert file_error("a", "read", OSError(errno.EBADF, "?")).remedy


def test_the_hash_is_the_standard_one(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    with pytest.raises(FileError, match="cannot be read"):
        sha256(tmp_path / "b")


@pytest.fixture
def tiny_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(tiny_disk):
    (tiny_disk / "big").write_bytes(b"old")
    with pytest.raises(FileError, match="No space left on device") as caught:
        fill(tiny_disk, 32)
    assert "free some space" in caught.value.remedy
    assert [p.name for p in tiny_disk.iterdir()] == ["big"]
    assert (tiny_disk / "big").read_bytes() == b"old"
    fill(tiny_disk, 4)  # the disk is usable again


WRITER = """
import sys, pathlib
from wellposed.files import atomic_write
path, k = pathlib.Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    k += 1
    atomic_write(path, lambda file: [file.write(bytes([k % 256]) * 4096) for _ in range(64)])
"""


def kills(path, count):
    """Kill a process that writes in a loop, and return what it left, again and again."""
    for k in range(count):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(0.004 + 0.0017 * (k % 7))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if path.exists():
            yield path.read_bytes()


def whole(data):
    return len(data) == 64 * 4096 and len(set(data)) == 1


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    left = list(kills(tmp_path / "a", 5))
    assert left
    assert all(map(whole, left))
    names = {p.name for p in tmp_path.iterdir()} - {"a"}
    assert all(tmp_path.joinpath(n).match(TEMPORARY) for n in names)


def test_a_torn_file_would_be_seen():
    assert not whole(b"\1" * 4096)
    assert not whole(b"\1" * 63 * 4096 + b"\2" * 4096)


@pytest.mark.certify
def test_two_hundred_kills(tmp_path):
    left = list(kills(tmp_path / "a", 200))
    assert len(left) > 150
    assert all(map(whole, left))
