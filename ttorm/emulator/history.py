"""History: recording the changes of Entries, and dropping what is no longer kept."""

from __future__ import annotations

from typing import Any

from ttorm.emulator.rows import EntryRow, from_json, to_json
from ttorm.emulator.store import Transaction

__all__ = ["MAX_RECORDS", "period_start", "record", "records"]

MAX_RECORDS = 1_000
"""How many records an Entry keeps, whatever its period."""

_DAYS = {"D": 1, "W": 7, "M": 30, "Y": 365}


def record(tx: Transaction, old: EntryRow | None, new: EntryRow, now: float) -> None:
    """Record a change of an Entry.

    The current value is the newest record, also of an Entry whose history was just switched on.
    """
    if new.history is None:
        if old is not None and old.history is not None:
            tx.run("DELETE FROM history WHERE entry = ?", new.seq)
        return
    if old is None or old.history is None or old.value_changed_ts != new.value_changed_ts:
        tx.run(
            "INSERT INTO history (entry, changed_ts, value) VALUES (?, ?, ?)",
            new.seq,
            new.value_changed_ts,
            to_json(new.value),
        )
    # What was too old for the former period does not come back with a longer one.
    periods = {new.history, old.history if old else None} - {None}
    start = max(_start(tx, new._replace(history=period), now) for period in periods)
    tx.run("DELETE FROM history WHERE entry = ? AND changed_ts < ?", new.seq, start)


def records(
    tx: Transaction,
    entry: EntryRow,
    now: float,
    *,
    since: float | None = None,
    until: float | None = None,
    limit: int = MAX_RECORDS,
) -> dict[float, Any]:
    """Read former values by the time at which they were written, the newest first.

    Args:
        tx: Where to read.
        entry: The Entry; without a history it has no records.
        now: The current time: records that have become too old since the last write are left out.
        since: Time of the oldest record wanted.
        until: Time of the newest record wanted.
        limit: How many records at most.
    """
    if entry.history is None:
        return {}
    rows = tx.rows(
        "SELECT changed_ts, value FROM history WHERE entry = ? AND changed_ts >= ? "
        "AND changed_ts <= ? ORDER BY changed_ts DESC LIMIT ?",
        entry.seq,
        max(since or 0.0, _start(tx, entry, now)),
        entry.value_changed_ts if until is None else until,
        limit,
    )
    return {row["changed_ts"]: from_json(row["value"]) for row in rows}


def _start(tx: Transaction, entry: EntryRow, now: float) -> float:
    """Time of the oldest record that is kept: by number, by period, but always the newest."""
    row = tx.row(
        "SELECT changed_ts FROM history WHERE entry = ? ORDER BY changed_ts DESC LIMIT 1 OFFSET ?",
        entry.seq,
        MAX_RECORDS - 1,
    )
    by_number = 0.0 if row is None else float(row["changed_ts"])
    return min(entry.value_changed_ts, max(by_number, period_start(entry.history, now)))


def period_start(period: str | None, now: float) -> float:
    """Return the Unix time at which a period such as ``3M`` began; ``INF`` and None have none."""
    if period is None or period == "INF":
        return 0.0
    return now - int(period[:-1]) * _DAYS[period[-1]] * 86_400
