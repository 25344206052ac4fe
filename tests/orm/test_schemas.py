"""Model classes as JSON Schemas, and records as fields of pydantic models."""

from __future__ import annotations

import asyncio
import enum
import pickle
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from ipaddress import IPv4Network
from typing import Generic, TypeVar
from uuid import UUID

import jsonschema_rs
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import ttorm
from ttorm import Doc, Field, Link, Reference, Twin, description, doc, entry, identity, reference

T = TypeVar("T")


class Condition(enum.Enum):
    GOOD = "good"
    WORN = "worn"


@dataclass
class Position:
    lat: float
    lon: float


class Place(BaseModel):
    hall: int


class Sensor(Twin):
    celsius: Field[float] = entry()


class Named(Twin):
    name: Field[str] = description()

    class Meta:
        abstract = True


class Tagged(Twin, Generic[T]):
    tag: Field[T] = entry()

    class Meta:
        abstract = True


class Bike(Named, Tagged[int]):
    """A bike of the fleet."""

    bought: Field[date | None] = description(default=None)
    condition: Field[Condition] = entry(default=Condition.GOOD)
    position: Field[Position | None] = entry(default=None, history="1M", visibility="true")
    places: Field[list[Place]] = entry(default_factory=list)
    price: Field[Decimal] = entry(name="eur", default=Decimal("9.50"))
    serviced: Field[datetime | None] = entry(default=None)
    network: Field[IPv4Network | None] = entry(
        codec=ttorm.ValueCodec(to_json=str, from_json=IPv4Network), default=None
    )
    sensor: Field[Link[Sensor] | None] = entry(default=None)
    outside: Reference[float | None] = reference(Sensor.celsius, default=None)
    frame: Field[str] = identity("FRAME", key=True)
    manual: Field[Doc] = doc("manual.txt")


class Cargo(Bike):
    volume: Field[float] = entry(default=1.0)


class Rack(BaseModel):
    first: Bike
    others: list[Bike] = []
    spare: Bike | None = None


VALUES = {
    "name": "A",
    "tag": 5,
    "bought": date(2024, 5, 1),
    "position": Position(52.5, 13.4),
    "places": [Place(hall=4)],
    "serviced": datetime(2024, 5, 1, tzinfo=UTC),
    "network": IPv4Network("10.0.0.0/8"),
    "frame": "F1",
}


# JSON Schema


async def test_what_to_dict_gives_fulfils_the_schema(do, connection):
    sensor = await do(Sensor, "create", celsius=21.5)
    links = {"sensor": sensor, "outside": sensor}
    schema = Cargo.json_schema("serialization")
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    for bike in (
        await do(Cargo, "create", **VALUES, **links),
        await do(Cargo, "create", name="B", tag=1, frame="F2"),
    ):
        await do(bike, "refresh")
        shown = await do(bike, "to_dict", mode="json")
        validator.validate(shown)
        assert set(shown) == set(schema["required"]) == set(schema["properties"])
        assert not validator.is_valid({**shown, "tag": "x"})
        assert not validator.is_valid({**shown, "uuid": None})


def test_what_the_constructor_takes(connection):
    schema = Bike.json_schema()
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["title"], schema["description"]) == ("Bike", "A bike of the fleet.")
    assert set(schema["required"]) == {"name", "tag", "frame"}
    assert "uuid" not in schema["properties"]
    assert "manual" not in schema["properties"]
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    given = Bike(**VALUES).to_dict(mode="json", exclude=["uuid", "network"])
    validator.validate({name: value for name, value in given.items() if value is not None})
    assert not validator.is_valid({"name": "A", "tag": 5})
    assert not validator.is_valid({**given, "condition": "rusty"})


def test_the_schema_of_each_field():
    properties = Bike.json_schema()["properties"]
    assert properties["tag"]["type"] == "integer"
    assert properties["condition"]["default"] == "good"
    assert properties["places"]["items"] == {"$ref": "#/$defs/Place"}
    assert "default" not in properties["places"]
    assert properties["price"]["default"] == "9.50"
    assert properties["price"]["title"] == "Price"
    assert {"type": "string", "format": "uuid"} in properties["sensor"]["anyOf"]
    assert {"type": "string", "format": "uri"} in properties["outside"]["anyOf"]
    given = Bike.json_schema("serialization")["properties"]
    assert given["price"]["type"] == "string"
    assert {"type": "number"} in given["outside"]["anyOf"]


def test_what_a_field_maps_is_told():
    stored = {
        name: property_["x-ttorm"] for name, property_ in Bike.json_schema()["properties"].items()
    }
    assert stored["name"] == {"kind": "description", "name": "name"}
    assert stored["price"] == {"kind": "entry", "name": "eur"}
    assert stored["frame"] == {"kind": "identity", "name": "FRAME"}
    assert stored["position"] == {
        "kind": "entry",
        "name": "position",
        "visibility": "true",
        "history": "1M",
    }


