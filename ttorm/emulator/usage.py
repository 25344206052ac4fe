"""Usage: what requests and what they changed add up to, by account, user and hour."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from ttorm.emulator.store import Transaction

if TYPE_CHECKING:
    from ttorm.emulator.core import Emulator

__all__ = ["Counts", "Meter", "hour_of", "work"]

Counts: TypeAlias = dict[tuple[str, str, int, str], int]
"""Amounts by account, user (empty for what no user did), hour and item.

Requests count under the name of their operation.
"""

_AT_ONCE = 200
"""How many amounts one statement adds; more wait for the next one."""


def hour_of(now: float) -> int:
    """Return in which hour since 1970 a Unix time is."""
    return int(now // 3_600)


class Meter:
    """Adds up usage in the store.

    Writing requests add theirs in their own transaction, so that it is as durable as what they
    did. Those that only read stay in memory until the next one writes: they would else turn
    each read into a write.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._waiting: Counts = {}
        self._hour = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits in memory."""
        return not self._waiting

    def note(self, counts: Mapping[tuple[str, str, int, str], int]) -> None:
        """Keep amounts in memory until somebody writes."""
        if self._process != os.getpid():
            # A forked child: what waits is its parent's, which also may have held the lock.
            self._begin()
        with self._lock:
            for key, amount in counts.items():
                self._waiting[key] = self._waiting.get(key, 0) + amount

    def store(self, tx: Transaction, counts: Counts, hour: int) -> None:
        """Add amounts, and some of those that wait, to the store.

        Args:
            tx: A write transaction.
            counts: The amounts.
            hour: The current hour; what is older than the one before is given up.
        """
        self.note(counts)
        with self._lock:
            added = [self._waiting.popitem() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        if not added:
            return
        if hour != self._hour:
            tx.run("DELETE FROM usage WHERE hour < ?", hour - 1)
            self._hour = hour
        # All writers lock the rows in one order.
        added.sort()
        tx.run(_statement(len(added)), *(part for key, amount in added for part in (*key, amount)))

    def settle(self, tx: Transaction, hour: int) -> None:
        """Add all amounts that wait to the store."""
        while self._waiting:
            self.store(tx, {}, hour)

    def forget(self) -> None:
        """Let go of the amounts that wait."""
        with self._lock:
            self._waiting.clear()

    def read(self, tx: Transaction, account: str, owner: str, hour: int) -> Counts:
        """Return the amounts of one user, or of no user, in an hour and the one before."""
        rows = tx.rows(
            "SELECT hour, item, amount FROM usage WHERE account = ? AND owner = ? AND hour >= ?",
            account,
            owner,
            hour - 1,
        )
        found = {(account, owner, row["hour"], row["item"]): row["amount"] for row in rows}
        with self._lock:
            waiting = [*self._waiting.items()]
        for key, amount in waiting:
            if key[:2] == (account, owner) and key[2] >= hour - 1:
                found[key] = found.get(key, 0) + amount
        return found


def work(world: Emulator) -> float | None:
    """Store what reading requests have added up, where other processes ask for it.

    Returns:
        0 when there is more to do, else None.
    """
    if world.usage.is_empty:
        return None
    with world.store.transaction(write=True) as tx:
        world.usage.store(tx, {}, hour_of(world.clock.now()))
    return None if world.usage.is_empty else 0.0


@lru_cache
def _statement(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?)"] * rows)
    return (
        f"INSERT INTO usage (account, owner, hour, item, amount) VALUES {values} "  # noqa: S608
        "ON CONFLICT (account, owner, hour, item) "
        "DO UPDATE SET amount = usage.amount + excluded.amount"
    )
