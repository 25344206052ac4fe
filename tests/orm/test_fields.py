"""Declared fields: validation, defaults, names, and model classes in all places."""

from __future__ import annotations

import enum
import typing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import pydantic
import pytest

import ttorm
from ttorm import Field, Twin, description, entry, identity


class Mode(enum.Enum):
    ECO = "eco"
    FAST = "fast"


class Address(pydantic.BaseModel):
    street: str
    number: int = 1


@dataclass
class Point:
    x: float
    y: float


class House(Twin):
    owner_name: Field[str] = description(name="owned_by", default="nobody")
    mode: Field[Mode] = description(default=Mode.ECO)
    warmth: Field[float] = entry(default=20.0)
    address: Field[Address | None] = entry(default=None)
    corners: Field[list[Point]] = entry(default_factory=list)
    built: Field[date | None] = entry(default=None)
    checked: Field[datetime | None] = entry(name="last_check", default=None)
    price: Field[Decimal | None] = entry(default=None)
    tags: Field[list[str]] = entry(default=["new"])
    number: Field[int | None] = identity("NO", default=None)


@pytest.fixture
def store(others):
    """Make a Twin elsewhere: ``store(description, entries) -> uuid``."""

    def store(described=None, **entries):
        twin = others.call("create_twin", body={"description": described or {}})
        uuid = twin["creation_certificate"]["uuid"]
        if entries:
            body = {"entries": {name: {"value": value} for name, value in entries.items()}}
            others.call("add_twin_ledger_entry", uuid, body=body)
        return uuid

    return store


def stored(others, uuid):
    """Read the values of a Ledger from the service."""
    entries = others.call("get_twin_ledger_entry", uuid)["entries"]
    return {name: entry["value"] for name, entry in entries.items()}


# Values


@pytest.mark.parametrize(
    ("field", "value", "kept", "json"),
    [
        ("warmth", 21, 21.0, 21.0),
        ("warmth", 21.5, 21.5, 21.5),
        (
            "address",
            Address(street="Main"),
            Address(street="Main"),
            {"street": "Main", "number": 1},
        ),
        ("address", {"street": "Side"}, Address(street="Side"), {"street": "Side", "number": 1}),
        ("corners", [Point(1, 2)], [Point(1, 2)], [{"x": 1.0, "y": 2.0}]),
        ("built", date(1999, 12, 31), date(1999, 12, 31), "1999-12-31"),
        (
            "checked",
            datetime(2024, 1, 1, 12, tzinfo=UTC),
            datetime(2024, 1, 1, 12, tzinfo=UTC),
            "2024-01-01T12:00:00.000000Z",
        ),
        ("price", Decimal("9.90"), Decimal("9.90"), "9.90"),
        ("price", None, None, None),
        ("tags", ("a", "b"), ["a", "b"], ["a", "b"]),
    ],
)
async def test_values_of_declared_types(do, connection, others, field, value, kept, json):
    house = await do(House, "create", **{field: value})
    assert getattr(house, field) == kept
    assert type(getattr(house, field)) is type(kept)
    name = {"checked": "last_check"}.get(field, field)
    assert stored(others, house.uuid).get(name) == json
    async with do.block(ttorm.session()):
        again = await do(House.at(house.uuid), "load")
        assert getattr(again, field) == kept
        assert not ttorm.inspect(again).is_modified


