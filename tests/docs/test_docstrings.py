"""The examples in docstrings show what really comes out."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest

import ttorm

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PUBLIC = {name: getattr(ttorm, name) for name in ttorm.__all__}


class Finder(doctest.DocTestFinder):
    """Finds the examples of public classes and functions, too, which say they are `ttorm`'s."""

    def _from_module(self, module, thing):
        if getattr(thing, "__module__", None) != "ttorm":
            return super()._from_module(module, thing)
        written = rf"^(async def|def|class) {thing.__name__}\b"
        return re.search(written, inspect.getsource(module), re.MULTILINE) is not None


def docstrings() -> Iterator[doctest.DocTest]:
    """The docstrings with examples."""
    names = [module.name for module in pkgutil.walk_packages(ttorm.__path__, "ttorm.")]
    for name in names:
        if not name.endswith("__main__"):
            found = Finder().find(importlib.import_module(name))
            yield from (example for example in found if example.examples)


EXAMPLES = list(docstrings())


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """What a reader has at hand: the public names, and a connection."""
    monkeypatch.chdir(tmp_path)
    with ttorm.connect("memory:") as connection:
        yield {**PUBLIC, "ttorm": ttorm, "connection": connection}
    # The example may have made another one the default.
    ttorm.default_connection().close()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_true(example, shell):
    example.globs = {**shell, **example.globs}
    failed, attempted = doctest.DocTestRunner(optionflags=FLAGS).run(example)
    assert failed == 0, f"{failed} of {attempted} lines: see above"


def test_there_are_examples():
    names = {example.name for example in EXAMPLES}
    assert len(names) == len(EXAMPLES) > 250
    assert {"ttorm.records.twin.Twin.save", "ttorm.connection.opening.connect"} <= names
