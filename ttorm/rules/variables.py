"""The variables and built-ins of the rule language."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ttorm.api.errors import ValidationError
from ttorm.rules import logic, nodes
from ttorm.rules.attributes import Attribute, Variables
from ttorm.rules.expressions import Expression, rule_of

__all__ = [
    "DICT",
    "LEDGER",
    "TWIN",
    "USER",
    "account",
    "ceiling",
    "entry_created_ts",
    "entry_name",
    "entry_updated_ts",
    "entry_value",
    "floor",
    "identity",
    "is_empty",
    "keys",
    "ledger",
    "length",
    "lower",
    "now",
    "role",
    "to_number",
    "to_text",
    "twin",
    "twin_status",
    "upper",
    "user",
    "value_changed_ts",
    "values",
    "when",
]


class Moment(Attribute[Any]):
    """A moment in Unix seconds; compared with datetimes, computed with timedeltas as well."""

    __slots__ = ()

    def __init__(self, node: nodes.Node) -> None:
        super().__init__(node, _seconds)

    def _computed(self, node: nodes.Node) -> Attribute[Any]:
        return Moment(node)

    def _term(self, other: object) -> nodes.Node:
        return self._literal(other)


def _seconds(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValidationError(
            f"{value!r} has no timezone: write datetime(..., tzinfo=UTC) or .astimezone()",
            code="bad-argument",
        )
    return round(value.timestamp(), 3)


def _variable(name: str) -> Attribute[Any]:
    return Attribute(nodes.Name(name))


TWIN = Variables("TWIN")
"""The Twin's description."""
USER = Variables("USER")
"""The calling user's description."""
LEDGER = Variables("LEDGER")
"""The values of a Ledger's Entries."""
DICT = Variables("DICT")
"""The request dictionary."""

account = _variable("account")
"""UUID of the calling account."""
user = _variable("user")
"""UUID of the calling user."""
role = _variable("role")
"""UUID of the calling user's role."""
now = Moment(nodes.Name("now"))
"""The present time."""
twin = _variable("twin")
"""UUID of the Twin."""
twin_status = _variable("twin_status")
"""``"alive"`` or ``"terminated"``."""
identity = _variable("identity")
"""The Identity at hand."""
ledger = _variable("ledger")
"""UUID of the account whose Ledger it is; equal to `account` in one's own."""
entry_name = _variable("entry_name")
"""Name of the Entry at hand."""
entry_value = _variable("entry_value")
"""Value of the Entry at hand."""
entry_created_ts = Moment(nodes.Name("entry_created_ts"))
"""When the Entry at hand was created."""
entry_updated_ts = Moment(nodes.Name("entry_updated_ts"))
"""When a property of the Entry at hand last changed."""
value_changed_ts = Moment(nodes.Name("value_changed_ts"))
"""When the value of the Entry at hand was last written."""


def _of(value: Attribute[Any] | Variables, name: str) -> Attribute[Any]:
    return Attribute(nodes.BuiltIn(value._node, name))


def length(value: Attribute[Any] | Variables) -> Attribute[float]:
    """Count the characters of a text, elements of a list or members of a mapping.

    Example:
        >>> length(LEDGER.tags) > 3
        <rule LEDGER.tags.length > 3>
    """
    return _of(value, "length")


def is_empty(value: Attribute[Any] | Variables) -> Attribute[bool]:
    """Hold for texts, lists and mappings with nothing in them."""
    return _of(value, "is_empty")


def keys(value: Attribute[Any] | Variables) -> Attribute[list[str]]:
    """Give the keys of a mapping as a list.

    Example:
        >>> keys(LEDGER).any(lambda name: name.startswith("temp_"))
        <rule [x for x in LEDGER.keys if x&[:5] == "temp_"] != []>
    """
    return _of(value, "keys")


def values(value: Attribute[Any] | Variables) -> Attribute[list[Any]]:
    """Give the values of a mapping as a list."""
    return _of(value, "values")


def lower(text: Attribute[Any]) -> Attribute[str]:
    """Write a text in small letters.

    Example:
        >>> lower(TWIN.model) == "x1"
        <rule TWIN.model.as_lower == "x1">
    """
    return _of(text, "as_lower")


def upper(text: Attribute[Any]) -> Attribute[str]:
    """Write a text in capital letters."""
    return _of(text, "as_upper")


def floor(number: Attribute[Any]) -> Attribute[float]:
    """Round a number down to a whole one."""
    return _of(number, "floor")


def ceiling(number: Attribute[Any]) -> Attribute[float]:
    """Round a number up to a whole one."""
    return _of(number, "ceiling")


def to_number(text: Attribute[Any]) -> Attribute[float]:
    """Read a text as a number without sign; what is none does not compare by order."""
    return _of(text, "to_flt")


def to_text(number: Attribute[Any]) -> Attribute[str]:
    """Write a number as text."""
    return _of(number, "to_str")


def when(rule: str | Expression, then: object, otherwise: object) -> Attribute[Any]:
    """Choose one of two values.

    Example:
        >>> when(LEDGER.limit.is_null(), 100, LEDGER.limit) > 50
        <rule (LEDGER.limit == null ? 100 : LEDGER.limit) > 50>
    """
    then, otherwise = (
        value._node if isinstance(value, Expression) else nodes.Literal(value)
        for value in (then, otherwise)
    )
    return Attribute(logic.Choice(rule_of(rule)._node, then, otherwise))
