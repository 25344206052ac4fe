"""Timeseries tables: making, listing, changing, emptying and deleting them."""

from __future__ import annotations

from typing import Any

from ttorm.api import names
from ttorm.emulator import sql
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping
from ttorm.emulator.call import Call
from ttorm.emulator.columns import ColumnChanges, check_distinct, read_changes, read_new_columns
from ttorm.emulator.columntypes import DIMENSION_TYPES, TYPES
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.series import read_row_templates
from ttorm.emulator.handlers.tables import (
    account_number,
    find_place,
    read_place,
    read_tables,
    refusal,
)
from ttorm.emulator.rows import to_json
from ttorm.emulator.tables import TimeseriesTable, stats_of, timeseries_tables

__all__ = [
    "create_timeseries_table",
    "delete_timeseries_table",
    "get_timeseries_table",
    "get_timeseries_tables",
    "truncate_timeseries_table",
    "update_timeseries_table",
]

_COLUMNS = {"dimensions": DIMENSION_TYPES, "measurements": TYPES}
_FIELDS = (*_COLUMNS, "defaults", "retention", "chunk", "database")


@handles("create_timeseries_table")
def create_timeseries_table(call: Call) -> dict[str, Any]:
    """Make Timeseries tables; those that exist are left as they are."""
    drafts = {
        name: _read_table(fields, f"the table {name!r}")
        for name, fields in read_tables(call, "timeseries").items()
    }
    call.require_service("timeseries")
    known = {*timeseries_tables(call.tx, call.account)}
    return {
        "timeseries": {name: _create(call, name, draft, known) for name, draft in drafts.items()}
    }


def _read_table(fields: Any, where: str) -> dict[str, Any]:
    check_fields(check_mapping(fields, where), _FIELDS, required=_COLUMNS, where=where)
    dimensions, measurements = (
        read_new_columns(fields[name], types, f"the {name} of {where}")
        for name, types in _COLUMNS.items()
    )
    check_distinct(dimensions.names + measurements.names, where)
    defaults = _read_defaults(fields.get("defaults"), where)
    _check_defaults(defaults, dimensions.names, where)
    return {
        "database": read_place(fields, where),
        "dimensions": dimensions,
        "measurements": measurements,
        "defaults": defaults,
        "retention": _read_period(fields.get("retention", "INF"), f"the retention of {where}"),
        "chunk": _read_period(fields.get("chunk", "7D"), f"the chunk of {where}"),
    }


def _read_defaults(value: Any, where: str) -> dict[str, Any] | None:
    return None if value is None else read_row_templates(value, f"the defaults of {where}")


def _check_defaults(
    defaults: dict[str, Any] | None, dimensions: tuple[str, ...], where: str
) -> None:
    for name in (defaults or {}).get("dimensions", ()):
        if name not in dimensions:
            raise Fault(400589, f"The defaults of {where} name {name!r}, which is no dimension.")


def _read_period(value: Any, where: str) -> str:
    if isinstance(value, str) and names.HISTORY.fullmatch(value):
        return value
    raise Fault(400589, f"{where} is {value!r}: write 1 to 999 followed by D, W, M or Y, or 'INF'.")


def _create(call: Call, name: str, draft: dict[str, Any], known: set[str]) -> dict[str, Any]:
    error = refusal(name, known)
    if error is not None:
        return {"error": error}
    database = find_place(call, draft.pop("database"))
    if database is None:
        return {"error": "Database does not exist."}
    known.add(name)
    table = TimeseriesTable(
        account=call.account,
        name=name,
        sql_name=sql.table_name("ts", account_number(call), name),
        database=database,
        **draft,
    )
    call.tx.run(
        "INSERT INTO timeseries_tables (dimensions, measurements, defaults, retention, chunk, "
        "account, name, sql_name, database) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *_stored(table),
        *(table.account, table.name, table.sql_name, table.database),
    )
    sql.create_table(call.tx, table.sql_name, table.columns.column_types())
    return _table_object(call, table)


def _stored(table: TimeseriesTable) -> tuple[Any, ...]:
    return (
        table.dimensions.to_json(),
        table.measurements.to_json(),
        None if table.defaults is None else to_json(table.defaults),
        table.retention,
        table.chunk,
    )


