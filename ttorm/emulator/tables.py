"""Timeseries and Indexes tables as they are described: their columns, templates and rules."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttorm.emulator.columns import Columns
from ttorm.emulator.history import period_start
from ttorm.emulator.rows import from_json
from ttorm.emulator.sql import drop_before, stats
from ttorm.emulator.store import Row, Store, Transaction

__all__ = [
    "IndexesTable",
    "TimeseriesTable",
    "drop_expired",
    "indexes_tables",
    "stats_of",
    "timeseries_tables",
]


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


def timeseries_tables(tx: Transaction, account: str) -> dict[str, TimeseriesTable]:
    """Read an account's Timeseries tables by name."""
    rows = tx.rows("SELECT * FROM timeseries_tables WHERE account = ? ORDER BY name", account)
    return {row["name"]: TimeseriesTable.from_row(row) for row in rows}


def indexes_tables(tx: Transaction, account: str) -> dict[str, IndexesTable]:
    """Read an account's Indexes tables by name."""
    rows = tx.rows("SELECT * FROM indexes_tables WHERE account = ? ORDER BY name", account)
    return {row["name"]: IndexesTable.from_row(row) for row in rows}


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
