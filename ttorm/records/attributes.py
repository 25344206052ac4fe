"""Declared fields as attributes: what reading, assigning and deleting one does to the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttorm.api import names
from ttorm.api.errors import MissingEntryError
from ttorm.records.cells import ABSENT, UNKNOWN, Item
from ttorm.records.loading import require
from ttorm.records.values import is_scalar

if TYPE_CHECKING:
    from ttorm.records.fields import FieldSpec
    from ttorm.records.state import TwinState

__all__ = ["delete_field", "identity_text", "read_field", "touch_field", "write_field"]


def read_field(state: TwinState, spec: FieldSpec) -> Any:
    """Return the value of a field, loading its part when it has to.

    Raises:
        MissingEntryError: The Twin has no value for it, and it declares no default.
        ValidationError: The service holds what the field's type refuses.
        NotLoadedError: Its part is not loaded, and waiting is not allowed here.
    """
    if spec.kind == "identity":
        return _read_identity(state, spec)
    item, attribute = _place(state, spec)
    now = item.current(attribute)
    if now is UNKNOWN:
        require(state, "ledger" if spec.kind == "entry" else "description", spec.attribute)
        now = item.current(attribute)
    if now is not ABSENT:
        value = item.cell(attribute).read(spec.codec)
    elif spec.required:
        raise MissingEntryError(
            f"{state.model.__name__} {state.uuid} has no {spec.kind} {spec.target!r}, and "
            f"{spec.attribute} declares no default: assign a value, or declare default=None"
        )
    else:
        value = item.cell(attribute).lend(spec.default(), spec.codec)
    if not is_scalar(value):
        state.touch()
    return value


def touch_field(state: TwinState, spec: FieldSpec) -> None:
    """Have a field's value written by the next save, changed or not.

    Raises:
        TypeError: The field maps an Identity, which cannot be written again.
    """
    if spec.kind == "identity":
        raise TypeError(f"{spec.attribute} is an Identity: there is nothing to send again")
    read_field(state, spec)
    item, attribute = _place(state, spec)
    item.cell(attribute).force()
    state.touch()


def _place(state: TwinState, spec: FieldSpec) -> tuple[Item, str]:
    if spec.kind == "entry":
        return state.ledger.item(spec.target), "value"
    return state.description, spec.target


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
        The value as validated.

    Raises:
        ValidationError: The field's type, or JSON, refuses the value; nothing is changed.
        StateError: The Twin is terminated, which freezes its description.
    """
    if spec.kind == "identity":
        text = None if value is None and not spec.required else identity_text(spec, value)
        state.assign_identity(spec.target, text)
    else:
        if spec.kind == "description":
            state.check_alive()
        item, attribute = _place(state, spec)
        cell = item.cell(attribute)
        value = cell.assign(value, spec.codec)
        if cell.base is ABSENT and _reads_alike(state, spec, value):
            # Nothing is there and nothing need be: the default says the same.
            cell.discard()
            cell.lend(value, spec.codec)
        item.removed = False
    state.forget_value(spec)
    state.touch()
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
    if spec.kind == "identity":
        state.assign_identity(spec.target, None)
    elif spec.kind == "entry":
        del record.ledger[spec.target]
    else:
        del record.description[spec.target]
    state.forget_value(spec)
    state.touch()


def identity_text(spec: FieldSpec, value: Any) -> str:
    """Return the Identity that a field's value stands for.

    Raises:
        ValidationError: It would be no Identity.
    """
    where = f"{spec.attribute!r}"
    raw = spec.codec.dump(spec.codec.check(value, where), where)
    return names.check_identity(f"{spec.target}#{raw}")
