"""Units: what a session keeps track of and saves."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from ttorm.flows import Flow
from ttorm.results import Plan, SaveResult, Stage

__all__ = ["Unit"]


class Unit(Protocol):
    """The state of one record, as a session knows it."""

    @property
    def uuid(self) -> str | None:
        """UUID, or None before the record was created."""

    @property
    def stuck(self) -> bool:
        """Whether its last save failed, and nobody decided since what to do about it."""
        ...

    def is_modified(self) -> bool:
        """Tell whether a save would send anything."""
        ...

    def waits_for(self) -> Collection[object]:
        """Return what has to be saved first."""
        ...

    def save_flow(self, *, early: bool = False) -> Flow[SaveResult]:
        """Send the changes; early ones leave out what speaks of records not saved yet."""
        ...

    def plan(self, stage: Stage = "whole", circle: Collection[object] = ()) -> Plan:
        """Give the requests that a save would send; in two steps with those of a circle."""
        ...

    def discard(self) -> None:
        """Forget the changes."""

    def record(self) -> Any:
        """Return the record the user knows it by."""
