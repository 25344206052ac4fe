"""Reading the rows of tables: the API has no operation for it, databases are read by SQL.

An embedded emulator reads its own. For the service, whose databases have addresses and
credentials of their own, `Connection.reader` is set to what runs SQL there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from ttorm.api.codec import decode
from ttorm.api.errors import ConfigurationError, NotFoundError, StateError, ValidationError
from ttorm.flows import Flow
from ttorm.pairs import twin_of

if TYPE_CHECKING:
    from ttorm.connection.core import Connection
    from ttorm.emulator import Emulator
    from ttorm.emulator.tables import IndexesTable, TimeseriesTable

__all__ = ["KEYS", "Bound", "Query", "Reader", "Ref", "SQLReader", "reader_of"]

Kind: TypeAlias = Literal["timeseries", "indexes"]
"""The platform's names of the two kinds of tables."""
KEYS: Mapping[Kind, str] = {"timeseries": "_timestamp", "indexes": "_twin"}
"""Columns that the platform adds: the moment of a row, and the UUID of its Twin."""


class Ref(NamedTuple):
    """A column in a piece of SQL."""

    name: str


class Bound(NamedTuple):
    """A value in a piece of SQL, which goes beside it as a parameter.

    Attributes:
        value: The value.
        json: The same as JSON.
        type: The type of the column that it is compared with.
    """

    value: Any
    json: Any
    type: str


Part: TypeAlias = "str | Ref | Bound"
"""A piece of SQL."""


class Query(NamedTuple):
    """What is asked about the rows of a table; `SQLReader` makes SQL of it.

    Attributes:
        kind: ``"timeseries"`` or ``"indexes"``.
        table: The table's name.
        columns: Names and types of the columns that are read.
        where: The condition in pieces; empty for all rows.
        order: What they are sorted by, in pieces; empty for any order.
        limit: Most rows; None for all.
        counted: Whether only their number is asked for.
    """

    kind: Kind
    table: str
    columns: tuple[tuple[str, str], ...]
    where: tuple[Part, ...] = ()
    order: tuple[Part, ...] = ()
    limit: int | None = None
    counted: bool = False

    @property
    def refs(self) -> set[str]:
        """Names of all columns that it speaks of."""
        spoken = (part.name for part in (*self.where, *self.order) if isinstance(part, Ref))
        return {*(name for name, _ in self.columns), *spoken}

    def sql(
        self,
        table: str,
        column: Callable[[str], str],
        bind: Callable[[Bound], Any],
        mark: str,
    ) -> tuple[str, list[Any]]:
        """Write it in SQL.

        Args:
            table: The table, as SQL names it.
            column: Names columns in SQL.
            bind: Makes the parameter of a value.
            mark: What stands for a parameter.

        Returns:
            The text, and its parameters in order.
        """
        parameters: list[Any] = []

        def written(parts: Iterable[Part]) -> str:
            texts: list[str] = []
            for part in parts:
                if isinstance(part, Bound):
                    parameters.append(bind(part))
                texts.append(column(part.name) if isinstance(part, Ref) else _text(part, mark))
            return "".join(texts)

        names = ", ".join(column(name) for name, _ in self.columns)
        if self.counted and self.limit is None:
            names = "COUNT(*) AS number"
        inner = f"SELECT {names} FROM {table}"  # noqa: S608 # names are checked, values are bound
        if self.where:
            inner += f" WHERE {written(self.where)}"
        if self.order:
            inner += f" ORDER BY {written(self.order)}"
        if self.limit is not None:
            inner += f" LIMIT {int(self.limit)}"
        if self.counted and self.limit is not None:
            inner = f"SELECT COUNT(*) AS number FROM ({inner}) AS counted"  # noqa: S608 # as above
        return inner, parameters


def _text(part: str | Bound, mark: str) -> str:
    return part if isinstance(part, str) else mark


class Reader(Protocol):
    """What answers queries about the rows of tables."""

    def read(self, query: Query) -> Iterable[Sequence[Any]]:
        """Return the rows, each a sequence in the order of `Query.columns`."""
        ...

    @twin_of(read)
    async def aread(self, query: Query) -> Iterable[Sequence[Any]]: ...


Execute: TypeAlias = Callable[[str, list[Any]], Iterable[Sequence[Any]]]
AExecute: TypeAlias = Callable[[str, list[Any]], Awaitable[Iterable[Sequence[Any]]]]


