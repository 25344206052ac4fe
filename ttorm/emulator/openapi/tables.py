"""Shapes of databases, Timeseries tables and Indexes tables."""

from __future__ import annotations

from collections.abc import Iterable

from ttorm.emulator.columns import MAX_COLUMNS
from ttorm.emulator.columntypes import DIMENSION_TYPES, TYPES
from ttorm.emulator.handlers.databases import LONGEST_NOTE, PERMISSIONS
from ttorm.emulator.openapi.schema import (
    Schema,
    Shape,
    array,
    choice,
    named,
    nullable,
    record,
    ref,
)

__all__ = ["SCHEMAS", "SHAPES"]

_UUID, _TIMESTAMP = ref("Uuid"), ref("Timestamp")
_TIMES = {"created_ts": _TIMESTAMP, "updated_ts": _TIMESTAMP}
_BYTES: Schema = {"type": "integer", "minimum": 0, "description": "Bytes."}
_NOTE: Schema = {"type": "string", "maxLength": LONGEST_NOTE, "examples": ["Fleet"]}
_NETWORK: Schema = {"type": "string", "examples": ["198.51.100.0/24"]}
_ADDRESSES = named(_NETWORK, _NOTE)
_DEFAULTS = {"defaults": nullable(ref("RowTemplates"))}
_PERIODS = {"retention": ref("Period"), "chunk": ref("Period")}
_PLACE = {"database": nullable(_UUID)}


def _columns(types: Iterable[str], name: Schema) -> Schema:
    return record(
        {
            "names": array(name, maxItems=MAX_COLUMNS),
            "types": array(choice(types), maxItems=MAX_COLUMNS),
        }
    )


def _created(service: str, table: str) -> Schema:
    return record({service: named(ref("TableName"), {"anyOf": [ref(table), ref("ItemError")]})})


_RENAMED: Schema = {"anyOf": [ref("TableName"), array(ref("TableName"), minItems=2, maxItems=2)]}
_TEMPLATES = record({"properties": named(ref("TableName"), ref("Template"))})

SCHEMAS: dict[str, Schema] = {
    "Database": record(
        {
            "uuid": _UUID,
            "default": {"type": "boolean"},
            "status": {"type": "string", "examples": ["available"]},
            "database_size": _BYTES,
            "instance_type": {"type": "string", "examples": ["small"]},
            "note": nullable(_NOTE),
            **_TIMES,
        }
    ),
    "DatabaseSummary": record({"status": {"type": "string"}, "note": nullable(_NOTE), **_TIMES}),
    "Permissions": record({name: array(choice(known)) for name, known in PERMISSIONS.items()}),
    "TableStats": record(
        dict.fromkeys(("table_size", "index_size", "toast_size", "total_size"), _BYTES)
    ),
    "Dimensions": _columns(DIMENSION_TYPES, ref("TableName")),
    "Columns": _columns(TYPES, ref("TableName")),
    "DimensionChanges": _columns(DIMENSION_TYPES, _RENAMED),
    "ColumnChanges": _columns(TYPES, _RENAMED),
    "TimeseriesTable": record(
        {
            "stats": ref("TableStats"),
            "dimensions": ref("Dimensions"),
            "measurements": ref("Columns"),
            **_DEFAULTS,
            **_PERIODS,
            "database": _UUID,
        }
    ),
    "NewTimeseriesTable": record(
        {"dimensions": ref("Dimensions"), "measurements": ref("Columns")},
        {**_DEFAULTS, **_PERIODS, **_PLACE},
        examples=[
            {
                "dimensions": {"names": ["room"], "types": ["uuid"]},
                "measurements": {"names": ["celsius"], "types": ["real"]},
                "defaults": {"measurement": "{entry_name}", "dimensions": {"room": "{twin}"}},
                "retention": "1Y",
            }
        ],
    ),
    "IndexesTable": record(
        {
            "stats": ref("TableStats"),
            "rule": ref("Rule"),
            "properties": ref("Columns"),
            "templates": _TEMPLATES,
            "database": _UUID,
        }
    ),
    "NewIndexesTable": record(
        {"rule": ref("Rule"), "properties": ref("Columns"), "templates": _TEMPLATES},
        _PLACE,
        examples=[
            {
                "rule": "LEDGER.celsius > 25",
                "properties": {"names": ["celsius"], "types": ["real"]},
                "templates": {"properties": {"celsius": "{LEDGER.celsius}"}},
            }
        ],
    ),
}

SHAPES: dict[str, Shape] = {
    "get_databases": Shape(
        record({"default": _UUID, "databases": named(_UUID, ref("DatabaseSummary"))})
    ),
    "get_database": Shape(ref("Database")),
    "update_database": Shape(
        ref("Database"), record(optional={"default": {"type": "boolean"}, "note": nullable(_NOTE)})
    ),
    "get_database_access": Shape(
        record({"users": named(_UUID, ref("Permissions")), "ips": _ADDRESSES})
    ),
    "update_database_user_access": Shape(
        ref("Permissions"),
        record(optional={name: array(choice(known)) for name, known in PERMISSIONS.items()}),
    ),
    "update_database_ip_access": Shape(_ADDRESSES, named(_NETWORK, nullable(_NOTE))),
    "create_timeseries_table": Shape(
        _created("timeseries", "TimeseriesTable"),
        record({"timeseries": named(ref("TableName"), ref("NewTimeseriesTable"), minProperties=1)}),
    ),
    "get_timeseries_tables": Shape(record({"timeseries": array(ref("TableName"))})),
    "get_timeseries_table": Shape(ref("TimeseriesTable")),
    "update_timeseries_table": Shape(
        ref("TimeseriesTable"),
        record(
            optional={
                "dimensions": ref("DimensionChanges"),
                "measurements": ref("ColumnChanges"),
                **_DEFAULTS,
                **_PERIODS,
            }
        ),
    ),
    "truncate_timeseries_table": Shape(ref("TimeseriesTable")),
    "delete_timeseries_table": Shape(ref("TimeseriesTable")),
    "create_indexes_table": Shape(
        _created("indexes", "IndexesTable"),
        record({"indexes": named(ref("TableName"), ref("NewIndexesTable"), minProperties=1)}),
    ),
    "get_indexes_tables": Shape(record({"indexes": array(ref("TableName"))})),
    "get_indexes_table": Shape(ref("IndexesTable")),
    "update_indexes_table": Shape(
        ref("IndexesTable"),
        record(
            optional={
                "rule": ref("Rule"),
                "properties": ref("ColumnChanges"),
                "templates": _TEMPLATES,
            }
        ),
    ),
    "truncate_indexes_table": Shape(ref("IndexesTable")),
    "delete_indexes_table": Shape(ref("IndexesTable")),
}
