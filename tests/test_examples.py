"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil

import pytest

import wellposed

MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(wellposed.__path__, "wellposed.")
    if not name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
