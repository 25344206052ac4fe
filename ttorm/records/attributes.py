"""Declared fields as attributes: what reading, assigning and deleting one does to the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttorm.api import names
from ttorm.api.errors import MissingEntryError
from ttorm.records.again import Again
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN, Cell
from ttorm.records.doc import Doc
from ttorm.records.loading import require
from ttorm.records.references import read_linked, write_linked
from ttorm.records.state import PERSONAL, TwinState, check_own_ledger
from ttorm.records.values import is_scalar

if TYPE_CHECKING:
    from ttorm.records.fields import FieldSpec

__all__ = ["delete_field", "identity_text", "read_field", "touch_field", "write_field"]


def read_field(state: TwinState, spec: FieldSpec) -> Any:
    """Return the value of a field, loading its part when it has to.

    Raises:
        MissingEntryError: The Twin has no value for it, and it declares no default.
        ValidationError: The service holds what the field's type refuses.
        NotLoadedError: Its part is not loaded, and waiting is not allowed here.
    """
    if not spec.plain:
        return _read_other(state, spec)
    raw = state.peek(spec)
    if type(raw) in spec.codec.exact:
        return raw
    item, attribute = state.place(spec)
    now = item.current(attribute)
    if now is UNKNOWN:
        require(state, spec.part, spec.attribute)
        now = item.current(attribute)
    cell = item.cell(attribute)
    if now is not ABSENT:
        value = cell.read(spec.codec, state, now)
    elif spec.required:
        raise MissingEntryError(
            f"{state.model.__name__} {state.uuid} has no {spec.kind} {spec.target!r}, and "
            f"{spec.attribute} declares no default: assign a value, or declare default=None"
        )
    else:
        value = cell.lend(spec.default(), spec.codec)
    if not is_scalar(value):
        state.lend(value, cell)
    return value


def _read_other(state: TwinState, spec: FieldSpec) -> Any:
    if spec.kind == "identity":
        return _read_identity(state, spec)
    return Doc(state, spec.target) if spec.kind == "doc" else read_linked(state, spec)


def touch_field(state: TwinState, spec: FieldSpec) -> None:
    """Have a field's value written by the next save, changed or not.

    Raises:
        TypeError: The field has no value of its own that could be written again.
    """
    if not spec.plain:
        what = {"identity": "an Identity", "doc": "a Doc"}.get(spec.kind, "a copy of its source")
        raise TypeError(f"{spec.attribute} is {what}: there is nothing to send again")
    read_field(state, spec)
    item, attribute = state.place(spec)
    state.touch()
    item.cell(attribute).force()


def _read_identity(state: TwinState, spec: FieldSpec) -> Any:
    if spec.target in state.identity_fields:
        text = state.identity_fields[spec.target]
    else:
        text = state.shown_identity(spec.target)
        if text is None and not state.identities.complete:
            require(state, "identities", spec.attribute)
            text = state.shown_identity(spec.target)
    if text is not None:
        return spec.codec.load(text.partition("#")[2], spec.attribute)
    if spec.required:
        raise MissingEntryError(
            f"{state.model.__name__} {state.uuid} has no Identity of type {spec.target!r}, and "
            f"{spec.attribute} declares no default"
        )
    return spec.default()


def write_field(state: TwinState, spec: FieldSpec, value: Any) -> Any:
    """Take a new value of a field, without asking the service.

    Returns:
        The value as validated; NOTHING when reading gives another one than was assigned.

    Raises:
        ValidationError: The field's type, or JSON, refuses the value; nothing is changed.
        StateError: The Twin is terminated, which freezes its description; or the Ledger is another
            account's.
        AttributeError: The field holds a Doc, which is uploaded.
    """
    if not spec.plain:
        state.touch()
        value = _write_other(state, spec, value)
        state.forget_value(spec)
        return value
    if spec.kind == "description":
        state.check_alive()
    elif spec.alias != PERSONAL:
        check_own_ledger(spec.alias)
    state.touch()
    item, attribute = state.place(spec)
    cell = item.cell(attribute)
    value = cell.assign(value, spec.codec, state)
    if cell.base is ABSENT and not cell.sent and _reads_alike(state, spec, value):
        # Nothing is there and nothing need be: the default says the same.
        cell.discard()
        cell.lend(value, spec.codec)
    item.removed = False
    if state.has_several_views:
        state.forget_value(spec)
    elif state.joined is not None and _holds_again(state, cell, value, spec):
        again = Again(state.joined, cell, spec.codec, value.__class__)
        state.again = {**state.again, spec.attribute: again}
    return value


def _holds_again(state: TwinState, cell: Cell, value: Any, spec: FieldSpec) -> bool:
    """Tell whether what was looked at for a value holds for the next one of its type, too."""
    # Where a saved Twin has nothing, each value is compared with the default.
    new = state.uuid is None and value is not None
    return type(value) in spec.codec.exact and (new or cell.base is not ABSENT)


def _write_other(state: TwinState, spec: FieldSpec, value: Any) -> Any:
    if spec.kind == "doc":
        raise AttributeError(
            f"{spec.attribute} is the Doc {spec.target!r}: write "
            f"record.{spec.attribute}.upload(...) with bytes, a path or a file"
        )
    if spec.linked:
        write_linked(state, spec, value)
        return NOTHING
    text = None if value is None and not spec.required else identity_text(spec, value)
    state.assign_identity(spec.target, text)
    return value


def _reads_alike(state: TwinState, spec: FieldSpec, value: Any) -> bool:
    """Tell whether a field without value would read as this one."""
    if spec.required:
        return False
    if state.uuid is None:
        # A new Twin is created with every default but None.
        return value is None and spec.default() is None
    return bool(value == spec.default())


def delete_field(record: Any, spec: FieldSpec) -> None:
    """Take a field's Entry, Identity or description key away with the next save."""
    state: TwinState = record._state
    state.touch()
    if spec.kind == "identity":
        state.assign_identity(spec.target, None)
    elif spec.kind == "doc":
        del record.docs[spec.target]
    elif spec.in_ledger:
        check_own_ledger(spec.alias)
        del record.ledger[spec.target]
    else:
        del record.description[spec.target]
    state.forget_value(spec)


def identity_text(spec: FieldSpec, value: Any) -> str:
    """Return the Identity that a field's value stands for.

    Raises:
        ValidationError: It would be no Identity.
    """
    where = f"{spec.attribute!r}"
    raw = spec.codec.dump(spec.codec.check(value, where), where)
    return names.check_identity(f"{spec.target}#{raw}")
