"""Records as dictionaries: which names, which types, and what is loaded for it."""

from __future__ import annotations

import asyncio
import copy
import enum
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Network
from uuid import UUID

import pytest
from pydantic import BaseModel, computed_field
from pydantic import Field as Option

import ttorm
from ttorm import Doc, Field, Link, Reference, Twin, description, doc, entry, identity, reference


class Condition(enum.Enum):
    GOOD = "good"
    WORN = "worn"


@dataclass
class Position:
    lat: float
    lon: float


class Place(BaseModel):
    hall: int
    bay_name: str = Option(default="", alias="bayName")

    @computed_field
    @property
    def label(self) -> str:
        return f"H{self.hall}"


class Owner(Twin):
    name: Field[str] = description()


class Sensor(Twin):
    celsius: Field[float] = entry()


class Bike(Twin):
    model: Field[str] = description()
    bought: Field[date | None] = description(default=None)
    condition: Field[Condition] = entry(default=Condition.GOOD)
    position: Field[Position | None] = entry(default=None)
    place: Field[Place | None] = entry(default=None)
    price: Field[Decimal] = entry(default=Decimal("9.50"))
    serviced: Field[datetime | None] = entry(default=None)
    pause: Field[timedelta | None] = entry(default=None)
    token: Field[UUID | None] = entry(default=None)
    raw: Field[bytes | None] = entry(default=None)
    colours: Field[frozenset[Condition]] = entry(default=frozenset())
    network: Field[IPv4Network | None] = entry(
        codec=ttorm.ValueCodec(to_json=str, from_json=IPv4Network), default=None
    )
    tags: Field[list[str]] = entry(default_factory=list)
    owner_record: Field[Link[Owner] | None] = entry(default=None)
    riders: Field[list[Link[Owner]]] = entry(default_factory=list)
    outside: Reference[float | None] = reference(Sensor.celsius, default=None)
    frame: Field[str | None] = identity("FRAME", default=None)
    manual: Field[Doc] = doc("manual.txt")


FULL = {
    "model": "City",
    "bought": date(2024, 5, 1),
    "condition": Condition.WORN,
    "position": Position(52.5, 13.4),
    "place": Place(hall=4, bayName="b"),
    "price": Decimal("12.30"),
    "serviced": datetime(2024, 5, 1, 12, tzinfo=UTC),
    "pause": timedelta(minutes=5),
    "token": UUID(int=5),
    "raw": b"abc",
    "colours": frozenset([Condition.GOOD]),
    "network": IPv4Network("10.0.0.0/8"),
    "tags": ["a", "b"],
    "frame": "F1",
}
JSON = {
    **FULL,
    "bought": "2024-05-01",
    "condition": "worn",
    "position": {"lat": 52.5, "lon": 13.4},
    "place": {"hall": 4, "bayName": "b", "label": "H4"},
    "price": "12.30",
    "serviced": "2024-05-01T12:00:00.000000Z",
    "pause": "PT5M",
    "token": str(UUID(int=5)),
    "raw": "abc",
    "colours": ["good"],
    "network": "10.0.0.0/8",
}
PYTHON = {**FULL, "position": JSON["position"], "place": JSON["place"]}


def full():
    """Values for each field; those of a record are its own, since some are changed in place."""
    return copy.deepcopy(FULL)


@pytest.fixture
def other(others):
    """The UUID of a Bike that another program made."""
    uuid = others.call("create_twin", body={"description": {"model": "Tour"}})
    uuid = uuid["creation_certificate"]["uuid"]
    entries = {"tags": {"value": ["x"]}, "price": {"value": "7"}}
    others.call("add_twin_ledger_entry", uuid, body={"entries": entries})
    others.call("create_twin_identity", uuid, body={"identities": {"FRAME#F7": {}}})
    return uuid


# What is given


async def test_the_values_of_all_fields(do, connection):
    owner = await do(Owner, "create", name="Ada")
    sensor = await do(Sensor, "create", celsius=21.5)
    links = {"owner_record": owner, "riders": [owner], "outside": sensor}
    bike = await do(Bike, "create", **full(), **links)
    await do(bike, "refresh")
    linked = {"owner_record": owner.uuid, "riders": [owner.uuid], "outside": 21.5}
    assert await do(bike, "to_dict") == {"uuid": bike.uuid, **PYTHON, **linked}
    shown = await do(bike, "to_dict", mode="json")
    assert shown == {"uuid": bike.uuid, **JSON, **linked}
    assert json.loads(json.dumps(shown)) == shown


