"""JSON Schema in Python: the few forms that the shapes of the API are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "Schema",
    "Shape",
    "array",
    "choice",
    "ecma",
    "example_of",
    "named",
    "nullable",
    "record",
    "ref",
    "text",
]

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema."""

_COMPONENT = "#/components/schemas/"
_LENGTH = re.compile(r"\(\?=\.\{(\d+),(\d+)\}\\Z\)")


class Shape(NamedTuple):
    """The JSON of one operation.

    Attributes:
        answer: What success answers; None for a file.
        body: What may be sent; None when nothing may.
        body_needed: Whether something must be sent.
    """

    answer: Schema | None
    body: Schema | None = None
    body_needed: bool = True


def ref(name: str) -> Schema:
    """Refer to a schema by its name among the components."""
    return {"$ref": f"{_COMPONENT}{name}"}


def nullable(schema: Schema) -> Schema:
    """Allow null, too."""
    return {"anyOf": [schema, {"type": "null"}]}


def choice(values: Iterable[str]) -> Schema:
    """One of some texts."""
    return {"type": "string", "enum": [*values]}


def array(items: Schema, **limits: int) -> Schema:
    """An array, with limits such as ``minItems=1``."""
    return {"type": "array", "items": items, **limits}


def record(
    needed: Mapping[str, Schema] | None = None,
    optional: Mapping[str, Schema] | None = None,
    **more: Any,
) -> Schema:
    """An object with members of known names and no others."""
    properties = {**(needed or {}), **(optional or {})}
    schema: Schema = {"type": "object", **more, "properties": properties}
    if needed:
        schema["required"] = [*needed]
    return {**schema, "additionalProperties": False}


def named(keys: Schema, values: Schema, **limits: Any) -> Schema:
    """An object whose members are called as a caller or the service chose."""
    return {"type": "object", **limits, "propertyNames": keys, "additionalProperties": values}


def text(pattern: re.Pattern[str], example: str, **more: Any) -> Schema:
    """A text that matches a pattern as a whole."""
    return {"type": "string", **more, **ecma(pattern), "examples": [example]}


def ecma(pattern: re.Pattern[str]) -> Schema:
    r"""Write a pattern that a whole text must match in the dialect of JSON Schema.

    Example:
        >>> ecma(re.compile(r"(?=.{1,9}\Z)[a-f]+", re.IGNORECASE))
        {'minLength': 1, 'maxLength': 9, 'pattern': '^(?:[a-fA-F]+)$'}
    """
    limits: Schema = {}
    source = pattern.pattern
    if length := _LENGTH.match(source):
        limits = {"minLength": int(length[1]), "maxLength": int(length[2])}
        source = source[length.end() :]
    if pattern.flags & re.IGNORECASE:
        source = source.replace("a-f", "a-fA-F")
    return {**limits, "pattern": f"^(?:{source})$"}


def example_of(schema: Schema, components: Mapping[str, Schema]) -> Any:
    """Put together an example out of those of the parts."""
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "$ref" in schema:
        return example_of(components[schema["$ref"].removeprefix(_COMPONENT)], components)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return example_of(schema[several][0], components)
    return _example_of_type(schema, components)


def _example_of_type(schema: Schema, components: Mapping[str, Schema]) -> Any:
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            shown = {name: example_of(member, components) for name, member in members.items()}
            if "propertyNames" in schema:
                name = example_of(schema["propertyNames"], components)
                shown[name] = example_of(schema["additionalProperties"], components)
            return shown
        case "array":
            return [example_of(schema["items"], components)]
        case "boolean":
            return True
        case "integer":
            return schema.get("default", schema.get("minimum", 1))
        case "number":
            return 21.5
        case "string":
            return "text"
        case _:
            return 21.5
