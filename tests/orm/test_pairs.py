"""Every verb in both forms: equal signatures, equal texts, and none without its twin."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import ttorm


def classes():
    """All classes that users meet: what ttorm exports, and what its records are made of."""
    found = [getattr(ttorm, name) for name in ttorm.__all__]
    for package in (ttorm.records, ttorm.tables):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            members = importlib.import_module(module.name)
            found += [getattr(members, name) for name in members.__all__]
    return sorted(
        {item for item in found if isinstance(item, type) and item.__module__.startswith("ttorm")},
        key=lambda item: item.__qualname__,
    )


def functions(owner):
    """The public methods that a class itself defines, by name."""
    members = {
        name: getattr(member, "__func__", member)
        for name, member in vars(owner).items()
        if not name.startswith("_")
    }
    return {name: member for name, member in members.items() if inspect.isfunction(member)}


PAIRS = [
    (owner, name[1:])
    for owner in classes()
    for name, function in functions(owner).items()
    if inspect.iscoroutinefunction(function)
]
WAITING = [
    (owner, name)
    for owner in classes()
    for name, function in functions(owner).items()
    if not inspect.iscoroutinefunction(function) and "run" in function.__code__.co_names
    # Nobody waits for it, in neither world.
    if name != "run_beside"
]
ids = "{0[0].__name__}.{0[1]}".format
DIFFERENT = {"Connection.close", "Connection.run"}
"""Pairs that do not do the same, which their texts tell."""


def test_the_walk_finds_the_verbs():
    found = {f"{owner.__name__}.{verb}" for owner, verb in PAIRS}
    assert {
        "ModelMeta.create",
        "ModelMeta.find_or_create",
        "Finders.get",
        "Finders.find",
        "Twin.save",
        "Twin.load",
        "Twin.refresh",
        "Twin.terminate",
        "Ledger.load",
        "Ledger.refresh",
        "Ledger.clear",
        "Entry.save",
        "Entry.refresh",
        "Entry.delete",
        "Identity.save",
        "Identity.refresh",
        "Identity.delete",
        "Docs.upload",
        "Doc.save",
        "Doc.refresh",
        "Doc.delete",
        "Doc.download",
        "Scan.first",
        "Scan.all",
        "Session.flush",
        "Database.load_access",
        "DeclaredTable.migrate",
        "StoredTable.truncate",
        "StoredTimeseries.alter",
        "Rows.count",
        "Connection.call",
        "Connection.whoami",
        "Connection.close",
    } <= found


@pytest.mark.parametrize(("owner", "verb"), PAIRS, ids=map(ids, PAIRS))
def test_a_pair_is_equal(owner, verb):
    plain, awaited = functions(owner)[verb], functions(owner)[f"a{verb}"]
    assert not inspect.iscoroutinefunction(plain)
    assert inspect.signature(awaited) == inspect.signature(plain)
    assert plain.__doc__
    assert (awaited.__doc__ == plain.__doc__) != (ids((owner, verb)) in DIFFERENT)
    kinds = {type(vars(owner)[name]) for name in (verb, f"a{verb}")}
    assert len(kinds) == 1


@pytest.mark.parametrize(("owner", "verb"), WAITING, ids=map(ids, WAITING))
def test_what_waits_can_be_awaited(owner, verb):
    assert f"a{verb}" in functions(owner)


@pytest.mark.parametrize("owner", classes(), ids=lambda owner: owner.__name__)
def test_blocks_and_iterations_exist_in_both_worlds(owner):
    members = vars(owner)
    assert ("__enter__" in members) == ("__aenter__" in members)
    names = {*members["__iter__"].__code__.co_names} if "__iter__" in members else set()
    asks = {"run", "_items", "_found", "_rows"} & names
    assert bool(asks) == ("__aiter__" in members)
