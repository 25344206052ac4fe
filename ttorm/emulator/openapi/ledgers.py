"""Shapes of Ledgers, Entries and their history."""

from __future__ import annotations

from typing import Any

from ttorm.emulator.handlers.entries import INCLUDE, REFERENCE
from ttorm.emulator.openapi.schema import (
    Schema,
    Shape,
    array,
    choice,
    named,
    nullable,
    record,
    ref,
    text,
)

__all__ = ["SCHEMAS", "SHAPES"]

_TIMESTAMP = ref("Timestamp")
_TWIN = "085c0f9f-427e-4e23-9a60-bacf6585a862"
_ACCOUNT = "02bb52f9-6959-46ec-a075-1a1326c8eae7"
_NAMES = ("entry_created_ts", "entry_updated_ts", "value_changed_ts")
_TIMES = dict.fromkeys(_NAMES, _TIMESTAMP)
# What the service sets itself is ignored in bodies, so that what was read can be sent back.
_SET_BY_SERVICE: Schema = {"writeOnly": True, "examples": [1718000000]}
_IGNORED = dict.fromkeys(_NAMES, _SET_BY_SERVICE)
_NULL: Schema = {"type": "null"}
_VALUE: Schema = {"description": "Any JSON value.", "examples": [21.5]}
_REFERENCE = text(REFERENCE, f"twin://{_TWIN}/{_ACCOUNT}/battery_level")
_INCLUDE = text(INCLUDE, f"twin://{_TWIN}/battery_level")
_VISIBILITY = {"visibility": nullable(ref("Rule"))}
_SERVICES = {
    "history": nullable(ref("Period")),
    "timeseries": nullable(ref("EntryTimeseries")),
    "publish": nullable(ref("EntryPublish")),
}
_SENT_REFERENCE = record(
    {"source": _REFERENCE},
    {"status": {"examples": ["ok"]}, **_VISIBILITY},
    description="The source; its status is ignored.",
)
_SENT_INCLUDE: Schema = {"anyOf": [record({"source": _INCLUDE}), _INCLUDE]}
_GUARD = {
    "conditions": nullable(named(ref("EntryName"), ref("Rule"))),
    "transaction": nullable({"type": "boolean"}),
}


def _write(entry: Schema) -> Schema:
    entries = named(ref("EntryName"), entry, minProperties=1)
    return record({"entries": entries}, _GUARD)


def _ledger(entry: Schema) -> Schema:
    return record(
        {"entries": named(ref("EntryName"), entry)},
        {**_TIMES, "indexes": array(ref("TableName"))},
    )


_WRITTEN = _ledger({"anyOf": [ref("Entry"), ref("ItemError")]})
_SERVED: dict[str, Any] = {
    "history": ref("Period"),
    "timeseries": ref("EntryTimeseries"),
    "publish": ref("EntryPublish"),
}

SCHEMAS: dict[str, Schema] = {
    "RowTemplates": record(
        optional={
            "measurement": ref("Template"),
            "dimensions": named({"examples": ["room"]}, ref("Template")),
            "timestamp": ref("Template"),
        },
        description="Templates that make a row of a Timeseries table.",
    ),
    "EntryTimeseries": named(
        ref("TableName"),
        ref("RowTemplates"),
        description="The Timeseries tables that get a row for each value.",
    ),
    "EntryPublish": named(
        ref("Rule"),
        array({"type": "string", "examples": ["overheat"]}, minItems=1),
        description="Topics by the rule that must hold.",
    ),
    "Entry": record(
        {"value": _VALUE, **_TIMES},
        {
            **_VISIBILITY,
            **_SERVED,
            "ref": record(
                {
                    "source": _REFERENCE,
                    "status": choice(
                        ("ok", "created", "not_found", "loop_detected", "too_many_hops")
                    ),
                }
            ),
            "include": record({"source": _INCLUDE}),
        },
        description="An Entry as its own account sees it.",
        examples=[
            {
                "value": 21.5,
                "visibility": "USER.profession == 'driver'",
                "history": "3M",
                **dict.fromkeys(_NAMES, 1718000000.125),
            }
        ],
    ),
    "EntryValue": record(
        {"value": _VALUE, **_TIMES}, description="What everybody sees who sees an Entry."
    ),
    "NewEntry": {
        "description": "Exactly one of a value, a reference and an include.",
        "oneOf": [
            record({"value": _VALUE}, {**_VISIBILITY, **_SERVICES, **_IGNORED}),
            record({"ref": _SENT_REFERENCE}, {**_VISIBILITY, **_SERVICES, **_IGNORED}),
            record(
                {"include": _SENT_INCLUDE},
                {**_VISIBILITY, **dict.fromkeys(_SERVICES, _NULL), **_IGNORED},
            ),
        ],
        "examples": [{"value": 21.5, "history": "3M"}],
    },
    "EntryChange": record(
        optional={
            "value": _VALUE,
            "ref": nullable(_SENT_REFERENCE),
            "include": nullable(_SENT_INCLUDE),
            **_VISIBILITY,
            **_SERVICES,
            **_IGNORED,
        },
        description="What is to change; what is left out stays as it is.",
        examples=[{"value": 21.5, "visibility": None}],
    ),
    "Ledger": _ledger({"anyOf": [ref("Entry"), ref("EntryValue")]}),
    "WrittenLedger": _WRITTEN,
}

SHAPES: dict[str, Shape] = {
    "add_twin_ledger_entry": Shape(ref("WrittenLedger"), _write(ref("NewEntry"))),
    "get_twin_ledger_entry": Shape(ref("Ledger")),
    "update_twin_ledger_entry": Shape(ref("WrittenLedger"), _write(ref("EntryChange"))),
    "delete_twin_ledger_entry": Shape(
        ref("WrittenLedger"), record(optional=_GUARD), body_needed=False
    ),
    "get_twin_ledger_entry_value": Shape(
        record({"entries": named(ref("EntryName"), ref("EntryValue"))})
    ),
    "update_twin_ledger_entry_value": Shape(
        ref("WrittenLedger"), _write(record({"value": _VALUE}))
    ),
    "get_twin_ledger_entry_history": Shape(
        record(
            {
                "entries": named(
                    # Names of Entries that nobody can see are answered as they were sent.
                    {"type": "string", "examples": ["battery_level"]},
                    {
                        "anyOf": [
                            named({"examples": ["1718000000.125"]}, _VALUE),
                            {"type": "string", "description": "Why there is none."},
                        ],
                        "description": "Values by the time at which they were written.",
                    },
                )
            }
        )
    ),
}
