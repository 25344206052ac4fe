"""How classes are declared: bases, options, codecs and mistakes; and which class shows a Twin."""

from __future__ import annotations

import sys
from typing import Generic, TypedDict, TypeVar

import pytest
from pydantic import Base64Bytes, Json

import ttorm
from ttorm import (
    Doc,
    Field,
    Reference,
    Twin,
    ValueCodec,
    description,
    doc,
    entry,
    identity,
    include,
    reference,
)

T = TypeVar("T")


class Located(Twin):
    place: Field[str | None] = entry(default=None)

    class Meta:
        abstract = True


class Priced(Twin):
    price: Field[float] = description(default=1.0)

    class Meta:
        abstract = True
        optimistic = True


class Vehicle(Twin):
    wheels: Field[int] = entry(default=4)

    class Meta:
        kind = "models-vehicle"
        ttl = 7


class Bike(Located, Priced, Vehicle):
    wheels: Field[int] = entry(default=2)

    class Meta:
        kind = "models-bike"

    @property
    def spokes(self) -> int:
        return self.wheels * 32


class Tower(Located):
    class Meta:
        kind = "models-tower"


class Box(Twin, Generic[T]):
    content: Field[T] = entry()
    spares: Field[list[T] | None] = entry(default=None)


class Number(Box[int]):
    pass


def stored(others, record):
    answer = others.call("get_twin_ledger_entry", record.uuid, "personal")
    return {name: entry["value"] for name, entry in answer["entries"].items()}


# Bases


async def test_fields_and_options_of_several_bases(do, connection, others):
    bike = await do(Bike, "create", place="hall")
    assert (bike.place, bike.price, bike.wheels, bike.spokes) == ("hall", 1.0, 2, 64)
    assert stored(others, bike) == {"place": "hall", "wheels": 2}
    assert Bike.__meta__ == ("models-bike", "kind", True, False, 7, "personal", (), ())


async def test_an_abstract_class_makes_no_twins(do, connection, sent):
    with pytest.raises(TypeError, match=r"Located is abstract.*make one of a class below it"):
        Located(place="x")
    with pytest.raises(TypeError, match="Located is abstract"):
        await do(Located, "create")
    assert sent == []


async def test_an_abstract_class_stands_for_the_kinds_below_it(do, connection):
    bike, tower = await do(Bike, "create"), await do(Tower, "create")
    other = await do(Twin, "create", description={"kind": "models-other"})
    found = await do(Located.scan(), "all")
    assert {type(record) for record in found} == {Bike, Tower}
    assert set(found) == {bike, tower}
    assert type(await do(Located, "get", tower.uuid)) is Tower
    with pytest.raises(ttorm.WrongKindError, match="Located is for 'models-bike' 'models-tower'"):
        await do(Located, "get", other.uuid)


async def test_generic_bases(do, connection, others):
    number = await do(Number, "create", content="5", spares=["6"])
    assert stored(others, number) == {"content": 5, "spares": [6]}
    with pytest.raises(ttorm.ValidationError, match="content"):
        number.content = "five"
    assert Box(content="five").content == "five"


# Kinds


async def test_every_verb_shows_the_registered_class(do, connection):
    class Trike(Vehicle):
        serial: Field[str | None] = identity("TR", default=None)

        class Meta:
            kind = "models-trike"

    trike = await do(Trike, "create", serial="1")
    assert type(await do(Vehicle, "get", trike.uuid)) is Trike
    assert type(await do(Twin, "get", trike.uuid, fresh=True)) is Trike
    assert type(await do(Twin, "find", "TR#1")) is Trike
    assert [type(found) for found in await do(Vehicle.scan(), "all")] == [Trike]
    assert [type(found) for found in await do(Twin.scan(), "all")] == [Trike]


async def test_an_unknown_kind_is_a_plain_twin(do, connection):
    made = await do(Twin, "create", description={"kind": "models-unheard"})
    assert type(await do(Twin, "get", made.uuid)) is Twin
    assert [type(found) for found in await do(Twin.scan(), "all")] == [Twin]


async def test_the_same_twin_as_another_class(do, connection):
    twin = await do(Twin, "create", entries={"wheels": 3}, description={"kind": "models-tower"})
    vehicle = twin.as_(Vehicle)
    assert vehicle.wheels == 3
    vehicle.wheels = 5
    assert twin.ledger["wheels"].value == 5
    assert set(ttorm.inspect(twin).changes) == {"wheels"}
    assert twin.as_(Tower, check=True) == twin
    with pytest.raises(ttorm.WrongKindError, match="kind='models-tower'"):
        twin.as_(Vehicle, check=True)


# Codecs


