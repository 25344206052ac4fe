"""Reading Ledgers from the store: one, many at once, or single Entries; includes are resolved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

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

_CHUNK = 500

Entries: TypeAlias = dict[str, EntryRow]
"""The Entries of one Ledger by name, in the order of creation."""


def stored_ledger(tx: Transaction, twin: str, account: str) -> Entries:
    """Read one Ledger."""
    return stored_ledgers(tx, account, [twin])[twin]


def stored_ledgers(tx: Transaction, account: str, twins: Sequence[str]) -> dict[str, Entries]:
    """Read an account's Ledgers on many Twins with a handful of statements."""
    found: dict[str, Entries] = {twin: {} for twin in twins}
    sql = "SELECT * FROM entries WHERE account = ? AND twin IN (*) ORDER BY seq"
    entries = [
        EntryRow.from_row(row)
        for chunk in _chunks(twins)
        for row in tx.rows(_marked(sql, "?", len(chunk)), account, *chunk)
    ]
    for entry in resolve_includes(tx, entries):
        found[entry.twin][entry.name] = entry
    return found


def entries_at(tx: Transaction, keys: Iterable[EntryKey]) -> dict[EntryKey, EntryRow]:
    """Read Entries from anywhere, includes not resolved; those that do not exist are left out."""
    sql = "SELECT * FROM entries WHERE (twin, account, name) IN (VALUES *)"
    found: dict[EntryKey, EntryRow] = {}
    for chunk in _chunks(list(keys)):
        places = [part for key in chunk for part in key]
        for row in tx.rows(_marked(sql, "(?, ?, ?)", len(chunk)), *places):
            entry = EntryRow.from_row(row)
            found[entry.key] = entry
    return found


def referring_to(tx: Transaction, addresses: Iterable[str]) -> list[EntryRow]:
    """Read the Entries that refer directly to one of these addresses."""
    sql = "SELECT * FROM entries WHERE source IN (*) ORDER BY seq"
    return [
        EntryRow.from_row(row)
        for chunk in _chunks(list(addresses))
        for row in tx.rows(_marked(sql, "?", len(chunk)), *chunk)
    ]


def values_of(entries: Entries) -> dict[str, Any]:
    """The values of a Ledger by name: what rules call ``LEDGER``."""
    return {name: entry.value for name, entry in entries.items()}


def resolve_includes(tx: Transaction, entries: list[EntryRow]) -> list[EntryRow]:
    """Give include Entries the value and time of change of what they include.

    An include whose source is missing, goes round in a circle or is too far away reads as null.
    """
    known: dict[EntryKey, EntryRow | None] = {}
    wanted = {entry.source_key for entry in entries if entry.is_include} - {None}
    for _ in range(MAX_HOPS):
        new = {key for key in wanted if key is not None and key not in known}
        if not new:
            break
        known.update(dict.fromkeys(new))
        found = entries_at(tx, new)
        known.update(found)
        wanted = {entry.source_key for entry in found.values() if entry.is_include}
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


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _marked(sql: str, mark: str, count: int) -> str:
    return sql.replace("*)", ", ".join([mark] * count) + ")")
