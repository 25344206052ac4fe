"""Parameters of paths and queries, and the header that every operation takes."""

from __future__ import annotations

from typing import Any

from ttorm.api.operations import Operation
from ttorm.emulator import batches
from ttorm.emulator.body import MAX_DICTIONARY
from ttorm.emulator.handlers.batches import MOST_BATCHES
from ttorm.emulator.handlers.docs import VIEWS
from ttorm.emulator.handlers.history import MOST_RECORDS
from ttorm.emulator.handlers.ledgers import ALIASES
from ttorm.emulator.handlers.stickers import MOST_STICKERS
from ttorm.emulator.handlers.twins import MOST_TWINS
from ttorm.emulator.openapi.schema import Schema, array, choice, ref
from ttorm.emulator.openapi.twins import DOC_NAME
from ttorm.emulator.patterns import MAX_PATTERN

__all__ = ["HEADERS", "parameters"]

_UUID, _TIMESTAMP = ref("Uuid"), ref("Timestamp")
_ANYTHING: Schema = {"type": "string", "minLength": 1, "examples": ["a7fbcd7c"]}
_ON: Schema = {"type": "boolean", "default": True}
_OFF: Schema = {"type": "boolean", "default": False}

HEADERS: dict[str, dict[str, Any]] = {
    "X-TrustedTwin": {
        "name": "X-TrustedTwin",
        "in": "header",
        "description": "Base64 of a JSON object, which rules and templates know as DICT.",
        "schema": {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "application/json",
            "format": "dictionary",
            "maxLength": MAX_DICTIONARY,
            "examples": ["eyJzZXJpYWwiOiAiU04tMTIzIn0="],
        },
    }
}

_PATH: dict[str, tuple[Schema, str]] = {
    "account": (_UUID, "An account."),
    "batch": (_UUID, "A batch."),
    "color": (ref("Color"), "The colour of a Sticker."),
    "database": ({"anyOf": [{"const": "default"}, _UUID]}, "A database, or the default one."),
    "doc_name": (DOC_NAME, "The name of a Doc."),
    "handler": (_ANYTHING, "What an upload or a download was given."),
    "identity": (ref("IdentityName"), "An Identity."),
    "index": (ref("TableName"), "An Indexes table."),
    "pin": (_ANYTHING, "The PIN."),
    "role": (_UUID, "A role."),
    "timeseries": (ref("TableName"), "A Timeseries table."),
    "twin": (_UUID, "A Twin."),
    "user": (_UUID, "A user."),
}


def _number(low: int, high: int, default: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


_ACCOUNTS: Schema = {
    "anyOf": [
        array(choice(("personal", "system")), minItems=1, maxItems=1),
        array(_UUID, minItems=1),
    ]
}
_QUERY: dict[str, tuple[Schema, str]] = {
    "color": (ref("Color"), "Only Stickers of this colour."),
    "context": (_ACCOUNTS, "Whose: one's own, everybody's, or that of these accounts."),
    "count": (_number(1, MOST_TWINS, 100), "How many Twins a page scans."),
    "cursor": ({"type": "string"}, "Where to go on, as the page before says it."),
    "details": (_OFF, "Show Twins, and not only their UUIDs."),
    "download": (_OFF, "Make a temporary address of the file."),
    "entries": (array(ref("EntryName"), minItems=1), "Only these Entries."),
    "fragment": (_ANYTHING, "The part of the log, as the one before names it."),
    "ge": (_TIMESTAMP, "Not before this time."),
    "le": (_TIMESTAMP, "Not after this time."),
    "mask": (
        {"type": "string", "format": "regex", "maxLength": MAX_PATTERN},
        "A pattern in the name.",
    ),
    "match": (ref("Rule"), "Only Twins for which this holds."),
    "offset": (_number(0, 999_999_999, 0), "How many are passed over."),
    "show_expired": (_OFF, "Show what is expired."),
    "show_foreign": (
        {"anyOf": [_OFF, _UUID]},
        "Show those of all other accounts, or of this one.",
    ),
    "show_personal": (_ON, "Show those of one's own account."),
    "show_private": (_ON, "Show what has no visibility."),
    "show_public": (_ON, "Show what has a visibility."),
    "show_references": (_ON, "Show references."),
    "show_terminated": (_ON, "Show a Twin that is terminated."),
    "show_valid": (_ON, "Show what is not expired."),
    "status": (choice(batches.STATUSES), "Only batches of this status."),
    "token": (_ANYTHING, "The token of a subscription."),
    "validity_ts": (_TIMESTAMP, "Until when the address is to be valid."),
    "view": ({**choice(VIEWS), "default": VIEWS[0]}, "As a list, or as a tree of folders."),
}
_LIMITS = {
    "get_batches": _number(1, MOST_BATCHES, MOST_BATCHES),
    "get_twin_ledger_entry_history": _number(1, MOST_RECORDS, MOST_RECORDS),
    "list_stickers": _number(1, MOST_STICKERS, MOST_STICKERS),
}


def parameters(operation: Operation) -> list[dict[str, Any]]:
    """Describe the parameters of an operation."""
    found = [_path(operation, parameter.name) for parameter in operation.path_params]
    found += [_query(operation, name) for name in operation.query]
    return found + [{"$ref": f"#/components/parameters/{name}"} for name in HEADERS]


def _path(operation: Operation, name: str) -> dict[str, Any]:
    schema, about = _ledger(operation) if name == "ledger" else _PATH[name]
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _ledger(operation: Operation) -> tuple[Schema, str]:
    words = ("personal", *ALIASES.get(operation.name, ()))
    return {"anyOf": [choice(words), _UUID]}, "The Ledger of one's own or of another account."


def _query(operation: Operation, name: str) -> dict[str, Any]:
    if name == "limit":
        schema, about = _LIMITS[operation.name], "How many at most."
    else:
        schema, about = _QUERY[name]
    needed = {"required": True} if name == "token" else {}
    return {"name": name, "in": "query", **needed, "description": about, "schema": schema}
