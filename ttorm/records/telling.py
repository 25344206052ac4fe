"""Telling receivers of signals what a save has done."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from blinker import NamedSignal

from ttorm import signals
from ttorm.flows import Flow
from ttorm.records.changes import Change, attribute_name, codec_of, kind_of, shown
from ttorm.records.state import TwinState
from ttorm.results import SaveResult

__all__ = ["anybody_listens", "of_items", "tell", "tell_of_clearing", "tell_of_upload"]

_OF_PARTS = {
    "ledger": signals.entry_changed,
    "identities": signals.identity_changed,
    "docs": signals.doc_changed,
}
_TOLD = (signals.post_save, signals.created, signals.changed, *_OF_PARTS.values())


def anybody_listens() -> bool:
    """Tell whether it is worth while to collect what a save does."""
    return any(signal.receivers for signal in _TOLD)


def of_items(changes: Mapping[str, Change], names: Collection[str]) -> dict[str, Change]:
    """Keep the changes of some items and of their properties."""
    return {
        name: change
        for name, change in changes.items()
        if name in names or name.rpartition(".")[0] in names
    }


def tell(record: Any, result: SaveResult, saved: dict[str, Change], was_new: bool) -> Flow[None]:
    """Tell everybody what a save has done: what concerns the whole record first.

    Args:
        record: The Twin.
        result: What was done.
        saved: The changes that the service has acknowledged.
        was_new: Whether the Twin was created by it.
    """
    state: TwinState = record._state

    def send(signal: NamedSignal, changes: dict[str, Change]) -> Flow[None]:
        if signal.receivers:
            yield from signals.emit(
                signal, type(record), record=record, changes=changes, result=result
            )

    if was_new:
        yield from send(signals.created, saved)
    if saved:
        yield from send(signals.changed, saved)
    for part, signal in _OF_PARTS.items():
        of_part = {name: saved[name] for name in saved if kind_of(name, state) == part}
        if of_part:
            yield from send(signal, of_part)
    yield from send(signals.post_save, saved)


def tell_of_upload(record: Any, name: str, doc: Any) -> Flow[None]:
    """Tell that a Doc was attached, which no save does."""
    if signals.doc_changed.receivers:
        known = attribute_name(record._state, "docs", name)
        yield from signals.emit(
            signals.doc_changed,
            type(record),
            record=record,
            changes={known: Change(None, doc)},
            result=SaveResult(created=(known,)),
        )


def tell_of_clearing(state: TwinState, deleted: Mapping[str, Any]) -> Flow[None]:
    """Tell that Entries were deleted, which no save has done.

    Args:
        state: The Twin.
        deleted: The Entries as they were, by name.
    """
    if not deleted or not anybody_listens():
        return
    changes = {
        attribute_name(state, "ledger", name): Change(
            shown(entry.get("value"), codec_of(state, "ledger", name), name), None
        )
        for name, entry in deleted.items()
    }
    result = SaveResult(deleted=tuple(changes), requests=1)
    yield from tell(state.record(), result, changes, was_new=False)