async def test_enums_in_the_description(do, connection, others):
    house = await do(House, "create", mode=Mode.FAST)
    assert others.call("get_twin", house.uuid)["description"]["mode"] == "fast"
    async with do.block(ttorm.session()):
        assert (await do(House, "get", house.uuid)).mode is Mode.FAST


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("warmth", "hot", r"House\.warmth expects float, found 'hot': "),
        ("warmth", None, "warmth.* expects float, found None"),
        ("warmth", float("inf"), "warmth.* is inf, which JSON cannot hold"),
        ("mode", "slow", "expects Mode, found 'slow'"),
        ("corners", [{"x": 1}], r"\[0\]\['y'\] Field required"),
        ("address", {"street": "Main", "number": "x"}, r"\['number'\]"),
        ("number", "seven", "expects int"),
        (
            "owner_name",
            5,
            r"House.owner_name expects str, found 5: .*\(description\['owned_by'\]\)",
        ),
    ],
)
async def test_a_wrong_value_is_refused_where_it_is_assigned(
    do, connection, sent, field, value, reason
):
    house = await do(House, "create", warmth=19.5, owner_name="Ann", number=7)
    before = getattr(house, field)
    sent.clear()
    with pytest.raises(ttorm.ValidationError, match=reason) as caught:
        setattr(house, field, value)
    assert isinstance(caught.value, ValueError)
    assert getattr(house, field) == before
    assert not ttorm.inspect(house).is_modified
    assert (await do(house, "save")).requests == 0
    assert sent == []


async def test_a_constraint_is_told_without_its_machinery(do, connection):
    class Meter(Twin):
        percent: Field[Annotated[float, pydantic.Field(le=100)]] = entry(default=0.0)

    with pytest.raises(ttorm.ValidationError, match=r"expects float, found 101: .* equal to 100"):
        Meter(percent=101)


async def test_a_refused_value_leaves_an_earlier_change(do, connection):
    house = await do(House, "create")
    house.warmth = 25
    with pytest.raises(ttorm.ValidationError):
        house.warmth = "hot"
    assert house.warmth == 25.0
    assert (await do(house, "save")).updated == ("warmth",)


async def test_a_container_that_became_wrong_is_refused_at_save(do, connection, sent):
    house = await do(House, "create", tags=["a"], warmth=1)
    house.warmth = 2
    house.tags.append(7)
    sent.clear()
    with pytest.raises(ttorm.ValidationError, match=r"tags.*expects list\[str\]"):
        await do(house, "save")
    assert sent == []
    house.tags.pop()
    assert (await do(house, "save")).updated == ("warmth",)


async def test_an_unknown_attribute_is_refused(do, connection):
    house = await do(House, "create")
    with pytest.raises(AttributeError, match="did you mean 'warmth'"):
        house.warmht = 5
    with pytest.raises(AttributeError, match=r"declare it as a field, use ledger\[...\]"):
        house.qqq = 5
    with pytest.raises(AttributeError, match="did you mean 'warmth'"):
        _ = house.warmht
    with pytest.raises(AttributeError):
        house.uuid = "x"
    house._note = 5
    assert house._note == 5


# What the service has


async def test_a_bad_value_of_the_service_spoils_only_its_own_attribute(
    do, connection, store, others, sent
):
    uuid = store({"owned_by": ["no", "text"]}, warmth="warm", price="9.90", tags=[1])
    house = await do(House.at(uuid), "load")
    for field, found in [("warmth", "'warm'"), ("owner_name", r"\['no'"), ("tags", r"\[1\]")]:
        with pytest.raises(ttorm.ValidationError, match=f"the service has {found}"):
            getattr(house, field)
    assert (house.price, house.mode) == (Decimal("9.90"), Mode.ECO)
    assert house.ledger["warmth"].value == "warm"
    assert house.description["owned_by"] == ["no", "text"]
    assert not ttorm.inspect(house).is_modified
    house.price = Decimal(10)
    sent.clear()
    await do(house, "save")
    assert [request.body for request in sent] == [{"entries": {"price": {"value": "10"}}}]
    assert stored(others, uuid)["warmth"] == "warm"


async def test_a_bad_value_of_the_service_can_be_mended(do, connection, store, sent):
    house = await do(House.at(store(warmth="warm")), "load")
    house.warmth = 21
    assert house.warmth == 21.0
    sent.clear()
    assert (await do(house, "save")).updated == ("warmth",)
    assert sent[0].body == {"entries": {"warmth": {"value": 21.0}}}


