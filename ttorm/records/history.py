"""The values Entries had: page by page, at a moment, and of one Entry as a series."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from ttorm.api.answers import member
from ttorm.api.codec import JSONValue, same
from ttorm.api.errors import ForbiddenError, StateError
from ttorm.api.moments import given_seconds, moment, timestamp
from ttorm.api.request import ApiRequest, api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.flows import Flow, gather
from ttorm.pairs import twin_of
from ttorm.records.changes import Change
from ttorm.records.frames import Backend, frame
from ttorm.records.unread import Unread

__all__ = [
    "History",
    "HistoryPage",
    "HistoryRecord",
    "Place",
    "Span",
    "differences",
    "read_page",
    "values_at",
]

_PAGE = 100
_MILLISECOND = 0.001


class Place(NamedTuple):
    """A Ledger, and who asks for it."""

    connection: Connection
    twin: str
    ledger: str

    @classmethod
    def of(cls, connection: Connection, twin: str | None, ledger: str) -> Place:
        """Name the Ledger of a Twin.

        Raises:
            StateError: The Twin was not saved yet.
        """
        if twin is None:
            raise StateError("the Twin was not saved yet: it has no history")
        return cls(connection, twin, ledger)


class Span(NamedTuple):
    """A period in Unix seconds; None is without end."""

    since: float | None
    until: float | None

    @classmethod
    def of(cls, since: datetime | float | None, until: datetime | float | None) -> Span:
        """Check the ends of a period."""
        return cls(*(None if end is None else timestamp(end) for end in (since, until)))


class HistoryPage(NamedTuple):
    """What one answer tells for certain.

    Attributes:
        records: Moments and values by Entry, the newest first.
        rest: The period that is still to be asked for, or None.
    """

    records: dict[str, list[tuple[float, JSONValue]]]
    rest: Span | None


def read_page(
    place: Place, names: Sequence[str], span: Span, *, strict: bool = False
) -> Flow[HistoryPage]:
    """Read the newest records of a period.

    Args:
        place: The Ledger.
        names: Names of Entries; without any, all that have a history.
        span: The period.
        strict: Whether an Entry that cannot be read is an error; else it is left out.

    Raises:
        ForbiddenError: An Entry cannot be read (only when strict).
    """
    request = _request(place, names, span, _PAGE)
    answer = yield from perform(place.connection, request)
    records = _records(request, answer, names, strict=strict)
    start = _certain_from(records)
    if start is None:
        return HistoryPage(records, None)
    newer = {
        name: [record for record in found if record[0] > start] for name, found in records.items()
    }
    if len(records) > 1 and any(newer.values()):
        # At the moment itself others may have been cut off.
        return HistoryPage(newer, span._replace(until=start))
    certain = {
        name: [record for record in found if record[0] >= start] for name, found in records.items()
    }
    return HistoryPage(certain, span._replace(until=start - _MILLISECOND))


def _certain_from(records: Mapping[str, list[tuple[float, JSONValue]]]) -> float | None:
    """Tell from which moment on nothing is missing in an answer; None when nothing is at all."""
    # Whether the limit is meant for each Entry or for the answer, the platform does not tell.
    if sum(map(len, records.values())) == _PAGE:
        return min(found[-1][0] for found in records.values() if found)
    full = [found[-1][0] for found in records.values() if len(found) >= _PAGE]
    return max(full) if full else None


def values_at(
    place: Place, names: Sequence[str], when: float, *, strict: bool = False
) -> Flow[dict[str, JSONValue]]:
    """Read the values that Entries had at a moment, those that have a record of it.

    Args:
        place: The Ledger.
        names: Names of Entries; without any, all that have a history.
        when: The moment, in Unix seconds.
        strict: Whether an Entry that cannot be read is an error; else it is left out.

    Raises:
        ForbiddenError: An Entry cannot be read (only when strict).
    """
    request = _request(place, names, Span(None, when), 1)
    answer = yield from perform(place.connection, request)
    records = _records(request, answer, names, strict=strict)
    return {name: found[0][1] for name, found in records.items() if found}


def differences(
    place: Place, names: Sequence[str], before: float, after: float
) -> Flow[dict[str, Change]]:
    """Compare the values that Entries had at two moments, in Unix seconds."""
    found = yield from gather(values_at(place, names, when) for when in (before, after))
    for outcome in found:
        if isinstance(outcome, Exception):
            raise outcome
    old, new = cast("list[dict[str, JSONValue]]", found)
    return {
        name: Change(old.get(name), new.get(name))
        for name in {**old, **new}
        if name not in old or name not in new or not same(old[name], new[name])
    }


def _request(place: Place, names: Sequence[str], span: Span, limit: int) -> ApiRequest:
    return api_request(
        "get_twin_ledger_entry_history",
        [place.twin, place.ledger],
        {"ge": span.since, "le": span.until, "limit": limit, "entries": list(names) or None},
    )


def _records(
    request: ApiRequest, answer: Mapping[str, Any], names: Sequence[str], *, strict: bool
) -> dict[str, list[tuple[float, JSONValue]]]:
    slots = member(answer, "entries")
    found: dict[str, list[tuple[float, JSONValue]]] = {}
    for name in names or slots:
        slot = slots.get(name, {})
        # A text, or an object with an error, stands in the place of what may not be read.
        if isinstance(slot, dict) and "error" not in slot:
            records = [
                (given_seconds(stamp), value) for stamp, value in member(slots, name).items()
            ]
            found[name] = sorted(records, key=lambda record: record[0], reverse=True)
        elif strict:
            raise ForbiddenError(
                f"the history of {name!r} cannot be read: there is no such Entry in the Ledger, "
                f"or it is not visible ({slot})",
                operation=request.operation.name,
                request=request.label,
            )
    return found


class HistoryRecord(NamedTuple):
    """One value an Entry had.

    Attributes:
        at: When it was written, in UTC.
        value: The JSON value.
    """

    at: datetime
    value: Any


class History(Unread):
    """The values an Entry had; made by `Entry.history`.

    Iterate by ``for`` or ``async for``, any number of times; each time asks the service anew. A
    page of up to 100 values is one request, sent when the one before is used up. In the order of
    time all pages are read first, because the service begins with the newest.
    """

    def __init__(self, place: Place, name: str, span: Span, *, reverse: bool) -> None:
        self._place = place
        self._name = name
        self._span = span
        self._reverse = reverse

    def __repr__(self) -> str:
        return f"<History of {self._name!r} of {self._place.twin}>"

    def __iter__(self) -> Iterator[HistoryRecord]:
        if self._reverse:
            yield from self._place.connection.run(self._read())
            return
        span: Span | None = self._span
        while span is not None:
            records, span = self._place.connection.run(self._page(span))
            yield from records

    async def __aiter__(self) -> AsyncIterator[HistoryRecord]:
        if self._reverse:
            for record in await self._place.connection.arun(self._read()):
                yield record
            return
        span: Span | None = self._span
        while span is not None:
            records, span = await self._place.connection.arun(self._page(span))
            for record in records:
                yield record

    def _page(self, span: Span) -> Flow[tuple[list[HistoryRecord], Span | None]]:
        page = yield from read_page(self._place, [self._name], span, strict=True)
        found = page.records[self._name]
        return [HistoryRecord(moment(stamp), value) for stamp, value in found], page.rest

    def _read(self) -> Flow[list[HistoryRecord]]:
        found: list[HistoryRecord] = []
        span: Span | None = self._span
        while span is not None:
            records, span = yield from self._page(span)
            found += records
        return found[::-1] if self._reverse else found

    def _end(self, *, newest: bool) -> Flow[HistoryRecord | None]:
        if newest:
            records, _ = yield from self._page(self._span)
            return records[0] if records else None
        found = yield from self._read()
        return found[0 if self._reverse else -1] if found else None

    def all(self) -> list[HistoryRecord]:
        """Return all of them, at most 1,000: the platform keeps no more.

        Example:
            >>> Twin.create(entries={"pressure": 2.5}).ledger["pressure"].history().all()
            []
        """
        return self._place.connection.run(self._read())

    @twin_of(all)  # noqa: A003 # the method above, not the built-in
    async def aall(self) -> list[HistoryRecord]:
        return await self._place.connection.arun(self._read())

    def first(self) -> HistoryRecord | None:
        """Return the one that iteration begins with, the newest unless reversed, or None.

        Example:
            >>> Twin.create(entries={"pressure": 2.5}).ledger["pressure"].history().first()
        """
        return self._place.connection.run(self._end(newest=not self._reverse))

    @twin_of(first)
    async def afirst(self) -> HistoryRecord | None:
        return await self._place.connection.arun(self._end(newest=not self._reverse))

    def last(self) -> HistoryRecord | None:
        """Return the one that iteration ends with, the oldest unless reversed, or None.

        Example:
            >>> Twin.create(entries={"pressure": 2.5}).ledger["pressure"].history().last()
        """
        return self._place.connection.run(self._end(newest=self._reverse))

    @twin_of(last)
    async def alast(self) -> HistoryRecord | None:
        return await self._place.connection.arun(self._end(newest=self._reverse))

    def count(self) -> int:
        """Count them, which reads them.

        Example:
            >>> Twin.create(entries={"pressure": 2.5}).ledger["pressure"].history().count()
            0
        """
        return len(self.all())

    @twin_of(count)
    async def acount(self) -> int:
        return len(await self.aall())

    def to_frame(self, backend: Backend = "pandas") -> Any:
        """Return a data frame with the columns ``at`` and ``value``.

        Args:
            backend: The library that makes it: ``"pandas"``, ``"polars"`` or ``"pyarrow"``.

        Raises:
            ConfigurationError: The library, or narwhals, is not installed.

        Example:
            >>> pump = Twin.create()
            >>> pump.ledger["pressure"] = Entry(2.5, history="INF")
            >>> _ = pump.save()
            >>> pump.ledger["pressure"].history().to_frame()["value"].to_list()
            [2.5]
        """
        return _frame(self.all(), backend)

    @twin_of(to_frame)
    async def ato_frame(self, backend: Backend = "pandas") -> Any:
        return _frame(await self.aall(), backend)


def _frame(records: list[HistoryRecord], backend: Backend) -> Any:
    columns = {
        "at": [record.at for record in records],
        "value": [record.value for record in records],
    }
    return frame(columns, backend)
