"""Random conditions on rows, held against what they mean in Python."""

from __future__ import annotations

import operator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ttorm import Column, Condition, Field, TimeseriesTable, Twin, dimension, entry, measurement

TEXTS = [None, "", "a", "A", "ab", "b%", "_", "'; --"]
NUMBERS = [None, -3, 0, 1, 2, 1000]


class Things(TimeseriesTable):
    text: Column[str | None] = dimension("{LEDGER.text}")
    number: Column[int | None] = dimension("{LEDGER.number}")
    seen: Column[int | None] = measurement()


class Thing(Twin):
    text: Field[str | None] = entry(default=None)
    number: Field[int | None] = entry(default=None)
    seen: Field[int] = entry()

    class Meta:
        timeseries = Things


@pytest.fixture
def rows(connection):
    """A row of each text with each number."""
    Things.create()
    made = [(text, number) for text in TEXTS for number in NUMBERS]
    for place, (text, number) in enumerate(made):
        Thing.create(text=text, number=number, seen=place)
    return made


COMPARISONS = {name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}


def compared(column, index, values):
    """A comparison, and what it means."""

    def make(name, value):
        compare = COMPARISONS[name]
        missing = name == "ne"
        return (
            compare(column, value),
            lambda row: missing if row[index] is None else compare(row[index], value),
        )

    some = [value for value in values if value is not None]
    return st.one_of(
        st.builds(make, st.sampled_from([*COMPARISONS]), st.sampled_from(some)),
        st.builds(
            lambda chosen: (column.in_(chosen), lambda row: row[index] in chosen),
            st.lists(st.sampled_from(some), max_size=3),
        ),
        st.builds(
            lambda low, high: (
                column.between(low, high),
                lambda row: row[index] is not None and low <= row[index] <= high,
            ),
            st.sampled_from(some),
            st.sampled_from(some),
        ),
        st.just((column.is_null(), lambda row: row[index] is None)),
    )


LEAVES = st.one_of(
    compared(Things.text, 0, TEXTS),
    compared(Things.number, 1, NUMBERS),
    st.builds(
        lambda prefix: (
            Things.text.startswith(prefix),
            lambda row: row[0] is not None and row[0].startswith(prefix),
        ),
        st.sampled_from([text for text in TEXTS if text is not None]),
    ),
)


def joined(inner):
    return st.one_of(
        st.builds(lambda a, b: (a[0] & b[0], lambda row: a[1](row) and b[1](row)), inner, inner),
        st.builds(lambda a, b: (a[0] | b[0], lambda row: a[1](row) or b[1](row)), inner, inner),
        st.builds(lambda a: (~a[0], lambda row: not a[1](row)), inner),
    )


def test_conditions_select_what_they_say(rows):
    @settings(
        max_examples=300,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.recursive(LEAVES, joined, max_leaves=8))
    def check(pair):
        condition, means = pair
        assert isinstance(condition, Condition)
        expected = [row for row in rows if means(row)]
        found = Things.rows(condition, order_by=Things.seen).all()
        assert [(row.text, row.number) for row in found] == expected
        assert Things.rows(condition).count() == len(expected)

    check()
