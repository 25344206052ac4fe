"""What a look at an Entry says about a write whose answer was lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttorm.records.cells import ABSENT, UNKNOWN
from ttorm.records.doubts import Verdict, verdict

DONE, AGAIN, LOST, NOBODY_KNOWS = Verdict.DONE, Verdict.AGAIN, Verdict.LOST, Verdict.UNKNOWN
OLD = {"value": 1, "value_changed_ts": 10.0, "entry_updated_ts": 10.0, "visibility": None}


def moved(**attributes):
    return {**OLD, "value_changed_ts": 11.0, "entry_updated_ts": 11.0, **attributes}


@pytest.mark.parametrize(
    ("does", "sent", "before", "after", "found"),
    [
        # A new value
        ("update", {"value": 2}, OLD, moved(value=2), DONE),
        ("update", {"value": 2}, OLD, OLD, AGAIN),
        ("update", {"value": 2}, OLD, moved(value=3), LOST),
        ("update", {"value": 2}, OLD, ABSENT, AGAIN),
        # One that nobody had looked at before
        ("update", {"value": 2}, UNKNOWN, moved(value=2), DONE),
        ("update", {"value": 2}, UNKNOWN, OLD, NOBODY_KNOWS),
        # Written again what it was
        ("update", {"value": 1}, OLD, OLD, AGAIN),
        ("update", {"value": 1}, OLD, moved(), DONE),
        # Of numbers and booleans JSON has two kinds
        ("update", {"value": True}, OLD, moved(value=1), LOST),
        # Properties have a moment of their own
        ("update", {"visibility": "true"}, OLD, moved(visibility="true"), DONE),
        ("update", {"visibility": "true"}, OLD, {**OLD, "value_changed_ts": 12.0}, AGAIN),
        ("update", {"visibility": "true"}, OLD, moved(visibility="false"), LOST),
        # Without moments there is nothing to tell by
        ("update", {"value": 2}, {"value": 1}, {"value": 1}, NOBODY_KNOWS),
        # References come back with how they fare
        (
            "update",
            {"ref": {"source": "twin://a/b/c"}},
            OLD,
            moved(ref={"source": "twin://a/b/c", "status": "ok"}),
            DONE,
        ),
        # New Entries
        ("create", {"value": 2}, ABSENT, ABSENT, AGAIN),
        ("create", {"value": 2}, ABSENT, moved(value=2), DONE),
        ("create", {"value": 2, "history": "1D"}, ABSENT, moved(value=2), LOST),
        # Removed ones
        ("delete", {}, OLD, ABSENT, DONE),
        ("delete", {}, OLD, OLD, AGAIN),
        ("delete", {}, OLD, moved(), LOST),
        ("delete", {}, UNKNOWN, OLD, NOBODY_KNOWS),
    ],
)
def test_verdicts(does, sent, before, after, found):
    assert verdict(does, sent, before, after, check=False) is found


def test_where_others_go_on_from_what_was_written_a_value_tells_nothing():
    assert verdict("update", {"value": 2}, OLD, moved(value=2), check=True) is NOBODY_KNOWS
    assert verdict("update", {"value": 2}, OLD, moved(value=3), check=True) is NOBODY_KNOWS
    assert verdict("create", {"value": 2}, ABSENT, moved(value=2), check=True) is NOBODY_KNOWS
    assert verdict("create", {"value": 2}, ABSENT, moved(value=3), check=True) is NOBODY_KNOWS
    assert verdict("create", {"value": 2}, ABSENT, ABSENT, check=True) is AGAIN
    assert verdict("update", {"value": 2}, OLD, OLD, check=True) is AGAIN
    assert verdict("update", {"visibility": "x"}, OLD, moved(visibility="x"), check=True) is DONE


VALUES = st.none() | st.booleans() | st.integers(0, 3) | st.lists(st.integers(0, 1), max_size=2)
ENTRIES = st.builds(
    lambda value, moment: {"value": value, "value_changed_ts": moment, "entry_updated_ts": moment},
    VALUES,
    st.sampled_from([10.0, 11.0]),
)
KNOWN = ENTRIES | st.just(ABSENT) | st.just(UNKNOWN)


@given(
    st.sampled_from(["update", "delete"]), VALUES, KNOWN, ENTRIES | st.just(ABSENT), st.booleans()
)
def test_what_others_may_have_written_is_never_written_over(does, value, before, after, check):
    """A write is repeated only where nothing is, or what was there before it."""
    sent = {} if does == "delete" else {"value": value}
    if verdict(does, sent, before, after, check=check) is AGAIN:
        assert after is ABSENT or after["value_changed_ts"] == before["value_changed_ts"]
