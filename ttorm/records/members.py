"""Members of the platform's objects as attributes: read when looked at, checked when assigned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Never, NoReturn, Self, TypeVar, overload

from ttorm.api.codec import JSONValue
from ttorm.api.errors import ResponseFormatError, TtormError, ValidationError
from ttorm.api.moments import moment, timestamp
from ttorm.display import shortened
from ttorm.records.values import PLAIN, Codec, PlainCodec
from ttorm.rules import rule_text

if TYPE_CHECKING:
    from ttorm.records.resource import Resource

__all__ = ["MOMENT", "RULE", "CheckedCodec", "Member", "Writable"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Member(Generic[T_co]):
    """A member of a `Resource` that only the service sets.

    Args:
        text: What it is: the attribute's docstring.
        codec: What turns its JSON into the value, and back.
        name: Its name in the API, if that is another one.
    """

    writable = False

    def __init__(self, text: str, codec: Codec = PLAIN, *, name: str = "") -> None:
        self.__doc__ = text
        self.codec = codec
        self.wire = name
        self.attribute = ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.wire = self.wire or attribute

    @overload
    def __get__(self, record: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, record: Resource, owner: Any) -> T_co: ...
    def __get__(self, record: Resource | None, owner: Any) -> Any:
        return self if record is None else record._read(self)

    def __set__(self, record: Resource, value: Never) -> NoReturn:
        raise AttributeError(
            f"{type(record).__name__}.{self.attribute} is set by the service: it cannot be assigned"
        )


class Writable(Member[T]):
    """A member of a `Resource` that users may assign."""

    writable = True

    def __set__(self, record: Resource, value: T) -> None:  # type: ignore[override]  # the other one refuses
        record._assign(self, value)


class CheckedCodec(PlainCodec):
    """JSON as it is, once a function has looked at it.

    Args:
        check: Returns the JSON to keep for what was assigned, or raises `ValidationError`.
        load: Returns the value for JSON that is not null.
    """

    exact = frozenset[type]()

    def __init__(
        self, check: Callable[[Any], JSONValue], load: Callable[[Any], Any] | None = None
    ) -> None:
        self._check = check
        self._load = load

    def check(self, value: Any, where: str, near: Any = None) -> Any:  # noqa: ARG002 # one shape for codecs
        """Check a value, naming where it was assigned."""
        try:
            raw = None if value is None else self._check(value)
        except ValidationError as error:
            raise ValidationError(f"{where}: {error.args[0]}", code=error.code) from None
        return self.load(super().check(raw, where), where)

    def load(self, raw: JSONValue, where: str, near: Any = None) -> Any:  # noqa: ARG002 # one shape for codecs
        """Make the value."""
        if raw is None or self._load is None:
            return super().load(raw, where)
        try:
            return self._load(raw)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, TtormError):
                raise
            raise ResponseFormatError(
                f"{where}: the service gave {shortened(raw)}, which has not the form it should have"
            ) from None

    def dump(self, value: Any, where: str) -> JSONValue:
        """Check again: a container may have been changed since."""
        return super().dump(None if value is None else self._check(value), where)


def _moment(raw: Any) -> datetime | None:
    return moment(raw)


MOMENT = CheckedCodec(timestamp, _moment)
"""Moments: aware `datetime` here, Unix seconds there."""
RULE = CheckedCodec(rule_text)
"""Rules: expressions or their text."""
