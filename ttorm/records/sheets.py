"""What the parts of records show of themselves: what is known, what was changed, no more.

Nothing is loaded, handed out or changed for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ttorm.api.errors import TtormError, ValidationError
from ttorm.display import Sheet, limited, shortened
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN, Cell, Marker
from ttorm.records.changes import shown
from ttorm.records.items import Item, Items
from ttorm.records.state import TwinState
from ttorm.records.values import PLAIN, Codec

__all__ = [
    "ABSENT_TEXT",
    "COLUMNS",
    "Shown",
    "item_sheet",
    "ledger_sheet",
    "ledger_values",
    "names_sheet",
    "shown_cell",
    "shown_text",
]

COLUMNS = ("", "value")
ABSENT_TEXT, _UNKNOWN = "(none)", "(not loaded)"


class Shown(NamedTuple):
    """What is known of a value.

    Attributes:
        now: How it is, as text.
        was: How it was before it was changed; None when it was not.
    """

    now: str
    was: str | None = None

    def __str__(self) -> str:
        return self.now if self.was is None else f"{self.was} -> {self.now}"

    @property
    def is_void(self) -> bool:
        """Whether there is nothing, and was nothing."""
        return self.was is None and self.now in (ABSENT_TEXT, _UNKNOWN)


def ledger_sheet(title: str, ledger: Items) -> Sheet:
    """Show the Entries of a Ledger."""
    rows = [(name, str(value)) for name, value in ledger_values(ledger)]
    return Sheet(title, COLUMNS, limited(rows), _completeness(ledger))


def names_sheet(title: str, items: Items, prefix: str = "") -> Sheet:
    """Show the names of Identities or Docs, and what becomes of them.

    Args:
        title: What they are.
        items: The items.
        prefix: Only those whose names begin so; they are shown without it.
    """
    touched = dict(items)
    rows = [
        (name.removeprefix(prefix), _fate(touched.get(name)))
        for name in dict.fromkeys([*items.base, *items.names()])
        if name.startswith(prefix)
    ]
    return Sheet(title, ("", ""), limited(rows), _completeness(items))


def item_sheet(title: str, item: Item, attributes: Mapping[str, str]) -> Sheet:
    """Show what is known of one Entry, Identity or Doc.

    Args:
        title: What it is.
        item: Its attributes.
        attributes: Names to show them by, by their names in the API.
    """
    values = {name: shown_cell(item, attribute, 200) for attribute, name in attributes.items()}
    rows = [
        (name, str(value))
        for name, value in values.items()
        if not value.is_void and (name == "value" or str(value) != "None")
    ]
    note = {True: "", None: "not loaded"}.get(item.present, "not saved")
    return Sheet(title, COLUMNS, limited(rows), note)


def _completeness(items: Items) -> str:
    return "" if items.complete else "not loaded"


def _fate(item: Item | None) -> str:
    if item is None or not item.is_modified():
        return ""
    return "(removed)" if item.removed else "(changed)" if item.present else "(new)"


def ledger_values(ledger: Items) -> Iterator[tuple[str, Shown]]:
    """Yield what is known of Entries, also of those to be removed."""
    touched = dict(ledger)
    for name in dict.fromkeys([*ledger.base, *ledger.names()]):
        item = touched.get(name) or Item(ledger.base.get(name, UNKNOWN), "{}", None)
        yield name, shown_cell(item, "value", 200)


def shown_cell(
    item: Item, attribute: str, width: int, codec: Codec = PLAIN, near: TwinState | None = None
) -> Shown:
    """Show an attribute of an item in so many characters."""
    cell = item.cells.get(attribute) or Cell(item.base_of(attribute), attribute)
    was = shown_text(cell.base, codec, width, near)
    if item.removed:
        return Shown("(removed)", was)
    try:
        now = shown_text(cell.current(), codec, width, near)
    except TtormError:
        held = cell.held(codec)
        now = "(changed to what cannot be saved)" if held is NOTHING else shortened(held, width)
    return Shown(now, was if cell.is_changed() else None)


def shown_text(raw: Any, codec: Codec, width: int, near: TwinState | None = None) -> str:
    """Show a JSON value as it reads, in so many characters."""
    if isinstance(raw, Marker):
        return {ABSENT: ABSENT_TEXT, UNKNOWN: _UNKNOWN}.get(raw, "")
    try:
        return shortened(shown(raw, codec, "", near), width)
    except (TypeError, ValidationError):  # a type that cannot be resolved
        return shortened(raw, width)
