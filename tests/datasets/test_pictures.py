"""Photographs out of resource bundles, restricted to what may be shared and adapted."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from wellposed.datasets.debian_copyright import Notice, notice_of, paragraphs
from wellposed.datasets.pictures import read_gcompris, read_lomiri
from wellposed.datasets.qt_resource import files_in
from wellposed.errors import FileError

COPYRIGHT = """Format: https://example.org

Files: *
Copyright: 2014 Someone
License: GPL-3+

Files: src/activities/show/fish.jpg
 src/activities/show/bird*.jpg
Copyright: 2012, Ann
License: CC-BY-SA-3.0
 with text

Files: 16.04/*
Copyright: 2018, Bea
License: CC0-1.0
"""


def picture(seed, size=160, form="WEBP"):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def bundle(files):
    """A bundle with the files below /gcompris/src/activities/show."""
    folders = ["", "gcompris", "src", "activities", "show"]
    names, content, nodes = b"", b"", []
    places = {}
    for name in [*folders, *files]:
        places[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    for k, name in enumerate(folders):
        count = len(files) if k == len(folders) - 1 else 1
        nodes.append(struct.pack(">IHIIQ", places[name], 2, count, k + 1, 0))
    for name, data in files.items():
        nodes.append(struct.pack(">IHHHIQ", places[name], 0, 0, 0, len(content), 0))
        content += struct.pack(">I", len(data)) + data
    tree = b"".join(nodes)
    head = struct.pack(">4sIIII", b"qres", 2, 20, 20 + len(tree), 20 + len(tree) + len(content))
    return head + tree + content + names


def test_only_free_photographs_are_taken_each_with_its_author(tmp_path):
    files = {
        "fish.webp": picture(0), "bird7.webp": picture(1), "tux.webp": picture(2),
        "fish.svg": b"<svg/>", "birdsmall.webp": picture(3, 100),
    }  # fmt: skip
    (tmp_path / "show.rcc").write_bytes(bundle(files))
    (tmp_path / "copyright").write_text(COPYRIGHT)
    found = read_gcompris((tmp_path / "show.rcc", tmp_path / "copyright")).items
    assert [p.name.rsplit("/")[-1] for p in found] == ["fish.webp", "bird7.webp"]
    assert {p.notice for p in found} == {Notice("CC-BY-SA-3.0", "2012, Ann")}
    assert found[0].pixels.shape == (160, 160, 3)


def test_files_are_taken_if_all_are_free(tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture(0, form="JPEG"))
    (tmp_path / "copyright").write_text(COPYRIGHT)
    paths = (tmp_path / "a.jpg", tmp_path / "copyright")
    assert read_lomiri(paths).items[0].notice == Notice("CC0-1.0", "2018, Bea")
    (tmp_path / "copyright").write_text(COPYRIGHT.replace("CC0-1.0", "CC-BY-NC-4.0"))
    with pytest.raises(FileError, match="1 of the photographs"):
        read_lomiri(paths)


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("public-domain", True), ("CC0-1.0", True), ("CC0", True), ("CC-BY-2.5", True),
        ("CC-BY-SA-4.0", True), ("CC-BY-NC-4.0", False), ("CC-BY-ND-3.0", False),
        ("GPL-3+", False), ("CC0-1.0 and GPL-3", False), ("GFDL-NIV-1.2", False), ("", False),
    ],
)  # fmt: skip
def test_which_licences_are_free(licence, free):
    assert Notice(licence, "").free is free


def test_the_last_paragraph_that_matches_holds():
    known = paragraphs(COPYRIGHT)
    assert notice_of("src/x.c", known).licence == "GPL-3+"
    assert notice_of("src/activities/show/fish.jpg", known).licence == "CC-BY-SA-3.0"
    assert notice_of("src/activities/show/fish.webp", known).licence == "GPL-3+"
    assert notice_of("src/activities/show/fish.webp", known, any_suffix=True).holder == "2012, Ann"


@pytest.mark.parametrize("length", [0, 3, 19, 60, 200])
def test_a_damaged_bundle_is_refused(tmp_path, length):
    path = tmp_path / "show.rcc"
    path.write_bytes(bundle({"fish.webp": b"x" * 300})[:length])
    with pytest.raises(FileError, match="resource bundle"):
        list(files_in(path))


def test_a_bundle_that_contains_itself_is_refused(tmp_path):
    data = bytearray(bundle({"fish.webp": b"x"}))
    data[20 + 10 : 20 + 14] = struct.pack(">I", 0)  # the root's only child is the root
    (tmp_path / "show.rcc").write_bytes(data)
    with pytest.raises(FileError, match="nested without end"):
        list(files_in(tmp_path / "show.rcc"))
