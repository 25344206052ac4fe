"""From JSON to the values users hold, and back: what codecs are, and the one of plain JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol, cast

from ttorm.api.codec import JSONValue, check_json, decode, encode
from ttorm.api.errors import ValidationError

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = [
    "PLAIN",
    "Codec",
    "Need",
    "PlainCodec",
    "check_dictionary",
    "is_exact",
    "is_scalar",
    "loses",
    "short",
]

JSON_SCALARS: frozenset[type] = frozenset((str, int, float, bool, type(None)))
Need = tuple["TwinState", "str | None"]
"""What a value speaks of: a Twin, or one of its Entries by name."""


def is_scalar(value: object) -> bool:
    """Tell whether a value cannot change in place, seen from where it is stored.

    A saved record is one: what is stored of it is its UUID.
    """
    return (
        type(value) in JSON_SCALARS
        or isinstance(value, _immutable_types())
        or getattr(value, "_is_scalar", False) is True
    )


@cache
def _immutable_types() -> tuple[type, ...]:
    from datetime import date, time, timedelta
    from decimal import Decimal
    from enum import Enum
    from uuid import UUID

    return (str, int, float, date, time, timedelta, Decimal, UUID, Enum)


def is_exact(value: object, exact: Collection[type]) -> bool:
    """Tell whether a value is stored and read as it is, so that nothing need look at it again.

    Args:
        value: The value.
        exact: `Codec.exact`.
    """
    kind = type(value)
    if kind not in exact:
        return False
    if kind is str:
        return cast(str, value).isascii()  # else it may hold a lone surrogate
    return kind is not float or isfinite(cast(float, value))


class Codec(Protocol):
    """Turns JSON into values and values into JSON.

    `near` is the Twin the value belongs to: records that the value links to join its session.
    """

    @property
    def ordered(self) -> bool:
        """Whether JSON orders as the values do."""
        ...

    @property
    def exact(self) -> Collection[type]:
        """The types of JSON scalars that are values of the codec as they are."""
        ...

    def check(self, value: Any, where: str, near: TwinState | None = None) -> Any:
        """Return the value to keep for one that was assigned, or raise `ValidationError`."""

    def load(self, raw: JSONValue, where: str, near: TwinState | None = None) -> Any:
        """Return a value for JSON; containers are fresh. Raises `ValidationError`."""

    def dump(self, value: Any, where: str) -> JSONValue:
        """Return the JSON of a value, sharing nothing with it. Raises `ValidationError`."""

    def needs(self, value: Any) -> Iterable[Need]:
        """Return the Twins and Entries that a value speaks of."""
        ...


def _copy(raw: JSONValue) -> JSONValue:
    # An enumeration's text or number is a JSON value only after it was written as one.
    return raw if type(raw) in JSON_SCALARS else decode(encode(raw))


class PlainCodec:
    """JSON values as they are."""

    ordered = True
    exact: Collection[type] = JSON_SCALARS

    def check(self, value: Any, where: str, near: TwinState | None = None) -> Any:  # noqa: ARG002 # one shape for codecs
        """Refuse what JSON cannot hold."""
        check_json(value, where)
        return value

    def load(self, raw: JSONValue, where: str, near: TwinState | None = None) -> Any:  # noqa: ARG002 # one shape for codecs
        """Copy containers, so that nobody changes what others read."""
        return _copy(raw)

    def dump(self, value: Any, where: str) -> JSONValue:
        """Copy after checking again: a container may have been changed since."""
        check_json(value, where)
        return _copy(value)

    def needs(self, value: Any) -> Iterable[Need]:  # noqa: ARG002 # one shape for codecs
        """Return nothing: plain JSON speaks of nobody."""
        return ()


PLAIN = PlainCodec()
"""The codec of untyped use."""


def loses(value: Any, back: Any) -> bool:
    """Tell whether a value that went through JSON is another one; unknown without ``==``."""
    compares = any("__eq__" in vars(kind) for kind in type(value).__mro__[:-1])
    return compares and not bool(value == back)


def short(value: object) -> str:
    """Show a value in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_dictionary(value: object, what: str) -> None:
    """Refuse what is no dictionary.

    Raises:
        ValidationError: It is something else.
    """
    if not isinstance(value, Mapping):
        raise ValidationError(
            f"{what} is a dictionary, found {type(value).__name__}", code="invalid-value"
        )
