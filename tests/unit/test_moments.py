"""Moments: what is one, and what is refused before it is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf, nan

import pytest

from ttorm import ValidationError
from ttorm.api.moments import coming, timestamp

MILLISECONDS = 1_900_000_000_000


@pytest.mark.parametrize("when", [MILLISECONDS, -MILLISECONDS, inf, -inf, nan])
def test_what_is_beyond_all_calendars_is_no_moment(when):
    with pytest.raises(ValidationError, match=r"not milliseconds"):
        timestamp(when)
    with pytest.raises(ValidationError, match=r"not milliseconds"):
        coming(when, "the secret")


def test_the_first_and_the_last_moment():
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert [datetime.fromtimestamp(timestamp(one), UTC) for one in (first, last)] == [first, last]