def _table_at(call: Call, name: str) -> TimeseriesTable | None:
    row = call.tx.row(
        "SELECT * FROM timeseries_tables WHERE account = ? AND name = ?", call.account, name
    )
    return None if row is None else TimeseriesTable.from_row(row)


def _find_table(call: Call) -> TimeseriesTable:
    """Read the table that the path names (404653 if the account has none of that name)."""
    call.require_service("timeseries")
    name = call.args["timeseries"]
    table = _table_at(call, name)
    if table is None:
        raise Fault(404653, f"There is no Timeseries table {name[:80]!r}.")
    return table


def _table_object(call: Call, table: TimeseriesTable) -> dict[str, Any]:
    return {
        "stats": stats_of(call.tx, table),
        "dimensions": table.dimensions.shown(),
        "measurements": table.measurements.shown(),
        "defaults": table.defaults,
        "retention": table.retention,
        "chunk": table.chunk,
        "database": table.database,
    }


@handles("get_timeseries_tables")
def get_timeseries_tables(call: Call) -> dict[str, Any]:
    """List the names of the account's Timeseries tables."""
    call.require_service("timeseries")
    rows = call.tx.rows(
        "SELECT name FROM timeseries_tables WHERE account = ? ORDER BY name", call.account
    )
    return {"timeseries": [row["name"] for row in rows]}


@handles("get_timeseries_table")
def get_timeseries_table(call: Call) -> dict[str, Any]:
    """Show a Timeseries table."""
    return _table_object(call, _find_table(call))


@handles("update_timeseries_table")
def update_timeseries_table(call: Call) -> dict[str, Any]:
    """Change what the body names of a Timeseries table: columns can be added and renamed."""
    body = call.require_body()
    check_fields(body, _FIELDS)
    changes = {
        name: read_changes(body[name], types, f"{name!r}")
        for name, types in _COLUMNS.items()
        if name in body
    }
    fields: dict[str, Any] = {
        name: _read_period(body[name], f"{name!r}")
        for name in ("retention", "chunk")
        if name in body
    }
    if "defaults" in body:
        fields["defaults"] = _read_defaults(body["defaults"], "the table")
    old = _find_table(call)
    if "database" in body:
        raise Fault(400897, "A table stays in the database where it was made.")
    for name, change in changes.items():
        change.check(getattr(old, name))
        fields[name] = change.after
    table = old._replace(**fields)
    check_distinct(table.columns.names, "the table")
    if "defaults" in body:
        _check_defaults(table.defaults, table.dimensions.names, "the table")
    call.tx.run(
        "UPDATE timeseries_tables SET dimensions = ?, measurements = ?, defaults = ?, "
        "retention = ?, chunk = ? WHERE account = ? AND name = ?",
        *_stored(table),
        *(table.account, table.name),
    )
    _change_columns(call, old, table, changes)
    return _table_object(call, table)


def _change_columns(
    call: Call, old: TimeseriesTable, table: TimeseriesTable, changes: dict[str, ColumnChanges]
) -> None:
    sql.change_columns(
        call.tx,
        table.sql_name,
        dict(table.columns.column_types()),
        {name: new for change in changes.values() for name, new in change.renames.items()},
        [
            *table.dimensions.names[len(old.dimensions.names) :],
            *table.measurements.names[len(old.measurements.names) :],
        ],
    )


@handles("truncate_timeseries_table")
def truncate_timeseries_table(call: Call) -> dict[str, Any]:
    """Remove all rows of a Timeseries table."""
    table = _find_table(call)
    sql.empty_table(call.tx, table.sql_name)
    return _table_object(call, table)


@handles("delete_timeseries_table")
def delete_timeseries_table(call: Call) -> dict[str, Any]:
    """Delete a Timeseries table with its rows; Entries that name it keep doing so."""
    table = _find_table(call)
    shown = _table_object(call, table)
    sql.drop_table(call.tx, table.sql_name)
    call.tx.run(
        "DELETE FROM timeseries_tables WHERE account = ? AND name = ?", table.account, table.name
    )
    return shown
