"""Rows of tables: what a query gives, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeAlias, TypeVar

from ttorm.api.errors import ValidationError
from ttorm.connection.core import Connection
from ttorm.connection.readers import Query, Reader, reader_of
from ttorm.display import Displayed, Sheet, limited, shortened
from ttorm.flows import Flow
from ttorm.pairs import twin_of
from ttorm.records.collection import Collection
from ttorm.records.frames import Backend, frame
from ttorm.records.meta import did_you_mean
from ttorm.tables.columns import Column, ColumnRole
from ttorm.tables.conditions import Condition, Ordering, Place, parts_for

__all__ = ["Asked", "OrderBy", "Prepared", "Row", "Rows", "Source", "asked_for"]

R = TypeVar("R", bound="Row")
OrderBy: TypeAlias = "Column[Any] | Ordering | Sequence[Column[Any] | Ordering]"
"""What rows are sorted by."""


class Row(Displayed):
    """A row of a table: values by column. It is read once, and never changes.

    Rows of declared tables have the columns as attributes, typed; others as ``row["city"]``.
    """

    __columns__: ClassVar[Mapping[str, Column[Any]]] = {}
    _columns: Mapping[str, Column[Any]]
    _raw: tuple[Any, ...]
    _read: dict[str, Any]
    _connection: Connection | None = None
    """Where it was read; None for one of a pickle."""

    def __init__(self) -> None:
        raise TypeError(
            f"{type(self).__name__} objects are rows, which the platform makes from Entries as "
            f"they change: read them by {type(self).__name__}.rows()"
        )

    @classmethod
    def _of(cls, columns: Mapping[str, Column[Any]], raw: Iterable[Any]) -> Self:
        row = cls.__new__(cls)
        row._columns, row._raw, row._read = columns, tuple(raw), {}
        return row

    def __getitem__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = self._column(name).read(self._cells()[name])
        return self._read[name]

    def _column(self, name: str) -> Column[Any]:
        try:
            return self._columns[name]
        except KeyError:
            raise KeyError(
                f"the row has no column {name!r}{did_you_mean(name, self._columns)}"
            ) from None

    def _cells(self) -> dict[str, Any]:
        return dict(zip(self._columns, self._raw, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the values by column; those that are missing as None.

        Raises:
            ValidationError: A declared type does not take one of them.
        """
        return {name: None if raw is None else self[name] for name, raw in self._cells().items()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row) or type(self) is not type(other):
            return NotImplemented
        return self._cells() == other._cells()

    __hash__ = None  # type: ignore[assignment] # values may be dictionaries

    def __repr__(self) -> str:
        cells = ", ".join(f"{name}={shortened(raw)}" for name, raw in self._cells().items())
        return f"{type(self).__name__}({cells})"

    def _sheet(self) -> Sheet:
        rows = [(name, shortened(raw)) for name, raw in self._cells().items()]
        return Sheet(type(self).__name__, ("", ""), limited(rows))

    def __reduce__(self) -> tuple[Any, ...]:
        if type(self) is Row:
            columns = list(self._columns.values())
            facts = [(one.role, one.name, one.type, one.place) for one in columns]
            return _revive_untyped, (facts, self._raw)
        return _revive, (type(self), [*self._columns], self._raw)


def _revive(kind: type[Row], names: list[str], raw: tuple[Any, ...]) -> Row:
    return kind._of({name: kind.__columns__[name] for name in names}, raw)


def _revive_untyped(facts: list[tuple[ColumnRole, str, str, Place]], raw: tuple[Any, ...]) -> Row:
    return Row._of({one[1]: Column.untyped(*one) for one in facts}, raw)


class Asked(NamedTuple):
    """What a query asks for, as users say it."""

    where: Condition | None
    order: tuple[Column[Any] | Ordering, ...]
    limit: int | None

    def query(self, place: Place, columns: Iterable[Column[Any]]) -> Query:
        """Make the query of a table.

        Raises:
            ValidationError: It speaks of another table.
        """
        where = () if self.where is None else parts_for(self.where, place)
        orders = [one.asc() if isinstance(one, Column) else one for one in self.order]
        parts = [part for one in orders for part in (", ", *parts_for(one, place))]
        return Query(
            place.kind,
            place.table,
            tuple((column.name, column.type) for column in columns),
            where,
            tuple(parts[1:]),
            self.limit,
        )


