"""Queries for many values at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ttorm.emulator.store import Row, Transaction

__all__ = ["rows_among"]

_AT_ONCE = 1_000
"""How many values go into one statement; databases limit their parameters."""


def rows_among(
    tx: Transaction, sql: str, values: Iterable[str | tuple[str, ...]], *first: Any
) -> list[Row]:
    """Run a query for many values with as few statements as possible.

    Args:
        tx: Where to read.
        sql: The query, with ``...`` in place of the values: ``WHERE uuid IN (...)``, or
            ``WITH wanted (a, b) AS (VALUES ...)`` when each value is a tuple.
        values: The values.
        first: Parameters that come before the values.
    """
    found: list[Row] = []
    items = list(values)
    for start in range(0, len(items), _AT_ONCE):
        chunk = items[start : start + _AT_ONCE]
        marks = ", ".join(map(_mark, chunk))
        parameters = [part for item in chunk for part in _parts(item)]
        found += tx.rows(sql.replace("...", marks), *first, *parameters)
    return found


def _parts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _mark(value: str | tuple[str, ...]) -> str:
    return "?" if isinstance(value, str) else f"({', '.join('?' * len(value))})"
