"""Values of declared types: pydantic turns them into JSON and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union, cast, get_args, get_origin

from ttorm.api.codec import JSONValue, check_json, encode
from ttorm.api.errors import ValidationError
from ttorm.records.values import JSON_SCALARS, Need, is_scalar, loses, short

if TYPE_CHECKING:
    from ttorm.records.state import TwinState

__all__ = ["LINK", "RECORD", "Linking", "TypedCodec"]

_UNIONS = (Union, UnionType)
_Types: TypeAlias = Collection[type]
LINK = "ttorm-link"
"""What marks the places of links in pydantic's schemas."""
RECORD = "ttorm-record"
"""What marks the places of records themselves in pydantic's schemas."""


class Linking:
    """What validators and serialisers of links are told, one for each passage of a value.

    Attributes:
        near: The Twin the value belongs to; None leaves links as the text they are stored as.
        records: Records met on the way out, by their text; those not saved have none of their own.
    """

    def __init__(self, near: TwinState | None = None) -> None:
        self.near = near
        self.records: dict[str, Any] = {}


class TypedCodec:
    """Values of a declared type, validated by pydantic.

    Args:
        annotation: Returns the type; called when it is first needed.
        name: What declares it, for messages.
    """

    def __init__(self, annotation: Callable[[], Any], name: str = "the field") -> None:
        self._annotation = annotation
        self._declared = name

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            adapter = TypeAdapter(self.type)
        except PydanticUserError as error:
            reason = error.message.partition("\n")[0]
            raise TypeError(
                f"{self._declared} is declared as Field[{_name(self.type)}], of which pydantic "
                f"can make no validator: {reason} Or tell how it is stored: "
                "entry(codec=ttorm.ValueCodec(to_json=..., from_json=...))"
            ) from None
        if not self._is_json and _any_part(adapter.core_schema, _is_record):
            raise TypeError(
                f"{self._declared} is declared as Field[{_name(self.type)}]: what is stored of a "
                "record is its UUID, so write Link[...] around its class"
            )
        return adapter

    @property
    def core_schema(self) -> Any:
        """The schema that pydantic made of the type."""
        return self._adapter.core_schema

    @cached_property
    def validate(self) -> Callable[..., Any]:
        """Pydantic's validator of the type; it raises a `ValueError`."""
        validate: Callable[..., Any] = self._adapter.validator.validate_python
        return validate

    @property
    def type(self) -> Any:
        """The declared type."""
        return self._annotation()

    @property
    def exact(self) -> _Types:
        """The types of JSON scalars that are values of the declared type as they are."""
        return self._exact

    @cached_property
    def _exact(self) -> _Types:
        return JSON_SCALARS.intersection(self._alternatives)

    @cached_property
    def _alternatives(self) -> tuple[Any, ...]:
        return get_args(self.type) if get_origin(self.type) in _UNIONS else (self.type,)

    @cached_property
    def _is_json(self) -> bool:
        """Whether valid values are JSON scalars already, which nothing need serialise."""
        return all(kind in JSON_SCALARS for kind in self._alternatives)

    @property
    def ordered(self) -> bool:
        """Whether JSON orders as the values do."""
        return self._is_ordered

    @cached_property
    def _is_ordered(self) -> bool:
        from ttorm.records.ordering import orders_in_json

        return orders_in_json(self.type) and not self.is_linked

    @cached_property
    def is_linked(self) -> bool:
        """Whether values may hold links to records."""
        return not self._is_json and _any_part(self._adapter.core_schema, _is_link)

    @cached_property
    def _decodes(self) -> bool:
        """Whether validating decodes text (`Json`, `Base64Bytes`), which must not happen twice."""
        return _any_part(self._adapter.core_schema, _is_decoder)

    @cached_property
    def _validate_stored(self) -> Callable[..., Any]:
        if self._is_json:
            return self.validate
        # As JSON, where a text is all that a strict model can expect of a moment.
        validate: Callable[..., Any] = self._adapter.validator.validate_json

        def validate_stored(raw: JSONValue, **options: Any) -> Any:
            return validate(encode(raw), **options)

        return validate_stored

    def _validated(
        self,
        validate: Callable[..., Any],
        value: Any,
        where: str,
        found: str,
        linking: Linking | None,
    ) -> Any:
        try:
            return validate(value) if linking is None else validate(value, context=linking)
        except ValueError as error:
            from pydantic import ValidationError as PydanticError

            if not isinstance(error, PydanticError):
                raise
            reasons = "; ".join(_reason(detail) for detail in error.errors(include_url=False))
            raise ValidationError(
                f"{self._declared} expects {_name(self.type)}, {found} {short(value)}: {reasons} "
                f"({where})",
                code="invalid-value",
            ) from None

    def _linking(self, near: TwinState | None = None) -> Linking | None:
        return Linking(near) if self.is_linked else None

    def check(self, value: Any, where: str, near: TwinState | None = None) -> Any:
        """Validate an assigned value and make sure that JSON can hold it, all of it."""
        linking = self._linking(near)
        checked = self._validated(self.validate, value, where, "found", linking)
        raw = self._dump(checked, where, linking)
        if self._is_json:
            return checked
        back = self._load(raw, where, linking)
        if loses(checked, back):
            raise self._loss(checked, back, where)
        return checked

    def _loss(self, value: Any, back: Any, where: str) -> ValidationError:
        return ValidationError(
            f"{where}: {short(value)} would come back as {short(back)}, since JSON and "
            f"{_name(self.type)} hold no more of it: assign that, or declare the field as the "
            "type of what is assigned",
            code="invalid-value",
        )

    def load(self, raw: JSONValue, where: str, near: TwinState | None = None) -> Any:
        """Validate what the service stores."""
        return self._load(raw, where, self._linking(near))

    def _load(self, raw: JSONValue, where: str, linking: Linking | None) -> Any:
        return self._validated(self._validate_stored, raw, where, "the service has", linking)

    def dump(self, value: Any, where: str) -> JSONValue:
        """Validate again (a container may have been changed since), then encode."""
        return self._dump(value, where, self._linking())

    def _dump(self, value: Any, where: str, linking: Linking | None) -> JSONValue:
        if is_scalar(value):
            return self._json(value, where, linking)
        if not self._decodes:
            value = self._validated(self.validate, value, where, "found", linking)
        raw = self._json(value, where, linking)
        # Once more as JSON: pydantic takes instances of models and dataclasses as they are.
        stored = self._validated(self._validate_stored, raw, where, "found", linking)
        if linking is None and loses(value, stored) and self._plain(value) != self._plain(stored):
            raise self._loss(value, stored, where)
        return self._json(stored, where, linking)

    def _plain(self, value: Any) -> Any:
        """Return a value without models and dataclasses, which need not be comparable."""
        return self._adapter.dump_python(value, round_trip=True, warnings=False)

    def needs(self, value: Any) -> Iterable[Need]:
        """Return the Twins of the records that a value links to."""
        linking = self._linking()
        if linking is None:
            return
        try:
            self._dumped(value, "", linking)
        except ValidationError:
            return  # refused when it is saved
        for record in linking.records.values():
            yield record._state, None

    def _json(self, value: Any, where: str, linking: Linking | None) -> JSONValue:
        raw = value if self._is_json else self._dumped(value, where, linking)
        check_json(raw, where)
        return raw

    def export(self, value: Any, where: str, *, json: bool) -> Any:
        """Return a value without models and dataclasses, computed members included.

        Args:
            value: The value.
            where: How messages name it.
            json: Whether it may hold types of JSON only.

        Raises:
            StateError: It links to a Twin that is not saved yet.
            ValidationError: JSON cannot hold it.
        """
        linking = self._linking()
        if json:
            found = self._dumped(value, where, linking, stored=False)
            check_json(found, where)
        else:
            found = self._adapter.dump_python(value, by_alias=True, warnings=False, context=linking)
        for record in linking.records.values() if linking else ():
            record._state.check_saved()
        return found

    def _dumped(
        self, value: Any, where: str, linking: Linking | None, *, stored: bool = True
    ) -> JSONValue:
        moment = _moment(value)
        if moment is not None:
            return moment
        try:
            # What can be read again: by the names that validation takes, nothing computed.
            return self._adapter.dump_python(
                value,
                mode="json",
                by_alias=True,
                round_trip=stored,
                warnings=False,
                context=linking,
            )
        except ValueError as error:  # also bytes that are no text
            raise ValidationError(
                f"{where} holds what JSON cannot: {error}", code="not-json"
            ) from None


def _any_part(schema: Any, fits: Callable[[dict[str, Any]], bool]) -> bool:
    """Tell whether any part of one of pydantic's schemas fits."""
    if isinstance(schema, dict):
        parts = cast(dict[str, Any], schema)
        return fits(parts) or any(_any_part(part, fits) for part in parts.values())
    return isinstance(schema, (list, tuple)) and any(
        _any_part(part, fits) for part in cast(Iterable[Any], schema)
    )


def _is_link(schema: dict[str, Any]) -> bool:
    return LINK in (schema.get("metadata") or ())


def _is_record(schema: dict[str, Any]) -> bool:
    return RECORD in (schema.get("metadata") or ())


def _is_decoder(schema: dict[str, Any]) -> bool:
    function = schema.get("function")
    called = cast(dict[str, Any], function).get("function") if isinstance(function, dict) else None
    return schema.get("type") == "json" or hasattr(getattr(called, "__self__", None), "encoder")


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
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]  # what its constraints are, the reasons say
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
