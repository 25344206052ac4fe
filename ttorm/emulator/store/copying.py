"""Copying a store's rows into another one, whichever databases the two are in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from ttorm.emulator import sql
from ttorm.emulator.columntypes import ColumnType
from ttorm.emulator.store import Transaction
from ttorm.emulator.store.schema import TABLES
from ttorm.emulator.tables import IndexesTable, TimeseriesTable

__all__ = ["NUMBERED", "clear", "copy_rows", "drop_tables"]

NUMBERED: Mapping[str, str] = {"twins": "seq", "entries": "seq"}
"""Columns that the database numbers, by table."""

_AT_ONCE = 2_000
"""How many values one statement takes."""


def copy_rows(source: Transaction, target: Transaction) -> None:
    """Put all rows of a store in the place of those of another one, tables of accounts included.

    Args:
        source: The store to read.
        target: A write transaction of the other one, of the same version.
    """
    drop_tables(target)
    clear(target, TABLES)
    for table in TABLES:
        _insert(target, table, _dicts(source, table))
    for described in _described(source):
        columns = dict(described.columns.column_types())
        sql.create_table(target, described.sql_name, columns.items())
        rows = _dicts(source, described.sql_name)
        _insert(target, described.sql_name, (_stored(row, columns) for row in rows))


def drop_tables(tx: Transaction) -> None:
    """Remove the SQL tables of all accounts' Timeseries and Indexes tables."""
    for table in _described(tx):
        sql.drop_table(tx, table.sql_name)


def clear(tx: Transaction, tables: Iterable[str]) -> None:
    """Remove all rows of some of a store's tables."""
    for table in reversed([*tables]):
        tx.run(f"DELETE FROM {table}")  # noqa: S608 - names of tables


def _dicts(tx: Transaction, table: str) -> Iterable[dict[str, Any]]:
    return map(dict, tx.rows(f"SELECT * FROM {table}"))  # noqa: S608 - the name of a table


def _described(tx: Transaction) -> list[TimeseriesTable | IndexesTable]:
    timeseries = tx.rows("SELECT * FROM timeseries_tables ORDER BY sql_name")
    indexes = tx.rows("SELECT * FROM indexes_tables ORDER BY sql_name")
    return [*map(TimeseriesTable.from_row, timeseries), *map(IndexesTable.from_row, indexes)]


def _stored(row: dict[str, Any], columns: Mapping[str, ColumnType]) -> dict[str, Any]:
    """Give the cells of a row the types that a database with types asks for."""
    for name, column in columns.items():
        if column.sql == "BOOLEAN" and row[name] is not None:
            row[name] = bool(row[name])
    return row


def _insert(tx: Transaction, table: str, rows: Iterable[dict[str, Any]]) -> None:
    waiting = iter(rows)
    for first in waiting:
        names = ", ".join(f'"{name}"' for name in first)
        more = [first, *islice(waiting, _AT_ONCE // len(first))]
        values = ", ".join([f"({', '.join('?' * len(first))})"] * len(more))
        cells = (row[name] for row in more for name in first)
        tx.run(f"INSERT INTO {table} ({names}) VALUES {values}", *cells)  # noqa: S608
