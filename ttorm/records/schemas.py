"""What others are told of model classes: JSON Schemas, and how pydantic takes and gives records."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal, TypeAlias, get_args
from uuid import UUID

from ttorm.api.errors import ValidationError
from ttorm.records.dumping import dumped_fields, exported
from ttorm.records.fields import FieldSpec
from ttorm.records.targets import behind
from ttorm.records.typed import RECORD, TypedCodec
from ttorm.records.values import PLAIN

__all__ = ["Direction", "Schemas"]

Direction: TypeAlias = Literal["validation", "serialization"]
"""Whether a schema tells what is taken or what is given."""
_JSONSchema = dict[str, Any]

_UUID: _JSONSchema = {"title": "Uuid", "type": "string", "format": "uuid"}
_PLAIN: dict[Direction, dict[str, _JSONSchema]] = {
    "validation": {
        "description": {"title": "Description", "type": "object"},
        "entries": {"title": "Entries", "type": "object"},
        "identities": {"title": "Identities", "type": "array", "items": {"type": "string"}},
    },
    "serialization": {
        "description": {"title": "Description", "type": "object"},
        "ledger": {"title": "Ledger", "type": "object"},
    },
}
"""Members of records whose class declares no fields."""


class Schemas:
    """What model classes inherit to be described, and to be types for pydantic and FastAPI."""

    @classmethod
    def json_schema(cls, mode: Direction = "validation") -> dict[str, Any]:
        """Describe the fields of the class as a JSON Schema (2020-12).

        Each field tells under ``x-ttorm`` what it maps and what its Entry is created with.

        Args:
            mode: ``"validation"`` for what the constructor takes, ``"serialization"`` for what
                ``to_dict(mode="json")`` gives of a saved record.

        Raises:
            ValidationError: There is no such mode.

        Example:
            >>> class Pump(Twin):
            ...     pressure: Field[float] = entry(history="1Y")
            >>> Pump.json_schema()["properties"]["pressure"]["type"]
            'number'
            >>> Pump.json_schema()["properties"]["pressure"]["x-ttorm"]
            {'history': '1Y', 'kind': 'entry', 'name': 'pressure'}
        """
        from pydantic import TypeAdapter
        from pydantic.json_schema import GenerateJsonSchema

        if mode not in get_args(Direction):
            raise ValidationError(
                f"mode={mode!r}: expected 'validation' or 'serialization'", code="bad-argument"
            )
        adapter = TypeAdapter[Any](Annotated[Any, _Shape(cls, mode, storage=True)])
        dialect = {"$schema": GenerateJsonSchema.schema_dialect}
        return dialect | adapter.json_schema(mode=mode)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Have pydantic take records and UUIDs, and give JSON of the fields."""
        from pydantic_core import core_schema

        shape = _Shape(cls, "serialization")
        given = core_schema.any_schema(
            ref=_reference(cls),
            metadata={"pydantic_js_functions": [shape.__get_pydantic_json_schema__]},
        )
        return core_schema.no_info_plain_validator_function(
            lambda value: _taken(cls, value),
            json_schema_input_schema=core_schema.uuid_schema(),
            metadata={RECORD: True},
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda record: _given(cls, record),
                return_schema=given,
                when_used="json",
            ),
        )


def _reference(model: type) -> str:
    # Of what is before the colon pydantic makes the definition's name. The end tells it from the
    # reference of the class itself, which pydantic would take for any use of the class.
    return f"{model.__module__}.{model.__qualname__}:{id(model)}-fields"


def _taken(model: Any, value: Any) -> Any:
    """Return the record for a value of a pydantic model, without asking the service."""
    from pydantic_core import PydanticCustomError

    if isinstance(value, model):
        return value
    try:
        if isinstance(value, (str, UUID)):
            return model.at(str(value))
    except ValidationError:
        pass
    raise PydanticCustomError(
        "ttorm_record",
        "Input should be a {model} or the UUID of one",
        {"model": model.__name__},
    )


def _given(model: Any, record: Any) -> dict[str, Any]:
    """Return the fields of the class that was declared, whatever more a subclass has."""
    record._state.check_saved()
    found: dict[str, Any] = record._state.view(model).to_dict(mode="json")
    return found


class _Shape:
    """The object that a record is in JSON, for pydantic's schemas.

    Args:
        model: The class.
        mode: Whether it is what is taken or what is given.
        storage: Whether each field tells what it maps.
    """

    def __init__(self, model: Any, mode: Direction, *, storage: bool = False) -> None:
        self._model = model
        self._mode: Direction = mode
        self._storage = storage

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> _JSONSchema:
        fields = dumped_fields(self._model)
        properties = {name: self._property(spec, handler) for name, spec in fields.items()}
        required = [name for name, spec in fields.items() if spec.required]
        if not self._model.__fields__:
            properties = dict(_PLAIN[self._mode])
        if self._mode == "serialization":
            properties = {"uuid": dict(_UUID), **properties}
            required = list(properties)
        found: _JSONSchema = {"title": self._model.__name__, "type": "object"}
        text: str | None = self._model.__dict__["__doc__"]
        if text and self._model.__fields__:
            found["description"] = inspect.cleandoc(text)
        return found | {"properties": properties, "required": required}

    def _property(self, spec: FieldSpec, handler: Any) -> _JSONSchema:
        found = self._value(spec, handler)
        if "$ref" not in found:
            found.setdefault("title", spec.attribute.replace("_", " ").title())
        if not spec.required and spec._factory is None:
            found["default"] = exported(spec.codec, spec.default(), spec.attribute, "json")
        if self._storage:
            found["x-ttorm"] = {"kind": spec.kind, "name": spec.target, **spec.options}
        return found

    def _value(self, spec: FieldSpec, handler: Any) -> _JSONSchema:
        if spec.linked and self._mode == "validation":
            found: _JSONSchema = {"type": "string", "format": "uri"}
        else:
            codec = behind(spec.codec)
            found = _of_type(codec, handler) if isinstance(codec, TypedCodec) else {}
            if codec is PLAIN and spec.kind == "identity":
                found = {"type": "string"}
        if spec.linked and not spec.required and found:
            found = {"anyOf": [found, {"type": "null"}]}
        return found


def _of_type(codec: TypedCodec, handler: Any) -> _JSONSchema:
    from pydantic_core import core_schema

    # The handler itself leaves out what annotations and models say of their own schemas.
    return dict(handler(core_schema.definitions_schema(codec.core_schema, [])))
