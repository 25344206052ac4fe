"""The quick comparison of what was handed out: what it takes for unchanged is."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttorm.records.cells import Cell
from ttorm.records.lent import Lent

SCALARS = st.sampled_from([None, True, False, 0, 1, 0.0, 1.0, -0.5, "", "a", "1", "é"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
CONTAINERS = st.lists(VALUES, max_size=3) | st.dictionaries(st.sampled_from("abc"), VALUES)


class Level(IntEnum):
    LOW = 1


def copy(value):
    return json.loads(json.dumps(value))


def canonical(value):
    return json.dumps(value, sort_keys=True)


def fill(container, value):
    """Make a container show what another of its kind shows."""
    container.clear()
    container.update(value) if isinstance(container, dict) else container.extend(value)


@given(st.lists(CONTAINERS, max_size=4), st.data())
def test_what_it_takes_for_unchanged_is(originals, data):
    lent, values = Lent(), copy(originals)
    for value, original in zip(values, originals, strict=True):
        assert lent.add(value, Cell(original, "it"))
    assert lent.is_unchanged()
    for value in values:
        new = data.draw(st.just(copy(value)) | CONTAINERS.filter(lambda c: type(c) is type(value)))  # noqa: B023 # drawn at once
        fill(value, new)
    changed = canonical(values) != canonical(originals)
    assert lent.is_unchanged() <= (not changed)
    for value, original in zip(values, originals, strict=True):
        fill(value, copy(original))
    assert lent.is_unchanged()


@pytest.mark.parametrize("new", [True, 1.0, Level.LOW, "1"])
@pytest.mark.parametrize("deep", [False, True])
def test_equal_values_of_other_types_are_changes(new, deep):
    value, lent = {"a": [1, {"b": 1}], "c": 1}, Lent()
    assert lent.add(value, Cell(copy(value), "it"))
    if deep:
        value["a"][1]["b"] = new
    else:
        value["c"] = new
    assert not lent.is_unchanged()


@pytest.mark.parametrize("base", [[2], [True], [1.0]])
def test_what_it_is_compared_with_may_become_something_else(base):
    value, cell, lent = [1], Cell([1], "it"), Lent()
    assert lent.add(value, cell)
    cell.base = base
    assert not lent.is_unchanged()


def test_containers_that_compare_equal_are_looked_at_closer():
    value, lent = {"a": {"b": 1}}, Lent()
    assert lent.add(value, Cell(copy(value), "it"))
    value["a"] = OrderedDict(b=1)
    assert not lent.is_unchanged()


@pytest.mark.parametrize("value", [{"a": (1,)}, {"a": {1}}, [Level.LOW], OrderedDict(), (1,)])
def test_what_is_not_made_of_the_types_of_json_is_left_to_others(value):
    lent = Lent()
    assert not lent.add(value, Cell(value, "it"))
    assert lent.is_unchanged()


def test_what_reads_other_than_it_is_stored():
    value, lent = [1.0, 2.0], Lent()
    assert lent.add(value, Cell([1, 2], "it"))
    assert lent.is_unchanged()
    value[0] = 1
    assert not lent.is_unchanged()


def test_one_container_counts_once():
    value, lent = [1], Lent()
    assert lent.add(value, Cell([1], "it"))
    value.append(2)
    assert lent.add(value, Cell([1], "it"))
    assert not lent.is_unchanged()


def test_one_more_after_it_was_asked():
    lent = Lent()
    assert lent.add([1], Cell([1], "it"))
    assert lent.is_unchanged()
    value = [[1]]
    assert lent.add(value, Cell([[1]], "it"))
    assert lent.is_unchanged()
    value[0][0] = True
    assert not lent.is_unchanged()


@given(CONTAINERS, CONTAINERS)
def test_what_is_compared_with_something_else_is_not_unchanged(old, new):
    cell, lent = Cell(old, "it"), Lent()
    assert lent.add(copy(old), cell)
    cell.rebase(copy(new))
    assert lent.is_unchanged() <= (old == new)


def test_who_reads_newer_values_for_ever_does_not_fill_it():
    cell, lent = Cell([0], "it"), Lent()
    for number in range(1_000):
        cell.rebase([number])
        assert lent.add(cell.read(), cell)
    assert len(lent) < 200
    cell.read().append(1)
    assert not lent.is_unchanged()
