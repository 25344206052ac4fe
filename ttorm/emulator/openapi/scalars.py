"""Names, identifiers, times, rules: the texts and numbers that bodies and paths are made of."""

from __future__ import annotations

from ttorm.api import names
from ttorm.emulator import body, guard, templates
from ttorm.emulator.openapi.schema import Schema, named, text

__all__ = ["SCHEMAS"]

_TWIN = "085c0f9f-427e-4e23-9a60-bacf6585a862"

SCHEMAS: dict[str, Schema] = {
    "Uuid": text(names.UUID, _TWIN),
    "Timestamp": {
        "type": "number",
        "description": "Unix seconds in UTC, with up to three decimals.",
        "minimum": -body.MAX_TIMESTAMP,
        "maximum": body.MAX_TIMESTAMP,
        "examples": [1718000000.125],
    },
    "Rule": {
        "type": "string",
        "format": "rule",
        "description": "An expression that is true or false, about TWIN, LEDGER, USER and others.",
        "minLength": 1,
        "maxLength": guard.MAX_TEXT,
        "examples": ["TWIN.company == USER.company"],
    },
    "Template": {
        "type": "string",
        "format": "template",
        "description": "Text in which each {name} stands for a value.",
        "maxLength": templates.MAX_TEXT,
        "examples": ["{LEDGER.city}"],
    },
    "Name": text(body.NAME, "Service team", description="Name of a user or role."),
    "EntryName": text(names.ENTRY_NAME_ACCEPTED, "battery_level"),
    "IdentityName": text(names.IDENTITY, "SN#A17"),
    "Period": text(names.HISTORY, "3M", description="Days, weeks, months, years, or without end."),
    "Topic": text(names.TOPIC, "door-opened"),
    "Color": text(names.COLOR, "red"),
    "TableName": text(names.TABLE_NAME, "climate"),
    "Description": {
        **named(text(names.DESCRIPTION_KEY, "model"), {"examples": ["X1"]}),
        "description": "An object of one's own.",
    },
    "ItemError": {
        "type": "object",
        "description": "What stands in the place of an item that could not be written.",
        "properties": {"error": {"type": "string", "examples": ["Entry already exists."]}},
        "required": ["error"],
        "additionalProperties": False,
    },
    "Download": {
        "type": "object",
        "description": "A temporary address of a file, which is fetched without a credential.",
        "properties": {
            "url": {"type": "string", "format": "uri", "examples": ["https://host/download/a/b"]},
            "validity_ts": {"$ref": "#/components/schemas/Timestamp"},
        },
        "required": ["url", "validity_ts"],
        "additionalProperties": False,
    },
}
