"""Values as database libraries give them, turned into JSON that declared types read."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Write a database's value as JSON; moments without a zone stay so.

    Example:
        >>> plain(Decimal("2.50")), plain(date(2026, 1, 31)), plain(7)
        ('2.50', '2026-01-31', 7)
    """
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = value / timedelta(seconds=1)
        return f"{'-' if seconds < 0 else ''}PT{abs(seconds)}S"
    return str(value) if isinstance(value, (Decimal, UUID)) else value
