"""Items of a Twin, such as Entries: attributes of the service's, some of them changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ttorm.api.codec import JSONValue
from ttorm.records.cells import ABSENT, NOTHING, UNKNOWN, Cell, Marker, alike
from ttorm.records.values import PLAIN, Codec

__all__ = ["Item", "Items"]


class Item:
    """An Entry, Identity, Doc or description: attributes of the service's, some of them changed.

    Attributes:
        base: The service's JSON object, UNKNOWN or ABSENT; shared, never changed.
        removed: Whether it is to be removed at the next save.
        adding: Whether it is to be there after the next save even without attributes.
        sent: Whether it was made or removed, and nobody knows whether that has arrived.
    """

    __slots__ = ("_missing", "_where", "adding", "base", "cells", "removed", "sent")

    def __init__(self, base: Any, where: str, missing: JSONValue) -> None:
        self.base: Any = base
        self.cells: dict[str, Cell] = {}
        self.removed = False
        self.adding = False
        self.sent = False
        self._where = where
        # What an attribute is that the service's object does not mention.
        self._missing = missing

    @property
    def present(self) -> bool | None:
        """Whether the service has it; None when that is not known."""
        return None if self.base is UNKNOWN else self.base is not ABSENT

    @property
    def known(self) -> dict[str, JSONValue]:
        """The service's object; empty when it is not known or not there."""
        return {} if isinstance(self.base, Marker) else self.base

    def cell(self, attribute: str) -> Cell:
        """Return the cell of an attribute, by its name in the API."""
        try:
            return self.cells[attribute]
        except KeyError:
            where = self._where.format(attribute)
            cell = self.cells[attribute] = Cell(self.base_of(attribute), where)
            cell.sent = self.sent
            return cell

    def peek(self, attribute: str) -> Any:
        """Give an attribute's scalar that nobody has touched, without making a cell.

        NOTHING when somebody has, or when it is a container or not known.
        """
        if self.removed or attribute in self.cells or isinstance(self.base, Marker):
            return NOTHING
        raw = self.base.get(attribute)
        return NOTHING if raw is None or isinstance(raw, (dict, list)) else raw

    def current(self, attribute: str) -> JSONValue:
        """Give an attribute as it is now, UNKNOWN, or ABSENT also when all is to be removed."""
        return ABSENT if self.removed else self.cell(attribute).current()

    def held(self, attribute: str, codec: Codec = PLAIN) -> Any:
        """Return the container that stands for an attribute; NOTHING when there is none."""
        return NOTHING if self.removed else self.cell(attribute).held(codec)

    def base_of(self, attribute: str) -> Any:
        """Give an attribute as the service was seen to hold it."""
        if isinstance(self.base, Marker):
            return self.base
        return self.base.get(attribute, self._missing)

    def changes(self) -> dict[str, JSONValue]:
        """Give the attributes to write, with their values; ABSENT stands for removal."""
        found = {name: cell.change() for name, cell in self.cells.items() if cell.touched}
        return {name: value for name, value in found.items() if value is not NOTHING}

    def is_modified(self) -> bool:
        """Tell whether a save would write anything of it."""
        if self.removed:
            return self._may_be_there
        return (self.adding and not self.present) or any(
            cell.is_changed() for cell in self.cells.values()
        )

    @property
    def _may_be_there(self) -> bool:
        return self.present is not False or self.sent

    def mark(self, sent: Collection[str], *, doubtful: bool) -> None:
        """Note whether it is in doubt what has arrived of a write.

        Args:
            sent: The attributes that were written; none when it was removed.
            doubtful: Whether nobody knows.
        """
        self.sent = doubtful and not (sent and self.present)
        for name in sent or self.cells:
            if name in self.cells:
                self.cells[name].sent = doubtful

    def doubt(self, sent: Collection[str]) -> None:
        """Forget what the service held of attributes that were sent, and may have arrived."""
        self.mark(sent, doubtful=True)
        rest = {name: value for name, value in self.known.items() if name not in sent}
        self.rebase(rest if self._missing is UNKNOWN else UNKNOWN)

    def discard(self) -> None:
        """Forget what was done here."""
        self.removed = self.adding = False
        for cell in self.cells.values():
            cell.discard()

    def remove(self) -> None:
        """Have it removed by the next save."""
        self.discard()
        self.removed = self._may_be_there

    def settle(self, sent: Mapping[str, JSONValue], base: Any) -> None:
        """Take the service's answer to a write of some attributes."""
        self.base = base
        self.adding = self.sent = False
        for name, cell in self.cells.items():
            if name in sent:
                cell.settle(sent[name], self.base_of(name))
            else:
                cell.rebase(self.base_of(name))

    def rebase(self, base: Any) -> None:
        """Take a newer answer of the service."""
        self.base = base
        self.sent = False
        # What was not there when it was removed is not what may be there later.
        self.removed = self.removed and self.present is not False
        for name, cell in self.cells.items():
            cell.rebase(self.base_of(name))

    def rebase_whole(self, base: Any) -> None:
        """Take a newer answer, of which nothing is to stay: all was assigned here."""
        whole = {name: cell.current() for name, cell in self.cells.items()}
        self.rebase(base)
        for name in {**base, **whole}:
            cell, value = self.cell(name), whole.get(name, ABSENT)
            if isinstance(value, Marker):
                cell.remove()
            elif not alike(cell.current(), value):
                cell.assign(value)


