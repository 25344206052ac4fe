"""History: showing the former values of Entries."""

from __future__ import annotations

from typing import Any

from ttorm.emulator.call import Call
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.ledgers import find_ledger, visible_entries
from ttorm.emulator.history import records
from ttorm.emulator.rows import EntryRow

__all__ = ["MOST_RECORDS"]

MOST_RECORDS = 100
"""How many records of an Entry one answer shows."""


@handles("get_twin_ledger_entry_history")
def get_twin_ledger_entry_history(call: Call) -> dict[str, Any]:
    """Show the former values of Entries, the newest first."""
    limit = call.integer("limit", default=MOST_RECORDS, low=1, high=MOST_RECORDS)
    since, until = call.timestamp("ge"), call.timestamp("le")
    names = call.names("entries")
    twin, account = find_ledger(call)
    entries = visible_entries(call, twin, account)
    if not names:
        names = [entry.name for entry in entries.values() if entry.history is not None]

    def slot(entry: EntryRow | None) -> dict[str, Any] | str:
        if entry is None:
            return "Entry not accessible."
        found = records(call.tx, entry, call.now, since=since, until=until, limit=limit)
        return {repr(changed_ts): value for changed_ts, value in found.items()}

    return {"entries": {name: slot(entries.get(name)) for name in names}}