async def test_names_come_in_the_order_of_the_class(do, connection):
    bike = await do(Bike, "create", model="City")
    names = [name for name in Bike.__fields__ if name != "manual"]
    assert list(await do(bike, "to_dict")) == ["uuid", *names]


async def test_a_record_that_is_not_saved(do, connection, sent):
    shown = await do(Bike(**full()), "to_dict")
    assert shown["uuid"] is None
    assert (shown["model"], shown["position"]) == ("City", {"lat": 52.5, "lon": 13.4})
    assert sent == []


async def test_python_values_make_an_equal_record_again(do, connection):
    values = await do(Bike(**full()), "to_dict", exclude=["uuid"])
    assert await do(Bike(**values), "to_dict", exclude=["uuid"]) == values


async def test_it_shows_what_was_changed(do, connection):
    bike = await do(Bike, "create", **full())
    bike.model, bike.frame = "Tour", "F2"
    bike.tags.append("c")
    bike.position.lat = 1.0
    del bike.price
    shown = await do(bike, "to_dict", mode="json")
    assert (shown["model"], shown["frame"], shown["tags"]) == ("Tour", "F2", ["a", "b", "c"])
    assert (shown["position"]["lat"], shown["price"]) == (1.0, "9.50")


async def test_what_is_given_is_nobody_elses(do, connection):
    bike = await do(Bike, "create", **full())
    for mode in ("python", "json"):
        shown = await do(bike, "to_dict", mode=mode)
        shown["tags"].append("c")
        shown["position"]["lat"] = 0
        shown["place"]["hall"] = 0
    assert not ttorm.inspect(bike).is_modified
    assert (await do(bike, "to_dict"))["tags"] == ["a", "b"]


async def test_it_hands_nothing_out(do, connection, other):
    async with do.block(ttorm.session()) as session:
        bike = Bike.at(other)
        await do(bike, "to_dict")
        assert bike._state._lent is None
        assert not bike._state._touched
        assert session._held == {}


async def test_a_twin_without_class_gives_its_parts(do, connection):
    twin = await do(
        Twin,
        "create",
        description={"kind": "x", "site": {"hall": 4}},
        entries={"a": [1], "b": None},
        identities=["SN#1"],
    )
    twin = Twin.at(twin.uuid)
    twin.ledger["c"] = 5
    twin.description["colour"] = "red"
    shown = await do(twin, "to_dict")
    assert shown == {
        "uuid": twin.uuid,
        "description": {"kind": "x", "site": {"hall": 4}, "colour": "red"},
        "ledger": {"a": [1], "b": None, "c": 5},
    }
    shown["ledger"]["a"].append(2)
    del twin.ledger["b"]
    assert (await do(twin, "to_dict", include={"ledger"})) == {"ledger": {"a": [1], "c": 5}}


def test_the_values_of_a_ledger_are_nobody_elses(connection):
    twin = Twin.create(entries={"a": [1]})
    twin.ledger.to_dict()["a"].append(2)
    assert not ttorm.inspect(twin).is_modified
    twin.ledger["a"].value.append(3)
    assert twin.ledger.to_dict() == {"a": [1, 3]}


# Which names


async def test_include_and_exclude(do, connection):
    bike = await do(Bike, "create", **full())
    assert await do(bike, "to_dict", include={"tags", "model"}) == {
        "model": "City",
        "tags": ["a", "b"],
    }
    assert await do(bike, "to_dict", include=["uuid", "model"], exclude={"model"}) == {
        "uuid": bike.uuid
    }
    assert "tags" not in await do(bike, "to_dict", exclude=("tags",))


async def test_defaults_can_be_left_out(do, connection):
    bike = await do(Bike, "create", model="City", tags=["a"])
    assert await do(bike, "to_dict", exclude_defaults=True) == {
        "uuid": bike.uuid,
        "model": "City",
        "tags": ["a"],
    }


@pytest.mark.parametrize("argument", ["include", "exclude"])
def test_unknown_names_are_refused(connection, argument):
    bike = Bike(model="City")
    with pytest.raises(TypeError, match=r"Bike has no 'modle'.*did you mean 'model'\?"):
        bike.to_dict(**{argument: {"modle"}})
    with pytest.raises(TypeError, match="expected a set or list of names"):
        bike.to_dict(**{argument: "model"})
    with pytest.raises(TypeError, match="Bike has no 'manual'"):
        bike.to_dict(**{argument: {"manual"}})


def test_unknown_modes_are_refused(connection):
    with pytest.raises(ttorm.ValidationError, match="mode='xml': expected 'python' or 'json'"):
        Bike(model="City").to_dict(mode="xml")


