"""The data that come with the package."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from wellposed import datasets
from wellposed.datasets import RECIPES, load
from wellposed.errors import InputError
from wellposed.files import sha256
from wellposed.io import Stack, Table

EMBEDDED = [recipe for recipe in RECIPES if recipe.archive is None]


@pytest.mark.parametrize("recipe", EMBEDDED, ids=lambda r: r.name)
def test_embedded_files_are_the_pinned_ones_and_small(recipe):
    for path, member in zip(datasets.fetch(recipe.name), recipe.members, strict=True):
        assert sha256(path) == member.sha256
        assert path.stat().st_size < 300_000
        assert path.name in path.with_name("README.md").read_text()


@pytest.mark.parametrize("recipe", EMBEDDED, ids=lambda r: r.name)
def test_embedded_data_have_the_shape_of_their_recipe(recipe):
    found = load(recipe.name)
    if isinstance(found, Table):
        assert found.shape == recipe.shape
    else:
        assert (found.frames if isinstance(found, Stack) else found.values).shape == recipe.shape


def test_temperatures_are_nearly_of_low_rank():
    table = load("temperatures")
    assert table.row_labels[72] == "03-14"
    assert table.values.size == 365 * 48 - 2
    assert table.values.min() > 30
    assert table.values.max() < 80
    full = np.full(table.shape, table.values.mean())
    full[table.rows, table.cols] = table.values
    sigma = np.linalg.svd(full, compute_uv=False)
    tail = np.sqrt(np.cumsum(sigma[::-1] ** 2)[::-1] / full.size)
    assert tail[0] > 50
    assert tail[4] < 0.5  # degrees, all that rank 4 leaves


def test_walkers_move_before_a_still_background():
    stack = load("walkers")
    assert isinstance(stack, Stack)
    assert stack.frames.dtype == np.uint8
    background = np.median(stack.frames, axis=0)
    moving = np.abs(stack.frames - background) > 20
    assert 0.03 < moving.mean() < 0.1
    assert moving.any((1, 2)).all()  # somebody is there in each frame
    assert (moving.mean(0) > 1 / 3).mean() < 0.01  # and hardly a pixel is often covered


def test_the_cat_is_cut_from_the_photograph():
    square = Image.fromarray(data.chelsea()[6:294, 80:368])
    made = np.asarray(square.resize((96, 96), Image.Resampling.LANCZOS)) / 255
    assert np.abs(load("cat").values - made).max() < 1.5 / 255  # filters differ in rounding


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="there is no data set 'netflix'") as caught:
        load("netflix")
    for recipe in RECIPES:
        assert recipe.name in caught.value.remedy


def test_every_recipe_is_pinned():
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)
    for recipe in RECIPES:
        assert recipe.about
        assert recipe.licence
        hashes = [member.sha256 for member in recipe.members]
        hashes += [recipe.archive.sha256] if recipe.archive else []
        assert all(len(h) == 64 and set(h) <= set("0123456789abcdef") for h in hashes)
