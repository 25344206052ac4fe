"""Index tables: declared beside models, filled by the platform, read as rows and as Twins."""

from __future__ import annotations

import functools
import operator
import pickle

import pytest

import ttorm
from ttorm import (
    Column,
    Field,
    IndexTable,
    NotFoundError,
    SaveError,
    SQLReader,
    StateError,
    StoredIndex,
    Twin,
    ValidationError,
    column,
    description,
    dimension,
    entry,
    identity,
)
from ttorm.rules import LEDGER, TWIN

PATH = "/account/services/indexes"


class Scooter(Twin):
    model: Field[str] = description(default="X1")
    battery: Field[float] = entry()
    zone: Field[str | None] = entry(name="area", default=None)
    serial: Field[str | None] = identity("SN", default=None)


class LowBattery(IndexTable[Scooter]):
    battery: Column[float] = column()
    model: Column[str] = column()
    place: Column[str | None] = column(Scooter.zone)

    class Meta:
        rule = Scooter.battery < 20


WIRE = {
    "rule": "LEDGER.battery < 20.0",
    "properties": {
        "names": ["battery", "model", "place"],
        "types": ["double precision", "varchar", "varchar"],
    },
    "templates": {
        "properties": {
            "battery": "{LEDGER.battery}",
            "model": "{TWIN.model}",
            "place": "{LEDGER.area}",
        }
    },
}


@pytest.fixture
def fleet(connection, sent):
    """Five scooters, three of them with a low battery."""
    LowBattery.create()
    made = [
        Scooter.create(battery=battery, zone=zone, model=model)
        for battery, zone, model in [
            (5.0, "mitte", "X1"),
            (50.0, "mitte", "X1"),
            (15.0, "west", "X2"),
            (10.0, None, "X1"),
            (99.0, "west", "X2"),
        ]
    ]
    sent.clear()
    return made


# Declarations


def test_templates_come_from_the_fields_of_the_model():
    assert LowBattery._definition() == ("low_battery", WIRE, {})
    assert LowBattery.battery.template == "{LEDGER.battery}"


def test_a_model_may_name_its_index_tables():
    class Empty(IndexTable):
        battery: Column[float] = column()

        class Meta:
            rule = LEDGER.battery == 0

    with pytest.raises(TypeError, match=r"Empty.battery has no template, and the model has no"):
        Empty._definition()

    class Bike(Twin):
        battery: Field[float] = entry(name="charge")

        class Meta:
            indexes = Empty

    assert Empty._definition().wire["templates"] == {"properties": {"battery": "{LEDGER.charge}"}}
    assert Empty.__model__ is Bike

    class Cargo(Bike):
        pass

    assert Empty.__model__ is Bike


def test_rules_and_templates_may_be_text():
    class Tagged(IndexTable[Twin]):
        tag: Column[str] = column("{LEDGER[tags][0]}")
        kind: Column[str] = column(TWIN.kind)

        class Meta:
            rule = "LEDGER.tags != null"
            name = "tagged_twins"

    assert Tagged._definition() == (
        "tagged_twins",
        {
            "rule": "LEDGER.tags != null",
            "properties": {"names": ["tag", "kind"], "types": ["varchar", "varchar"]},
            "templates": {"properties": {"tag": "{LEDGER[tags][0]}", "kind": "{TWIN.kind}"}},
        },
        {},
    )


def test_wrong_declarations_say_how_to_mend_them():
    with pytest.raises(TypeError, match=r"has no rule: write class Meta: rule"):

        class NoRule(IndexTable[Scooter]):
            battery: Column[float] = column()

    with pytest.raises(TypeError, match="did you mean 'battery'"):

        class NoField(IndexTable[Scooter]):
            batery: Column[float] = column()

            class Meta:
                rule = "true"

    with pytest.raises(AttributeError, match="rules do not see Identities"):

        class NoEntry(IndexTable[Scooter]):
            serial: Column[str] = column()

            class Meta:
                rule = "true"

    with pytest.raises(TypeError, match=r"declared by column\(\)"):

        class WrongKind(IndexTable[Scooter]):
            battery: Column[float] = dimension()

            class Meta:
                rule = "true"

    with pytest.raises(TypeError, match="rule = 5: expected a rule"):

        class WrongRule(IndexTable[Scooter]):
            class Meta:
                rule = 5

    with pytest.raises(TypeError, match="expected a model class that is defined before it"):

        class WrongModel(IndexTable["Later"]):
            class Meta:
                rule = "true"

    with pytest.raises(TypeError, match="has rows for Scooter: leave it out of one"):

        class Other(Twin):
            class Meta:
                indexes = LowBattery

    with pytest.raises(TypeError, match="expected a class below IndexTable"):

        class Wrong(Twin):
            class Meta:
                indexes = ("low_battery",)


# Making and altering


