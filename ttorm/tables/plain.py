"""Values as database libraries give them, turned into JSON that declared types read."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

__all__ = ["plain"]

_JSON = frozenset((str, int, float, bool, dict, list))


def plain(value: Any) -> Any:
    """Write a database's value as JSON; moments without a zone stay so.

    Example:
        >>> plain(date(2026, 1, 31)), plain(7)
        ('2026-01-31', 7)
    """
    if value is None or type(value) in _JSON:
        return value
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = value / timedelta(seconds=1)
        return f"{'-' if seconds < 0 else ''}PT{abs(seconds)}S"
    # Numbers of any length, UUIDs, addresses: their texts say it all.
    return str(value)