class SQLReader:
    """Reads the service's databases through a database library of your choice.

    The published API does not say how databases name tables and the key of index tables, so both
    are settings. They are provisional: their defaults may change once the names are known.

    Args:
        execute: Runs a query with its parameters and returns the rows.
        aexecute: The same for event loops; without it they cannot read rows.
        mark: What stands for a parameter in the library's SQL, such as ``"?"``.
        index_key: The column of index tables that has the UUIDs of Twins.
        table: Names a table in SQL, from its kind (``"timeseries"``, ``"indexes"``) and its name.

    Example:
        >>> def execute(query, parameters):
        ...     print(query, parameters)
        ...     return [(7,)]
        >>> class Weather(TimeseriesTable):
        ...     city: Column[str] = dimension("{LEDGER.city}")
        >>> ttorm.default_connection().reader = SQLReader(execute)
        >>> Weather.rows(Weather.city == "Oslo").count()
        SELECT COUNT(*) AS number FROM "weather" WHERE "city" = %s ['Oslo']
        7
    """

    def __init__(
        self,
        execute: Execute,
        aexecute: AExecute | None = None,
        *,
        mark: str = "%s",
        index_key: str = KEYS["indexes"],
        table: Callable[[Kind, str], str] | None = None,
    ) -> None:
        self._execute = execute
        self._aexecute = aexecute
        self._mark = mark
        self._index_key = index_key
        self._table = table or _named

    def read(self, query: Query) -> Iterable[Sequence[Any]]:
        """Run a query.

        Raises:
            ConfigurationError: It is awaited, and the reader was made without `aexecute`.
        """
        return self._execute(*self._sql(query))

    @twin_of(read)
    async def aread(self, query: Query) -> Iterable[Sequence[Any]]:
        if self._aexecute is None:
            raise ConfigurationError(
                "this SQLReader cannot read rows in an event loop: give it aexecute= as well"
            )
        return await self._aexecute(*self._sql(query))

    def _sql(self, query: Query) -> tuple[str, list[Any]]:
        table = self._table(query.kind, query.table)
        return query.sql(table, self._column, lambda bound: bound.value, self._mark)

    def _column(self, name: str) -> str:
        return _quoted(self._index_key if name == KEYS["indexes"] else name)


def _named(kind: Kind, name: str) -> str:  # what a setting may tell apart
    return _quoted(name)


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


_SQLITE_ERROR = 1
"""What SQLite says of queries that it cannot carry out: these here are well formed, but large."""


class _EmulatorReader:
    """Reads the tables of one account of an embedded emulator."""

    def __init__(self, emulator: Emulator, account: str) -> None:
        self._emulator = emulator
        self._account = account

    def read(self, query: Query) -> Iterable[Sequence[Any]]:
        """Run a query.

        Raises:
            ValidationError: It asks for more at once than the database bears.
        """
        try:
            return self._read(query)
        except Exception as error:
            if getattr(error, "sqlite_errorcode", None) != _SQLITE_ERROR:
                raise
            raise ValidationError(
                f"the emulator's database refuses the query ({error}): ask for less at once, by "
                "fewer conditions or column.in_([...])",
                code="bad-argument",
            ) from error

    def _read(self, query: Query) -> Iterable[Sequence[Any]]:
        from ttorm.emulator.sql import column_name

        table = self._table(query)
        text, parameters = query.sql(table, lambda name: _quoted(column_name(name)), _fit, "?")
        rows = (tuple(row.values()) for row in self._emulator.sql(text, *parameters))
        if query.counted:
            return list(rows)
        structured = [kind in ("json", "jsonb") for _, kind in query.columns]
        return [tuple(map(_decoded, row, structured)) if any(structured) else row for row in rows]

    async def aread(self, query: Query) -> Iterable[Sequence[Any]]:
        """Run a query; a store on another computer is asked on another thread."""
        if self._emulator.store.near:
            return self.read(query)
        from asyncio import to_thread

        return await to_thread(self.read, query)

    def _table(self, query: Query) -> str:
        from ttorm.emulator.tables import INDEXES, TIMESERIES, find_table

        table: TimeseriesTable | IndexesTable | None
        with self._emulator.store.transaction(write=False) as tx:
            if query.kind == "timeseries":
                table = find_table(tx, TIMESERIES, self._account, query.table)
            else:
                table = find_table(tx, INDEXES, self._account, query.table)
        if table is None:
            raise NotFoundError(f"the account has no {query.kind} table {query.table!r}: create it")
        missing = sorted(query.refs - {KEYS[query.kind], *table.columns.names})
        if missing:
            raise StateError(
                f"the {query.kind} table {query.table!r} has no column {', '.join(missing)}: a "
                "declared table is brought up to date by migrate()"
            )
        return table.sql_name


def _fit(bound: Bound) -> Any:
    from ttorm.emulator.columntypes import TYPES

    return TYPES[bound.type].fit(bound.json)


def _decoded(value: Any, structured: bool) -> Any:
    return decode(value.encode()) if structured and isinstance(value, str) else value


def reader_of(connection: Connection) -> Flow[Reader]:
    """Find what reads the rows of a connection's tables.

    Raises:
        ConfigurationError: The connection has no reader, and needs one.
    """
    if connection.reader is not None:
        return connection.reader
    if connection.emulator is None:
        raise ConfigurationError(
            "rows of tables are read from the account's database, not through the API: set "
            "connection.reader = ttorm.SQLReader(execute), which runs SQL there"
        )
    if connection.known_account is None:
        yield from connection.learn_account()
    return _EmulatorReader(connection.emulator, connection.account)