async def test_a_declared_table_is_made_by_one_request(do, connection, sent):
    table = await do(LowBattery, "create")
    assert sent.take() == [("POST", PATH, (), {"indexes": {"low_battery": WIRE}})]
    assert table.rule == WIRE["rule"]
    assert table.templates == WIRE["templates"]["properties"]
    assert [*table.properties] == ["battery", "model", "place"]
    assert sent.lines() == []
    with pytest.raises(SaveError, match="low_battery"):
        await do(LowBattery, "create")


async def test_untyped_tables(do, world, connection, sent):
    table = await do(
        StoredIndex,
        "create",
        "cheap",
        rule=LEDGER.price < 5,
        properties={"price": "real"},
        templates={"price": "{LEDGER.price}"},
    )
    assert (await world.list(IndexTable.list())) == [table]
    await do(Twin, "create", entries={"price": 3.5})
    await do(Twin, "create", entries={"price": 30})
    [row] = await world.list(table.rows(table.columns["price"] > 1))
    assert row["price"] == 3.5
    assert (await do(IndexTable, "get", "cheap")).rule == str(LEDGER.price < 5)


async def test_members_are_saved_as_they_change(do, connection, sent):
    await do(LowBattery, "create")
    table = await do(LowBattery, "get")
    sent.clear()
    table.rule = str(Scooter.battery < 10)
    table.properties["city"] = "varchar"
    table.templates["city"] = "{LEDGER.city}"
    await do(table, "save")
    [request] = sent.take()
    assert request.body == {
        "rule": "LEDGER.battery < 10.0",
        "properties": {
            "names": ["battery", "model", "place", "city"],
            "types": ["double precision", "varchar", "varchar", "varchar"],
        },
        "templates": {"properties": {**WIRE["templates"]["properties"], "city": "{LEDGER.city}"}},
    }
    table.properties["city"] = "text"
    with pytest.raises(StateError, match="types cannot be changed"):
        await do(table, "save")
    assert sent == []


async def test_alter_takes_templates_along(do, connection, sent):
    await do(LowBattery, "create")
    table = LowBattery.stored()
    sent.clear()
    await do(
        table,
        "alter",
        rename={"model": "model_code"},
        properties={"city": "varchar"},
        templates={"city": "{LEDGER.city}"},
        rule=Scooter.battery < 15,
    )
    assert sent.take()[1].body == {
        "properties": {
            "names": ["battery", ["model", "model_code"], "place", "city"],
            "types": ["double precision", "varchar", "varchar", "varchar"],
        },
        "templates": {
            "properties": {
                "battery": "{LEDGER.battery}",
                "model_code": "{TWIN.model}",
                "place": "{LEDGER.area}",
                "city": "{LEDGER.city}",
            }
        },
        "rule": "LEDGER.battery < 15.0",
    }
    assert [*table.properties] == ["battery", "model_code", "place", "city"]


async def test_templates_have_to_fit_the_properties(do, connection, sent):
    arguments = {"rule": "true", "properties": {"a": "int"}, "templates": {}}
    with pytest.raises(ValidationError, match=r"'a' of the table 't' has no template: give one"):
        await do(StoredIndex, "create", "t", **arguments)
    arguments["templates"] = {"a": "{LEDGER.a}", "aa": "{LEDGER.b}"}
    with pytest.raises(ValidationError, match="a template for 'aa', which is no property"):
        await do(StoredIndex, "create", "t", **arguments)
    assert sent == []
    await do(LowBattery, "create")
    table = await do(LowBattery, "get")
    sent.clear()
    table.properties["city"] = "text"
    with pytest.raises(ValidationError, match=r"'city' .* has no template"):
        await do(table, "save")
    with pytest.raises(ValidationError, match=r"'city' .* has no template"):
        await do(LowBattery.stored(), "alter", properties={"city": "text"})
    with pytest.raises(ValidationError, match="'town', which is no property"):
        await do(LowBattery.stored(), "alter", templates={"town": "{LEDGER.town}"})
    assert {request.method for request in sent} == {"GET"}


async def test_migrate_compares_with_the_service(do, connection, sent):
    assert (await do(LowBattery, "migrate")).created == ("low_battery",)
    assert (await do(LowBattery, "migrate")).requests == 0

    class Changed(IndexTable[Scooter]):
        charge: Column[float] = column(Scooter.battery, formerly="battery")
        model: Column[str] = column()
        place: Column[str | None] = column(Scooter.zone)
        city: Column[str | None] = column("{LEDGER.city}")

        class Meta:
            name = "low_battery"
            rule = Scooter.battery < 10

    [planned] = await do(Changed, "plan")
    assert planned.body["properties"]["names"] == [["battery", "charge"], "model", "place", "city"]
    assert planned.body["templates"]["properties"]["charge"] == "{LEDGER.battery}"
    assert planned.body["rule"].endswith("< 10.0")
    assert (await do(Changed, "migrate")).updated == ("low_battery",)
    assert (await do(Changed, "migrate")).requests == 0
    with pytest.raises(StateError, match="which the class does not declare"):
        await do(LowBattery, "migrate")


