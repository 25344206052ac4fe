"""Changes as people read them: by attribute, with the old and the new value."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttorm.api.errors import ValidationError
from ttorm.records.cells import Cell, Marker
from ttorm.records.items import Items
from ttorm.records.state import TwinState
from ttorm.records.values import PLAIN, Codec

__all__ = ["Change", "attribute_name", "changes_of", "codec_of", "kind_of", "shown"]


class Change(NamedTuple):
    """What became of one attribute.

    Attributes:
        old: The value before; None when there was none or it is not known.
        new: The value now; None when it was removed.
    """

    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.old!r} -> {self.new!r}"


_NOTHING = Change(None, None)


def attribute_name(state: TwinState, part: str, name: str, attribute: str = "value") -> str:
    """Name an item as the user writes it: a field's name, or a path such as ``ledger['x']``."""
    target = name.partition("#")[0] if part == "identities" else name
    spec = state.model.__targets__.get((part, target))
    known = spec.attribute if spec is not None else f"{part}[{name!r}]"
    return known if attribute == "value" else f"{known}.{attribute}"


def kind_of(name: str, state: TwinState) -> str:
    """Tell which part of a Twin an attribute name belongs to."""
    spec = state.model.__fields__.get(name.partition(".")[0])
    return name.partition("[")[0] if spec is None else spec.part


def changes_of(state: TwinState) -> dict[str, Change]:
    """Collect all unsaved changes of a Twin."""
    found: dict[str, Change] = {}
    for key, cell in state.description.cells.items():
        if cell.change() is not Marker.NOTHING:
            name = attribute_name(state, "description", key)
            found[name] = _change(state, cell, codec_of(state, "description", key))
    found.update(_items(state, "ledger", state.ledger))
    found.update(_items(state, "identities", state.identities))
    found.update(_items(state, "docs", state.docs))
    for prefix in state.identity_fields:
        # Which ones go is not known yet.
        found.setdefault(attribute_name(state, "identities", f"{prefix}#"), _NOTHING)
    return found


def _items(state: TwinState, part: str, items: Items) -> dict[str, Change]:
    found: dict[str, Change] = {}
    for name, item in items:
        if item.removed:
            known = attribute_name(state, part, name)
            old = _after(name)
            if part == "ledger":
                old = shown(item.cell("value").base, codec_of(state, part, name), name, state)
            found[known] = found.get(known, _NOTHING)._replace(old=old)
            continue
        for attribute, cell in item.cells.items():
            if cell.change() is not Marker.NOTHING:
                codec = codec_of(state, "ledger", name) if attribute == "value" else PLAIN
                found[attribute_name(state, part, name, attribute)] = _change(state, cell, codec)
        if item.adding and not item.present and not item.changes():
            known = attribute_name(state, part, name)
            found[known] = found.get(known, _NOTHING)._replace(new=_after(name))
    return found


def codec_of(state: TwinState, part: str, target: str) -> Codec:
    """Return what a field reads a value with."""
    spec = state.model.__targets__.get((part, target))
    return PLAIN if spec is None else spec.codec


def _change(state: TwinState, cell: Cell, codec: Codec) -> Change:
    old, new = (shown(raw, codec, cell.where, state) for raw in (cell.base, cell.current()))
    return Change(old, new)


def shown(raw: Any, codec: Codec, where: str, near: TwinState | None = None) -> Any:
    """Give a JSON value as it reads; as it is when its codec refuses it, None for a marker."""
    if isinstance(raw, Marker):
        return None
    try:
        return codec.load(raw, where, near)
    except ValidationError:
        return raw


def _after(text: str) -> Any:
    return text.partition("#")[2] or None
