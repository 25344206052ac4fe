"""The values an Entry had."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from ttorm.api.answers import member
from ttorm.api.errors import ForbiddenError, StateError
from ttorm.api.request import api_request
from ttorm.connection.calls import perform
from ttorm.connection.core import Connection
from ttorm.flows import Flow
from ttorm.records.moments import moment, timestamp

__all__ = ["History", "HistoryRecord"]

_PAGE = 100
_MILLISECOND = 0.001


class HistoryRecord(NamedTuple):
    """One value an Entry had.

    Attributes:
        at: When it was written, in UTC.
        value: The JSON value.
    """

    at: datetime
    value: Any


class History:
    """The values an Entry had, newest first; 100 of them in one request, as they are needed.

    Iterate by ``for`` or ``async for``, any number of times.
    """

    def __init__(
        self,
        connection: Connection,
        twin: str | None,
        ledger: str,
        name: str,
        since: datetime | float | None,
        until: datetime | float | None,
    ) -> None:
        if twin is None:
            raise StateError("the Twin was not saved yet: it has no history")
        self._connection = connection
        self._target = [twin, ledger]
        self._name = name
        self._since = None if since is None else timestamp(since)
        self._until = None if until is None else timestamp(until)

    def __repr__(self) -> str:
        return f"<History of {self._name!r} of {self._target[0]}>"

    def __iter__(self) -> Iterator[HistoryRecord]:
        until = self._until
        while True:
            page = self._connection.run(self._page(until))
            yield from map(_record, page)
            if len(page) < _PAGE:
                return
            until = page[-1][0] - _MILLISECOND

    async def __aiter__(self) -> AsyncIterator[HistoryRecord]:
        until = self._until
        while True:
            page = await self._connection.arun(self._page(until))
            for change in page:
                yield _record(change)
            if len(page) < _PAGE:
                return
            until = page[-1][0] - _MILLISECOND

    def _page(self, until: float | None) -> Flow[list[tuple[float, Any]]]:
        """Read the newest records up to a moment, newest first."""
        request = api_request(
            "get_twin_ledger_entry_history",
            self._target,
            {"ge": self._since, "le": until, "limit": _PAGE, "entries": [self._name]},
        )
        answer = yield from perform(self._connection, request)
        slots = member(answer, "entries")
        found = member(slots, self._name)
        # A text, or an object with an error, stands in the place of what may not be read.
        if "error" in found or not isinstance(slots.get(self._name, found), dict):
            raise ForbiddenError(
                f"the history of {self._name!r} of Twin {self._target[0]} cannot be read: there is "
                f"no such Entry in Ledger {self._target[1]!r}, or it is not visible "
                f"({slots[self._name]})",
                operation=request.operation.name,
                request=request.label,
            )
        records = [(float(stamp), value) for stamp, value in found.items()]
        return sorted(records, key=lambda record: record[0], reverse=True)


def _record(change: tuple[float, Any]) -> HistoryRecord:
    return HistoryRecord(moment(change[0]), change[1])
