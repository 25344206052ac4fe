"""Links: values that are other Twins, stored as their UUIDs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar
from uuid import UUID

from ttorm.api.answers import member
from ttorm.api.errors import ValidationError
from ttorm.api.names import check_uuid
from ttorm.flows import Flow, gather
from ttorm.records.fields import FieldAttribute, FieldSpec
from ttorm.records.loading import load
from ttorm.records.lookup import state_at
from ttorm.records.models import model_of
from ttorm.records.record import Record
from ttorm.records.references import source
from ttorm.records.sources import placeholder
from ttorm.records.state import TwinState
from ttorm.records.typed import LINK, Linking, TypedCodec
from ttorm.records.values import Need
from ttorm.results import all_of
from ttorm.rules import Attribute, Expression, literal, raw

__all__ = ["Link", "holds_links", "linked_states", "load_linked", "referring"]

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

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            """Refuse to stand for no class."""
            raise TypeError("Link alone names no class: write Link[Customer], or Link[Twin]")


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
    if spec is None or not holds_links(spec):
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


def load_linked(records: Sequence[Any], fields: Sequence[str]) -> Flow[None]:
    """Read the Twins that fields of records link to, each one once and side by side.

    Args:
        records: Records whose parts with the fields are loaded.
        fields: Names of fields of links.
    """
    found = {
        id(state): state
        for record in records
        for field in fields
        for state in linked_states(record, field)
        if state.uuid is not None
    }
    all_of((yield from gather(load(state, _parts(state)) for state in found.values())))


def _parts(state: TwinState) -> list[str]:
    """Return the parts that the fields of a Twin's class are in."""
    fields: Mapping[str, FieldSpec] = state.model.__fields__
    parts = dict.fromkeys(spec.part for spec in fields.values() if spec.kind != "doc")
    return list(parts) or ["description"]


def holds_links(spec: FieldSpec) -> bool:
    """Tell whether the values of a field are links, or have links in them."""
    return isinstance(spec.codec, TypedCodec) and spec.codec.is_linked


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
