"""Indexes tables: making, listing, changing, emptying and deleting them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ttorm.emulator import sql
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping, check_rule, check_template
from ttorm.emulator.call import Call
from ttorm.emulator.columns import check_distinct, read_changes, read_new_columns
from ttorm.emulator.columntypes import TYPES
from ttorm.emulator.handlers import handles
from ttorm.emulator.handlers.tables import (
    account_number,
    find_place,
    read_place,
    read_tables,
    refusal,
)
from ttorm.emulator.rows import to_json
from ttorm.emulator.tables import IndexesTable, indexes_tables, stats_of

__all__ = [
    "create_indexes_table",
    "delete_indexes_table",
    "get_indexes_table",
    "get_indexes_tables",
    "truncate_indexes_table",
    "update_indexes_table",
]

_REQUIRED = ("rule", "properties", "templates")
_FIELDS = (*_REQUIRED, "database")


@handles("create_indexes_table")
def create_indexes_table(call: Call) -> dict[str, Any]:
    """Make Indexes tables, which Ledgers enter as they change; those that exist are left."""
    drafts = {
        name: _read_table(fields, f"the table {name!r}")
        for name, fields in read_tables(call, "indexes").items()
    }
    call.require_service("indexes")
    known = {*indexes_tables(call.tx, call.account)}
    return {"indexes": {name: _create(call, name, draft, known) for name, draft in drafts.items()}}


def _read_table(fields: Any, where: str) -> dict[str, Any]:
    check_fields(check_mapping(fields, where), _FIELDS, required=_REQUIRED, where=where)
    properties = read_new_columns(fields["properties"], TYPES, f"the properties of {where}")
    check_distinct(properties.names, where)
    templates = _read_templates(fields["templates"], where)
    _check_templates(templates, properties.names, where)
    return {
        "database": read_place(fields, where),
        "rule": check_rule(fields["rule"], f"the rule of {where}"),
        "properties": properties,
        "templates": templates,
    }


def _read_templates(value: Any, where: str) -> dict[str, str]:
    """Read the templates of properties, by their names."""
    where = f"the templates of {where}"
    fields = check_mapping(value, where)
    check_fields(fields, ["properties"], required=["properties"], where=where)
    properties = check_mapping(fields["properties"], where)
    return {
        name: check_template(template, f"the template of {name!r}")
        for name, template in properties.items()
    }


def _check_templates(templates: Collection[str], properties: Collection[str], where: str) -> None:
    """Refuse templates that are not one for each property (400589)."""
    for name in properties:
        if name not in templates:
            raise Fault(400589, f"The property {name!r} of {where} needs a template.")
    for name in templates:
        if name not in properties:
            raise Fault(400589, f"There is a template for {name!r}, no property of {where}.")


def _create(call: Call, name: str, draft: dict[str, Any], known: set[str]) -> dict[str, Any]:
    error = refusal(name, known)
    if error is not None:
        return {"error": error}
    database = find_place(call, draft.pop("database"))
    if database is None:
        return {"error": "Database does not exist."}
    known.add(name)
    table = IndexesTable(
        account=call.account,
        name=name,
        sql_name=sql.table_name("ix", account_number(call), name),
        database=database,
        **draft,
    )
    call.tx.run(
        "INSERT INTO indexes_tables (rule, properties, templates, account, name, sql_name, "
        "database) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *_stored(table),
        *(table.account, table.name, table.sql_name, table.database),
    )
    sql.create_table(call.tx, table.sql_name, table.columns.column_types())
    return _table_object(call, table)


def _stored(table: IndexesTable) -> tuple[str, ...]:
    return table.rule, table.properties.to_json(), to_json(table.templates)


def _table_at(call: Call, name: str) -> IndexesTable | None:
    row = call.tx.row(
        "SELECT * FROM indexes_tables WHERE account = ? AND name = ?", call.account, name
    )
    return None if row is None else IndexesTable.from_row(row)


def _find_table(call: Call) -> IndexesTable:
    """Read the table that the path names (404653 if the account has none of that name)."""
    call.require_service("indexes")
    name = call.args["index"]
    table = _table_at(call, name)
    if table is None:
        raise Fault(404653, f"There is no Indexes table {name[:80]!r}.")
    return table


def _table_object(call: Call, table: IndexesTable) -> dict[str, Any]:
    return {
        "stats": stats_of(call.tx, table),
        "rule": table.rule,
        "properties": table.properties.shown(),
        "templates": {"properties": table.templates},
        "database": table.database,
    }


@handles("get_indexes_tables")
def get_indexes_tables(call: Call) -> dict[str, Any]:
    """List the names of the account's Indexes tables."""
    call.require_service("indexes")
    rows = call.tx.rows(
        "SELECT name FROM indexes_tables WHERE account = ? ORDER BY name", call.account
    )
    return {"indexes": [row["name"] for row in rows]}


@handles("get_indexes_table")
def get_indexes_table(call: Call) -> dict[str, Any]:
    """Show an Indexes table."""
    return _table_object(call, _find_table(call))


@handles("update_indexes_table")
def update_indexes_table(call: Call) -> dict[str, Any]:
    """Change what the body names of an Indexes table: properties can be added and renamed.

    Ledgers enter and leave as they change.
    """
    body = call.require_body()
    check_fields(body, _FIELDS)
    where = "the table"
    fields: dict[str, Any] = {}
    if "rule" in body:
        fields["rule"] = check_rule(body["rule"], "'rule'")
    if "templates" in body:
        fields["templates"] = _read_templates(body["templates"], where)
    changes = None
    if "properties" in body:
        changes = read_changes(body["properties"], TYPES, "'properties'")
        fields["properties"] = changes.after
    old = _find_table(call)
    if "database" in body:
        raise Fault(400897, "A table stays in the database where it was made.")
    table = old._replace(**fields)
    if changes is not None:
        changes.check(old.properties)
        check_distinct(table.properties.names, where)
    _check_templates(table.templates, table.properties.names, where)
    call.tx.run(
        "UPDATE indexes_tables SET rule = ?, properties = ?, templates = ? "
        "WHERE account = ? AND name = ?",
        *_stored(table),
        *(table.account, table.name),
    )
    sql.change_columns(
        call.tx,
        table.sql_name,
        dict(table.properties.column_types()),
        changes.renames if changes else {},
        table.properties.names[len(old.properties.names) :],
    )
    return _table_object(call, table)


@handles("truncate_indexes_table")
def truncate_indexes_table(call: Call) -> dict[str, Any]:
    """Remove all rows of an Indexes table; Ledgers name it until they change."""
    table = _find_table(call)
    sql.empty_table(call.tx, table.sql_name)
    return _table_object(call, table)


@handles("delete_indexes_table")
def delete_indexes_table(call: Call) -> dict[str, Any]:
    """Delete an Indexes table with its rows; Ledgers name it until they change."""
    table = _find_table(call)
    shown = _table_object(call, table)
    sql.drop_table(call.tx, table.sql_name)
    call.tx.run(
        "DELETE FROM indexes_tables WHERE account = ? AND name = ?", table.account, table.name
    )
    return shown
