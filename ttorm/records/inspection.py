"""The one door to a record's state."""

from __future__ import annotations

from typing import Any, Literal

from ttorm.display import Displayed, Sheet, limited, shortened
from ttorm.records.changes import Change, changes_of
from ttorm.records.display import label, record_sheet
from ttorm.records.loading import loaded_parts
from ttorm.records.resource import Resource
from ttorm.records.twin import Twin

__all__ = ["Changes", "Inspection", "inspect"]


class Changes(Displayed, dict[str, Change]):
    """Unsaved changes by attribute; ``str`` shows one a line."""

    def __str__(self) -> str:
        return "\n".join(f"{name}: {change}" for name, change in self.items()) or "(no changes)"

    def _sheet(self) -> Sheet:
        rows = [(name, shortened(old), shortened(new)) for name, (old, new) in self.items()]
        return Sheet("Changes", ("", "old", "new"), limited(rows))


class Inspection(Displayed):
    """What is known about a record. Looking never asks the service."""

    __slots__ = ("_record",)

    def __init__(self, record: Twin) -> None:
        self._record = record

    @property
    def changes(self) -> Changes:
        """The unsaved changes, with old and new values."""
        return Changes(changes_of(self._record._state))

    @property
    def is_modified(self) -> bool:
        """Whether a save would send anything."""
        return self._record._state.is_modified()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The parts that were read."""
        return loaded_parts(self._record._state)

    @property
    def state(self) -> Literal["new", "modified", "clean", "terminated"]:
        """Where in its life the record is, as far as is known here."""
        state = self._record._state
        if state.uuid is None:
            return "new"
        if state.is_modified():
            return "modified"
        return "terminated" if (state.facts or {}).get("status") == "terminated" else "clean"

    def __repr__(self) -> str:
        loaded = ", ".join(self.loaded) or "nothing"
        return f"<<{label(self._record)}>: {self.state}, loaded {loaded}>"

    def _sheet(self) -> Sheet:
        sheet = record_sheet(self._record)
        return sheet._replace(title=f"{sheet.title}: {self.state}")


class _ResourceInspection(Inspection):
    """What is known about a user, a role, a table or their kin."""

    __slots__ = ("_resource",)

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    @property
    def changes(self) -> Changes:
        return Changes(self._resource._changes())

    @property
    def is_modified(self) -> bool:
        return self._resource._is_modified()

    @property
    def loaded(self) -> tuple[str, ...]:
        known = self._resource._item.known
        members = self._resource._members().values()
        return tuple(member.attribute for member in members if member.wire in known)

    @property
    def state(self) -> Literal["new", "modified", "clean", "terminated"]:
        if not self._resource.is_saved:
            return "new"
        return "modified" if self.is_modified else "clean"

    def __repr__(self) -> str:
        loaded = ", ".join(self.loaded) or "nothing"
        return f"<{self._resource!r}: {self.state}, loaded {loaded}>"

    def _sheet(self) -> Sheet:
        sheet = self._resource._sheet()
        return sheet._replace(title=f"{sheet.title}: {self.state}")


def inspect(record: Any) -> Inspection:
    """Look at a record's state and unsaved changes, without asking the service.

    Args:
        record: A Twin, or another record of the platform such as a user or a table.

    Raises:
        TypeError: That is no record.

    Example:
        >>> pump = Twin.create(entries={"pressure": 2.5})
        >>> pump.ledger["pressure"] = 3.0
        >>> print(ttorm.inspect(pump).changes)
        ledger['pressure']: 2.5 -> 3.0
    """
    if isinstance(record, Resource):
        return _ResourceInspection(record)
    if not isinstance(record, Twin):
        raise TypeError(f"ttorm.inspect() takes a record, found {type(record).__name__}")
    return Inspection(record)
