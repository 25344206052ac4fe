"""The document: operations of the table, with their parameters, bodies, answers and errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ttorm._version import __version__
from ttorm.api.errors import SUBCODES
from ttorm.api.operations import OPERATIONS, Operation
from ttorm.emulator.handlers import registered
from ttorm.emulator.openapi import access, ledgers, scalars, services, tables, twins
from ttorm.emulator.openapi.parameters import HEADERS, parameters
from ttorm.emulator.openapi.schema import Schema, Shape, example_of, record, ref

__all__ = ["SHAPES", "description"]

_AREAS = (access, twins, ledgers, services, tables)
_SCHEMAS: Mapping[str, Schema] = {
    **scalars.SCHEMAS,
    **{name: schema for area in _AREAS for name, schema in area.SCHEMAS.items()},
}
SHAPES: Mapping[str, Shape] = {
    name: shape for area in _AREAS for name, shape in area.SHAPES.items()
}
"""The JSON of all operations."""

_JSON = "application/json"
_REFUSALS = {
    "BadRequest": (400, "The request is wrong, or cannot be done now."),
    "Unauthorized": (401, "No credential, or one that is unknown, expired or deleted."),
    "Forbidden": (403, "The caller's role, or the Twin's owner, does not permit it."),
    "NotFound": (404, "There is no such thing, or it is another account's."),
    "ServerError": (500, "The service failed."),
}
_SECURITY = {
    "UserSecret": "The secret of a user, as it is: without a word such as Bearer before it.",
    "UserToken": "A token that was made with a secret or another token, as it is.",
}


@cache
def description() -> dict[str, Any]:
    """Make the description of the API; everybody gets the same one, so change a copy of it."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS.values():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trusted Twin API",
            "version": __version__,
            "description": "The API as ttorm's emulator serves it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "Where this description was found."}],
        "tags": [{"name": name} for name in _categories()],
        "paths": paths,
        "components": {
            "schemas": {**_SCHEMAS, **_errors()},
            "parameters": HEADERS,
            "responses": {name: _refusal(name) for name in _REFUSALS},
            "securitySchemes": {
                name: {"type": "apiKey", "in": "header", "name": "Authorization", "description": of}
                for name, of in _SECURITY.items()
            },
        },
    }


def _categories() -> list[str]:
    return [*dict.fromkeys(operation.category for operation in OPERATIONS.values())]


def _operation(operation: Operation) -> dict[str, Any]:
    shape = SHAPES[operation.name]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": _summary(operation),
        "tags": [operation.category],
        "parameters": parameters(operation),
    }
    if shape.body is not None:
        described["requestBody"] = {
            "required": shape.body_needed,
            "content": {_JSON: _media(shape.body)},
        }
    described["responses"] = {
        str(operation.success): _success(operation, shape),
        **{_status(name): _response(name) for name in _refusals(operation)},
    }
    described["security"] = [{name: []} for name in _credentials(operation)]
    return described


def _summary(operation: Operation) -> str:
    """Take what the operation does from the function that does it."""
    handler = registered().get(operation.name)
    text = "" if handler is None else handler.function.__doc__ or ""
    return text.partition("\n")[0].removesuffix(".") or operation.name.replace("_", " ")


def _success(operation: Operation, shape: Shape) -> dict[str, Any]:
    if shape.answer is None:
        whole = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
        return {"description": "The file.", "content": {"*/*": whole}}
    done = "Created." if operation.success == 201 else "Done."
    return {"description": done, "content": {_JSON: _media(shape.answer)}}


def _media(schema: Schema) -> dict[str, Any]:
    return {"schema": schema, "example": example_of(schema, _SCHEMAS)}


def _credentials(operation: Operation) -> list[str]:
    if operation.name == "refresh_user_token":
        return ["UserToken"]
    return [*_SECURITY] if operation.credential else []


def _refusals(operation: Operation) -> list[str]:
    guarded = {"Unauthorized", "Forbidden"}
    return [name for name in _REFUSALS if operation.credential or name not in guarded]


def _status(refusal: str) -> str:
    status, _ = _REFUSALS[refusal]
    return "5XX" if status == 500 else str(status)


def _response(refusal: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{refusal}"}


def _refusal(name: str) -> dict[str, Any]:
    schema = ref(f"{name}Error")
    media = {"schema": schema, "example": example_of(schema, _errors())}
    return {"description": _REFUSALS[name][1], "content": {_JSON: media}}


def _errors() -> dict[str, Schema]:
    return {f"{name}Error": _error(status) for name, (status, _) in _REFUSALS.items()}


def _error(status: int) -> Schema:
    codes = {code: row.name for code, row in SUBCODES.items() if code // 100_000 == status // 100}
    if status != 500:
        codes = {code: name for code, name in codes.items() if code // 1_000 == status}
    return record(
        {
            "subcode": {
                "type": "integer",
                "enum": [*codes],
                "description": "; ".join(f"{code}: {name}" for code, name in codes.items()),
            },
            "trace": {
                "type": "string",
                "description": "Identifies this one error.",
                "examples": ["0c5b1c1e-6c9b-4f5f-8d43-2f6f2f6f6a10"],
            },
        },
        {
            "description": {"type": "string", "examples": ["There is no Twin."]},
            "help": {"type": "string", "examples": ["https://host/errors"]},
        },
    )
