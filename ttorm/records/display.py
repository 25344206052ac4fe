"""What records show of themselves: what is known, what was changed, what is not loaded.

Nothing is loaded, handed out or changed for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from ttorm.api.answers import member
from ttorm.api.errors import ValidationError
from ttorm.display import Sheet, limited, shortened
from ttorm.records.cells import Cell
from ttorm.records.dumping import dumped_fields, is_known
from ttorm.records.fields import FieldSpec
from ttorm.records.loading import is_loaded
from ttorm.records.sheets import (
    ABSENT_TEXT,
    COLUMNS,
    Shown,
    ledger_values,
    shown_cell,
    shown_text,
)
from ttorm.records.sources import SOURCES
from ttorm.records.state import TwinState
from ttorm.records.values import PLAIN

__all__ = ["label", "line", "record_sheet"]

_FIELDS, _WIDTH = 8, 60
"""How many fields one line shows of a record, and how many characters of each."""
_inside: ContextVar[bool] = ContextVar("ttorm_inside_line", default=False)
"""Whether a record is shown inside another one: links may go in circles."""


def label(record: Any) -> str:
    """Name a record by its class and UUID."""
    return f"{type(record).__name__} {record._state.uuid or '(not saved)'}"


def line(record: Any) -> str:
    """Show a record in one line: what it is, and the fields that are known."""
    if _inside.get():
        return f"<{label(record)}>"
    token = _inside.set(True)
    try:
        fields = list(_fields(record, _WIDTH))
    finally:
        _inside.reset(token)
    texts = [f"{name}={value}" for name, value in fields[:_FIELDS]]
    if len(fields) > _FIELDS:
        texts.append("...")
    return f"<{label(record)}: {', '.join(texts)}>" if texts else f"<{label(record)}>"


def record_sheet(record: Any) -> Sheet:
    """Show what is known of a record, its fields first, then what no field maps."""
    state: TwinState = record._state
    token = _inside.set(True)
    try:
        rows = [(name, str(value)) for name, value in (*_fields(record, 200), *_others(record))]
    finally:
        _inside.reset(token)
    parts = {spec.part: None for spec in dumped_fields(type(record)).values()}
    missing = [
        part
        for part in {"description": None, "ledger": None, **parts}
        if not is_loaded(state, part)
    ]
    note = f"not loaded: {', '.join(missing)}" if missing and state.uuid is not None else ""
    return Sheet(label(record), COLUMNS, limited(rows), note)


def _fields(record: Any, width: int) -> Iterator[tuple[str, Shown]]:
    """Yield the fields that are known, in the order of the class."""
    for name, spec in dumped_fields(type(record)).items():
        if is_known(record._state, spec):
            value = _field(record._state, spec, width)
            # Of a record that is not saved yet, all is new.
            yield name, value if record._state.uuid else value._replace(was=None)


def _field(state: TwinState, spec: FieldSpec, width: int) -> Shown:
    if spec.kind == "identity":
        return _identity(state, spec)
    item, attribute = state.place(spec)
    if spec.linked and item.cell(spec.linked).is_changed() and not item.removed:
        return _source(item.cell(spec.linked), item.cell("value"), width)
    value = shown_cell(item, attribute, width, spec.codec, state)
    if value.now == ABSENT_TEXT and not spec.required and not item.removed:
        return value._replace(now=shortened(spec.default(), width))
    return value


def _identity(state: TwinState, spec: FieldSpec) -> Shown:
    def after(text: str | None) -> str:
        value = None if text is None else text.partition("#")[2]
        with suppress(ValidationError):
            value = value if value is None else spec.codec.load(value, spec.attribute)
        return repr(value)

    old = [text for text in state.identities.base if text.startswith(f"{spec.target}#")]
    if spec.target in state.identity_fields:
        now = state.identity_fields[spec.target]
    else:
        now = state.shown_identity(spec.target)
    if now in old or not (now or old):
        return Shown(after(now))
    return Shown(after(now), after(old[0]) if old else ABSENT_TEXT)


def _source(cell: Cell, value: Cell, width: int) -> Shown:
    raw = cell.current()
    return Shown(
        f"(a copy of {member({'link': raw}, 'link').get('source')})",
        shown_text(value.base, PLAIN, width),
    )


def _others(record: Any) -> Iterator[tuple[str, Shown]]:
    """Yield what is known of the description and the Ledger that no field maps."""
    state: TwinState = record._state
    mapped: Collection[tuple[str, str]] = record.__targets__
    described = state.description
    for key in dict.fromkeys([*described.known, *described.cells]):
        value = shown_cell(described, key, 200)
        if ("description", key) not in mapped and not value.is_void:
            yield f"description[{key!r}]", value
    for name, value in ledger_values(state.ledger):
        if ("ledger", name) not in mapped:
            yield f"ledger[{name!r}]", value
    for name, item in state.ledger:
        for attribute, cell in item.cells.items():
            is_shown = attribute == "value" or (("ledger", name) in mapped and attribute in SOURCES)
            if not is_shown and cell.is_changed():
                yield f"ledger[{name!r}].{attribute}", shown_cell(item, attribute, 200)
