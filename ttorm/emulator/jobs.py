"""What the background does; the modules are imported when there is something to do."""

from __future__ import annotations

from collections.abc import Iterable

from ttorm.emulator.background import Job
from ttorm.emulator.store import Transaction

__all__ = ["any_waiting", "jobs"]


def jobs(*, near: bool) -> Iterable[Job]:
    """Return what is to be done, each in turn.

    Args:
        near: Whether the store is in this process or in a file, and usage is stored by others.
    """
    from ttorm.emulator import batchruns, deliveries, propagation, stickers, usage

    yield from (batchruns.work, stickers.work, deliveries.work, propagation.work)
    if not near:
        yield usage.work


def any_waiting(tx: Transaction) -> bool:
    """Tell whether a store was left with something to do."""
    if tx.row("SELECT number FROM accounts LIMIT 1") is None:
        return False
    from ttorm.emulator import batches, deliveries, propagation, stickers

    waits = (
        batches.any_unfinished,
        stickers.any_publishing,
        deliveries.any_waiting,
        propagation.any_waiting,
    )
    return any(wait(tx) for wait in waits)