async def test_a_declared_entry_that_is_not_there(do, connection, store):
    class Tank(Twin):
        level: Field[float] = entry()
        name_: typing.ClassVar = None
        volume: Field[float] = description()

    tank = await do(Tank.at(store()), "load")
    with pytest.raises(ttorm.MissingEntryError, match=f"Tank {tank.uuid} has no entry 'level'"):
        _ = tank.level
    with pytest.raises(ttorm.MissingEntryError, match="has no description 'volume'"):
        _ = tank.volume
    assert getattr(tank, "level", 7) == 7
    assert not hasattr(tank, "volume")
    tank.level = 3
    assert tank.level == 3.0


# Defaults


async def test_defaults_are_read_where_nothing_is_stored(do, connection, store, sent):
    house = await do(House.at(store()), "load")
    assert (house.owner_name, house.mode, house.warmth) == ("nobody", Mode.ECO, 20.0)
    assert (house.address, house.corners, house.tags, house.number) == (None, [], ["new"], None)
    assert not ttorm.inspect(house).is_modified
    sent.clear()
    await do(house, "save")
    assert sent == []


async def test_create_sends_defaults_but_none(do, connection, others):
    house = await do(House, "create")
    assert others.call("get_twin", house.uuid)["description"] == {
        "owned_by": "nobody",
        "mode": "eco",
    }
    assert stored(others, house.uuid) == {"warmth": 20.0, "corners": [], "tags": ["new"]}


async def test_default_containers_are_fresh(do, connection, store):
    one = await do(House.at(store()), "load")
    two = await do(House.at(store()), "load")
    one.tags.append("mine")
    one.corners.append(Point(0, 0))
    assert (two.tags, two.corners) == (["new"], [])
    assert (House().tags, House().corners) == (["new"], [])
    assert one.tags is one.tags


async def test_a_changed_default_container_is_a_new_entry(do, connection, store, sent):
    house = await do(House.at(store()), "load")
    house.tags.append("old")
    assert ttorm.inspect(house).changes == {"tags": (None, ["new", "old"])}
    sent.clear()
    result = await do(house, "save")
    assert sent.take() == [
        (
            "POST",
            f"/twins/{house.uuid}/ledgers/personal",
            (),
            {"entries": {"tags": {"value": ["new", "old"]}}},
        )
    ]
    assert result.created == ("tags",)


async def test_assigning_the_default_to_what_is_not_there_is_no_change(do, connection, store):
    house = await do(House.at(store()), "load")
    house.warmth, house.tags, house.address = 20, ["new"], None
    assert not ttorm.inspect(house).is_modified
    assert (house.warmth, house.tags) == (20.0, ["new"])


async def test_deleting_a_field_brings_its_default_back(do, connection, others, sent):
    house = await do(House, "create", warmth=5, owner_name="Ann", number=7)
    del house.warmth, house.owner_name, house.number
    assert (house.warmth, house.owner_name, house.number) == (20.0, "nobody", None)
    sent.clear()
    result = await do(house, "save")
    assert result.deleted == ("number", "warmth")
    assert [request.method for request in sent] == ["PATCH", "DELETE", "DELETE"]
    assert (house.warmth, house.owner_name, house.number) == (20.0, "nobody", None)
    assert "warmth" not in stored(others, house.uuid)


async def test_deleting_a_required_entry(do, connection):
    class Lamp(Twin):
        power: Field[int] = entry()

    lamp = await do(Lamp, "create", power=40)
    del lamp.power
    with pytest.raises(ttorm.MissingEntryError):
        _ = lamp.power
    with pytest.raises(ttorm.MissingEntryError):
        _ = lamp.ledger["power"].value
    lamp.power = 60
    assert lamp.power == 60
    assert (await do(lamp, "save")).updated == ("power",)