def asked_for(where: Condition | None, order_by: OrderBy, limit: int | None) -> Asked:
    """Check what a query is to ask for.

    Raises:
        TypeError: A condition or ordering is none.
        ValidationError: The limit is none.
    """
    if where is not None and not isinstance(where, Condition):
        raise TypeError(
            f"rows(where={shortened(where)}): expected a condition such as Weather.celsius > 30"
        )
    order = (order_by,) if isinstance(order_by, (Column, Ordering, str)) else tuple(order_by)
    for one in order:
        if not isinstance(one, (Column, Ordering)):
            raise TypeError(
                f"order_by={shortened(one)}: expected a column such as Weather.celsius, or "
                "Weather.celsius.desc()"
            )
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise ValidationError(f"limit={limit!r}: expected 0 or more", code="bad-argument")
    return Asked(where, order, limit)


Prepared: TypeAlias = "tuple[Mapping[str, Column[Any]], Callable[[Iterable[Any]], R]]"
"""The columns to read, and what makes a row of their cells."""


class Source(NamedTuple, Generic[R]):
    """Where rows come from.

    Attributes:
        place: The table.
        connection: Returns the connection it is read through.
        prepare: Finds out which columns there are.
    """

    place: Place
    connection: Callable[[], Connection]
    prepare: Callable[[], Flow[Prepared[R]]]


class Rows(Collection[R]):
    """Rows of a table that a query selects; iterable and async iterable, each time anew.

    Made by `TimeseriesTable.rows` and `IndexTable.rows`.
    """

    def __init__(self, source: Source[R], asked: Asked) -> None:
        self._source = source
        self._asked = asked

    def _ready(self, connection: Connection) -> Flow[tuple[Prepared[R], Query, Reader]]:
        """Find out what a query needs to know beforehand."""
        prepared = yield from self._source.prepare()
        reader = yield from reader_of(connection)
        return prepared, self._asked.query(self._source.place, prepared[0].values()), reader

    def _found(self) -> tuple[Mapping[str, Column[Any]], Iterator[R]]:
        connection = self._source.connection()
        (columns, make), query, reader = connection.run(self._ready(connection))
        return columns, _made(make, reader.read(query), connection)

    async def _afound(self) -> tuple[Mapping[str, Column[Any]], Iterator[R]]:
        connection = self._source.connection()
        (columns, make), query, reader = await connection.arun(self._ready(connection))
        return columns, _made(make, await reader.aread(query), connection)

    def __iter__(self) -> Iterator[R]:
        yield from self._found()[1]

    async def __aiter__(self) -> AsyncIterator[R]:
        _, rows = await self._afound()
        for row in rows:
            yield row

    def _few(self, limit: int) -> Rows[R]:
        least = limit if self._asked.limit is None else min(limit, self._asked.limit)
        return Rows(self._source, self._asked._replace(limit=least))

    def first(self) -> R | None:
        """Return the first one; None when there is none."""
        return next(iter(self._few(1)), None)

    @twin_of(first)
    async def afirst(self) -> R | None:
        async for row in self._few(1):
            return row
        return None

    def count(self) -> int:
        """Count them in the database, without reading them."""
        connection = self._source.connection()
        _, query, reader = connection.run(self._ready(connection))
        return _number(reader.read(query._replace(counted=True, order=())))

    @twin_of(count)
    async def acount(self) -> int:
        connection = self._source.connection()
        _, query, reader = await connection.arun(self._ready(connection))
        return _number(await reader.aread(query._replace(counted=True, order=())))

    def to_frame(self, backend: Backend = "pandas") -> Any:
        """Return a data frame with a column for each of the table's.

        Args:
            backend: The library that makes it.

        Raises:
            ConfigurationError: The library, or narwhals, is not installed.
        """
        return _frame(*self._found(), backend)

    @twin_of(to_frame)
    async def ato_frame(self, backend: Backend = "pandas") -> Any:
        return _frame(*await self._afound(), backend)

    def __repr__(self) -> str:
        where = "all" if self._asked.where is None else self._asked.where
        return f"<Rows of {self._source.place.table}: {where}>"


def _made(
    make: Callable[[Iterable[Any]], R], raw: Iterable[Any], connection: Connection
) -> Iterator[R]:
    for cells in raw:
        row = make(cells)
        row._connection = connection
        yield row


def _number(rows: Iterable[Sequence[Any]]) -> int:
    ((number,),) = rows
    return int(number)


def _frame(columns: Iterable[str], rows: Iterable[Row], backend: Backend) -> Any:
    several = [row.to_dict() for row in rows]
    return frame({name: [values[name] for values in several] for name in columns}, backend)
