"""Putting together what two sides made of one JSON value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttorm import ConflictError, ValidationError, merge

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        (1, 2, 1, 2),
        (1, 1, 2, 2),
        (1, 2, 2, 2),
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 3}, {"a": 1, "c": 3, "b": 2}),
        ({"a": 1, "b": 1}, {"b": 1}, {"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1}, {}, {}, {}),
        (
            {"a": {"x": 1, "y": 1}},
            {"a": {"x": 2, "y": 1}},
            {"a": {"x": 1, "y": 2}},
            {"a": {"x": 2, "y": 2}},
        ),
        (None, {"a": 1}, {"b": 1}, {"b": 1, "a": 1}),
        ({}, {"a": {"x": 1}}, {"a": {"y": 1}}, {"a": {"y": 1, "x": 1}}),
    ],
)
def test_what_does_not_overlap_merges(base, mine, theirs, merged):
    assert merge(base, mine, theirs) == merged


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "path"),
    [
        (1, 2, 3, ""),
        ([1], [1, 2], [0, 1], ""),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {"b": 3}}, "a.b"),
        ({"a": 1}, {"a": 2}, {}, "a"),
        ({"a": 1}, {"a": True}, {"a": 1.0}, "a"),
    ],
)
def test_what_overlaps_is_a_conflict_unless_a_side_is_preferred(base, mine, theirs, path):
    with pytest.raises(ConflictError) as caught:
        merge(base, mine, theirs)
    assert list(caught.value.mine) == [path]
    assert merge(base, mine, theirs, prefer="mine") == mine
    assert merge(base, mine, theirs, prefer="theirs") == theirs


def test_the_merged_value_shares_nothing():
    mine = {"a": [1]}
    merged = merge({}, mine, {"b": 1})
    merged["a"].append(2)
    assert mine == {"a": [1]}


def test_only_json_is_merged():
    with pytest.raises(ValidationError):
        merge({}, {"a": {1}}, {})


@given(VALUES, VALUES)
def test_one_side_alone_is_what_it_made(base, mine):
    assert merge(base, mine, base) == mine
    assert merge(base, base, mine) == mine
    assert merge(base, mine, mine) == mine


@given(VALUES, VALUES, VALUES)
def test_sides_do_not_matter_but_for_preference(base, mine, theirs):
    assert merge(base, mine, theirs, prefer="mine") == merge(base, theirs, mine, prefer="theirs")