class Colour:
    def __init__(self, red, green, blue):
        self.parts = (red, green, blue)

    def __eq__(self, other):
        return isinstance(other, Colour) and self.parts == other.parts

    __hash__ = None

    @classmethod
    def parse(cls, text):
        return cls(*bytes.fromhex(text.removeprefix("#")))

    def __str__(self):
        return "#" + bytes(self.parts).hex()


HEX = ValueCodec(to_json=str, from_json=Colour.parse)
RANK = ValueCodec(to_json=int, from_json=str, ordered=True)


class Painted(Twin):
    colour: Field[Colour] = entry(codec=HEX)
    trim: Field[Colour | None] = entry(codec=HEX, default=None)
    paint: Field[Colour | None] = description(codec=HEX, default=None)
    rank: Field[str] = entry(codec=RANK, default="1")


async def test_values_of_ones_own_codec(do, connection, others, sent):
    made = await do(Painted, "create", colour=Colour(1, 2, 3), paint=Colour(0, 0, 0))
    assert stored(others, made) == {"colour": "#010203", "rank": 1}
    painted = await do(Painted.at(made.uuid), "refresh")
    await do(painted, "load")
    assert (painted.colour, painted.trim, painted.paint) == (Colour(1, 2, 3), None, Colour(0, 0, 0))
    painted.colour.parts = (255, 255, 255)
    assert ttorm.inspect(painted).changes["colour"].new == Colour(255, 255, 255)
    sent.clear()
    await do(painted, "save")
    assert sent.take()[0].body == {"entries": {"colour": {"value": "#ffffff"}}}
    assert str(Painted.colour == Colour(1, 2, 3)) == 'LEDGER.colour == "#010203"'
    assert "5" in str(Painted.rank < "5")
    with pytest.raises(TypeError, match="only == and !="):
        _ = Painted.colour < Colour(1, 2, 3)


async def test_what_a_codec_refuses(do, connection, others):
    made = await do(Painted, "create", colour=Colour(1, 2, 3))
    with pytest.raises(ttorm.ValidationError, match=r"codec of Painted\.rank refuses"):
        made.rank = "x"
    body = {"entries": {"colour": {"value": "red"}}}
    others.call("update_twin_ledger_entry_value", made.uuid, "personal", body=body)
    await do(made, "refresh")
    with pytest.raises(ttorm.ValidationError, match="refuses what the service has, 'red'"):
        _ = made.colour

    class Lossy(Twin):
        value: Field[str] = entry(codec=ValueCodec(to_json=len, from_json=str))

    with pytest.raises(ttorm.ValidationError, match="undo each other"):
        Lossy(value="abc")
    with pytest.raises(TypeError, match="expected a function"):
        ValueCodec(to_json=5, from_json=str)


class Plain(TypedDict):
    a: int


async def test_encoded_values(do, connection, others):
    class Coded(Twin):
        numbers: Field[Json[dict[str, int]]] = entry()
        data: Field[Base64Bytes] = entry()

    made = await do(Coded, "create", numbers='{"a": 1}', data=b"aGk=")
    assert (made.numbers, made.data) == ({"a": 1}, b"hi")
    coded = await do(Coded.at(made.uuid), "refresh")
    await do(coded, "load")
    assert (coded.numbers, coded.data, coded.plan()[:]) == ({"a": 1}, b"hi", ())
    coded.numbers["b"] = 2
    await do(coded, "save")
    assert stored(others, coded)["numbers"] == '{"a":1,"b":2}'


@pytest.mark.parametrize("kind", [Plain, Colour])
def test_types_without_a_json_form(connection, kind):
    class Odd(Twin):
        value: Field[kind] = entry(default=None)

    if kind is Plain and sys.version_info >= (3, 12):
        pytest.skip("pydantic takes it from 3.12 on")
    with pytest.raises(TypeError, match=r"Odd.value is declared as Field.*codec=ttorm.ValueCodec"):
        Odd(value={"a": 1})


# Docs


async def test_docs_of_fixed_names(do, connection, sent):
    class Pump(Twin):
        manual: Field[Doc] = doc("manuals/service.txt")

    pump = await do(Pump, "create")
    sent.clear()
    manual = pump.manual
    assert (manual.name, sent) == ("manuals/service.txt", [])
    await do(manual, "upload", b"Oil it.", description={"lang": "en"})
    assert await do(pump.manual, "download") == b"Oil it."
    with pytest.raises(AttributeError, match=r"write record.manual.upload\(...\)"):
        pump.manual = b"x"
    with pytest.raises(AttributeError, match="rules do not see Docs"):
        _ = Pump.manual
    assert not ttorm.inspect(pump).is_modified
    del pump.manual
    assert (await do(pump, "save")).deleted == ("manual",)


# The Ledger a class reads