def test_subclasses_have_what_they_inherit():
    assert set(Cargo.json_schema()["properties"]) == {*Bike.json_schema()["properties"], "volume"}
    assert "description" not in Cargo.json_schema()


async def test_a_class_without_fields(do, connection):
    assert set(Twin.json_schema()["properties"]) == {"description", "entries", "identities"}
    twin = await do(Twin, "create", description={"kind": "x"}, entries={"a": [1]})
    schema = Twin.json_schema("serialization")
    jsonschema_rs.validate(schema, await do(twin, "to_dict", mode="json"))
    assert set(schema["required"]) == {"uuid", "description", "ledger"}


def test_unknown_modes_are_refused():
    with pytest.raises(ttorm.ValidationError, match="expected 'validation' or 'serialization'"):
        Bike.json_schema("json")


# Fields of pydantic models


@pytest.fixture
def bike(connection):
    return Bike.create(**VALUES)


def test_records_and_uuids_are_taken_without_asking(bike, sent):
    sent.clear()
    cargo = Cargo.at(bike.uuid)
    rack = Rack(first=bike, others=[bike.uuid, UUID(bike.uuid), cargo])
    assert rack.first is bike
    assert [type(one) for one in rack.others] == [Bike, Bike, Cargo]
    assert all(one == bike for one in rack.others)
    assert Rack.model_validate_json(f'{{"first": "{bike.uuid}"}}') == Rack(first=bike)
    assert sent == []


@pytest.mark.parametrize("value", [5, None, "A17", {}, Twin.uuid])
def test_others_are_refused(connection, value):
    with pytest.raises(ValidationError, match="Input should be a Bike or the UUID of one"):
        Rack(first=value)


def test_a_record_of_another_class_is_refused(connection):
    with pytest.raises(ValidationError, match="Input should be a Bike or the UUID of one"):
        Rack(first=Sensor.create(celsius=1.0))


def test_python_data_keeps_the_record_and_json_has_its_fields(bike):
    rack = Rack(first=bike, others=[bike])
    assert rack.model_dump()["others"][0] is bike
    assert rack.model_dump(mode="json") == {
        "first": bike.to_dict(mode="json"),
        "others": [bike.to_dict(mode="json")],
        "spare": None,
    }
    assert TypeAdapter(Bike).dump_python(bike, mode="json") == bike.to_dict(mode="json")
    assert pickle.loads(pickle.dumps(rack)).first.name == "A"


def test_a_subclass_shows_the_fields_of_the_declared_class(connection):
    cargo = Cargo.create(**VALUES, volume=5.0)
    assert "volume" not in Rack(first=cargo).model_dump(mode="json")["first"]
    shown = TypeAdapter(Twin).dump_python(cargo, mode="json")
    assert set(shown) == {"uuid", "description", "ledger"}
    assert shown["ledger"]["volume"] == 5.0


def test_json_of_an_unsaved_record_is_refused(connection):
    with pytest.raises(Exception, match="was not saved yet"):
        Rack(first=Bike(**VALUES)).model_dump_json()


def test_json_under_a_loop_says_what_to_load(bike, sent):
    uuid = bike.uuid

    async def dump():
        rack = Rack(first=uuid)
        with pytest.raises(Exception, match=r"await record\.ato_dict\(\)"):
            rack.model_dump_json()
        await rack.first.aload()
        return rack.model_dump(mode="json")

    with ttorm.session():
        assert asyncio.run(dump())["first"]["name"] == "A"


def test_the_schemas_of_the_model(bike):
    taken = Rack.model_json_schema()
    assert taken["properties"]["first"] == {"format": "uuid", "title": "First", "type": "string"}
    given = Rack.model_json_schema(mode="serialization")
    assert given["properties"]["others"]["items"] == {"$ref": "#/$defs/Bike"}
    assert set(given["$defs"]) == {"Bike", "Condition", "Place", "Position"}
    assert "x-ttorm" not in str(given)
    jsonschema_rs.validate(given, Rack(first=bike, others=[bike]).model_dump(mode="json"))


def test_a_record_is_no_value_of_a_field(connection):
    class Garage(Twin):
        bikes: Field[list[Bike]] = entry()

    with pytest.raises(TypeError, match=r"Garage\.bikes is declared as .*write Link\[\.\.\.\]"):
        Garage(bikes=[])

    class Rental(Twin):
        rack: Field[Rack] = entry()

    with pytest.raises(TypeError, match=r"write Link\[\.\.\.\]"):
        _ = Rental.at("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11").plan(), Rental(rack=None)
