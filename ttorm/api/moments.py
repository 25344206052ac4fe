"""Moments: the API's Unix seconds and Python's `datetime`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from time import time
from typing import Any

from ttorm.api.errors import ResponseFormatError, ValidationError

__all__ = ["coming", "given_seconds", "moment", "timestamp", "told_end"]

_FIRST, _LAST = -62_135_596_800, 253_402_300_800
"""The years 1 to 9999 in Unix seconds: the last one is no part of them."""


def moment(seconds: Any) -> datetime:
    """Make an aware `datetime` in UTC of Unix seconds.

    Raises:
        ResponseFormatError: The service gave something else.

    Example:
        >>> moment(1704067200.0)
        datetime.datetime(2024, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromtimestamp(given_seconds(seconds), UTC)


def given_seconds(raw: Any) -> float:
    """Return Unix seconds that the service gave, once it is sure that they are a moment.

    Raises:
        ResponseFormatError: They are none.
    """
    try:
        seconds = float(raw)
        datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise ResponseFormatError(
            f"the service gave {repr(raw)[:60]} for a moment: expected Unix seconds"
        ) from None
    return seconds


def told_end(answer: Mapping[str, Any], asked: float) -> float:
    """Return when something ends, in Unix seconds: as the service says, or as it was asked for.

    Example:
        >>> told_end({"validity_ts": 1704067200.0}, 0.0), told_end({"validity_ts": "soon"}, 5.0)
        (1704067200.0, 5.0)
    """
    try:
        return given_seconds(answer.get("validity_ts"))
    except ResponseFormatError:
        return asked


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
    if not _FIRST <= when < _LAST:
        raise ValidationError(
            f"{when!r} is no moment of the years 1 to 9999: expected Unix seconds (not "
            "milliseconds), or an aware datetime",
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