async def test_a_class_for_the_owners_ledger(do, connection, stranger):
    class Container(Twin):
        weight: Field[float] = entry(visibility="true", default=0.0)
        note: Field[str | None] = description(default=None)

    class Theirs(Container):
        class Meta:
            ledger = "owner"

    container = await do(Container, "create", weight=12.5, note="n")
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Theirs.at(container.uuid), "load")
        assert (theirs.weight, theirs.note) == (12.5, "n")
        for change in (
            lambda: setattr(theirs, "weight", 5.0),
            lambda: delattr(theirs, "weight"),
        ):
            with pytest.raises(ttorm.StateError, match="'owner' is read-only"):
                change()
        assert not ttorm.inspect(theirs).is_modified
    with pytest.raises(AttributeError, match="one's own Ledger only"):
        _ = Theirs.weight
    with pytest.raises(TypeError, match="shows the Ledger 'owner' and makes no Twins"):
        Theirs(weight=5.0)
    assert str(Container.weight > 5) == "LEDGER.weight > 5.0"


# How long answers are kept


async def test_a_class_says_how_long_answers_are_kept(do, connect, emulator):
    class Fleeting(Twin):
        class Meta:
            ttl = 0

    class Lasting(Twin):
        class Meta:
            ttl = 3600

    now = [0.0]
    backend = ttorm.connection.cache.MemoryBackend(clock=lambda: now[0])
    connection = connect(default=True, cache=ttorm.Cache(backend=backend))
    sent = connection.transport.sent
    uuid = (await do(Twin, "create")).uuid
    sent.clear()

    async def requests(model):
        async with do.block(ttorm.session()):
            await do(model, "get", uuid)
        return len(sent.take())

    assert [await requests(Fleeting), await requests(Fleeting)] == [1, 1]
    assert await requests(Lasting) == 1
    now[0] = 1000.0
    assert await requests(Lasting) == 0
    assert await requests(Fleeting) == 1


# Mistakes


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("kind", 5, "expected text, or None"),
        ("kind_key", "Kind!", "expected a description key"),
        ("optimistic", "yes", "expected True or False"),
        ("ttl", "5", "expected seconds"),
        ("ttl", -1, "expected seconds"),
        ("ledger", "theirs", "expected 'personal', 'owner', 'creator'"),
        ("abstrakt", True, "did you mean 'abstract'"),
    ],
)
def test_wrong_options_of_meta(option, value, message):
    with pytest.raises(TypeError, match=message):
        type("Wrong", (Twin,), {"Meta": type("Meta", (), {option: value})})


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: entry(visibility=5), "expected a rule"),
        (lambda: entry(timeseries=["x"]), r"entry\(timeseries\) = 'x': expected a column"),
        (lambda: entry(publish="x"), "expected a dictionary"),
        (lambda: entry(publish={"true": "topic"}), "expected a list of topics"),
        (lambda: entry(name=5), "expected text, the platform's name"),
        (lambda: entry(default_factory=[]), "expected what can be called"),
        (lambda: reference(5), "expected the Entry field of a class"),
        (lambda: reference(default=1.0), "write default=None"),
        (lambda: include(default=1.0), "write default=None"),
    ],
)
def test_wrong_declarations(declare, message):
    with pytest.raises(TypeError, match=message):
        declare()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Priced.price, "price is no Entry but a field of kind description"),
        (ttorm.rules.LEDGER.x, "that is no field of a class"),
        ("celsius", "a text names a class and a field"),
    ],
)
def test_references_to_what_is_no_entry(source, message):
    with pytest.raises(TypeError, match=message):

        class Wrong(Twin):
            value: Reference[float] = reference(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [("Nowhere.x", "no class is called Nowhere"), ("Vehicle.x", "Vehicle has no field 'x'")],
)
def test_named_references_to_nothing(connection, source, message):
    class Wrong(Twin):
        value: Reference[float | None] = reference(source, default=None)

    with pytest.raises(TypeError, match=message):
        Wrong(value=Twin.at("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"))


async def test_of_two_classes_of_one_kind_the_one_made_last_shows_its_twins(do, connection):
    def made():
        class Kiln(Twin):
            class Meta:
                kind = "kiln_made_twice"

        return Kiln

    first, second = made(), made()
    kiln = await do(first, "create")
    async with do.block(ttorm.session()):
        assert type(await do(Twin, "get", kiln.uuid)) is second
    async with do.block(ttorm.session()):
        assert type(await do(first, "get", kiln.uuid)) is first


async def test_a_property_tells_what_it_lacks(do, connection):
    class Cart(Twin):
        limit: Field[float] = entry()

        @property
        def room(self):
            return self.limit - self.weight

    cart = await do(Cart.at((await do(Twin, "create")).uuid), "load")
    with pytest.raises(ttorm.MissingEntryError, match="has no entry 'limit'"):
        _ = cart.room
    cart.limit = 5.0
    with pytest.raises(AttributeError, match="Cart has no attribute 'weight'"):
        _ = cart.room
    assert not hasattr(cart, "room")