# Names and class bodies


async def test_other_names_on_the_platform(do, connection, others):
    class Sensor(Twin):
        state: Field[str] = entry(name="status")
        label: Field[str] = description(name="description")
        tag: Field[str] = identity("RFID")

    sensor = await do(Sensor, "create", state="on", label="x", tag="1")
    assert stored(others, sensor.uuid) == {"status": "on"}
    assert others.call("get_twin", sensor.uuid)["description"] == {"description": "x"}
    assert (sensor.status, sensor.state) == ("alive", "on")
    assert str(Sensor.state == "on") == 'LEDGER.status == "on"'


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("status", 'hides Twin.status: .* as in other = entry\\(name="status"\\)'),
        ("save", "hides Twin.save"),
        ("create", "hides Twin.create"),
        ("_state", "starts with an underscore"),
        ("_hidden", 'starts with an underscore: .* other = entry\\(name="hidden"\\)'),
        ("ledger", "hides Twin.ledger"),
    ],
)
def test_a_field_that_would_hide_a_member_is_refused(attribute, message):
    with pytest.raises(TypeError, match=message):
        type("Wrong", (Twin,), {"__annotations__": {attribute: Field[int]}, attribute: entry()})


def test_names_the_platform_does_not_allow():
    with pytest.raises(TypeError, match=r'"batteryLevel"|entry\(name="..."\)'):

        class Camel(Twin):
            batteryLevel: Field[int] = entry()  # noqa: N815 # what is to be refused

    with pytest.raises(TypeError, match=r'identity\(name="..."\)|identity\("..."\)'):

        class Long(Twin):
            registration: Field[str] = identity()


def test_two_fields_for_one_entry():
    with pytest.raises(TypeError, match="map the same entry 'level'"):

        class Twice(Twin):
            one: Field[int] = entry(name="level")
            two: Field[int] = entry(name="level")


def test_an_annotation_without_a_field():
    with pytest.raises(TypeError, match=r"write level: Field\[...\] = entry\(\)"):

        class Half(Twin):
            level: Field[int]


def test_a_plain_attribute_over_a_field():
    with pytest.raises(TypeError, match=r"Cold\.warmth replaces the field of House by float"):

        class Cold(House):
            warmth = 5.0


def test_an_annotation_without_field_around_it(connection):
    with pytest.raises(TypeError, match=r"write Field\[...\] around it"):

        class Bare(Twin):
            level: int = entry()


def test_an_annotation_that_cannot_be_resolved(connection):
    class Lost(Twin):
        level: Field[Nowhere] = entry()  # noqa: F821 # what is to be refused

    with pytest.raises(TypeError, match=r"'Field\[Nowhere\]' .* cannot be resolved"):
        Lost(level=5)


def test_an_unknown_option_of_meta():
    with pytest.raises(TypeError, match="no option 'kinds': did you mean 'kind'"):

        class Odd(Twin):
            class Meta:
                kinds = "odd"


def test_a_default_and_a_factory():
    with pytest.raises(TypeError, match="not both"):
        entry(default=1, default_factory=int)


def test_a_history_that_is_none():
    with pytest.raises(TypeError, match="no history period"):
        entry(history="3 months")


def test_fields_are_found_by_their_values(connection, sent):
    class Loose(Twin):
        anything = entry(default=None)

    loose = Loose(anything={"a": [1]})
    assert loose.anything == {"a": [1]}
    with pytest.raises(ttorm.ValidationError, match="is a set"):
        loose.anything = {1}


def test_inherited_and_redeclared_fields(connection):
    class Base(Twin):
        a: Field[int] = entry(default=1)
        b: Field[int] = entry(default=2)

    class Derived(Base):
        b: Field[str] = entry(default="two")
        c: Field[int] = entry(default=3)

    derived = Derived()
    assert (derived.a, derived.b, derived.c) == (1, "two", 3)
    derived.b = "x"
    with pytest.raises(ttorm.ValidationError):
        Base().b = "x"


