"""References: copies of other Entries' values, renewed when those change.

A reference is answered as ``created`` and looked up after the answer was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ttorm.api import codec
from ttorm.emulator.access import account_sees_entry
from ttorm.emulator.call import Call
from ttorm.emulator.clock import later
from ttorm.emulator.feeds import Change, Feed
from ttorm.emulator.handlers.entries import store
from ttorm.emulator.handlers.twins import twin_at, twins_at
from ttorm.emulator.ledgers import (
    MAX_HOPS,
    Entries,
    entries_at,
    referring_to,
    resolve_includes,
    stored_ledger,
    values_of,
)
from ttorm.emulator.rows import EntryKey, EntryRow, TwinRow, address_of

__all__ = ["propagate"]


def propagate(call: Call, touched: Iterable[EntryKey], new: Iterable[EntryRow]) -> None:
    """Look up anew every reference that depends on changed Entries, however indirectly.

    Args:
        call: The request that changed them.
        touched: The Entries added, changed or removed.
        new: Those of them that are references and were never looked up.
    """
    sources = _Sources(call)
    changes: dict[tuple[str, str], list[Change]] = {}
    for reference in _dependants(call, touched, new):
        value, status = sources.look_up(reference)
        change = _renew(call, reference, value, status)
        if change.has_value:
            changes.setdefault((reference.account, reference.twin), []).append(change)
    _feed(call, changes)


def _dependants(
    call: Call, touched: Iterable[EntryKey], new: Iterable[EntryRow]
) -> Iterable[EntryRow]:
    found = {entry.key: entry for entry in new}
    addresses = {*map(address_of, touched)}
    asked: set[str] = set()
    while addresses:
        asked |= addresses
        more = [entry for entry in referring_to(call.tx, addresses) if entry.is_reference]
        found.update((entry.key, entry) for entry in more)
        addresses = {entry.address for entry in more} - asked
    return found.values()


def _renew(call: Call, reference: EntryRow, value: object, status: str) -> Change:
    renewed = reference._replace(ref_status=status)
    if not codec.same(value, reference.value):
        changed = later(call.now, reference.value_changed_ts)
        renewed = renewed._replace(value=value, value_changed_ts=changed)
    if renewed != reference:
        renewed = store(call, reference, renewed)
    return Change(reference, renewed)


def _feed(call: Call, changes: dict[tuple[str, str], list[Change]]) -> None:
    """Fill the tables of the accounts whose references got other values."""
    feeds: dict[str, Feed] = {}
    for (account, twin), of_ledger in changes.items():
        if account not in feeds:
            feeds[account] = Feed(call, account, by_user=False)
        feeds[account].take(twin, of_ledger, partial(_ledger, call, twin, account))


def _ledger(call: Call, twin: str, account: str) -> tuple[TwinRow, Entries]:
    return twins_at(call, [twin])[twin], stored_ledger(call.tx, twin, account)


class _Sources:
    """Follows references to their values, reading each Entry once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._read: dict[EntryKey, EntryRow | None] = {}
        self._seen_by: dict[tuple[EntryKey, str], bool] = {}

    def look_up(self, reference: EntryRow) -> tuple[object, str]:
        """Return the value and status that a reference has now."""
        passed = {reference.key}
        entry = reference
        for _ in range(MAX_HOPS):
            source = self._source(entry)
            if source is None or not self._visible(source, entry.account):
                return None, "not_found"
            if not source.is_reference:
                return source.value, "ok"
            if source.key in passed:
                return None, "loop_detected"
            passed.add(source.key)
            entry = source
        return None, "too_many_hops"

    def _source(self, entry: EntryRow) -> EntryRow | None:
        key = entry.source_key
        if key is None:
            return None
        if key not in self._read:
            found = entries_at(self._call.tx, [key])
            self._read[key] = next(iter(resolve_includes(self._call.tx, [*found.values()])), None)
        return self._read[key]

    def _visible(self, source: EntryRow, account: str) -> bool:
        if source.account == account:
            return True
        if (source.key, account) not in self._seen_by:
            self._seen_by[source.key, account] = self._judge(source, account)
        return self._seen_by[source.key, account]

    def _judge(self, source: EntryRow, account: str) -> bool:
        twin = twin_at(self._call, source.twin)
        if source.visibility is None or twin is None:
            return False
        ledger = stored_ledger(self._call.tx, source.twin, source.account)
        return account_sees_entry(self._call, account, twin, source, values_of(ledger))
