"""Before the content: paths, kinds of files, limits, extras, and what is imported."""

import os
import subprocess
import sys

import pytest

from wellposed.errors import FileError, InputError, MissingExtraError
from wellposed.io import Limits, read_stack, read_table

READERS = pytest.mark.parametrize("read", [read_table, read_stack])


@READERS
def test_a_missing_file(read, tmp_path):
    with pytest.raises(FileError, match="cannot be read: No such file") as caught:
        read(tmp_path / "no.csv")
    assert "check the path" in caught.value.remedy


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(FileError, match="is a folder, expected a file"):
        read_table(tmp_path)


@READERS
def test_a_pipe_would_hang_and_is_refused(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="is a device, pipe or socket"):
        read(tmp_path / "pipe")


@READERS
def test_an_empty_file(read, tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(FileError, match="is empty"):
        read(tmp_path / "empty.csv")


@READERS
def test_a_path_with_a_zero_byte(read):
    with pytest.raises(FileError, match="is no path"):
        read("a\0b")


@READERS
def test_a_file_without_permission(read, tmp_path, monkeypatch):
    path = tmp_path / "secret.csv"
    path.write_text("1,1,1\n")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)  # file modes do not stop root
    with pytest.raises(FileError, match="Permission denied") as caught:
        read(path)
    assert "change the permissions" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@READERS
def test_a_file_that_others_own(read, tmp_path):
    path = tmp_path / "secret.csv"
    path.write_text("1,1,1\n")
    path.chmod(0)
    with pytest.raises(FileError, match="Permission denied"):
        read(path)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "1"])
@pytest.mark.parametrize("name", ["bytes", "pixels"])
def test_limits_are_positive_whole_numbers(name, value):
    with pytest.raises(InputError, match=f"{name} is {value!r}, expected a whole number >= 1"):
        Limits(**{name: value})


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
def test_a_suffix_that_the_content_denies(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    path.write_text("1,1,1\n")
    with pytest.raises(FileError, match=f"does not begin like a {suffix} file"):
        read_table(path)


@pytest.mark.parametrize(
    ("module", "extra", "data"),
    [
        ("pyarrow", "parquet", b"PAR1" + bytes(20)),
        ("imageio_ffmpeg", "video", b"RIFF\0\0\0\0AVI " + bytes(40)),
    ],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, module, extra, data):
    (tmp_path / "file").write_bytes(data)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "wellposed.io.parquet", raising=False)
    with pytest.raises(MissingExtraError, match=rf"wellposed\[{extra}\]"):
        (read_table if extra == "parquet" else read_stack)(tmp_path / "file")


def test_a_bad_file_is_refused_without_loading_the_heavy_libraries(tmp_path):
    heavy = {"torch", "scipy", "PIL", "pyarrow", "matplotlib", "imageio_ffmpeg"}
    code = (
        "import sys\nfrom wellposed.io import read_table, read_stack\n"
        "import wellposed.datasets\n"
        "try:\n    read_table(sys.argv[1])\nexcept OSError as error:\n"
        f"    print(error.what, sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "no.npy")], capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("No such file or directory []"), done.stderr
