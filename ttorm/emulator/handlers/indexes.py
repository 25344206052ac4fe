"""Indexes tables: making, listing, changing, emptying and deleting them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping, check_rule, check_template
from ttorm.emulator.call import Call
from ttorm.emulator.columns import check_distinct, read_new_columns
from ttorm.emulator.columntypes import TYPES
from ttorm.emulator.handlers import handles, tables
from ttorm.emulator.tables import INDEXES, IndexesTable

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
    return tables.create(call, INDEXES, _read_table)


def _read_table(fields: Any, where: str) -> dict[str, Any]:
    check_fields(check_mapping(fields, where), _FIELDS, required=_REQUIRED, where=where)
    properties = read_new_columns(fields["properties"], TYPES, f"the properties of {where}")
    check_distinct(properties.names, where)
    templates = _read_templates(fields["templates"], where)
    _check_templates(templates, properties.names, where)
    return {
        "database": tables.read_place(fields, where),
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


@handles("get_indexes_tables")
def get_indexes_tables(call: Call) -> dict[str, Any]:
    """List the names of the account's Indexes tables."""
    return tables.list_names(call, INDEXES)


@handles("get_indexes_table")
def get_indexes_table(call: Call) -> dict[str, Any]:
    """Show an Indexes table."""
    return tables.show(call, tables.find(call, INDEXES))


@handles("update_indexes_table")
def update_indexes_table(call: Call) -> dict[str, Any]:
    """Change what the body names of an Indexes table; Ledgers enter and leave as they change."""
    body = call.require_body()
    check_fields(body, _FIELDS)
    where = "the table"
    fields: dict[str, Any] = {}
    if "rule" in body:
        fields["rule"] = check_rule(body["rule"], "'rule'")
    if "templates" in body:
        fields["templates"] = _read_templates(body["templates"], where)

    def check(table: IndexesTable) -> None:
        _check_templates(table.templates, table.properties.names, where)

    columns = tables.read_column_changes(body, {"properties": TYPES})
    return tables.change(call, INDEXES, fields, columns, check)


@handles("truncate_indexes_table")
def truncate_indexes_table(call: Call) -> dict[str, Any]:
    """Remove all rows of an Indexes table; Ledgers name it until they change."""
    return tables.truncate(call, INDEXES)


@handles("delete_indexes_table")
def delete_indexes_table(call: Call) -> dict[str, Any]:
    """Delete an Indexes table with its rows; Ledgers name it until they change."""
    return tables.delete(call, INDEXES)