async def test_classes_inside_functions(do, connection):
    @dataclass
    class Wheel:
        radius: float

    Size = Literal["s", "m"]  # noqa: N806 # a type

    class Bike(Twin):
        wheels: Field[list[Wheel]] = entry()
        size: Field["Size"] = entry()  # noqa: UP037 # quoted on purpose
        id_: Field[UUID | None] = entry(name="id", default=None)

    bike = await do(Bike, "create", wheels=[{"radius": 14}], size="m")
    assert bike.wheels == [Wheel(14.0)]
    with pytest.raises(ttorm.ValidationError):
        bike.size = "xl"


def test_generic_classes_inside_functions(connection):
    def make(kind):
        class Holder(Twin):
            item: Field[kind] = entry()

        return Holder

    assert make(int)(item="5").item == 5
    assert make(str)(item="5").item == "5"


async def test_members_that_are_no_fields_stay(do, connection):
    class Tank(Twin):
        LIMIT = 10.0
        level: Field[float] = entry(default=0.0)

        @property
        def full(self) -> bool:
            return self.level >= self.LIMIT

        def fill(self) -> None:
            self.level = self.LIMIT

    tank = await do(Tank, "create")
    assert not tank.full
    tank.fill()
    assert tank.full
    assert (await do(tank, "save")).updated == ("level",)


def test_properties_with_setters_work(connection):
    class Celsius(Twin):
        kelvin: Field[float] = entry(default=273.15)

        @property
        def celsius(self) -> float:
            return self.kelvin - 273.15

        @celsius.setter
        def celsius(self, value: float) -> None:
            self.kelvin = value + 273.15

    thermometer = Celsius()
    thermometer.celsius = 20
    assert thermometer.kelvin == 293.15


# Identities as fields


async def test_assigning_an_identity_replaces_it(do, connection, sent):
    house = await do(House, "create", number=7)
    sent.clear()
    house.number = 8
    assert house.number == 8
    assert list(house.identities) == ["NO#8"]
    result = await do(house, "save")
    assert sent.take() == [
        ("POST", f"/twins/{house.uuid}/identities", (), {"identities": {"NO#8": {}}}),
        ("DELETE", f"/twins/{house.uuid}/identities/NO#7", (), None),
    ]
    assert (result.created, result.deleted) == (("number",), ("number",))
    assert list(house.identities) == ["NO#8"]
    assert not ttorm.inspect(house).is_modified


async def test_assigning_an_identity_that_is_not_loaded_reads_it_first(
    do, connection, others, sent
):
    made = await do(House, "create", number=7)
    async with do.block(ttorm.session()):
        house = House.at(made.uuid)
        house.number = 8
        assert [str(request) for request in house.plan()] == [
            f"GET /twins/{made.uuid}/identities?show_expired=true",
            f'POST /twins/{made.uuid}/identities\n{{"identities": {{"NO#8": {{}}}}}}',
        ]
        sent.clear()
        await do(house, "save")
        assert [request.method for request in sent.take()] == ["GET", "POST", "DELETE"]
        assert list(house.identities) == ["NO#8"]


async def test_assigning_the_same_identity_sends_nothing(do, connection, sent):
    house = await do(House, "create", number=7)
    house.number = 8
    house.number = 7
    sent.clear()
    assert not ttorm.inspect(house).is_modified
    assert (await do(house, "save")).requests == 0
    assert sent == []


async def test_of_several_identities_the_field_shows_the_oldest(do, connection, emulator):
    emulator.clock.freeze(1_718_000_000)
    house = await do(House, "create", number=7)
    emulator.clock.advance(1)
    house.identities.add("NO#5")
    await do(house, "save")
    assert house.number == 7
    async with do.block(ttorm.session()):
        assert (await do(House.at(house.uuid), "load")).number == 7


