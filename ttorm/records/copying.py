"""Copies and pickles of records: what was read and what was changed, never a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttorm.api.errors import StateError
from ttorm.records.cells import ABSENT
from ttorm.records.items import Item, Items
from ttorm.records.needs import needs
from ttorm.records.state import TwinState

if TYPE_CHECKING:
    from ttorm.records.record import Record

__all__ = ["duplicate", "ordinary", "revive", "snapshot"]

_Snapshot = dict[str, Any]


def snapshot(state: TwinState) -> _Snapshot:
    """Give what a record knows and what was changed of it, as plain data.

    Raises:
        StateError: It speaks of a Twin that has no UUID yet, which plain data cannot.
    """
    for needed in needs(state):
        if needed.state.uuid is None:
            raise StateError(
                f"{state.record()!r} cannot be copied or pickled: {needed.part}[{needed.name!r}] "
                f"speaks of {needed}, which is not saved yet; save() that first",
                code="unsaved-source",
            )
    return {
        "uuid": state.uuid,
        "address": state.address,
        "facts": state.facts,
        "fresh": state.fresh,
        "replaced": state.replaced,
        "in_doubt": state.in_doubt,
        "perhaps_created": state.perhaps_created,
        "identity_fields": dict(state.identity_fields),
        "description": _item(state.description),
        "ledgers": {alias: _items(ledger) for alias, ledger in state.ledgers.items()},
        "identities": _items(state.identities),
        "docs": _items(state.docs),
    }


def ordinary(record: Record) -> dict[str, Any]:
    """Give the attributes of a record that are none of its fields."""
    of_fields = {*type(record).__fields__, "_state", "_row"}
    return {name: value for name, value in vars(record).items() if name not in of_fields}


def revive(model: type[Record], taken: _Snapshot) -> Record:
    """Make a record of a snapshot; it binds to the default connection when it first needs one."""
    return _show(model, TwinState(taken["uuid"], None, model), taken)


def duplicate(record: Record) -> Record:
    """Make a record with the same values and changes, which goes its own way from then on."""
    state = record._state
    return _show(type(record), TwinState(state.uuid, state.session, state.model), snapshot(state))


def _show(model: type[Record], state: TwinState, taken: _Snapshot) -> Record:
    state.address = taken["address"]
    state.facts, state.fresh = taken["facts"], taken["fresh"]
    state.in_doubt, state.perhaps_created = taken["in_doubt"], taken["perhaps_created"]
    state.replaced, state.identity_fields = taken["replaced"], taken["identity_fields"]
    _restore_item(state.description, taken["description"])
    for alias, ledger in taken["ledgers"].items():
        _restore(state.foreign_or_own(alias), ledger)
    _restore(state.identities, taken["identities"])
    _restore(state.docs, taken["docs"])
    state.touch()
    record: Record = state.view(model)
    return record


def _item(item: Item) -> _Snapshot:
    return {
        "base": item.base,
        "changes": item.changes(),
        "removed": item.removed,
        "adding": item.adding,
    }


def _items(items: Items) -> _Snapshot:
    touched = {name: _item(item) for name, item in items if item.is_modified()}
    return {"base": dict(items.base), "complete": items.complete, "touched": touched}


def _restore(items: Items, taken: _Snapshot) -> None:
    items.base, items.complete = taken["base"], taken["complete"]
    for name, item in taken["touched"].items():
        _restore_item(items.item(name), item)


def _restore_item(item: Item, taken: _Snapshot) -> None:
    item.base, item.removed, item.adding = taken["base"], taken["removed"], taken["adding"]
    for attribute, value in taken["changes"].items():
        if value is ABSENT:
            item.cell(attribute).remove()
        else:
            item.cell(attribute).assign(value)
