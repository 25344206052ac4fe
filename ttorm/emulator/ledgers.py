"""Reading Ledgers from the store: one, many at once, or single Entries; includes are resolved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from ttorm.emulator.many import rows_among
from ttorm.emulator.rows import EntryKey, EntryRow
from ttorm.emulator.store import Transaction

__all__ = [
    "MAX_HOPS",
    "Entries",
    "entries_at",
    "referring_to",
    "resolve_includes",
    "stored_ledger",
    "stored_ledgers",
    "values_of",
]

MAX_HOPS = 32
"""How many references or includes are followed one after the other."""

Entries: TypeAlias = dict[str, EntryRow]
"""The Entries of one Ledger by name, in the order of creation."""


def stored_ledger(tx: Transaction, twin: str, account: str) -> Entries:
    """Read one Ledger."""
    return stored_ledgers(tx, account, [twin])[twin]


def stored_ledgers(tx: Transaction, account: str, twins: Iterable[str]) -> dict[str, Entries]:
    """Read an account's Ledgers on many Twins with a handful of statements."""
    found: dict[str, Entries] = {twin: {} for twin in twins}
    rows = rows_among(
        tx,
        "SELECT * FROM entries WHERE account = ? AND twin IN (...) ORDER BY seq",
        found,
        account,
    )
    for entry in resolve_includes(tx, [EntryRow.from_row(row) for row in rows]):
        found[entry.twin][entry.name] = entry
    return found


def entries_at(tx: Transaction, keys: Iterable[EntryKey]) -> dict[EntryKey, EntryRow]:
    """Read Entries from anywhere, includes not resolved; those that do not exist are left out."""
    # A join, because SQLite finds no index for "(twin, account, name) IN".
    sql = (
        "WITH wanted (t, a, n) AS (VALUES ...) SELECT entries.* FROM wanted "
        "JOIN entries ON entries.twin = t AND entries.account = a AND entries.name = n"
    )
    entries = map(EntryRow.from_row, rows_among(tx, sql, keys))
    return {entry.key: entry for entry in entries}


def referring_to(tx: Transaction, addresses: Iterable[str]) -> list[EntryRow]:
    """Read the Entries that refer directly to one of these addresses."""
    rows = rows_among(tx, "SELECT * FROM entries WHERE source IN (...) ORDER BY seq", addresses)
    return [EntryRow.from_row(row) for row in rows]


def values_of(entries: Entries) -> dict[str, Any]:
    """The values of a Ledger by name: what rules call ``LEDGER``."""
    return {name: entry.value for name, entry in entries.items()}


def resolve_includes(tx: Transaction, entries: list[EntryRow]) -> list[EntryRow]:
    """Give include Entries the value and time of change of what they include.

    An include whose source is missing, goes round in a circle or is too far away reads as null.
    """
    known: dict[EntryKey, EntryRow | None] = {}
    asking: Iterable[EntryRow] = entries
    for _ in range(MAX_HOPS):
        keys = {entry.source_key for entry in asking if entry.is_include}
        new = [key for key in keys if key is not None and key not in known]
        if not new:
            break
        found = entries_at(tx, new)
        known.update({key: found.get(key) for key in new})
        asking = found.values()
    return [_included(entry, known) if entry.is_include else entry for entry in entries]


def _included(entry: EntryRow, known: dict[EntryKey, EntryRow | None]) -> EntryRow:
    source: EntryRow | None = entry
    for _ in range(MAX_HOPS):
        key = source.source_key if source else None
        source = known.get(key) if key else None
        if source is None:
            break
        if not source.is_include:
            return entry._replace(value=source.value, value_changed_ts=source.value_changed_ts)
    return entry._replace(value=None)
