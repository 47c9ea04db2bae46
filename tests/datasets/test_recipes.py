"""The recipes against the real registries, and the embedded files made again from sources."""

import csv
import zipfile

import numpy as np
import pytest

from wellposed.datasets import RECIPES, archives, cache, chlorine, fetch, load
from wellposed.datasets.recipe import Archive, Member
from wellposed.errors import FileError
from wellposed.io import Stack, read_stack

FETCHED = [recipe for recipe in RECIPES if recipe.archive is not None]


@pytest.mark.certify
@pytest.mark.parametrize("recipe", FETCHED, ids=lambda r: r.name)
def test_recipes_work_from_an_empty_cache(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("WELLPOSED_CACHE", str(tmp_path))
    found = load(recipe.name)
    assert (found.frames if isinstance(found, Stack) else found).shape == recipe.shape
    monkeypatch.setattr(cache, "fetch_members", lambda *_: pytest.fail("fetched again"))
    load(recipe.name)


@pytest.mark.certify
def test_the_walkers_are_cut_from_vtest():
    frames = read_stack(fetch("vtest")[0], grey=True, max_frames=378).frames
    cut = frames[200:378:3, 140:428, 384:768].reshape(60, 72, 4, 96, 4).mean((2, 4))
    # ffmpeg versions differ in the last digit of grey
    assert np.abs(load("walkers").frames - cut).max() <= 2.5


SHA = "3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d"


@pytest.mark.certify
def test_the_temperatures_are_those_of_the_source(tmp_path):
    wheel = archives._download(Archive("wheel", "vega-datasets", "0.9.0", SHA), tmp_path)
    archives._check(wheel, SHA, "vega-datasets")
    wanted = {}
    with zipfile.ZipFile(wheel) as file:
        for city, name in (("Seattle", "seattle"), ("San Francisco", "sf")):
            text = file.read(f"vega_datasets/_data/{name}-temps.csv").decode()
            for row in csv.DictReader(text.splitlines()):
                day, hour = row["date"][5:10].replace("/", "-"), row["date"][11:13]
                wanted[day, f"{city} {hour}:00"] = float(row["temp"])
    table = load("temperatures")
    found = {
        (table.row_labels[i], table.col_labels[j]): value
        for i, j, value in zip(table.rows, table.cols, table.values, strict=True)
    }
    assert found == wanted


def test_a_wrong_simulation_is_refused():
    with pytest.raises(FileError, match=r"expected \[120, 180\], "):
        chlorine._checked(np.ones((120, 180)))
    with pytest.raises(FileError, match=r"expected \[120, 180\], "):
        chlorine._checked(np.ones((3, 3)))


def test_a_kept_simulation_is_read_and_a_damaged_one_made_again(tmp_path, monkeypatch):
    right = np.full((120, 180), chlorine._MEAN)
    right[:, ::2] += np.sqrt(chlorine._NORM**2 / right.size - chlorine._MEAN**2)
    right[:, 1::2] -= right[0, 0] - chlorine._MEAN
    calls = []
    monkeypatch.setattr(chlorine, "_simulate", lambda *paths: calls.append(paths) or right)
    paths = (tmp_path / "library.so", tmp_path / "network.inp")
    for _ in range(2):
        assert np.array_equal(chlorine.read_chlorine(paths), right)
    assert calls == [paths]
    kept = tmp_path / "chlorine.npy"
    kept.write_bytes(kept.read_bytes()[:-1])
    assert np.array_equal(chlorine.read_chlorine(paths), right)
    assert calls == [paths, paths]


def test_members_have_one_name_each_in_the_cache():
    for recipe in RECIPES:
        names = [member.name for member in recipe.members]
        assert len(set(names)) == len(names)
    assert Member("a/b/c.txt", "").name == "c.txt"
