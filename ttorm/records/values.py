"""From JSON to the values users hold, and back: plainly, or through a field's declared type."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from types import UnionType
from typing import Any, Protocol, Union, get_args, get_origin

from ttorm.api.codec import JSONValue, check_json, decode, encode
from ttorm.api.errors import ValidationError

__all__ = ["PLAIN", "Codec", "PlainCodec", "TypedCodec", "is_scalar"]

_UNIONS = (Union, UnionType)
_JSON_SCALARS = frozenset((str, int, float, bool, type(None)))


def is_scalar(value: object) -> bool:
    """Tell whether a value cannot change in place."""
    return type(value) in _JSON_SCALARS or isinstance(value, _immutable_types())


@cache
def _immutable_types() -> tuple[type, ...]:
    from datetime import date, time, timedelta
    from decimal import Decimal
    from enum import Enum
    from uuid import UUID

    return (str, int, float, date, time, timedelta, Decimal, UUID, Enum)


class Codec(Protocol):
    """Turns JSON into values and values into JSON."""

    def check(self, value: Any, where: str) -> Any:
        """Return the value to keep for one that was assigned, or raise `ValidationError`."""

    def load(self, raw: JSONValue, where: str) -> Any:
        """Return a value for JSON; containers are fresh. Raises `ValidationError`."""

    def dump(self, value: Any, where: str) -> JSONValue:
        """Return the JSON of a value, sharing nothing with it. Raises `ValidationError`."""


def _copy(raw: JSONValue) -> JSONValue:
    # An enumeration's text or number is a JSON value only after it was written as one.
    return raw if type(raw) in _JSON_SCALARS else decode(encode(raw))


class PlainCodec:
    """JSON values as they are."""

    def check(self, value: Any, where: str) -> Any:
        """Refuse what JSON cannot hold."""
        check_json(value, where)
        return value

    def load(self, raw: JSONValue, where: str) -> Any:  # noqa: ARG002 # one shape for codecs
        """Copy containers, so that nobody changes what others read."""
        return _copy(raw)

    def dump(self, value: Any, where: str) -> JSONValue:
        """Copy after checking again: a container may have been changed since."""
        check_json(value, where)
        return _copy(value)


PLAIN = PlainCodec()
"""The codec of untyped use."""


class TypedCodec:
    """Values of a declared type, validated by pydantic.

    Args:
        annotation: Returns the type; called when it is first needed.
    """

    def __init__(self, annotation: Callable[[], Any]) -> None:
        self._annotation = annotation

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter

        return TypeAdapter(self._annotation())

    @cached_property
    def _validate(self) -> Callable[[Any], Any]:
        validate: Callable[[Any], Any] = self._adapter.validator.validate_python
        return validate

    @property
    def type(self) -> Any:
        """The declared type."""
        return self._annotation()

    @cached_property
    def _is_json(self) -> bool:
        """Whether valid values are JSON scalars already, which nothing need serialise."""
        alternatives = get_args(self.type) if get_origin(self.type) in _UNIONS else (self.type,)
        return all(kind in _JSON_SCALARS for kind in alternatives)

    @cached_property
    def _validate_stored(self) -> Callable[[JSONValue], Any]:
        if self._is_json:
            return self._validate
        # As JSON, where a text is all that a strict model can expect of a moment.
        validate: Callable[[bytes], Any] = self._adapter.validator.validate_json
        return lambda raw: validate(encode(raw))

    def _validated(self, validate: Callable[[Any], Any], value: Any, where: str, found: str) -> Any:
        try:
            return validate(value)
        except ValueError as error:
            from pydantic import ValidationError as PydanticError

            if not isinstance(error, PydanticError):
                raise
            reasons = "; ".join(_reason(detail) for detail in error.errors(include_url=False))
            raise ValidationError(
                f"{where} expects {_name(self.type)}, {found} {_short(value)}: {reasons}",
                code="invalid-value",
            ) from None

    def check(self, value: Any, where: str) -> Any:
        """Validate an assigned value and make sure that JSON can hold it, all of it."""
        checked = self._validated(self._validate, value, where, "found")
        raw = self.dump(checked, where)
        if not self._is_json and _loses(checked, back := self.load(raw, where)):
            raise ValidationError(
                f"{where}: {_short(checked)} would come back as {_short(back)}, since JSON and "
                f"{_name(self.type)} hold no more of it: assign that, or declare the field as the "
                "type of what is assigned",
                code="invalid-value",
            )
        return checked

    def load(self, raw: JSONValue, where: str) -> Any:
        """Validate what the service stores."""
        return self._validated(self._validate_stored, raw, where, "the service has")

    def dump(self, value: Any, where: str) -> JSONValue:
        """Validate again (a container may have been changed since), then encode."""
        if is_scalar(value):
            return self._json(value, where)
        raw = self._json(self._validated(self._validate, value, where, "found"), where)
        # Once more as JSON: pydantic takes instances of models and dataclasses as they are.
        return self._json(self._validated(self._validate_stored, raw, where, "found"), where)

    def _json(self, value: Any, where: str) -> JSONValue:
        raw = value if self._is_json else self._dumped(value, where)
        check_json(raw, where)
        return raw

    def _dumped(self, value: Any, where: str) -> JSONValue:
        moment = _moment(value)
        if moment is not None:
            return moment
        try:
            # What can be read again: by the names that validation takes, nothing computed.
            return self._adapter.dump_python(
                value, mode="json", by_alias=True, round_trip=True, warnings=False
            )
        except ValueError as error:  # also bytes that are no text
            raise ValidationError(
                f"{where} holds what JSON cannot: {error}", code="not-json"
            ) from None


def _loses(value: Any, back: Any) -> bool:
    """Tell whether a value that went through JSON is another one; unknown without ``==``."""
    compares = any("__eq__" in vars(kind) for kind in type(value).__mro__[:-1])
    return compares and not bool(value == back)


def _moment(value: Any) -> str | None:
    """Write a moment so that texts order as moments do: in UTC, and always of one width."""
    from datetime import UTC, datetime

    if not isinstance(value, datetime):
        return None
    if value.tzinfo is None:
        return value.isoformat(timespec="microseconds")
    utc = value.astimezone(UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='microseconds')}Z"


def _reason(detail: Any) -> str:
    place = "".join(f"[{part!r}]" for part in detail["loc"])
    return f"{place} {detail['msg']}".strip()


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