class Items:
    """A dictionary of the service's: a Ledger's Entries, a Twin's Identities or Docs.

    Attributes:
        base: What the service was seen to hold, by name.
        complete: Whether `base` is all there is.
    """

    __slots__ = ("_missing", "_touched", "_where", "base", "complete")

    def __init__(self, where: str, missing: JSONValue = UNKNOWN, *, complete: bool = False) -> None:
        self.base: dict[str, Any] = {}
        self.complete = complete
        self._touched: dict[str, Item] = {}
        self._where = where
        self._missing = missing

    def __iter__(self) -> Iterator[tuple[str, Item]]:
        """Iterate over the items that somebody looked at or changed."""
        return iter(list(self._touched.items()))

    def item(self, name: str) -> Item:
        """Return an item, present or not."""
        try:
            return self._touched[name]
        except KeyError:
            shown = name.replace("{", "{{").replace("}", "}}")
            where = self._where.replace("{}", shown, 1)
            item = self._touched[name] = Item(self._base_of(name), where, self._missing)
            return item

    def peek(self, name: str, attribute: str) -> Any:
        """Give an attribute's scalar that nobody has touched, as `Item.peek` does."""
        if name in self._touched:
            return self._touched[name].peek(attribute)
        raw = self.base[name].get(attribute) if name in self.base else None
        return NOTHING if raw is None or isinstance(raw, (dict, list)) else raw

    def _base_of(self, name: str) -> Any:
        return self.base.get(name, ABSENT if self.complete else UNKNOWN)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is an item after the changes made here, as `names` does."""
        if not isinstance(name, str):
            return False
        item = self._touched.get(name)
        if item is None:
            return name in self.base
        return not item.removed and (name in self.base or item.adding or item.is_modified())

    def names(self) -> list[str]:
        """Give the names there are after the changes made here."""
        added = [name for name, item in self if item.adding or item.is_modified()]
        names = dict.fromkeys([*self.base, *added])
        return [
            name for name in names if name not in self._touched or not self._touched[name].removed
        ]

    def is_modified(self) -> bool:
        """Tell whether a save would write anything."""
        return any(item.is_modified() for item in self._touched.values())

    def absorb(self, base: Mapping[str, Any], *, complete: bool) -> None:
        """Take a newer answer of the service.

        Args:
            base: Items by name.
            complete: Whether these are all; else the others stay as they were known.
        """
        self.base = dict(base) if complete else {**self.base, **base}
        self.complete = self.complete or complete
        for name, item in self._touched.items():
            if complete or name in base:
                item.rebase(self._base_of(name))

    def expire(self) -> None:
        """Forget what the service was seen to hold, to read it again when it is looked at."""
        self.base, self.complete = {}, False
        for item in self._touched.values():
            item.rebase(UNKNOWN)

    def forget(self, name: str) -> None:
        """Forget what the service was seen to hold of one item, to read it again."""
        self.base.pop(name, None)
        self.complete = False
        self.item(name).rebase(UNKNOWN)

    def settle(self, name: str, sent: Mapping[str, JSONValue], base: Any) -> None:
        """Take the service's answer to a write of one item; ABSENT when it was removed."""
        item = self.item(name)
        if base is ABSENT:
            self.base.pop(name, None)
            item.removed = False
            item.rebase(ABSENT)
        else:
            self.base[name] = base
            item.settle(sent, base)

    def discard(self) -> None:
        """Forget all changes made here."""
        for item in self._touched.values():
            item.discard()
