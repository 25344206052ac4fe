"""Fields whose values come from elsewhere: `reference` and `include`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ttorm.api.answers import member
from ttorm.api.errors import BrokenReferenceError, MissingEntryError, ValidationError
from ttorm.records.cells import ABSENT, UNKNOWN
from ttorm.records.entry import Entry
from ttorm.records.items import Item
from ttorm.records.loading import require
from ttorm.records.sources import SOURCES, Source
from ttorm.records.state import TwinState, writable_entry

if TYPE_CHECKING:
    from ttorm.records.fields import FieldSpec

__all__ = ["read_linked", "source", "write_linked"]


def read_linked(state: TwinState, spec: FieldSpec) -> Any:
    """Return the value of a reference or include; of one that is not saved yet, its source's.

    Raises:
        BrokenReferenceError: The source is gone, hidden, or was not copied yet.
        MissingEntryError: The Ledger has no such Entry, and the field declares no default.
    """
    item, kind = state.foreign_or_own(spec.alias).item(spec.target), str(spec.linked)
    if item.current(kind) is UNKNOWN:
        require(state, spec.part, spec.attribute)
    link = item.current(kind)
    if link is ABSENT:
        if not spec.required:
            return spec.default()
        raise MissingEntryError(
            f"{state.model.__name__} {state.uuid} has no {spec.kind} {spec.target!r}: assign its "
            "source, or declare default=None"
        )
    if item.cell(kind).is_changed():
        entry = source(state.record(), spec.attribute)
        return None if entry is None else spec.codec.load(entry.value, spec.attribute, state)
    return _copied(state, spec, item, member({kind: link}, kind).get("status"))


def _copied(state: TwinState, spec: FieldSpec, item: Item, status: str | None) -> Any:
    cell = item.cell("value")
    if status in (None, "ok"):
        try:
            return cell.read(spec.codec, state)
        except ValidationError:
            if cell.current() is not None:
                raise
    known = member(item.known, str(spec.linked)).get("source")
    why = _WHY.get(status or "", f"its status is {status!r}")
    raise BrokenReferenceError(
        f"{spec.attribute} of {state.model.__name__} {state.uuid} has no value: {why}; its source "
        f"is {known}",
        status=status,
    )


_WHY = {
    "": "what it shows is gone or null",
    "created": "the service has not copied it yet, refresh() the record in a moment",
    "not_found": "the source is gone, or not visible to this account",
    "loop_detected": "references refer to each other in a circle",
    "too_many_hops": "it refers to a reference of a reference, more than 32 times",
}


def write_linked(state: TwinState, spec: FieldSpec, value: Any) -> None:
    """Have a field refer to another source.

    Raises:
        ValidationError: That is no source for it; nothing is changed.
        StateError: The Ledger is not the account's own.
    """
    item = writable_entry(state, spec.alias, spec.target)
    if value is None and not spec.required:
        item.remove()
        return
    kind = str(spec.linked)
    found = _source_for(state, spec, value)
    item.removed = False
    item.cell(kind).assign(found, SOURCES[kind])


def _source_for(state: TwinState, spec: FieldSpec, value: Any) -> Source:
    from ttorm.records.record import Record

    if isinstance(value, Record):
        value = _entry_of(spec, value)
    if isinstance(value, str):
        found = Source.parse(value)
    elif isinstance(value, Entry):
        found = value._as_source()
    else:
        raise _refused(spec, value, "that is no source")
    if spec.source is not None and found.name != spec.source.spec.target:
        raise _refused(spec, value, f"it copies the Entry {spec.source.spec.target!r}")
    if spec.kind == "include" and found.account not in ("", state.known_account):
        raise _refused(spec, value, "an include shows Entries of one's own Ledgers only")
    if found.state is not None and found.state.address != state.address:
        raise _refused(spec, value, "it belongs to another service")
    return found


def _entry_of(spec: FieldSpec, record: Any) -> Entry:
    if spec.source is None:
        raise _refused(spec, record, "which of its Entries is meant is not declared")
    model, source = spec.source.model, spec.source.spec
    if not isinstance(record, model) and not issubclass(model, type(record)):
        raise _refused(spec, record, f"it copies {model.__name__}.{source.attribute}")
    return Entry._of(record._state, source.alias, source.target)


def _refused(spec: FieldSpec, value: Any, why: str) -> ValidationError:
    expected = "an Entry, such as other.ledger['x'], or text 'twin://...'"
    if spec.source is not None:
        expected = f"a {spec.source.model.__name__}, {expected}"
    return ValidationError(
        f"{spec.attribute!r} is a {spec.kind} and cannot be assigned {value!r}: {why}; expected "
        f"{expected}",
        code="invalid-value",
    )


def source(record: Any, field: str) -> Entry | None:
    """Return the Entry that a reference or include gets its value from.

    Nothing is asked of the service for the source; ``.twin`` of it is the record, of the class that
    the field declares, and ``.value`` what it holds itself.

    Args:
        record: The Twin that has the reference.
        field: Name of a field declared by `reference` or `include`.

    Returns:
        The Entry; None when the field refers to nothing.

    Raises:
        TypeError: There is no such field.

    Example:
        >>> class Station(Twin):
        ...     celsius: Field[float] = entry()
        >>> class Pump(Twin):
        ...     outside: Reference[float] = reference(Station.celsius)
        >>> pump = Pump.create(outside=Station.create(celsius=21.5))
        >>> ttorm.source(pump, "outside").twin.celsius
        21.5
    """
    fields: Mapping[str, FieldSpec] = record.__fields__
    spec = fields.get(field)
    if spec is None or spec.linked is None:
        known = [name for name, one in fields.items() if one.linked]
        raise TypeError(
            f"{type(record).__name__} has no reference or include {field!r}; it has: "
            f"{', '.join(known) or 'none'}"
        )
    try:
        found = Entry._of(record._state, spec.alias, spec.target).source
    except MissingEntryError:
        return None
    if found is not None and spec.source is not None:
        found.twin._state.shown_as(spec.source.model)
    return found
