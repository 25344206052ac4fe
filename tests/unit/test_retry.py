"""When requests are sent again: arithmetic only."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttorm import RetryPolicy
from ttorm.api.operations import OPERATIONS, Repeat
from ttorm.api.retry import NO_RETRIES, Failure, failure_of_status, retry_after

NOW = 1_718_000_000.0


def http_date(seconds):
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("2", 2.0),
        ("1.5", 1.5),
        (" 7 ", 7.0),
        (http_date(NOW + 90), 90.0),
        (http_date(NOW), 0.0),
        ("90000", 90_000.0),
        (http_date(NOW + 10 * 86_400), 864_000.0),
        ("inf", 31_536_000.0),
        ("99999999999999999999", 31_536_000.0),
    ],
)
def test_retry_after_in_both_forms(value, seconds):
    assert retry_after(value, NOW) == seconds


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be changed here")
@pytest.mark.parametrize(
    "form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]
)
def test_all_forms_of_dates_are_in_gmt(form, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert retry_after(datetime.fromtimestamp(NOW + 90, UTC).strftime(form), NOW) == 90.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "soon", "-1", "-inf", "nan"),
        *("Wed, 21 Oct", "Mon, 99 Foo 2024 10:00:00 GMT", http_date(NOW - 5)),
    ],
)
def test_senseless_retry_after_is_ignored(value):
    assert retry_after(value, NOW) is None


@given(st.text(max_size=40))
def test_no_header_breaks_it(value):
    seconds = retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= 31_536_000


@pytest.mark.parametrize(
    ("status", "asked", "failure"),
    [
        (200, False, None),
        (201, True, None),
        (302, True, None),
        (400, False, None),
        (401, True, None),
        (404, False, None),
        (429, False, Failure.REJECTED),
        (429, True, Failure.REJECTED),
        (500, False, Failure.AMBIGUOUS),
        (502, True, Failure.AMBIGUOUS),
        (503, False, Failure.AMBIGUOUS),
        (503, True, Failure.REJECTED),
        (504, False, Failure.AMBIGUOUS),
    ],
)
def test_classes_of_failures(status, asked, failure):
    assert failure_of_status(status, asked) is failure


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=lambda row: row.name)
def test_what_does_no_harm_twice_is_repeated_when_the_outcome_is_unknown(row):
    policy = RetryPolicy()
    assert policy.may_repeat(row, Failure.NOT_SENT)
    assert policy.may_repeat(row, Failure.REJECTED)
    harmless = row.repeat in (Repeat.SAFE, Repeat.IDEMPOTENT)
    assert policy.may_repeat(row, Failure.AMBIGUOUS) is harmless


def test_what_may_overwrite_others_is_not_repeated_blindly():
    guarded = {name for name, row in OPERATIONS.items() if row.repeat is Repeat.GUARDED}
    assert guarded == {
        "update_twin",
        "update_twin_ledger_entry",
        "update_twin_ledger_entry_value",
        "delete_twin_ledger_entry",
        "remove_sticker",
    }


def test_the_back_off_doubles_up_to_its_cap():
    policy = RetryPolicy(base=0.25, cap=8.0)
    longest = [policy.delay(attempt, None, 1.0) for attempt in range(1, 9)]
    assert longest == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_the_jitter_is_full():
    policy = RetryPolicy()
    assert policy.delay(3, None, 0.0) == 0.0
    assert policy.delay(3, None, 0.5) == 0.5


@given(
    st.integers(1, 2_000),
    st.none() | st.floats(0, 86_400),
    st.floats(0, 1),
    st.floats(0.001, 10),
    st.floats(0.001, 100),
)
def test_a_pause_is_between_what_is_asked_and_the_cap(attempt, floor, random, base, cap):
    pause = RetryPolicy(base=base, cap=cap).delay(attempt, floor, random)
    assert (floor or 0.0) <= pause <= max(floor or 0.0, cap)


def test_no_retries():
    assert NO_RETRIES.attempts == 1
