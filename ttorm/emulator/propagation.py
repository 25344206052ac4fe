"""How changes reach references: at once, or after the delay that the policy asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ttorm.api.operations import operation
from ttorm.emulator.call import Call
from ttorm.emulator.handlers.references import propagate
from ttorm.emulator.ledgers import entries_at
from ttorm.emulator.rows import EntryRow
from ttorm.emulator.store import Transaction
from ttorm.emulator.usage import hour_of

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["any_waiting", "follow", "run", "work"]

_AT_ONCE = 500
"""How many changed Entries one transaction takes up."""
_LONGEST_WAIT = 1.0
"""Seconds after which is looked again: a clock may have been set."""


def follow(call: Call, touched: Iterable[EntryRow]) -> None:
    """Let references follow the Entries that a request has changed.

    Args:
        call: The request.
        touched: The Entries added, changed (as they are now) or removed (as they were).
    """
    delay = call.policy.reference_delay
    changed = [*touched]
    if not delay:
        # In the same transaction: whoever reads next finds the outcome.
        new = [entry for entry in changed if entry.ref_status == "created"]
        propagate(call, [entry.key for entry in changed], new)
        return
    due = round(call.now + delay, 3)
    for entry in changed:
        call.tx.run(
            "INSERT INTO propagations (number, twin, account, name, due_ts) "
            "SELECT COALESCE(MAX(number), 0) + 1, ?, ?, ?, ? FROM propagations",
            *entry.key,
            due,
        )
    call.afterwards.append(call.world.background.wake)


def any_waiting(tx: Transaction) -> bool:
    """Tell whether there are changes that references have not followed."""
    return tx.row("SELECT 1 FROM propagations LIMIT 1") is not None


def run(world: Emulator) -> int:
    """Let references follow all changes now, also those that are not due.

    Returns:
        How many changed Entries that were.
    """
    followed = 0
    while done := _step(world, float("inf")):
        followed += done
    return followed


def work(world: Emulator) -> float | None:
    """Let references follow the changes that are due.

    Returns:
        Seconds after which to look again; None when nothing waits.
    """
    now = world.clock.now()
    with world.store.transaction(write=False) as tx:
        (row,) = tx.rows("SELECT MIN(due_ts) AS next FROM propagations")
    if row["next"] is None:
        return None
    if row["next"] > now:
        return min(float(row["next"]) - now, _LONGEST_WAIT)
    _step(world, now)
    return 0.0


def _step(world: Emulator, until: float) -> int:
    now = world.clock.now()
    with world.store.transaction(write=True) as tx:
        rows = tx.rows(
            "SELECT * FROM propagations WHERE due_ts <= ? ORDER BY number LIMIT ?", until, _AT_ONCE
        )
        if not rows:
            return 0
        # There is no request any more: it counts as nobody's.
        call = Call(world, tx, operation("update_twin_ledger_entry"), now=now)
        keys = [(row["twin"], row["account"], row["name"]) for row in rows]
        found = entries_at(tx, keys).values()
        propagate(call, keys, [entry for entry in found if entry.ref_status == "created"])
        tx.run("DELETE FROM propagations WHERE number <= ?", rows[-1]["number"])
        if call.counts:
            world.usage.store(tx, call.counts, hour_of(now))
    for action in call.afterwards:
        action()
    return len(rows)
