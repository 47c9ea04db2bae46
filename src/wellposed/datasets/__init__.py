"""Real data by name: small sets that come with the package, and pinned recipes for others.

A recipe names a package of a public registry, its version and its hashes. The system's own
client downloads it, only the needed file is taken out, and it is kept in a cache
(``~/.cache/wellposed``, or the folder that the environment variable WELLPOSED_CACHE names).
A file in the cache is checked each time; a damaged one is fetched again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from wellposed.datasets.cache import cache_folder, files_of
from wellposed.datasets.catalogue import RECIPES
from wellposed.datasets.fashion import Fashion
from wellposed.datasets.lpips import fetch_lpips, lpips_weights
from wellposed.datasets.pictures import Pictures
from wellposed.datasets.recipe import Recipe
from wellposed.errors import InputError
from wellposed.io import Cube, Picture, Stack, Table

__all__ = [
    "RECIPES", "Fashion", "Pictures", "Recipe", "cache_folder", "fetch", "fetch_lpips", "load",
    "lpips_weights", "recipe",
]  # fmt: skip


def recipe(name: str) -> Recipe:
    """Return the recipe of a data set.

    Raises
    ------
    InputError
        There is none of this name.

    Examples
    --------
    >>> recipe("walkers").shape
    (60, 72, 96)
    >>> recipe("ml-100k").source
    'recbole 1.2.1 (wheel)'
    """
    for found in RECIPES:
        if found.name == name:
            return found
    names = ", ".join(r.name for r in RECIPES)
    raise InputError(f"there is no data set {name!r}", remedy=f"take one of: {names}")


def fetch(name: str) -> tuple[Path, ...]:
    """Return the files of a data set, from the cache or the registry.

    Raises
    ------
    FileError
        The registry does not answer, or sends another file than the pinned one.

    Examples
    --------
    >>> [path.name for path in fetch("temperatures")]
    ['temperatures.csv']
    """
    return files_of(recipe(name))


@overload
def load(name: Literal["temperatures", "ml-100k"]) -> Table: ...
@overload
def load(name: Literal["cat"]) -> Picture: ...
@overload
def load(name: Literal["walkers", "vtest", "carphone", "lfw-crops"]) -> Stack: ...
@overload
def load(name: Literal["indian-pines", "kinetic", "bay-traffic"]) -> Cube: ...
@overload
def load(name: Literal["chlorine"]) -> NDArray[np.float64]: ...
@overload
def load(name: Literal["fashion-mnist"]) -> Fashion: ...
@overload
def load(name: Literal["gcompris-photographs", "lomiri-photographs"]) -> Pictures: ...
def load(name: str) -> Any:
    """Return a data set, as the recipe reads it: a ``Table``, ``Stack``, ``Cube``, array, ...

    Raises
    ------
    FileError
        As ``fetch``.
    MissingExtraError
        A clip without the extra ``video``.

    Examples
    --------
    >>> load("temperatures").density > 0.999
    True
    >>> load("walkers").frames.shape
    (60, 72, 96)
    """
    found = recipe(name)
    return found.read(files_of(found))
