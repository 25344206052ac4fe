"""What Timeseries and Indexes tables have in common: their verbs, names and databases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from ttorm.emulator import sql
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping, check_uuid
from ttorm.emulator.call import Call
from ttorm.emulator.columns import ColumnChanges, check_distinct, read_changes
from ttorm.emulator.handlers.databases import database_at, default_database
from ttorm.emulator.handlers.series import check_table_name
from ttorm.emulator.tables import (
    IndexesTable,
    Kind,
    TimeseriesTable,
    delete_table,
    find_table,
    insert_table,
    stats_of,
    tables_of,
    update_table,
)

__all__ = [
    "MAX_TABLES",
    "change",
    "create",
    "delete",
    "find",
    "list_names",
    "read_column_changes",
    "read_place",
    "show",
    "truncate",
]

T = TypeVar("T", TimeseriesTable, IndexesTable)

MAX_TABLES = 100
"""How many tables of one service an account may have: each write to a Ledger asks them all."""


def create(call: Call, kind: Kind[T], read: Callable[[Any, str], dict[str, Any]]) -> dict[str, Any]:
    """Make the tables of the body; those that exist are left as they are.

    Args:
        call: The request.
        kind: What kind of tables.
        read: Reads the fields of one, given what messages call it.
    """
    drafts = {
        name: read(fields, f"the table {name!r}")
        for name, fields in _read_tables(call, kind.service).items()
    }
    call.require_service(kind.service)
    known = {*tables_of(call.tx, kind, call.account)}
    return {
        kind.service: {
            name: _create(call, kind, name, draft, known) for name, draft in drafts.items()
        }
    }


def _read_tables(call: Call, service: str) -> Mapping[str, Any]:
    """Read the body of a creation: tables by name (400589 if there are none)."""
    body = call.require_body()
    check_fields(body, {service}, required={service})
    tables = check_mapping(body[service], f"{service!r}")
    if not tables:
        raise Fault(400589, f"{service!r} is empty: name at least one table.")
    for name in tables:
        check_table_name(name)
    return tables


def read_place(fields: Mapping[str, Any], where: str) -> str | None:
    """Read in which database a new table is to be; None leaves it to the account."""
    if fields.get("database") is None:
        return None
    return check_uuid(fields["database"], f"the database of {where}")


def _create(
    call: Call, kind: Kind[T], name: str, draft: dict[str, Any], known: set[str]
) -> dict[str, Any]:
    error = _refusal(name, known)
    if error is not None:
        return {"error": error}
    database = _find_place(call, draft.pop("database"))
    if database is None:
        return {"error": "Database does not exist."}
    known.add(name)
    table = kind.model(
        account=call.account,
        name=name,
        sql_name=sql.table_name(kind.prefix, _account_number(call), name),
        database=database,
        **draft,
    )
    insert_table(call.tx, kind, table)
    sql.create_table(call.tx, table.sql_name, table.columns.column_types())
    return show(call, table)


def _refusal(name: str, known: Collection[str]) -> str | None:
    """Return why a table cannot be made beside those of its service that there are, or None."""
    if name in known:
        return "Table already exists."
    return f"There are {MAX_TABLES} tables already." if len(known) >= MAX_TABLES else None


def _find_place(call: Call, database: str | None) -> str | None:
    """Return the UUID of the database for a new table, or None if the account has none such."""
    if database is None:
        return default_database(call)
    return None if database_at(call, database) is None else database


def _account_number(call: Call) -> int:
    """Return the place of the caller's account among all accounts, which names its SQL tables."""
    (row,) = call.tx.rows("SELECT number FROM accounts WHERE uuid = ?", call.account)
    return int(row["number"])


def list_names(call: Call, kind: Kind[T]) -> dict[str, Any]:
    """List the names of the account's tables."""
    call.require_service(kind.service)
    return {kind.service: [*tables_of(call.tx, kind, call.account)]}


def find(call: Call, kind: Kind[T]) -> T:
    """Read the table that the path names (404653 if the account has none of that name)."""
    call.require_service(kind.service)
    name = call.args[kind.argument]
    table = find_table(call.tx, kind, call.account, name)
    if table is None:
        raise Fault(404653, f"There is no {kind.title} table {name[:80]!r}.")
    return table


def show(call: Call, table: TimeseriesTable | IndexesTable) -> dict[str, Any]:
    """Show a table as answers do."""
    stats = stats_of(call.tx, table)
    return {"stats": stats, **table.shown(), "database": table.database}


def read_column_changes(
    body: Mapping[str, Any], kinds: Mapping[str, Collection[str]]
) -> dict[str, ColumnChanges]:
    """Read the columns that a table is to have, by the body's members that name some."""
    return {
        name: read_changes(body[name], types, f"{name!r}")
        for name, types in kinds.items()
        if name in body
    }


def change(
    call: Call,
    kind: Kind[T],
    fields: dict[str, Any],
    columns: Mapping[str, ColumnChanges],
    check: Callable[[T], None],
) -> dict[str, Any]:
    """Change the table that the path names: columns can be added and renamed.

    Args:
        call: The request.
        kind: What kind of table.
        fields: What is to be different.
        columns: Which columns are.
        check: Refuses a table whose fields do not go together.
    """
    old = find(call, kind)
    if "database" in call.require_body():
        raise Fault(400897, "A table stays in the database where it was made.")
    added: list[str] = []
    for name, changed in columns.items():
        before = getattr(old, name)
        changed.check(before)
        fields[name] = changed.after
        added += changed.after.names[len(before.names) :]
    table = old._replace(**fields)
    check_distinct(table.columns.names, "the table")
    check(table)
    update_table(call.tx, kind, table)
    sql.change_columns(
        call.tx,
        table.sql_name,
        dict(table.columns.column_types()),
        {name: new for changed in columns.values() for name, new in changed.renames.items()},
        added,
    )
    return show(call, table)


def truncate(call: Call, kind: Kind[T]) -> dict[str, Any]:
    """Remove all rows of the table that the path names."""
    table = find(call, kind)
    sql.empty_table(call.tx, table.sql_name)
    return show(call, table)


def delete(call: Call, kind: Kind[T]) -> dict[str, Any]:
    """Delete the table that the path names, with its rows."""
    table = find(call, kind)
    shown = show(call, table)
    sql.drop_table(call.tx, table.sql_name)
    delete_table(call.tx, kind, table)
    return shown