async def test_truncate_and_delete(do, connection, fleet):
    assert await do(LowBattery.rows(), "count") == 3
    table = LowBattery.stored()
    await do(table, "truncate")
    assert await do(LowBattery.rows(), "count") == 0
    await do(table, "delete")
    with pytest.raises(NotFoundError):
        await do(LowBattery, "get")


# Rows and Twins


async def test_rows(do, world, fleet):
    rows = await world.list(LowBattery.rows(order_by=LowBattery.battery))
    assert [(row.battery, row.model, row.place) for row in rows] == [
        (5.0, "X1", "mitte"),
        (10.0, "X1", None),
        (15.0, "X2", "west"),
    ]
    assert [row.uuid for row in rows] == [fleet[n].uuid for n in (0, 3, 2)]
    assert rows[0].twin == fleet[0]
    assert isinstance(rows[0].twin, Scooter)
    [one] = await world.list(LowBattery.rows(LowBattery.uuid == fleet[2].uuid))
    assert one.place == "west"
    assert pickle.loads(pickle.dumps(one)) == one


async def test_twins_come_by_one_query_and_load_together(do, world, connect, fleet):
    later = connect(default=True)
    await do(later, "whoami")
    sent = later.transport.sent
    sent.clear()
    async with world.block(ttorm.session()):
        found = LowBattery.twins(LowBattery.battery > 6, order_by=LowBattery.battery)
        twins = await world.list(found)
        assert sent.lines() == []
        assert twins == [fleet[3], fleet[2]]
        if world.asynchronous:
            with pytest.raises(ttorm.NotLoadedError):
                twins[0].battery  # noqa: B018 # it raises
            await ttorm.aload_all(twins, "ledger")
        assert [twin.battery for twin in twins] == [10.0, 15.0]
        ledgers = {f"GET /twins/{twin.uuid}/ledgers/personal" for twin in twins}
        assert {*sent.lines()} == ledgers


def test_what_one_twin_loads_its_next_ones_load_too(connect, fleet):
    later = connect(default=True)
    later.whoami()
    sent = later.transport.sent
    with ttorm.session():
        twins = LowBattery.twins().all()
        sent.clear()
        assert twins[0].battery < 20
        assert len(sent.take()) == 3
        assert all(twin.battery < 20 for twin in twins)
        assert sent == []


async def test_first_twin_and_limit(do, world, fleet):
    lowest = LowBattery.twins(order_by=LowBattery.battery)
    assert await do(lowest, "first") == fleet[0]
    assert len(await world.list(LowBattery.twins(limit=2))) == 2
    assert await do(LowBattery.twins(LowBattery.battery > 100), "first") is None
    assert await do(lowest, "count") == 3


async def test_a_twin_leaves_the_table_when_its_ledger_says_so(do, world, fleet):
    fleet[0].battery = 90.0
    await do(fleet[0], "save")
    left = LowBattery.twins(order_by=LowBattery.battery)
    assert await world.list(left) == [fleet[3], fleet[2]]


async def test_the_key_is_a_setting_of_readers(do, connection):
    asked = []
    uuid = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"

    def execute(query, parameters):
        asked.append((query, parameters))
        return [(uuid.upper(),)] if "LIMIT" in query else [(uuid, 5.0, "X1", None)]

    async def aexecute(query, parameters):
        return execute(query, parameters)

    connection.reader = SQLReader(execute, aexecute, index_key="twin")
    [row] = await do(LowBattery.rows(LowBattery.uuid == uuid), "all")
    assert row.uuid == uuid
    twin = await do(LowBattery.twins(), "first")
    assert twin == Scooter.at(uuid)
    assert asked == [
        (
            'SELECT "twin", "battery", "model", "place" FROM "low_battery" WHERE "twin" = %s',
            [uuid],
        ),
        ('SELECT "twin" FROM "low_battery" LIMIT 1', []),
    ]


def test_conditions_of_other_tables_are_refused():
    class Other(IndexTable[Scooter]):
        battery: Column[float] = column()

        class Meta:
            rule = "true"

    with pytest.raises(ValidationError, match="'other'"):
        LowBattery.twins(Other.battery > 5)


async def test_more_conditions_than_a_database_nests(do, world, connection):
    await do(LowBattery, "create")
    await do(Scooter, "create", battery=7.0)
    any_of = [LowBattery.battery == level for level in range(3000)]
    none_of = [LowBattery.battery != level for level in range(8, 3000)]
    for several, join in ((any_of, operator.or_), (none_of, operator.and_)):
        [row] = await world.list(LowBattery.rows(functools.reduce(join, several)))
        assert row.battery == 7.0
    inverted = ~functools.reduce(operator.or_, any_of)
    assert await world.list(LowBattery.rows(inverted)) == []


async def test_a_condition_that_no_database_bears(do, world, connection):
    await do(LowBattery, "create")
    nested = LowBattery.battery == 0
    for level in range(1000):
        nested = (nested | (LowBattery.battery == level)) & (LowBattery.battery < 5)
    with pytest.raises(ValidationError, match=r"database refuses the query .*: ask for less"):
        await world.list(LowBattery.rows(nested))
