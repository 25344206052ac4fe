"""Pages of a scan: what one request brought, made into records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ttorm.api.answers import needed, needed_list
from ttorm.display import Sheet, displayed, limited, shortened
from ttorm.records.listing import Listing
from ttorm.records.models import model_of
from ttorm.records.record import Record
from ttorm.records.unread import Unread

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["Iteration", "Page", "page_of"]

T = TypeVar("T")


@displayed
class Page(NamedTuple, Generic[T]):
    """What one request of a scan brought.

    Attributes:
        records: The records; there may be none although more follow.
        cursor: Where the next page begins, for `Scan.after`; None at the end.
    """

    records: list[T]
    cursor: str | None

    def _sheet(self) -> Sheet:
        rows = [(str(number), shortened(record)) for number, record in enumerate(self.records)]
        note = "the last page" if self.cursor is None else f"cursor: {self.cursor}"
        return Sheet(f"Page of {len(rows)} records", ("", "record"), limited(rows), note)


class Iteration(Unread, Generic[T]):
    """What can be gone through by ``for`` and ``async for``, any number of times."""

    _ANY = "next(iter(...), None) is not None"
    _FEW = "next(iter(...), None) for the first"

    def __init__(
        self, items: Callable[[], Iterator[T]], aitems: Callable[[], AsyncIterator[T]]
    ) -> None:
        self._items = items
        self._aitems = aitems

    def __iter__(self) -> Iterator[T]:
        return self._items()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._aitems()


class _Models(dict[Any, Any]):
    """The classes that show Twins, by kind, as far as they were asked for."""

    def __init__(self, asked: Any) -> None:
        super().__init__()
        self._asked = asked

    def __missing__(self, kind: object) -> Any:
        key = self._asked.__meta__.kind_key
        found = self[kind] = model_of({key: kind}, self._asked)
        return found


def page_of(
    answer: Mapping[str, Any], model: Any, listing: Listing, limit: int | None = None
) -> Page[Any]:
    """Make the records of an answer.

    A Twin that nobody knows yet gets a record that sleeps: it has a row of the listing, and makes
    its state of it when somebody asks for more than a described field.

    Args:
        answer: The answer.
        model: The class that was asked for; Twins of other kinds are left out.
        listing: What the records are to belong to.
        limit: Most records.
    """
    wires = needed_list(answer, "twins")
    uuids = _uuids(wires)
    models, key = _Models(model), model.__meta__.kind_key
    known = listing.session.known
    new: dict[str, Any] = {}
    records: list[Any] = []
    shown = listing.uuids
    for wire, uuid, peer in zip(wires, uuids, known.find(uuids), strict=True):
        if limit is not None and len(records) == limit:
            break
        try:
            fitting = models[wire["description"].get(key)]
        except (KeyError, AttributeError, TypeError):  # without description, or of an odd kind
            fitting = models[None]
        if fitting is None:
            continue
        if peer is None and uuid not in new:
            record = new[uuid] = _new(fitting)
            record.__dict__["_row"] = wire, listing
        else:
            record = _shown(peer or new[uuid], wire, fitting, listing)
        records.append(record)
        shown.append(uuid)
    known.add(new, new.values())
    return Page(records, answer.get("cursor"))


_new: Callable[[Any], Any] = object.__new__


def _shown(
    peer: Record | TwinState, wire: Mapping[str, Any], fitting: Any, listing: Listing
) -> Any:
    """Have a Twin that is known take a newer row."""
    state = peer._state
    state.absorb_twin(wire, fresh=False)
    state.shown_as(fitting)
    state.listing = listing
    return state.view(fitting)


def _uuids(wires: list[Any]) -> list[str]:
    """Return the UUIDs of rows.

    Raises:
        ResponseFormatError: A row has none.
    """
    uuids: list[Any] = [None]
    with suppress(KeyError, TypeError):  # told below
        uuids = [wire["creation_certificate"]["uuid"] for wire in wires]
    if all(uuids) and _TEXT.issuperset(map(type, uuids)):
        return uuids
    return [needed(wire, "creation_certificate", "uuid") for wire in wires]


_TEXT = frozenset((str,))
