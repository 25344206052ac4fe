"""The examples in docstrings show what really comes out."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import ttorm


def modules() -> list[str]:
    names = [module.name for module in pkgutil.walk_packages(ttorm.__path__, "ttorm.")]
    return ["ttorm", *(name for name in names if not name.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_are_true(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=flags, raise_on_error=False)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples: see above"
