"""The SQL tables in which the rows of Timeseries and Indexes tables are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Any

from ttorm.emulator.columntypes import TIMESTAMPTZ, ColumnType
from ttorm.emulator.store import Transaction

__all__ = [
    "add_measurement",
    "change_columns",
    "column_name",
    "create_table",
    "drop_before",
    "drop_row",
    "drop_table",
    "empty_table",
    "put_row",
    "stats",
    "table_name",
]

# Identifiers are the names of tables and columns, which are checked before they come here:
# letters, digits and underscores. Values always go as parameters.
# ruff: noqa: S608

_LONGEST = 63
"""How long a name may be in PostgreSQL, which cuts off the rest."""
_PAGE = 8_192
_KEYS = {"ts": "_timestamp", "ix": "_twin"}
_KEY_TYPES = {"ts": f"{TIMESTAMPTZ.sql} NOT NULL", "ix": "TEXT PRIMARY KEY"}
_FEW = 4
"""How many columns are changed one by one."""


def table_name(kind: str, number: int, name: str) -> str:
    """Name the SQL table of a table.

    Args:
        kind: ``ts`` for Timeseries, ``ix`` for Indexes.
        number: The account's place in the order in which accounts were made.
        name: The table's own name.

    Example:
        >>> table_name("ts", 1, "weather")
        'ts_1_weather'
    """
    return _fitting(f"{kind}_{number}_{name}")


def _fitting(name: str) -> str:
    """Shorten a name that is too long, so that different names stay different."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}_{sha256(name.encode()).hexdigest()[:8]}"


def column_name(name: str) -> str:
    """Name the SQL column of a column."""
    return _fitting(name)


def _quoted(name: str) -> str:
    return f'"{column_name(name)}"'


def create_table(tx: Transaction, table: str, columns: Iterable[tuple[str, ColumnType]]) -> None:
    """Make the SQL table of a Timeseries or Indexes table, which of the two its name tells."""
    _create(tx, table, table[:2], columns)
    _index(tx, table)


def _create(
    tx: Transaction, table: str, kind: str, columns: Iterable[tuple[str, ColumnType]]
) -> None:
    more = "".join(f", {_quoted(name)} {column.sql}" for name, column in columns)
    tx.run(f"CREATE TABLE {table} ({_KEYS[kind]} {_KEY_TYPES[kind]}{more})")


def _index(tx: Transaction, table: str) -> None:
    if table.startswith("ts"):
        tx.run(f"CREATE INDEX {_quoted(table + '_at')} ON {table} (_timestamp)")


def change_columns(
    tx: Transaction,
    table: str,
    columns: Mapping[str, ColumnType],
    renames: Mapping[str, str],
    added: Collection[str],
) -> None:
    """Rename columns, all at once: two may exchange their names; and add columns.

    Args:
        tx: Where to write.
        table: The SQL table.
        columns: All columns that it is to have.
        renames: New names by old ones.
        added: Names of the new columns, which are null in the rows that there are.
    """
    if len(renames) + len(added) > _FEW or renames.keys() & columns.keys():
        _rebuild(tx, table, columns, {new: old for old, new in renames.items()}, added)
        return
    for name, new in renames.items():
        tx.run(f"ALTER TABLE {table} RENAME COLUMN {_quoted(name)} TO {_quoted(new)}")
    for name in added:
        tx.run(f"ALTER TABLE {table} ADD COLUMN {_quoted(name)} {columns[name].sql}")


def _rebuild(
    tx: Transaction,
    table: str,
    columns: Mapping[str, ColumnType],
    before: Mapping[str, str],
    added: Collection[str],
) -> None:
    """Copy the rows into a new table: SQLite takes long for each single change of a column."""
    kind, new = table[:2], _fitting(f"new_{table}")
    _create(tx, new, kind, columns.items())
    kept = [name for name in columns if name not in added]
    names = ", ".join([_KEYS[kind], *map(_quoted, kept)])
    olds = ", ".join([_KEYS[kind], *(_quoted(before.get(name, name)) for name in kept)])
    tx.run(f"INSERT INTO {new} ({names}) SELECT {olds} FROM {table}")
    tx.run(f"DROP TABLE {table}")
    tx.run(f"ALTER TABLE {new} RENAME TO {table}")
    _index(tx, table)


def drop_table(tx: Transaction, table: str) -> None:
    """Remove a table with its rows."""
    tx.run(f"DROP TABLE {table}")


def empty_table(tx: Transaction, table: str) -> None:
    """Remove all rows of a table."""
    tx.run(f"DELETE FROM {table}")


def add_measurement(
    tx: Transaction,
    table: str,
    at: str,
    dimensions: Mapping[str, Any],
    measurements: Mapping[str, Any],
) -> None:
    """Write measurements into the row of a moment and its dimensions, making it if need be.

    Args:
        tx: Where to write.
        table: The SQL table of a Timeseries table.
        at: The moment, as `TIMESTAMPTZ` makes it.
        dimensions: All dimensions of the table.
        measurements: The measurements to set; none leaves those that there are.
    """
    key = {"_timestamp": at, **dimensions}
    # Unique indexes take one null for different from another, so the row is looked for instead.
    where = " AND ".join(
        f"{_quoted(name)} {'IS NULL' if value is None else '= ?'}" for name, value in key.items()
    )
    changes = (
        ", ".join(f"{_quoted(name)} = ?" for name in measurements) or "_timestamp = _timestamp"
    )
    given = [value for value in key.values() if value is not None]
    if not tx.run(f"UPDATE {table} SET {changes} WHERE {where}", *measurements.values(), *given):
        _insert(tx, table, {**key, **measurements})


def put_row(tx: Transaction, table: str, twin: str, properties: Mapping[str, Any]) -> None:
    """Write the row of a Twin into the table of an Indexes table."""
    changes = ", ".join(
        f"{name} = excluded.{name}" for name in map(_quoted, ("_twin", *properties))
    )
    _insert(
        tx, table, {"_twin": twin, **properties}, f"ON CONFLICT (_twin) DO UPDATE SET {changes}"
    )


def _insert(tx: Transaction, table: str, row: Mapping[str, Any], conflict: str = "") -> None:
    names, marks = ", ".join(map(_quoted, row)), ", ".join("?" * len(row))
    tx.run(f"INSERT INTO {table} ({names}) VALUES ({marks}) {conflict}", *row.values())


def drop_row(tx: Transaction, table: str, twin: str) -> None:
    """Remove the row of a Twin."""
    tx.run(f"DELETE FROM {table} WHERE _twin = ?", twin)


def drop_before(tx: Transaction, table: str, at: float) -> None:
    """Remove the rows of moments before a time in Unix seconds."""
    tx.run(f"DELETE FROM {table} WHERE _timestamp < ?", TIMESTAMPTZ.fit(at))


def stats(tx: Transaction, table: str, columns: int) -> dict[str, int]:
    """Estimate the sizes of a table in bytes, in whole pages.

    Args:
        tx: Where to read.
        table: The SQL table.
        columns: How many columns it has.
    """
    row = tx.row(f"SELECT COUNT(*) AS number FROM {table}")
    number = 0 if row is None else row["number"]
    sizes = {"table_size": number * (24 + 8 * columns), "index_size": number * 16}
    sizes = {name: max(_PAGE, -(-size // _PAGE) * _PAGE) for name, size in sizes.items()}
    return {**sizes, "toast_size": 0, "total_size": sum(sizes.values())}
