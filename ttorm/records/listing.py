"""Listings: records that came together, so that what one of them lacks is read for the next too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ttorm.api.answers import member
from ttorm.records.attributes import read_field
from ttorm.records.cells import NOTHING
from ttorm.records.state import TwinState, known_state

if TYPE_CHECKING:
    from ttorm.records.fields import FieldSpec
    from ttorm.records.record import Record
    from ttorm.sessions import Fetch, Session

__all__ = ["Attention", "Listing", "first_look", "wake"]

_WAKING = threading.Lock()


class Attention:
    """What a program looks at in the records of a listing.

    It looks at the same fields of the next ones, mostly: filling these beforehand takes less than
    to notice of each field of each record that it is missing.
    """

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[type, dict[str, tuple[str, str, Collection[type]]]] = {}

    def note(self, record: Record, spec: FieldSpec) -> None:
        """Note that a field of a record was looked at."""
        model = type(record)
        if spec.kind == "description":
            fields = self._fields.setdefault(model, {})
            fields[spec.attribute] = spec.attribute, spec.target, spec.codec.exact

    def fill(self, records: Iterable[Any]) -> None:
        """Fill the fields of records that sleep."""
        model: type[Any] | None = None
        fields: list[tuple[str, str, Collection[type]]] = []
        for record in cast("Iterable[Record]", records if self._fields else ()):
            kind = type(record)
            if kind is not model:
                model = kind
                fields = list(self._fields.get(kind, {}).values())
            row: Row | None = record._row
            described: dict[str, Any] | None = row and row[0].get("description")
            if type(described) is not dict:
                continue
            values: Any = record.__dict__
            for attribute, target, exact in fields:
                raw = described.get(target, NOTHING)
                # Whatever is to be validated waits until it is looked at.
                if type(raw) in exact:
                    values[attribute] = raw


class Listing:
    """The order in which one answer gave Twins; it keeps none of them alive.

    Args:
        session: The session that knows them.
        fetch: What a missing part of one of them loads.
        attention: What is looked at in them.

    Attributes:
        uuids: Their UUIDs, in order.
    """

    __slots__ = ("_places", "attention", "fetch", "session", "uuids")

    def __init__(self, session: Session, fetch: Fetch, attention: Attention) -> None:
        self.session = session
        self.fetch: Fetch = fetch
        self.attention = attention
        self.uuids: list[str] = []
        self._places: dict[str, int] | None = None

    def following(
        self, state: TwinState, number: int, lacks: Callable[[TwinState], bool]
    ) -> Iterator[TwinState]:
        """Yield the next Twins of the listing, after one of them.

        Args:
            state: The one.
            number: How many places to look ahead.
            lacks: Which of them are wanted.
        """
        if self._places is None:
            self._places = {uuid: place for place, uuid in enumerate(self.uuids)}
        place = self._places[str(state.uuid)] + 1
        for uuid in self.uuids[place : place + number]:
            peer = known_state(self.session, uuid)
            if peer is not None and peer.listing is self and lacks(peer):
                yield peer


Row: TypeAlias = tuple[Mapping[str, Any], Listing]
"""What a Twin was listed as, and where."""


def first_look(record: Record, spec: FieldSpec) -> Any:
    """Return the value of a field that was not looked at before; a scalar does not wake a record.

    Raises:
        MissingEntryError: The Twin has no value for it, and it declares no default.
        ValidationError: The service holds what the field's type refuses.
        NotLoadedError: Its part is not loaded, and waiting is not allowed here.
    """
    row: Row | None = record._row
    if row is not None and spec.kind == "description":
        wire, listing = row
        listing.attention.note(record, spec)
        raw = member(wire, "description").get(spec.target, NOTHING)
        if type(raw) in spec.codec.exact:
            return raw
    return read_field(record._state, spec)


def wake(record: Record) -> TwinState:
    """Make the state of a record that has a row of a listing only.

    Raises:
        AttributeError: It has no row either.
    """
    with _WAKING:
        known = vars(record)
        if "_state" in known:
            state: TwinState = known["_state"]
            return state  # another thread was faster
        if record._row is None:
            raise AttributeError(
                f"this {type(record).__name__} is not made yet: call super().__init__(...) before "
                "anything is read or assigned"
            )
        wire, listing = record._row
        uuid = wire["creation_certificate"]["uuid"]
        model = type(record)
        state = TwinState(uuid, listing.session, model)
        state.facts, state.listing = wire, listing
        state.adopt(record)
        listing.session.known[uuid] = state
        return state
