"""The public names: all of them, only them, and as users import them."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import typing

import pytest

import ttorm
import ttorm.public

MODULES = {"rules", "signals"}
CONTRACT = """
    connect session Twin Ledger Entry Identity Doc Field description entry identity inspect
    signals rules TtormError NotFoundError WrongKindError NotLoadedError MissingEntryError
    ConflictError SaveError OutcomeUnknownError ForbiddenError UnauthorizedError QuotaError
    ValidationError ResponseTooLargeError BudgetExceededError
"""


def test_all_holds_what_is_promised():
    assert set(CONTRACT.split()) <= set(ttorm.__all__)


def test_all_is_what_the_module_imports_for_others():
    imported = {
        name
        for name, member in vars(ttorm.public).items()
        if not name.startswith("_") and name != "annotations" and member is not typing.Any
    }
    assert set(ttorm.__all__) == imported | {"__version__"}


def test_all_is_sorted_and_has_no_name_twice():
    assert sorted(set(ttorm.__all__)) == ttorm.__all__


@pytest.mark.parametrize("name", sorted(set(ttorm.__all__) - MODULES - {"__version__"}))
def test_public_things_say_that_they_are_ttorms(name):
    """Tracebacks, documentation and pickles name them so."""
    member = getattr(ttorm, name)
    assert member.__module__ == "ttorm"
    assert member.__name__ == name
    assert member.__doc__
    assert pickle.loads(pickle.dumps(member)) is member


def test_public_modules_say_what_they_export():
    for name in MODULES:
        module = getattr(ttorm, name)
        assert inspect.ismodule(module)
        assert set(module.__all__) <= set(vars(module))


def test_a_star_import_gives_exactly_all():
    found = {}
    exec("from ttorm import *", found)
    assert set(found) - {"__builtins__"} == set(ttorm.__all__)


def test_dir_shows_the_public_names():
    assert {*ttorm.__all__, "emulator"} <= set(dir(ttorm))


def test_the_emulator_is_there_when_it_is_asked_for():
    assert ttorm.emulator is importlib.import_module("ttorm.emulator")


def test_unknown_names():
    with pytest.raises(AttributeError, match="module 'ttorm' has no attribute 'Scoter'"):
        ttorm.Scoter  # noqa: B018 # it raises
    with pytest.raises(ImportError, match="Scoter"):
        from ttorm import Scoter  # noqa: F401 # it raises


@pytest.mark.parametrize(
    "name",
    [
        module.name
        for module in pkgutil.walk_packages(ttorm.__path__, "ttorm.")
        if "__main__" not in module.name
    ],
)
def test_all_of_every_module_is_there(name):
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    for known in exported:
        assert hasattr(module, known), f"{name}.{known}"


def test_every_public_name_has_one_place():
    """What two modules export under one name is one thing."""
    places: dict[str, object] = {}
    for module in pkgutil.walk_packages(ttorm.__path__, "ttorm."):
        if module.name.startswith(
            ("ttorm.api", "ttorm.connection", "ttorm.records", "ttorm.tables")
        ):
            found = importlib.import_module(module.name)
            for name in set(getattr(found, "__all__", [])) & set(ttorm.__all__):
                assert places.setdefault(name, getattr(found, name)) is getattr(found, name)
                assert getattr(ttorm, name) is getattr(found, name)
