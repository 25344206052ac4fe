"""The histories of several Entries of a Twin, merged into rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ttorm.api.codec import JSONValue
from ttorm.api.errors import ValidationError
from ttorm.api.moments import moment
from ttorm.api.names import check_entry_name
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.fields import FieldSpec
from ttorm.records.frames import Backend, frame
from ttorm.records.history import HistoryPage, Place, Span, read_page, values_at
from ttorm.records.unread import Unread
from ttorm.records.values import PLAIN

__all__ = ["HistoryRow", "Timeline"]

_MILLISECOND = 0.001
_Row = tuple[float, dict[str, Any]]


class HistoryRow(NamedTuple):
    """What was written at one moment, or what held from it on.

    Attributes:
        at: The moment, in UTC.
        values: Values by field, or by Entry where no field is declared.
    """

    at: datetime
    values: dict[str, Any]


class Timeline(Unread):
    """Former values of several Entries in rows, one for each moment; made by `Twin.history`.

    Iterate by ``for`` or ``async for``, any number of times; each time asks the service anew, for
    all Entries at once. Values are those of the fields; one that the field's type refuses is shown
    as it was stored.
    """

    _ANY = ".all() != []"
    _FEW = ".all()[2:5] for some"

    def __init__(
        self, place: Place, fields: Mapping[str, FieldSpec], names: list[str], span: Span
    ) -> None:
        self._place = place
        self._fields = fields
        self._names = names
        self._span = span
        self._reverse = self._fill = False

    @classmethod
    def _of(
        cls,
        place: Place,
        model: Any,
        fields: Iterable[str],
        span: Span,
        *,
        reverse: bool,
        fill: bool,
    ) -> Timeline:
        """Make the rows of a model's fields; without any, of all that have a history."""
        known: Mapping[str, FieldSpec] = model.__fields__
        of_entries = {n: spec for n, spec in known.items() if spec.kind in _OF_ENTRIES}
        names = [_entry_name(model, name) for name in fields or of_entries]
        specs = {spec.target: spec for spec in of_entries.values()}
        timeline = cls(place, specs, list(dict.fromkeys(names)), span)
        timeline._reverse, timeline._fill = reverse, fill
        return timeline

    def __repr__(self) -> str:
        return f"<Timeline of {', '.join(self._names) or 'all Entries'} of {self._place.twin}>"

    def __iter__(self) -> Iterator[HistoryRow]:
        if self._reverse or self._fill:
            yield from self._place.connection.run(self._read())
            return
        span: Span | None = self._span
        while span is not None:
            rows, span = self._place.connection.run(self._page(span))
            yield from map(_shown, rows)

    async def __aiter__(self) -> AsyncIterator[HistoryRow]:
        if self._reverse or self._fill:
            for row in await self._place.connection.arun(self._read()):
                yield row
            return
        span: Span | None = self._span
        while span is not None:
            rows, span = await self._place.connection.arun(self._page(span))
            for row in map(_shown, rows):
                yield row

    def _page(self, span: Span) -> Flow[tuple[list[_Row], Span | None]]:
        page = yield from read_page(self._place, self._names, span)
        return self._rows(page), page.rest

    def _rows(self, page: HistoryPage) -> list[_Row]:
        rows: dict[float, dict[str, Any]] = {}
        for name, records in page.records.items():
            for stamp, value in records:
                column, typed = self._typed(name, value)
                rows.setdefault(stamp, {})[column] = typed
        return sorted(rows.items(), key=lambda row: row[0], reverse=True)

    def _typed(self, name: str, value: JSONValue) -> tuple[str, Any]:
        spec = self._fields.get(name)
        codec = PLAIN if spec is None else spec.codec
        column = name if spec is None else spec.attribute
        try:
            return column, codec.load(value, column)
        except ValidationError:
            return column, value

    def _read(self) -> Flow[list[HistoryRow]]:
        rows: list[_Row] = []
        span: Span | None = self._span
        while span is not None:
            page, span = yield from self._page(span)
            rows += page
        rows.reverse()
        if self._fill and rows:
            rows = _filled(rows, (yield from self._before()))
        found = [_shown(row) for row in rows]
        return found if self._reverse else found[::-1]

    def _before(self) -> Flow[dict[str, Any]]:
        """Read what held when the period began."""
        if self._span.since is None:
            return {}
        held = yield from values_at(self._place, self._names, self._span.since - _MILLISECOND)
        return dict(self._typed(name, value) for name, value in held.items())

    def all(self) -> list[HistoryRow]:
        """Return all rows.

        Example:
            >>> Twin.create(entries={"pressure": 2.5}).history("pressure").all()
            []
        """
        return self._place.connection.run(self._read())

    @twin_of(all)  # noqa: A003 # the method above, not the built-in
    async def aall(self) -> list[HistoryRow]:
        return await self._place.connection.arun(self._read())

    def to_frame(self, backend: Backend = "pandas") -> Any:
        """Return a data frame with the column ``at`` and one for each field.

        Args:
            backend: The library that makes it: ``"pandas"``, ``"polars"`` or ``"pyarrow"``.

        Raises:
            ConfigurationError: The library, or narwhals, is not installed.

        Example:
            >>> pump = Twin.create()
            >>> pump.ledger["pressure"] = Entry(2.5, history="INF")
            >>> _ = pump.save()
            >>> pump.history("pressure").to_frame("polars").columns
            ['at', 'pressure']
        """
        return self._frame(self.all(), backend)

    @twin_of(to_frame)
    async def ato_frame(self, backend: Backend = "pandas") -> Any:
        return self._frame(await self.aall(), backend)

    def _frame(self, rows: list[HistoryRow], backend: Backend) -> Any:
        asked = (self._fields[n].attribute if n in self._fields else n for n in self._names)
        names = dict.fromkeys([*asked, *(name for row in rows for name in row.values)])
        columns = {name: [row.values.get(name) for row in rows] for name in names}
        return frame({"at": [row.at for row in rows], **columns}, backend)


_OF_ENTRIES = frozenset({"entry", "reference"})


def _entry_name(model: Any, name: str) -> str:
    """Return the Entry of a field, or the name of an Entry that no field is declared for."""
    spec: FieldSpec | None = model.__fields__.get(name)
    if spec is None:
        return check_entry_name(name)
    if spec.kind not in _OF_ENTRIES:
        raise TypeError(
            f"{model.__name__}.{name} has no history: only Entries of one's own Ledger have one"
        )
    return spec.target


def _shown(row: _Row) -> HistoryRow:
    return HistoryRow(moment(row[0]), row[1])


def _filled(rows: list[_Row], before: dict[str, Any]) -> list[_Row]:
    """Carry values on until they change; the rows are in the order of time."""
    held, filled = before, list[_Row]()
    for stamp, values in rows:
        held = held | values
        filled.append((stamp, held))
    return filled
