"""Links: values that are other Twins, stored as their UUIDs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar
from uuid import UUID

from ttorm.api.answers import member
from ttorm.api.errors import ValidationError
from ttorm.api.names import check_uuid
from ttorm.records.fields import FieldAttribute, FieldSpec
from ttorm.records.lookup import state_at
from ttorm.records.models import model_of
from ttorm.records.record import Record
from ttorm.records.references import source
from ttorm.records.sources import placeholder
from ttorm.records.state import TwinState
from ttorm.records.values import LINK, Linking, Need, TypedCodec
from ttorm.rules import Attribute, Expression, literal, raw

__all__ = ["Link", "linked_states", "referring"]

T = TypeVar("T")


class _LinkTo:
    """Tells pydantic how links are validated and stored."""

    def __repr__(self) -> str:
        return "Link"

    def __get_pydantic_core_schema__(self, model: Any, handler: Any) -> Any:
        """Give the schema of records of a class."""
        from pydantic_core import core_schema

        if not (isinstance(model, type) and issubclass(model, Record)):
            raise TypeError(f"Link[{model!r}]: expected a class of Twins, as in Link[Customer]")
        return core_schema.with_info_plain_validator_function(
            lambda value, info: _linked(model, value, info.context),
            metadata={LINK: True},
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda record, info: _text(record, info.context), info_arg=True
            ),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Give the JSON Schema of what is stored."""
        return {"type": "string", "format": "uuid"}


if TYPE_CHECKING:
    Link: TypeAlias = Annotated[T, _LinkTo()]
else:

    class Link:
        """The type of a value that is another Twin: ``customer: Field[Link[Customer]] = entry()``.

        What is stored is the Twin's UUID. Reading gives a record of the class without asking the
        service; the record loads when it is looked at.

        Example:
            >>> class Customer(Twin):
            ...     name: Field[str] = description()
            >>> class Car(Twin):
            ...     customer: Field[Link[Customer]] = entry()
            >>> car = Car.create(customer=Customer.create(name="Ada"))
            >>> Car.get(car.uuid).customer.name
            'Ada'
        """

        def __class_getitem__(cls, model: Any) -> Any:
            """Give the type of links to a class."""
            return Annotated[model, _LinkTo()]


def _linked(model: Any, value: Any, linking: Any) -> Any:
    """Return the record for an assigned or stored value; raises `ValueError`."""
    if not isinstance(linking, Linking):
        linking = Linking()
    if isinstance(value, Record):
        return _fitting(model, value, linking.near)
    if isinstance(value, UUID):
        value = str(value)
    if isinstance(value, str) and value in linking.records:
        return linking.records[value]
    uuid = check_uuid(value)
    return uuid if linking.near is None else _record(model, uuid, linking.near)


def _fitting(model: Any, record: Any, near: TwinState | None) -> Any:
    state: TwinState = record._state
    if near is not None and state.address != near.address:
        raise ValueError(f"{record!r} belongs to another service")
    if isinstance(record, model):
        return record
    if not issubclass(model, type(record)):
        raise ValueError(f"{record!r} is no {model.__name__}")  # noqa: TRY004 # pydantic's protocol
    if state.facts is not None and model_of(member(state.facts, "description"), model) is None:
        raise ValueError(f"{record!r} is of another kind than {model.__name__}")
    return state.view(model)


def _record(model: Any, uuid: str, near: TwinState) -> Any:
    # What came from a pickle has no session yet, and neither has what it links to.
    session = near.joined
    state = TwinState(uuid, None, model) if session is None else state_at(model, uuid, session)
    known = state.model
    return state.view(known if issubclass(known, model) else model)


def _text(record: Any, linking: Any) -> str:
    """Return what is stored: the UUID, or what stands for it in plans."""
    if isinstance(record, str):
        return record
    state: TwinState = record._state
    known: dict[str, Any] = linking.records if isinstance(linking, Linking) else {}
    if state.uuid is not None:
        known.setdefault(state.uuid, record)
        return state.uuid
    text = name = placeholder(state)
    number = 1
    while text in known and known[text]._state is not state:
        number += 1
        text = f"{name[:-1]} {number})"
    known[text] = record
    return text


def referring(record: Any, attribute: Attribute[Any]) -> Expression:
    """Give the rule that Twins fulfil whose field links to a record.

    Args:
        record: A saved Twin.
        attribute: A field of links, asked for on its class.

    Raises:
        TypeError: That is no field of links.
    """
    spec = attribute._spec if isinstance(attribute, FieldAttribute) else None
    codec = None if spec is None else spec.codec
    if not isinstance(codec, TypedCodec) or not codec.is_linked:
        raise TypeError(
            f"referrers({attribute}): expected a field of links asked for on its class, as in "
            "customer.referrers(Car.customer)"
        )
    try:
        found: Expression = attribute == record
    except ValidationError:
        # A list of links.
        found = raw(f"{attribute} != null and {literal(record.uuid)} in {attribute}")
    return found


def linked_states(record: Any, field: str | FieldAttribute[Any]) -> list[TwinState]:
    """Return the Twins that a field of a record speaks of, without asking the service.

    Args:
        record: A Twin whose part with the field is loaded; else there are none.
        field: A field of links, a `reference` or an `include`; by name or as ``Car.customer``.
    """
    name = field if isinstance(field, str) else field._spec.attribute
    fields: Mapping[str, FieldSpec] = record.__fields__
    spec = fields[name]
    state: TwinState = record._state
    if spec.linked is not None:
        found = source(record, name) if state.holds(spec) else None
        return [] if found is None else [found._attached()]
    if not state.holds(spec):
        return []
    needs: list[Need] = list(spec.codec.needs(getattr(record, name)))
    return [needed for needed, _ in needs]
