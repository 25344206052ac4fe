"""Moments: the API's Unix seconds and Python's `datetime`."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time

from ttorm.api.errors import ValidationError

__all__ = ["coming", "moment", "timestamp"]


def moment(seconds: float) -> datetime:
    """Make an aware `datetime` in UTC of Unix seconds."""
    return datetime.fromtimestamp(float(seconds), UTC)


def timestamp(when: datetime | float) -> float:
    """Make Unix seconds, to the millisecond, of a `datetime` or of Unix seconds.

    Raises:
        ValidationError: The `datetime` has no timezone, or it is something else.

    Example:
        >>> timestamp(datetime(2024, 1, 1, tzinfo=UTC))
        1704067200.0
    """
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ValidationError(
                f"{when!r} has no timezone: write datetime(..., tzinfo=UTC) or .astimezone()",
                code="bad-argument",
            )
        when = when.timestamp()
    if isinstance(when, bool) or not isinstance(when, (int, float)):
        raise ValidationError(
            f"{when!r} is no moment: expected an aware datetime or Unix seconds",
            code="bad-argument",
        )
    return round(float(when), 3)


def coming(when: datetime | float | None, what: str) -> float | None:
    """Make Unix seconds of when something is to end; None stays None.

    Args:
        when: The end.
        what: What ends, for messages.

    Raises:
        ValidationError: That is no moment, or it is over.
    """
    if when is None:
        return None
    end = timestamp(when)
    if end <= time():
        raise ValidationError(
            f"{what} would have ended already, at {moment(end)}: give a moment to come, such as "
            "datetime.now(UTC) + timedelta(days=90)",
            code="bad-argument",
        )
    return end
