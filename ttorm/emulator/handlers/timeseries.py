"""Timeseries tables: making, listing, changing, emptying and deleting them."""

from __future__ import annotations

from typing import Any

from ttorm.api import names
from ttorm.emulator.answers import Fault
from ttorm.emulator.body import check_fields, check_mapping
from ttorm.emulator.call import Call
from ttorm.emulator.columns import check_distinct, read_new_columns
from ttorm.emulator.columntypes import DIMENSION_TYPES, TYPES
from ttorm.emulator.handlers import handles, tables
from ttorm.emulator.handlers.series import read_row_templates
from ttorm.emulator.tables import TIMESERIES, TimeseriesTable

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
    return tables.create(call, TIMESERIES, _read_table)


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
        "database": tables.read_place(fields, where),
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


@handles("get_timeseries_tables")
def get_timeseries_tables(call: Call) -> dict[str, Any]:
    """List the names of the account's Timeseries tables."""
    return tables.list_names(call, TIMESERIES)


@handles("get_timeseries_table")
def get_timeseries_table(call: Call) -> dict[str, Any]:
    """Show a Timeseries table."""
    return tables.show(call, tables.find(call, TIMESERIES))


@handles("update_timeseries_table")
def update_timeseries_table(call: Call) -> dict[str, Any]:
    """Change what the body names of a Timeseries table."""
    body = call.require_body()
    check_fields(body, _FIELDS)
    where = "the table"
    columns = tables.read_column_changes(body, _COLUMNS)
    fields: dict[str, Any] = {
        name: _read_period(body[name], f"{name!r}")
        for name in ("retention", "chunk")
        if name in body
    }
    if "defaults" in body:
        fields["defaults"] = _read_defaults(body["defaults"], where)

    def check(table: TimeseriesTable) -> None:
        if "defaults" in body:
            _check_defaults(table.defaults, table.dimensions.names, where)

    return tables.change(call, TIMESERIES, fields, columns, check)


@handles("truncate_timeseries_table")
def truncate_timeseries_table(call: Call) -> dict[str, Any]:
    """Remove all rows of a Timeseries table."""
    return tables.truncate(call, TIMESERIES)


@handles("delete_timeseries_table")
def delete_timeseries_table(call: Call) -> dict[str, Any]:
    """Delete a Timeseries table with its rows; Entries that name it keep doing so."""
    return tables.delete(call, TIMESERIES)