@pytest.mark.parametrize(("field", "value"), [("price", Decimal(9)), ("since", timedelta(hours=2))])
def test_values_whose_json_orders_differently_are_only_equal_or_not(field, value):
    class Lease(House):
        since: Field[timedelta | None] = entry(default=None)

    attribute = getattr(Lease, field)
    with pytest.raises(TypeError, match="only == and != can be asked"):
        _ = attribute < value
    assert str(attribute == value).startswith("LEDGER.")


async def test_moments_order_as_their_json_does(do, connection):
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    made = [
        await do(House, "create", checked=moment)
        for moment in (
            noon,
            noon + timedelta(milliseconds=500),
            (noon - timedelta(hours=1)).astimezone(timezone(timedelta(hours=5))),
        )
    ]
    assert await do.list(House.scan(House.checked <= noon)) == [made[0], made[2]]
    assert await do.list(House.scan(House.checked > noon)) == [made[1]]
    assert str(House.built < date(2000, 1, 1)) == 'LEDGER.built < "2000-01-01"'


def test_naive_moments_stay_naive(connection):
    moment = datetime(2024, 1, 1, 12)  # noqa: DTZ001 # the point
    house = House(checked=moment)
    assert house.checked == moment
    assert house.ledger["last_check"].value == "2024-01-01T12:00:00.000000"


def test_fields_of_a_mixin_that_is_no_twin_are_refused():
    class Coloured:
        colour: Field[str] = entry()

    with pytest.raises(TypeError, match=r"colour from Coloured.* write class Coloured\(Twin\)"):

        class Kite(Coloured, Twin):
            pass


def test_a_field_with_the_name_of_an_argument_is_refused():
    with pytest.raises(TypeError, match=r'other = entry\(name="entries"\)'):

        class Diary(Twin):
            entries: Field[int] = entry()


# Models that are particular about their JSON


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    at: datetime
    mode: Mode
    number: UUID


class Camel(pydantic.BaseModel):
    first_name: str = pydantic.Field(alias="firstName")


class Area(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    width: int

    @pydantic.computed_field
    @property
    def square(self) -> int:
        return self.width**2


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        (
            Strict,
            Strict(at=datetime(2024, 1, 1, tzinfo=UTC), mode=Mode.ECO, number=UUID(int=1)),
            {"at": "2024-01-01T00:00:00Z", "mode": "eco", "number": str(UUID(int=1))},
        ),
        (Camel, Camel(firstName="Ada"), {"firstName": "Ada"}),
        (Area, Area(width=3), {"width": 3}),
    ],
)
async def test_models_that_are_particular_about_their_json(do, others, kind, value, raw):
    class Holder(Twin):
        held: Field[kind] = entry()

    holder = await do(Holder, "create", held=value)
    assert stored(others, holder.uuid) == {"held": raw}
    again = await do(Holder.at(holder.uuid), "refresh")
    await do(again, "load", "ledger")
    assert again.held == value
    assert again.plan()[:] == ()


def test_bytes_that_are_no_text_are_refused(connection):
    class Holder(Twin):
        held: Field[bytes] = entry()

    assert Holder(held=b"text").held == b"text"
    with pytest.raises(ttorm.ValidationError, match="holds what JSON cannot"):
        Holder(held=b"\xff")


async def test_a_required_identity_that_is_not_there(do, connection, store):
    class Plate(Twin):
        number: Field[str] = identity("PLATE")

    plate = await do(Plate.at(store()), "load")
    with pytest.raises(ttorm.MissingEntryError, match="has no Identity of type 'PLATE'"):
        _ = plate.number
    assert getattr(plate, "number", "?") == "?"


async def test_ordinary_attributes_can_be_deleted(do, connection):
    house = House()
    house._note = 5
    del house._note
    assert not hasattr(house, "_note")
    with pytest.raises(AttributeError):
        del house.nothing
