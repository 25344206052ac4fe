"""Changing a value by what it was, however many do so at the same time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from ttorm.api.codec import JSONValue
from ttorm.api.errors import ConflictError, MissingEntryError, StateError, ValidationError
from ttorm.flows import Flow
from ttorm.records.cells import ABSENT
from ttorm.records.loading import load_part
from ttorm.records.retrying import backoff
from ttorm.records.saving import save
from ttorm.records.turns import turn
from ttorm.records.values import PLAIN

if TYPE_CHECKING:
    from ttorm.records.entry import Entry
    from ttorm.records.items import Item
    from ttorm.records.state import TwinState

__all__ = ["update"]

_PAUSE, _LONGEST = 0.01, 0.1
"""Seconds of the longest wait after the first lost race, and after any of them."""


def update(
    entry: Entry, change: Callable[[Any], JSONValue], default: JSONValue, attempts: int
) -> Flow[JSONValue]:
    """Write what a function makes of an Entry's value, however many do so at once.

    Returns:
        The value written.

    Raises:
        ConflictError: Somebody else was faster in each attempt.
        MissingEntryError: The Ledger has no such Entry, and no default is given.
        StateError: The Entry has unsaved changes.
    """
    if attempts < 1:
        raise ValidationError(f"attempts={attempts}: expected at least 1", code="bad-argument")
    state = entry._attached()
    item = state.ledger.item(entry.name)
    for attempt in count(1):
        if "ledger" in state.in_doubt:
            yield from load_part(state, "ledger", fresh=True)
        elif item.present is None:
            yield from entry._refresh()
        # Others who share this record change nothing from here until the save has begun.
        yield from turn(state)
        try:
            return (yield from _write(state, entry.name, item, change, default))
        except ConflictError:
            if attempt >= attempts:
                raise
        yield from backoff(attempt, _PAUSE, _LONGEST)
    raise AssertionError  # pragma: no cover - count() does not end


def _write(
    state: TwinState,
    name: str,
    item: Item,
    change: Callable[[Any], JSONValue],
    default: JSONValue,
) -> Flow[JSONValue]:
    if item.is_modified():
        raise StateError(
            f"the Entry {name!r} has unsaved changes, which an update would send along: save() or "
            "discard() them first"
        )
    value = change(_present(item, name, default))
    cell, stuck = item.cell("value"), state.stuck
    cell.assign(value)
    state.forget_values()
    state.touch()
    try:
        yield from save(state.record(), check=True, only=("ledger", name))
    except BaseException:
        item.discard()
        state.forget_values()
        state.stuck = stuck
        raise
    return PLAIN.load(cell.current(), name)


def _present(item: Item, name: str, default: JSONValue) -> JSONValue:
    found = item.known.get("value", ABSENT)
    if found is not ABSENT:
        return PLAIN.load(found, name)
    if default is ABSENT:
        raise MissingEntryError(
            f"the Ledger has no Entry {name!r} to update: assign a value first, or give default="
        )
    return default