# What is loaded for it


async def test_missing_parts_are_loaded_and_no_others(do, connection, other, sent):
    shown = await do(Bike.at(other), "to_dict")
    assert (shown["model"], shown["price"], shown["frame"]) == ("Tour", Decimal(7), "F7")
    assert sorted(sent.lines()) == [
        f"GET /twins/{other}",
        f"GET /twins/{other}/identities",
        f"GET /twins/{other}/ledgers/personal",
    ]


async def test_only_what_is_asked_for_is_loaded(do, connection, other, sent):
    bike = Bike.at(other)
    await do(bike, "to_dict", include={"uuid"})
    assert sent.lines() == []
    await do(bike, "to_dict", include={"price", "tags"})
    assert sent.lines() == [f"GET /twins/{other}/ledgers/personal"]
    await do(bike, "to_dict", include={"price", "tags"})
    assert sent.lines() == []


async def test_what_was_assigned_need_not_be_loaded(do, connection, other, sent):
    bike = Bike.at(other)
    bike.price, bike.frame, bike.model = Decimal(1), "F8", "X"
    shown = await do(bike, "to_dict", include={"price", "frame", "model"})
    assert shown == {"price": Decimal(1), "frame": "F8", "model": "X"}
    assert sent == []


async def test_loaded_only_asks_nothing(do, connection, other, sent):
    bike = Bike.at(other)
    assert await do(bike, "to_dict", loaded_only=True) == {"uuid": other}
    bike.price = Decimal(1)
    assert await do(bike, "to_dict", loaded_only=True) == {"uuid": other, "price": Decimal(1)}
    twin = Twin.at(other)
    assert await do(twin, "to_dict", loaded_only=True) == {"uuid": other}
    assert sent == []
    await do(bike, "load", "description")
    assert (await do(bike, "to_dict", loaded_only=True))["model"] == "Tour"
    assert await do(twin, "to_dict", loaded_only=True) == {
        "uuid": other,
        "description": {"model": "Tour"},
    }


def test_records_of_a_listing_are_loaded_together(connection, sent):
    ttorm.save_all([Bike(model=str(number)) for number in range(8)])
    sent.clear()
    shown = [bike.to_dict(exclude=["frame"])["model"] for bike in Bike.scan()]
    assert sorted(shown) == [str(number) for number in range(8)]
    assert len(sent) == 1 + 8


def test_under_a_loop_it_names_the_async_form(connection, other, sent):
    async def look():
        bike = Bike.at(other)
        with pytest.raises(ttorm.NotLoadedError, match=r"write await record\.ato_dict\(\) first"):
            bike.to_dict()
        assert sent == []
        assert await bike.ato_dict() == bike.to_dict()

    asyncio.run(look())


async def test_a_missing_value_is_told(do, connection):
    twin = await do(Twin, "create")
    with pytest.raises(ttorm.MissingEntryError, match="has no description 'model'"):
        await do(Bike.at(twin.uuid), "to_dict")
    shown = await do(Bike.at(twin.uuid), "to_dict", exclude={"model"})
    assert shown["price"] == Decimal("9.50")
    bike = await do(Bike.at(twin.uuid), "load")
    assert "model" not in await do(bike, "to_dict", loaded_only=True)


async def test_a_broken_reference_is_told(do, connection):
    sensor = await do(Sensor, "create", celsius=21.5)
    bike = await do(Bike, "create", model="City", outside=sensor)
    await do(sensor.ledger["celsius"], "delete")
    await do(bike, "refresh")
    with pytest.raises(ttorm.BrokenReferenceError):
        await do(bike, "to_dict")
    assert "outside" not in await do(bike, "to_dict", loaded_only=True)


async def test_a_reference_that_is_not_saved_shows_its_source(do, connection, sent):
    sensor = await do(Sensor, "create", celsius=21.5)
    async with do.block(ttorm.session()):
        bike = Bike(model="City", outside=Sensor.at(sensor.uuid))
        assert "outside" not in await do(bike, "to_dict", loaded_only=True)
        sent.clear()
        assert (await do(bike, "to_dict"))["outside"] == 21.5
        assert sent.lines() in ([], [f"GET /twins/{sensor.uuid}/ledgers/personal"])
        assert (await do(bike, "to_dict", loaded_only=True))["outside"] == 21.5
        bike.discard()


async def test_a_link_to_an_unsaved_record_cannot_be_told(do, connection):
    bike = Bike(model="City", owner_record=Owner(name="Ada"))
    with pytest.raises(ttorm.StateError, match="was not saved yet"):
        await do(bike, "to_dict")
