"""Timeseries and Indexes tables as they are described: their columns, templates and rules."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from ttorm.emulator.columns import Columns
from ttorm.emulator.history import period_start
from ttorm.emulator.policy import Service
from ttorm.emulator.rows import from_json, to_json
from ttorm.emulator.sql import drop_before, stats
from ttorm.emulator.store import Row, Store, Transaction

__all__ = [
    "INDEXES",
    "TIMESERIES",
    "IndexesTable",
    "Kind",
    "TimeseriesTable",
    "delete_table",
    "drop_expired",
    "find_table",
    "insert_table",
    "stats_of",
    "tables_of",
    "update_table",
]

# What stands in the statements for names of tables and columns is written in this module.
# ruff: noqa: S608


class TimeseriesTable(NamedTuple):
    """A Timeseries table.

    Attributes:
        account: The account it belongs to.
        name: Its name.
        sql_name: Name of the SQL table that has its rows.
        database: UUID of the database it is in.
        dimensions: What tells its rows apart, beside their time.
        measurements: What its rows hold.
        defaults: Templates for Entries that bring none; None when there are none.
        retention: How long rows are kept, such as ``3M`` or ``INF``.
        chunk: How much time a chunk of the storage has; kept and shown, without effect.
    """

    account: str
    name: str
    sql_name: str
    database: str
    dimensions: Columns
    measurements: Columns
    defaults: dict[str, Any] | None
    retention: str
    chunk: str

    @property
    def columns(self) -> Columns:
        """All columns but the time."""
        return self.dimensions.and_also(self.measurements)

    @classmethod
    def from_row(cls, row: Row) -> TimeseriesTable:
        """Read a row of the table ``timeseries_tables``."""
        fields = {name: row[name] for name in cls._fields}
        fields["dimensions"] = Columns.from_json(row["dimensions"])
        fields["measurements"] = Columns.from_json(row["measurements"])
        fields["defaults"] = None if row["defaults"] is None else from_json(row["defaults"])
        return cls(**fields)

    def to_row(self) -> dict[str, Any]:
        """Return what `from_row` reads."""
        return self._asdict() | {
            "dimensions": self.dimensions.to_json(),
            "measurements": self.measurements.to_json(),
            "defaults": None if self.defaults is None else to_json(self.defaults),
        }

    def shown(self) -> dict[str, Any]:
        """What answers tell that only tables of this kind have."""
        return {
            "dimensions": self.dimensions.shown(),
            "measurements": self.measurements.shown(),
            "defaults": self.defaults,
            "retention": self.retention,
            "chunk": self.chunk,
        }


class IndexesTable(NamedTuple):
    """An Indexes table.

    Attributes:
        account: The account it belongs to.
        name: Its name.
        sql_name: Name of the SQL table that has its rows.
        database: UUID of the database it is in.
        rule: Which Ledgers of the account have a row.
        properties: What the rows hold.
        templates: A template for each property.
    """

    account: str
    name: str
    sql_name: str
    database: str
    rule: str
    properties: Columns
    templates: dict[str, str]

    @property
    def columns(self) -> Columns:
        """All columns but the Twin."""
        return self.properties

    @classmethod
    def from_row(cls, row: Row) -> IndexesTable:
        """Read a row of the table ``indexes_tables``."""
        fields = {name: row[name] for name in cls._fields}
        fields["properties"] = Columns.from_json(row["properties"])
        fields["templates"] = from_json(row["templates"])
        return cls(**fields)

    def to_row(self) -> dict[str, Any]:
        """Return what `from_row` reads."""
        properties, templates = self.properties.to_json(), to_json(self.templates)
        return self._asdict() | {"properties": properties, "templates": templates}

    def shown(self) -> dict[str, Any]:
        """What answers tell that only tables of this kind have."""
        return {
            "rule": self.rule,
            "properties": self.properties.shown(),
            "templates": {"properties": self.templates},
        }


T = TypeVar("T", TimeseriesTable, IndexesTable)


class Kind(NamedTuple, Generic[T]):
    """What tells the tables of one service from those of the other.

    Attributes:
        service: Name of the service, which bodies have, too.
        title: How messages call it.
        argument: What paths call the name of a table.
        prefix: How the names of SQL tables begin.
        model: A table.
    """

    service: Service
    title: str
    argument: str
    prefix: str
    model: type[T]

    @property
    def stored(self) -> str:
        """Where the store has the descriptions."""
        return f"{self.service}_tables"


TIMESERIES = Kind("timeseries", "Timeseries", "timeseries", "ts", TimeseriesTable)
INDEXES = Kind("indexes", "Indexes", "index", "ix", IndexesTable)


def tables_of(tx: Transaction, kind: Kind[T], account: str) -> dict[str, T]:
    """Read an account's tables of one kind by name."""
    rows = tx.rows(f"SELECT * FROM {kind.stored} WHERE account = ? ORDER BY name", account)
    return {row["name"]: kind.model.from_row(row) for row in rows}


def find_table(tx: Transaction, kind: Kind[T], account: str, name: str) -> T | None:
    """Read a table, if the account has one of that name."""
    row = tx.row(f"SELECT * FROM {kind.stored} WHERE account = ? AND name = ?", account, name)
    return None if row is None else kind.model.from_row(row)


def insert_table(tx: Transaction, kind: Kind[T], table: T) -> None:
    """Keep a new table."""
    row = table.to_row()
    marks = ", ".join("?" * len(row))
    tx.run(f"INSERT INTO {kind.stored} ({', '.join(row)}) VALUES ({marks})", *row.values())


def update_table(tx: Transaction, kind: Kind[T], table: T) -> None:
    """Keep a table as it is now."""
    row = table.to_row()
    changes = ", ".join(f"{name} = ?" for name in row)
    tx.run(
        f"UPDATE {kind.stored} SET {changes} WHERE account = ? AND name = ?",
        *row.values(),
        *(table.account, table.name),
    )


def delete_table(tx: Transaction, kind: Kind[T], table: T) -> None:
    """Forget a table."""
    tx.run(f"DELETE FROM {kind.stored} WHERE account = ? AND name = ?", table.account, table.name)


def stats_of(tx: Transaction, table: TimeseriesTable | IndexesTable) -> dict[str, int]:
    """Estimate the sizes of a table in bytes."""
    return stats(tx, table.sql_name, 1 + len(table.columns.names))


def drop_expired(store: Store, now: float) -> None:
    """Remove the rows that their Timeseries tables keep no longer."""
    sql = "SELECT sql_name, retention FROM timeseries_tables WHERE retention <> 'INF'"
    with store.transaction(write=False) as tx:
        if not tx.rows(sql):
            return
    with store.transaction(write=True) as tx:
        for row in tx.rows(sql):
            drop_before(tx, row["sql_name"], period_start(row["retention"], now))
