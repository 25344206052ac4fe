"""Changing a value by what it was, however many do so at the same time."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutine
from itertools import count
from typing import TYPE_CHECKING, Any

from ttorm.api.codec import same
from ttorm.api.errors import ConflictError, MissingEntryError, StateError, ValidationError
from ttorm.flows import Flow
from ttorm.records.cells import ABSENT
from ttorm.records.loading import load_part
from ttorm.records.retrying import backoff
from ttorm.records.saving import save
from ttorm.records.turns import turn
from ttorm.records.values import PLAIN, Codec, is_scalar

if TYPE_CHECKING:
    from ttorm.records.entry import Entry
    from ttorm.records.fields import FieldSpec
    from ttorm.records.items import Item
    from ttorm.records.state import TwinState

__all__ = ["update"]

_PAUSE, _LONGEST = 0.01, 0.1
"""Seconds of the longest wait after the first lost race, and after any of them."""


def update(entry: Entry, change: Callable[[Any], Any], default: Any, attempts: int) -> Flow[Any]:
    """Write what a function makes of an Entry's value, however many do so at once.

    The function sees the value as the declared field of the Entry does, if there is one.

    Returns:
        The value written.

    Raises:
        ConflictError: Somebody else was faster in each attempt.
        MissingEntryError: The Ledger has no such Entry, and no default is given.
        StateError: The Entry has unsaved changes.
        TypeError: That is no function, or it is asynchronous or changes the value in place and
            returns None.
        ValidationError: The field's type, or JSON, refuses what the function has made.
    """
    if not callable(change):
        raise TypeError(
            f"update({change!r}): expected a function of the value that returns the new one, as in "
            "update(lambda value: value + 1)"
        )
    if attempts < 1:
        raise ValidationError(f"attempts={attempts}: expected at least 1", code="bad-argument")
    state = entry._attached()
    item = state.ledger.item(entry.name)
    for attempt in count(1):
        # What another update of this record is just writing is no unsaved change.
        yield from turn(state)
        # Before it is read: what was changed and not answered would then be taken for seen.
        _check_unchanged(item, entry.name)
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
    state: TwinState, name: str, item: Item, change: Callable[[Any], Any], default: Any
) -> Flow[Any]:
    _check_unchanged(item, name)
    spec = _field(state, name)
    codec: Codec = PLAIN if spec is None else spec.codec
    value = _made(change, _present(state, item, name, codec, _or_declared(default, spec)), codec)
    cell, stuck = item.cell("value"), state.stuck
    cell.assign(value, codec, state)
    state.forget_values()
    state.touch()
    try:
        yield from save(state.record(), check=True, only=("ledger", name))
    except BaseException:
        item.discard()
        if "ledger" in state.in_doubt:
            # What it was before is not what it is now, perhaps.
            state.expire("ledger")
        state.forget_values()
        state.stuck = stuck
        raise
    return codec.load(cell.current(), name, state)


def _check_unchanged(item: Item, name: str) -> None:
    if item.is_modified():
        raise StateError(
            f"the Entry {name!r} has unsaved changes, which an update would send along: save() or "
            "discard() them first"
        )


def _made(change: Callable[[Any], Any], value: Any, codec: Codec) -> Any:
    """Have the function make the new value.

    Raises:
        TypeError: It is asynchronous, or has changed the value instead of returning one.
    """
    before = None if is_scalar(value) else codec.dump(value, "value")
    made = change(value)
    if iscoroutine(made):
        made.close()
        raise TypeError(
            f"update({change!r}) got a coroutine: expected a plain function that returns the new "
            "value; await what it needs before"
        )
    if made is None and before is not None and not same(codec.dump(value, "value"), before):
        raise TypeError(
            f"update({change!r}) changed the value in place and returned None: return the new "
            "value, as in update(lambda value: [*value, 1])"
        )
    return made


def _field(state: TwinState, name: str) -> FieldSpec | None:
    """Return the field that declares an Entry's value."""
    spec = state.model.__targets__.get(("ledger", name))
    return spec if spec is not None and spec.plain else None


def _or_declared(default: Any, spec: FieldSpec | None) -> Any:
    """Give what an Entry that is not there begins with; ABSENT when nobody has said."""
    if default is not ABSENT or spec is None or spec.required:
        return default
    return spec.default()


def _present(state: TwinState, item: Item, name: str, codec: Codec, default: Any) -> Any:
    found = item.known.get("value", ABSENT)
    if found is ABSENT:
        if default is ABSENT:
            raise MissingEntryError(
                f"the Ledger has no Entry {name!r} to update: assign a value first, or give "
                "default="
            )
        # The function may change it, and be called again.
        found = codec.dump(codec.check(default, "default", state), "default")
    return codec.load(found, name, state)
