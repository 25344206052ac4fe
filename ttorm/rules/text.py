"""How values and names are written in the rule language."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from ttorm.api.codec import check_json
from ttorm.api.errors import ValidationError

__all__ = ["is_plain_name", "literal"]

_RESERVED = frozenset(
    "true false inf nan null and in or not for if elif else while".split()  # noqa: SIM905 - readable
)
# Read with a dot, these are the language's built-in attributes of every mapping.
_SHADOWED = frozenset(("keys", "values", "length", "is_empty"))


def is_plain_name(name: str) -> bool:
    """Tell whether a member is reached by a dot and its name; others are by brackets."""
    return name.isidentifier() and name.isascii() and name not in _RESERVED | _SHADOWED


def literal(value: Any) -> str:
    """Write a JSON value in the rule language.

    Raises:
        ValidationError: The value is not JSON, or is a mapping.

    Example:
        >>> print(literal(["it's", 2.5, True, None]))
        ["it's", 2.5, true, null]
    """
    check_json(value, "the value compared with")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, cast(list[Any], value)))}]"
    raise ValidationError(
        "a mapping cannot be compared in a rule: compare its members one by one", code="bad-rule"
    )


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable() or ord(character) > 0xFFFF:
        return character
    return f"\\u{ord(character):04x}"
