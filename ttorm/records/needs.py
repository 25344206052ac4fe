"""What has to be saved before a record: the Twins and Entries that its values speak of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from ttorm.api.errors import StateError
from ttorm.flows import Flow
from ttorm.records.cells import Cell
from ttorm.records.sources import placeholder
from ttorm.records.state import TwinState

__all__ = [
    "Needed",
    "Spot",
    "account_needs_asking",
    "ask_account",
    "check_needs",
    "keys_about_itself",
    "needs",
    "spots_that_wait",
]

Spot = tuple[str, str]
"""A part of a Twin and the name of an item in it."""


class Needed(NamedTuple):
    """Something that is not at the service yet.

    Attributes:
        part: The part that speaks of it.
        name: The item of that part.
        state: The Twin spoken of.
        entry: The Entry of it; None for the Twin itself.
        certain: Whether it is known to be missing; else it may be there.
    """

    part: str
    name: str
    state: TwinState
    entry: str | None
    certain: bool

    def __str__(self) -> str:
        record = placeholder(self.state) if self.state.uuid is None else repr(self.state.record())
        return record if self.entry is None else f"the new Entry {self.entry!r} of {record}"


def _cells(state: TwinState) -> Iterator[tuple[str, str, Cell]]:
    for key, cell in state.description.cells.items():
        yield "description", key, cell
    for name, item in state.ledger:
        for attribute in ("value", "ref", "include"):
            if attribute in item.cells and not item.removed:
                yield "ledger", name, item.cells[attribute]


def needs(state: TwinState) -> list[Needed]:
    """Give what a Twin's changes speak of and the service does not have yet."""
    found: list[Needed] = []
    for part, name, cell in _cells(state):
        for other, entry in cell.needs():
            if other.uuid is None:
                found.append(Needed(part, name, other, entry, certain=True))
            elif entry is not None:
                item = other.ledger.item(entry)
                if item.present is not True and item.is_modified():
                    certain = item.present is False
                    found.append(Needed(part, name, other, entry, certain))
    return [one for one in found if one.state is not state]


def keys_about_itself(state: TwinState) -> frozenset[Spot]:
    """Give the keys of a new Twin's description that speak of the Twin: its UUID is not known."""
    if state.uuid is not None:
        return frozenset()
    return frozenset(
        (part, key)
        for part, key, cell in _cells(state)
        if part == "description" and any(other is state for other, _ in cell.needs())
    )


def spots_that_wait(
    state: TwinState, only: Spot | None, among: Collection[object] | None = None
) -> frozenset[Spot]:
    """Give the items that speak of something that is not there yet.

    Args:
        state: The Twin.
        only: One item.
        among: The Twins that will not be there either; None counts all.
    """
    waited = (one for one in needs(state) if among is None or one.state in among)
    spots = ((one.part, one.name) for one in waited)
    return frozenset(spot for spot in spots if only in (None, spot))


def check_needs(state: TwinState, only: Spot | None) -> frozenset[Spot]:
    """Refuse to write what would speak of something that is not there.

    Returns:
        Nothing: all items may be written.

    Raises:
        StateError: It has to be saved first.
    """
    for one in needs(state):
        if one.certain and only in (None, (one.part, one.name)):
            raise StateError(
                f"{one.part}[{one.name!r}] of {state.record()!r} speaks of {one}, which is not "
                "saved yet: save() that first, or change both inside one "
                "`with ttorm.session():`, which finds the order",
                code="unsaved-source",
            )
    return frozenset()


def account_needs_asking(state: TwinState) -> bool:
    """Tell whether references to own Ledgers are about to be written, and whose is not known."""
    if state.known_account is not None:
        return False
    cells = (item.cells["ref"] for _, item in state.ledger if "ref" in item.cells)
    return any(cell.touched and any(cell.needs()) for cell in cells)


def ask_account(state: TwinState) -> Flow[int]:
    """Learn the account, where it has to be known.

    Returns:
        How many requests that took.
    """
    if not account_needs_asking(state):
        return 0
    yield from state.connection.learn_account()
    return 1
