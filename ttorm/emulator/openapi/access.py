"""Shapes of accounts, users, secrets, tokens, roles, usage and log."""

from __future__ import annotations

import re

from ttorm.emulator import ids
from ttorm.emulator.handlers.roles import ACTION_NAMES, EFFECTS
from ttorm.emulator.handlers.tokens import OPTIONS
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

_UUID, _TIMESTAMP = ref("Uuid"), ref("Timestamp")
_TIMES = {"created_ts": _TIMESTAMP, "updated_ts": _TIMESTAMP}
_VALIDITY = {"validity_ts": nullable(_TIMESTAMP)}
_RULE = nullable(ref("Rule"))
_KINDS = ("twin", "entry", "identity")
_SECRET = {"type": "string", "minLength": 1, "examples": ["4fTz...64 characters...kR9w"]}
_HOUR = re.compile(r"[0-9]{4}(?:-[0-9]{2}){3}")
_PIN = re.compile(f"[{ids.PIN_LETTERS}]{{{ids.PIN_LENGTH}}}")
_ROLE_FIELDS = {
    "name": ref("Name"),
    "statement": ref("Statement"),
    "rules": nullable(
        {
            "anyOf": [
                record(optional={f"{kind}_rule": _RULE for kind in _KINDS}),
                record(optional=dict.fromkeys(_KINDS, _RULE)),
            ]
        }
    ),
}
_USER_FIELDS = {
    "name": nullable(ref("Name")),
    "description": nullable(ref("Description")),
    "activity": nullable(ref("Log")),
}

SCHEMAS: dict[str, Schema] = {
    "WhoAmI": record({"account": _UUID, "user": _UUID, "role": _UUID}),
    "Log": {
        **named(
            ref("TableName"),
            record(optional={"dimensions": named({"examples": ["who"]}, ref("Template"))}),
        ),
        "description": "Timeseries tables that log something, with templates of their dimensions.",
    },
    "AccessLog": {
        **named(ref("Rule"), ref("Log")),
        "description": "Which accesses are logged where: tables by rule.",
    },
    "Account": record({"uuid": _UUID, **_TIMES}, {"resource_access_log": ref("AccessLog")}),
    "User": record(
        {"uuid": _UUID, "account": _UUID, "role": _UUID, **_TIMES},
        {"name": ref("Name"), "description": ref("Description"), "activity": ref("Log")},
    ),
    "UserSummary": record({"role": _UUID, **_TIMES}, {"name": ref("Name")}),
    "Statement": record(
        {"effect": choice(EFFECTS), "actions": nullable(array(choice(sorted(ACTION_NAMES))))},
        description="The operations that are all that is allowed, or all that is denied.",
    ),
    "Role": record(
        {
            "uuid": _UUID,
            "account": _UUID,
            "name": ref("Name"),
            "statement": ref("Statement"),
            "rules": record({f"{kind}_rule": _RULE for kind in _KINDS}),
            **_TIMES,
        }
    ),
    "Secret": record(
        {
            "account": _UUID,
            "user": _UUID,
            "fingerprint": {
                "type": "string",
                "description": "The last characters of the secret.",
                "examples": ["kR9w"],
            },
            **_VALIDITY,
            **_TIMES,
        }
    ),
    "NewSecret": record(
        {"account": _UUID, "user": _UUID, "secret": _SECRET, **_VALIDITY, **_TIMES},
        description="A secret, which nobody can read again.",
    ),
    "Usage": record(
        {
            "usage": named(
                text(_HOUR, "2024-06-10-06"),
                named({"examples": ["request_count"]}, {"type": "integer"}),
                description="Amounts by hour and item.",
            )
        }
    ),
}

SHAPES: dict[str, Shape] = {
    "who_am_i": Shape(ref("WhoAmI")),
    "get_account": Shape(ref("Account")),
    "update_account": Shape(
        ref("Account"), record(optional={"resource_access_log": nullable(ref("AccessLog"))})
    ),
    "create_user": Shape(ref("User"), record({"role": _UUID}, _USER_FIELDS)),
    "get_users": Shape(record({"users": named(_UUID, ref("UserSummary"))})),
    "get_user": Shape(ref("User")),
    "update_user": Shape(ref("User"), record(optional={"role": _UUID, **_USER_FIELDS})),
    "delete_user": Shape(ref("User")),
    "create_user_secret_pin": Shape(
        record({"pin": text(_PIN, "P700SC")}), record(optional=_VALIDITY), body_needed=False
    ),
    "get_user_secret": Shape(ref("Secret")),
    "update_user_secret": Shape(ref("Secret"), record(optional=_VALIDITY), body_needed=False),
    "delete_user_secret": Shape(ref("Secret")),
    "create_user_secret": Shape(ref("NewSecret")),
    "create_user_token": Shape(
        record({"token": _SECRET, "options": nullable(array(choice(OPTIONS))), **_VALIDITY}),
        record(
            optional={
                "secret_dict": nullable(ref("Description")),
                "options": nullable(array(choice(OPTIONS))),
                **_VALIDITY,
            }
        ),
        body_needed=False,
    ),
    "refresh_user_token": Shape(
        record({"token": _SECRET, **_VALIDITY}), record(optional=_VALIDITY), body_needed=False
    ),
    "create_user_role": Shape(ref("Role"), record(optional=_ROLE_FIELDS)),
    "get_user_roles": Shape(
        record({"roles": named(_UUID, record({"name": ref("Name"), **_TIMES}))})
    ),
    "get_user_role": Shape(ref("Role")),
    "update_user_role": Shape(ref("Role"), record(optional=_ROLE_FIELDS)),
    "delete_user_role": Shape(ref("Role")),
    "get_account_usage": Shape(ref("Usage")),
    "get_user_usage": Shape(ref("Usage")),
    "get_log": Shape(record({"fragment": _UUID, "messages": array({"type": "string"})})),
    "trace": Shape(record()),
}
