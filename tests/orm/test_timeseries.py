"""Timeseries tables: declared, fed by Entries, read as rows, altered and migrated."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

import ttorm
from ttorm import (
    Column,
    ConfigurationError,
    Field,
    NotFoundError,
    OutcomeUnknownError,
    SaveError,
    SQLReader,
    StateError,
    StoredTimeseries,
    TimeseriesTable,
    TransportError,
    Twin,
    ValidationError,
    column,
    dimension,
    entry,
    measurement,
    reference,
    signals,
)
from ttorm.api.http import HttpResponse
from ttorm.rules import LEDGER, TWIN, length

PATH = "/account/services/timeseries"


class Weather(TimeseriesTable):
    city: Column[str] = dimension("{LEDGER.city}")
    celsius: Column[float | None] = measurement()
    ozone: Column[int | None] = measurement()

    class Meta:
        retention = "1Y"
        chunk = "1W"


class Station(Twin):
    city: Field[str] = entry()
    celsius: Field[float] = entry()
    ozone: Field[int | None] = entry(default=None)

    class Meta:
        timeseries = Weather


WIRE = {
    "dimensions": {"names": ["city"], "types": ["varchar"]},
    "measurements": {"names": ["celsius", "ozone"], "types": ["double precision", "bigint"]},
    "defaults": {"measurement": "{entry_name}", "dimensions": {"city": "{LEDGER.city}"}},
    "retention": "1Y",
    "chunk": "1W",
}


@pytest.fixture
def clock(emulator):
    """Set the service's time, in hours of one day."""
    emulator.clock.freeze(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    return lambda hours: emulator.clock.advance(hours * 3600)


@pytest.fixture
def measured(connection, clock, sent):
    """Two stations, three hours."""
    Weather.create()
    oslo = Station.create(city="Oslo", celsius=-4.0, ozone=55)
    rome = Station.create(city="Rome", celsius=12.5)
    for _ in range(2):
        clock(1)
        oslo.celsius += 1
        rome.celsius += 2
        oslo.save()
        rome.save()
    sent.clear()


# Declarations


def test_a_table_is_named_like_its_class(connection):
    class HTTPWeatherLog2(TimeseriesTable):
        n: Column[int] = measurement()

    assert HTTPWeatherLog2.stored().name == "http_weather_log2"
    assert Weather.stored().name == "weather"


def test_types_of_columns_come_from_annotations():
    class Types(TimeseriesTable):
        a: Column[str] = measurement()
        b: Column[int | None] = measurement()
        c: Column[float] = measurement()
        d: Column[bool] = measurement()
        e: Column[datetime] = measurement()
        f: Column[date] = measurement()
        g: Column[time] = measurement()
        h: Column[timedelta] = measurement()
        i: Column[Decimal] = measurement()
        j: Column[UUID] = measurement()
        k: Column[dict[str, int]] = measurement()
        l: Column[list[str] | None] = measurement()  # noqa: E741 # a name as good as others
        m = measurement(type="smallint")
        n: Column[float] = measurement(type="real", name="other")

    assert Types._definition().wire["measurements"] == {
        "names": [*"abcdefghijklm", "other"],
        "types": [
            "varchar",
            "bigint",
            "double precision",
            "boolean",
            "timestamptz",
            "date",
            "time",
            "interval",
            "numeric",
            "uuid",
            "jsonb",
            "jsonb",
            "smallint",
            "real",
        ],
    }


def test_classes_inherit_columns_and_options():
    class Base(TimeseriesTable):
        city: Column[str] = dimension("{LEDGER.city}")

        class Meta:
            abstract = True
            retention = "3M"

    class Rain(Base):
        mm: Column[float] = measurement()

    class Snow(Base):
        cm: Column[float] = measurement()

        class Meta:
            name = "snowfall"
            retention = "INF"

    assert [*Rain.__columns__] == ["at", "city", "mm"]
    assert Rain._definition().wire["retention"] == "3M"
    assert (Snow._definition().name, Snow._definition().wire["retention"]) == ("snowfall", "INF")
    assert repr(Snow.city == "Oslo") == "<condition city = 'Oslo'>"
    with pytest.raises(TypeError, match="Base declares no table"):
        Base.rows()


def declared(body, meta=None, bases=(TimeseriesTable,)):
    members = dict(body)
    annotations = {name: annotation for name, (annotation, _) in members.items() if annotation}
    namespace = {name: made for name, (_, made) in members.items() if made is not None}
    if meta is not None:
        namespace["Meta"] = type("Meta", (), meta)
    return type("Wrong", bases, {"__annotations__": annotations, **namespace})


@pytest.mark.parametrize(
    ("body", "meta", "message"),
    [
        ({"city": (None, dimension("x"))}, None, r"has no type: annotate it, as in city: Column\["),
        ({"city": ("str", dimension("x"))}, None, r"write Column\[\.\.\.\] around it"),
        ({"city": ("Column[Nowhere]", dimension())}, None, "cannot be resolved"),
        ({"city": (Column[complex], dimension())}, None, r"have no type: say how it is stored"),
        ({"city": (Column[dict[str, int]], dimension())}, None, "dimensions have no type"),
        ({"city": (Column[str], None)}, None, "annotated as a column but not declared as one"),
        ({"city": (Column[str], column())}, None, r"declared by dimension\(\) or measurement\(\)"),
        ({"rows": (Column[str], dimension())}, None, r"hides DeclaredTable.rows.*name=\"rows\""),
        ({"at": (Column[str], dimension())}, None, r"hides TimeseriesTable.at"),
        ({"_a": (Column[str], dimension())}, None, r"starts with an underscore.*name=\"a\""),
        ({"City": (Column[str], dimension())}, None, r"give the platform's name"),
        ({"a": (Column[str], dimension(name="_timestamp"))}, None, "the platform adds"),
        (
            {"a": (Column[str], dimension(name="x")), "b": (Column[str], dimension(name="x"))},
            None,
            "are the same column 'x'",
        ),
        ({"a": (Column[str], dimension("{}"))}, None, "write the variable that is meant"),
        ({"a": (Column[str], dimension("{LEDGER.a"))}, None, "is no template"),
        ({}, {"retention": "3 months"}, "expected how long rows are kept"),
        ({}, {"retentin": "3M"}, "did you mean 'retention'"),
        ({}, {"name": "My Table"}, "expected the table's name"),
        ({}, {"database": "main"}, "expected the UUID of a database"),
        ({}, {"measurement": 5}, "a template that names a measurement"),
    ],
)
def test_wrong_declarations_say_how_to_mend_them(body, meta, message):
    with pytest.raises(TypeError, match=message):
        declared(body, meta)


def test_a_class_whose_name_is_no_table_name_needs_one():
    with pytest.raises(TypeError, match=r'write class Meta: name = "\.\.\."'):

        class Größe(TimeseriesTable):  # noqa: PLC2401 # it is refused
            n: Column[int] = measurement()


def test_wrong_types_and_templates_are_refused_where_they_are_written():
    with pytest.raises(TypeError, match="did you mean 'varchar'"):
        dimension(type="varcharr")
    with pytest.raises(TypeError, match="there is no such type"):
        dimension(type="jsonb")
    with pytest.raises(TypeError, match="is no template: expected a field"):
        dimension(length(LEDGER.tags))
    with pytest.raises(TypeError, match="is no template"):
        dimension(5)


def test_templates_come_from_fields_and_variables():
    class Pump(Twin):
        hall: Field[str] = ttorm.description()
        place: Field[str] = entry(name="spot")

    class Log(TimeseriesTable):
        a = dimension(Pump.hall, type="text")
        b = dimension(Pump.place, type="text")
        c = dimension(TWIN.site.hall, type="text")
        d = dimension(LEDGER["x"], type="text")

    templates = Log._definition().wire["defaults"]["dimensions"]
    assert templates == {
        "a": "{TWIN.hall}",
        "b": "{LEDGER.spot}",
        "c": "{TWIN.site.hall}",
        "d": "{LEDGER.x}",
    }


def test_a_text_is_no_list_of_values():
    with pytest.raises(TypeError, match=r"in_\('Oslo'\): expected a list of values"):
        Weather.city.in_("Oslo")
    with pytest.raises(TypeError, match="order_by='celsius': expected a column"):
        Weather.rows(order_by="celsius")


def test_many_conditions_need_few_parentheses(measured):
    one, other = Weather.celsius > 900, Weather.celsius > -900
    for limit in range(500):
        one, other = one | (Weather.celsius > 1000 + limit), other & (Weather.celsius > -limit)
    assert Weather.rows(one).count() == 0
    assert Weather.rows(one | other).count() == Weather.rows(Weather.celsius > 0).count()
    mixed = (Weather.celsius > 1) & (Weather.celsius > 2) | (Weather.celsius > 3)
    assert repr(mixed) == "<condition ((celsius > 1.0) AND (celsius > 2.0)) OR (celsius > 3.0)>"


def test_columns_and_rows_cannot_be_assigned(measured):
    row = Weather.rows().first()
    with pytest.raises(AttributeError, match="rows are made by the platform"):
        row.city = "Rome"
    with pytest.raises(TypeError, match=r"read them by Weather\.rows\(\)"):
        Weather()


# Feeding


def test_a_model_names_the_tables_that_its_entries_feed():
    assert Station.__fields__["celsius"].options == {"timeseries": {"weather": {}}}
    assert Station.__fields__["city"].options == {}


def test_entries_feed_columns_of_other_names():
    class Log(TimeseriesTable):
        celsius: Column[float] = measurement(name="t")
        ozone: Column[float] = measurement()

    class Sensor(Twin):
        celsius: Field[float] = entry()
        air: Field[float] = entry(timeseries=Log.ozone)
        both: Field[float] = entry(timeseries=[Log.ozone, Weather])
        raw: Field[float] = entry(timeseries={"weather": {"measurement": "ozone"}})

        class Meta:
            timeseries = (Log,)

    options = {name: spec.options["timeseries"] for name, spec in Sensor.__fields__.items()}
    assert options == {
        "celsius": {"log": {"measurement": "t"}},
        "air": {"log": {"measurement": "ozone"}},
        "both": {"log": {"measurement": "ozone"}, "weather": {}},
        "raw": {"weather": {"measurement": "ozone"}},
    }


async def test_entries_without_field_feed_tables_too(do, connection, sent):
    await do(Weather, "create")
    twin = await do(Twin, "create", entries={"t": 1.5, "o": 2})
    sent.clear()
    twin.ledger["t"].timeseries = Weather.celsius
    twin.ledger["o"].timeseries = [Weather.ozone]
    twin.ledger["celsius"] = ttorm.Entry(3.5, timeseries=Weather)
    with pytest.raises(TypeError, match="expected a column such as"):
        twin.ledger["t"].timeseries = 5
    await do(twin, "save")
    patched = next(request for request in sent if request.method == "PATCH").body["entries"]
    assert patched == {
        "t": {"timeseries": {"weather": {"measurement": "celsius"}}},
        "o": {"timeseries": {"weather": {"measurement": "ozone"}}},
    }
    assert twin.ledger["celsius"].timeseries == {"weather": {}}
    twin.ledger["t"].timeseries = None
    assert [*ttorm.inspect(twin).changes] == ["ledger['t'].timeseries"]


def test_base_classes_keep_their_own_fields():
    class Sensor(Twin):
        celsius: Field[float] = entry()

    class Outside(Sensor):
        class Meta:
            timeseries = Weather

    class Mirror(Twin):
        celsius: ttorm.Reference[float] = reference(Sensor.celsius)

        class Meta:
            timeseries = Weather

    assert Sensor.__fields__["celsius"].options == {}
    assert Outside.__fields__["celsius"].options == {"timeseries": {"weather": {}}}
    assert Mirror.__fields__["celsius"].options == {"timeseries": {"weather": {}}}


def test_a_table_that_nothing_feeds_is_refused():
    with pytest.raises(TypeError, match=r"no Entry of it is a measurement there"):

        class Deaf(Twin):
            fahrenheit: Field[float] = entry()

            class Meta:
                timeseries = Weather

    with pytest.raises(TypeError, match=r"Meta.timeseries = 5: expected a class below"):

        class Wrong(Twin):
            class Meta:
                timeseries = 5

    with pytest.raises(TypeError, match="is no measurement"):
        entry(timeseries=Weather.city)


async def test_older_entries_feed_a_table_after_reconcile(do, connection):
    await do(Weather, "create")
    old = await do(Twin, "create", entries={"city": "Oslo", "celsius": 1.0})

    class Old(Station):
        pass

    assert await do(Weather.rows(), "count") == 0
    assert len(await do(Old, "reconcile")) == 1
    await do(Old, "reconcile", dry_run=False)
    old.ledger["celsius"] = 2.0
    await do(old, "save")
    assert [row.celsius for row in await do(Weather.rows(), "all")] == [2.0]


# Making


async def test_a_declared_table_is_made_by_one_request(do, connection, sent):
    table = await do(Weather, "create")
    assert sent.take() == [("POST", PATH, (), {"timeseries": {"weather": WIRE}})]
    assert isinstance(table, StoredTimeseries)
    assert table.measurements == {"celsius": "double precision", "ozone": "bigint"}
    assert table.stats.total_size > 0
    assert (table.retention, table.chunk, table.name) == ("1Y", "1W", "weather")
    assert table.defaults["dimensions"] == {"city": "{LEDGER.city}"}
    assert sent.lines() == []


async def test_a_table_that_exists_is_not_made_again(do, connection):
    await do(Weather, "create")
    with pytest.raises(SaveError) as caught:
        await do(Weather, "create")
    assert [*caught.value.errors] == ["weather"]
    assert caught.value.errors["weather"].operation == "create_timeseries_table"


async def test_untyped_tables(do, world, connection, sent):
    table = await do(
        StoredTimeseries,
        "create",
        "weather",
        dimensions={"city": "varchar"},
        measurements={"celsius": "real"},
        retention="3M",
    )
    [request] = sent.take()
    assert request.body["timeseries"]["weather"] == {
        "dimensions": {"names": ["city"], "types": ["varchar"]},
        "measurements": {"names": ["celsius"], "types": ["real"]},
        "retention": "3M",
    }
    assert table.database_uuid == connection.call("get_databases")["default"]
    sent.clear()
    [listed] = await world.list(TimeseriesTable.list())
    assert listed == table
    assert sent.lines() == [f"GET {PATH}"]
    read = await do(TimeseriesTable, "get", "weather")
    assert read.dimensions == {"city": "varchar"}
    assert sent.lines() == [f"GET {PATH}/weather"]
    with pytest.raises(NotFoundError):
        await do(TimeseriesTable, "get", "nothing")
    with pytest.raises(TypeError, match="give the name of one"):
        await do(TimeseriesTable, "get")


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "My table"},
        {"name": "t", "dimensions": {"City": "varchar"}},
        {"name": "t", "dimensions": {"city": "char"}},
        {"name": "t", "measurements": {"a b": "real"}},
        {"name": "t", "retention": "3 months"},
        {"name": "t", "chunk": ""},
        {"name": "t", "database": "main"},
    ],
)
async def test_what_the_service_would_refuse_is_refused_before(do, connection, sent, arguments):
    with pytest.raises(ValidationError):
        await do(StoredTimeseries, "create", **arguments)
    assert sent == []


async def test_defaults_have_to_fit_the_dimensions(do, connection, sent):
    defaults = {"dimensions": {"ctiy": "{LEDGER.city}"}}
    with pytest.raises(ValidationError, match=r"'ctiy', which is no dimension.*'city'"):
        await do(StoredTimeseries, "create", "t", dimensions={"city": "text"}, defaults=defaults)
    assert sent == []
    await do(Weather, "create")
    with pytest.raises(ValidationError, match="which is no dimension"):
        await do(Weather.stored(), "alter", defaults=defaults)
    with pytest.raises(ValidationError, match="is no period"):
        await do(Weather.stored(), "alter", retention="3 months")


async def test_names_as_long_as_they_may_be(do, connection):
    longest = "a" * 64
    table = await do(
        StoredTimeseries, "create", "b" * 64, measurements={longest: "real", "a" * 63: "real"}
    )
    await do(Twin, "create", entries={"x": 1})
    twin = await do(Twin, "create")
    twin.ledger["x"] = ttorm.Entry(5, timeseries={"b" * 64: {"measurement": longest}})
    await do(twin, "save")
    [row] = await do(table.rows(table.columns[longest] == 5), "all")
    assert (row[longest], row["a" * 63]) == (5.0, None)


def test_an_unsaved_table_says_so(connection, sent):
    table = StoredTimeseries("weather", measurements={"celsius": "real"})
    assert not table.is_saved
    assert str(table.plan()).startswith(f"POST {PATH}\n")
    with pytest.raises(StateError, match="not saved yet"):
        table.rows().all()
    assert sent == []


# Lost answers


def lose(wire, method):
    """Have the next answer to a method lost on its way."""
    left = [method]

    def meddle(request):
        if request.method in left:
            left.remove(request.method)
            wire.transport.send(request)
            raise TransportError("cut off", sent=True)

    wire.meddle = meddle


async def test_a_table_that_was_made_although_the_server_failed(do, connection, wire):
    def meddle(request):
        if request.method != "POST":
            return None
        wire.transport.send(request)
        return HttpResponse(502, {}, b"<html>Bad gateway</html>")

    wire.meddle = meddle
    table = await do(Weather, "create")
    assert not ttorm.inspect(table).is_modified


async def test_a_table_that_was_made_although_no_answer_came(do, connection, wire):
    lose(wire, "POST")
    table = await do(Weather, "create")
    assert table.stats.total_size > 0
    assert not ttorm.inspect(table).is_modified
    lose(wire, "DELETE")
    assert (await do(table, "delete")).deleted == ("weather",)
    lose(wire, "POST")
    assert (await do(Weather, "migrate")).created == ("weather",)
    assert (await do(Weather, "migrate")).requests == 0


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_columns_are_added_once_although_no_answer_came(do, connection, drop):
    connection.retry = ttorm.RetryPolicy(base=0.0)
    table = await do(StoredTimeseries, "create", "weather", measurements={"rain": "real"})
    lost = connection.emulator.faults.add("update_timeseries_table", drop=drop)
    with pytest.raises(OutcomeUnknownError):
        await do(table, "alter", measurements={"wind": "real"})
    lost.remove()
    assert not ttorm.inspect(table).is_modified
    await do(table, "alter", measurements={"snow": "real"})
    wind = ["wind"] if drop == "after" else []
    assert list(table.measurements) == ["rain", *wind, "snow"]


async def test_another_table_of_the_name_is_not_taken_for_it(do, connection, wire, others):
    others.call("create_timeseries_table", body={"timeseries": {"weather": WIRE}})

    def meddle(request):
        if request.method == "POST":
            raise TransportError("cut off", sent=True)

    wire.meddle = meddle
    with pytest.raises(OutcomeUnknownError):
        await do(StoredTimeseries, "create", "weather", measurements={"rain": "real"})
    with pytest.raises(OutcomeUnknownError):
        await do(StoredTimeseries, "create", "storms", measurements={"rain": "real"})

    class Storms(TimeseriesTable):
        rain: Column[float] = measurement()

    with pytest.raises(OutcomeUnknownError):
        await do(Storms, "migrate")


async def test_what_is_not_there_cannot_be_deleted(do, connection):
    with pytest.raises(NotFoundError):
        await do(Weather.stored(), "delete")


# Changing


async def test_members_are_saved_as_they_change(do, connection, sent):
    await do(Weather, "create")
    table = await do(Weather, "get")
    sent.clear()
    table.retention = "1Y"
    assert not ttorm.inspect(table).is_modified
    table.retention = "INF"
    table.measurements["rain"] = "real"
    assert [*ttorm.inspect(table).changes] == ["measurements", "retention"] or [
        *ttorm.inspect(table).changes
    ] == ["retention", "measurements"]
    result = await do(table, "save")
    assert {*result.updated} == {"measurements", "retention"}
    [request] = sent.take()
    assert (request.method, request.path) == ("PATCH", f"{PATH}/weather")
    assert request.body == {
        "retention": "INF",
        "measurements": {
            "names": ["celsius", "ozone", "rain"],
            "types": ["double precision", "bigint", "real"],
        },
    }
    assert (await do(table, "save")).requests == 0


async def test_what_tables_cannot_become_is_refused_before(do, connection, sent):
    await do(Weather, "create")
    table = await do(Weather, "get")
    sent.clear()
    for change, message in (
        (lambda columns: columns.pop("ozone"), "cannot be dropped"),
        (lambda columns: columns.update(ozone="real"), "types cannot be changed"),
        (lambda columns: columns.update(celsius=columns.pop("celsius")), "the order"),
    ):
        change(table.measurements)
        with pytest.raises(StateError, match=message):
            await do(table, "save")
        with pytest.raises(StateError, match=message):
            table.plan()
        table.discard()
    assert sent == []
    assert (await do(table, "save")).requests == 0


async def test_alter_renames_and_adds(do, connection, sent):
    await do(Weather, "create")
    table = Weather.stored()
    sent.clear()
    told = []
    with signals.changed.connected_to(lambda sender, **facts: told.append(facts["changes"])):
        result = await do(
            table,
            "alter",
            rename={"city": "town", "ozone": "ozone_ppb"},
            measurements={"rain": "real"},
            retention="2Y",
        )
    assert result == ((), ("dimensions", "measurements", "defaults", "retention"), (), 1)
    read, altered = sent.take()
    assert str(read) == f"GET {PATH}/weather"
    assert altered.body == {
        "dimensions": {"names": [["city", "town"]], "types": ["varchar"]},
        "measurements": {
            "names": ["celsius", ["ozone", "ozone_ppb"], "rain"],
            "types": ["double precision", "bigint", "real"],
        },
        "defaults": {"measurement": "{entry_name}", "dimensions": {"town": "{LEDGER.city}"}},
        "retention": "2Y",
    }
    assert table.measurements == {
        "celsius": "double precision",
        "ozone_ppb": "bigint",
        "rain": "real",
    }
    assert told[0]["retention"] == ("1Y", "2Y")
    assert (await do(table, "alter")).requests == 0


async def test_alter_refuses_before_it_writes(do, connection, sent):
    await do(Weather, "create")
    table = Weather.stored()
    sent.clear()
    for arguments, error in (
        ({"rename": {"ozon": "o"}}, ValidationError),
        ({"rename": {"ozone": "No"}}, ValidationError),
        ({"measurements": {"ozone": "real"}}, StateError),
        ({"measurements": {"rain": "rael"}}, ValidationError),
        ({"retention": "x"}, ValidationError),
    ):
        with pytest.raises(error):
            await do(table, "alter", **arguments)
    assert {request.method for request in sent} <= {"GET"}


async def test_truncate_and_delete(do, connection, measured, sent):
    table = Weather.stored()
    assert (await do(Weather.rows(), "count")) == 6
    sent.clear()
    await do(table, "truncate")
    assert sent.lines() == [f"DELETE {PATH}/weather/data"]
    assert (await do(Weather.rows(), "count")) == 0
    assert (await do(table, "delete")).deleted == ("weather",)
    assert sent.lines() == [f"DELETE {PATH}/weather"]
    assert not table.is_saved
    with pytest.raises(NotFoundError):
        await do(Weather, "get")
    await do(table, "save")
    assert (await do(Weather, "get", fresh=True)).retention == "1Y"


# Migrating


async def test_migrate_makes_what_is_missing(do, connection, sent):
    plan = await do(Weather, "plan")
    assert [(one.method, one.path, one.body) for one in plan] == [
        ("POST", PATH, {"timeseries": {"weather": WIRE}})
    ]
    assert sent.lines() == [f"GET {PATH}/weather"]
    assert (await do(Weather, "migrate")).created == ("weather",)
    assert sent.lines() == [f"GET {PATH}/weather", f"POST {PATH}"]
    assert len(await do(Weather, "plan")) == 0
    assert await do(Weather, "migrate") == ((), (), (), 0)


async def test_migrate_alters_what_differs(do, connection, sent):
    await do(Weather, "create")

    class Changed(TimeseriesTable):
        city: Column[str] = dimension("{LEDGER.place}")
        celsius: Column[float | None] = measurement()
        air: Column[int | None] = measurement(formerly="ozone")
        rain: Column[float | None] = measurement(type="real")

        class Meta:
            name = "weather"
            retention = "2Y"

    sent.clear()
    expected = {
        "measurements": {
            "names": ["celsius", ["ozone", "air"], "rain"],
            "types": ["double precision", "bigint", "real"],
        },
        "defaults": {"measurement": "{entry_name}", "dimensions": {"city": "{LEDGER.place}"}},
        "retention": "2Y",
    }
    [planned] = await do(Changed, "plan")
    assert (planned.operation, planned.body) == ("update_timeseries_table", expected)
    assert (await do(Changed, "migrate")) == ((), ("weather",), (), 1)
    assert [request.body for request in sent.take() if request.method != "GET"] == [expected]
    assert (await do(Changed, "migrate")).requests == 0
    assert (await do(Changed, "get")).chunk == "1W"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["celsius"], "has the column 'ozone', which the class does not declare"),
        (["ozone", "celsius"], "in the order celsius, ozone"),
        (["rain", "celsius", "ozone"], "in the order celsius, ozone"),
    ],
)
async def test_migrations_that_cannot_be_are_refused(do, connection, sent, columns, message):
    await do(Weather, "create")
    types = {"celsius": float, "ozone": int, "rain": float}
    body = {name: (Column[types[name]], measurement()) for name in columns}
    city = {"city": (Column[str], dimension("{LEDGER.city}"))}
    wrong = declared({**city, **body}, {"name": "weather"})
    sent.clear()
    for verb in ("plan", "migrate"):
        with pytest.raises(StateError, match=message):
            await do(wrong, verb)
    assert {request.method for request in sent} == {"GET"}


async def test_types_and_databases_cannot_change(do, connection):
    await do(Weather, "create")
    other = "00000000-0000-4000-8000-000000000001"
    text = declared({"city": (Column[str], dimension(type="text"))}, {"name": "weather"})
    with pytest.raises(StateError, match=r"'city' of the type varchar.*declare type='varchar'"):
        await do(text, "migrate")

    class Moved(Weather):
        class Meta:
            name = "weather"
            database = other

    with pytest.raises(StateError, match="tables cannot be moved"):
        await do(Moved, "migrate")


async def test_other_names_of_a_type_are_the_same(do, connection):
    await do(Weather, "create")

    class Same(TimeseriesTable):
        city: Column[str] = dimension("{LEDGER.city}", type="character varying")
        celsius: Column[float | None] = measurement()
        ozone: Column[int | None] = measurement()

        class Meta:
            name = "weather"

    assert (await do(Same, "migrate")).requests == 0


# Reading rows


async def test_rows_are_typed_and_named(do, world, measured, sent):
    rows = await world.list(Weather.rows(order_by=(Weather.city, Weather.at)))
    assert [(row.city, row.celsius, row.ozone) for row in rows] == [
        ("Oslo", -4.0, 55),
        ("Oslo", -3.0, None),
        ("Oslo", -2.0, None),
        ("Rome", 12.5, None),
        ("Rome", 14.5, None),
        ("Rome", 16.5, None),
    ]
    assert rows[1].at == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert isinstance(rows[0], Weather)
    assert rows[0].to_dict() == {
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "city": "Oslo",
        "celsius": -4.0,
        "ozone": 55,
    }
    assert rows[0]["city"] == "Oslo"
    with pytest.raises(KeyError, match="did you mean 'city'"):
        rows[0]["ciyt"]
    # Rows come from the database: at most the account is asked for.
    assert {*sent.lines()} <= {"GET /whoami"}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (lambda: Weather.city == "Rome", 3),
        (lambda: Weather.city != "Rome", 3),
        (lambda: Weather.celsius > 0, 3),
        (lambda: (Weather.celsius > 0) & (Weather.celsius < 14), 1),
        (lambda: (Weather.celsius < -3) | (Weather.celsius >= 16.5), 2),
        (lambda: Weather.celsius <= -3, 2),
        (lambda: Weather.celsius.between(-3, 12.5), 3),
        (lambda: Weather.city.in_(["Rome", "Paris"]), 3),
        (lambda: Weather.city.in_([]), 0),
        (lambda: Weather.ozone == None, 5),  # noqa: E711 # as people write it
        (lambda: Weather.ozone != None, 1),  # noqa: E711 # as people write it
        (Weather.ozone.is_null, 5),
        (lambda: Weather.ozone == 55, 1),
        (lambda: Weather.ozone != 55, 5),
        (lambda: ~(Weather.ozone == 55), 5),
        (lambda: ~(Weather.ozone > 1), 5),
        (lambda: Weather.city.startswith("O"), 3),
        (lambda: Weather.city.startswith("o"), 0),
        (lambda: Weather.city.startswith("%"), 0),
        (lambda: Weather.at > datetime(2026, 1, 1, 1, tzinfo=UTC), 2),
        (lambda: Weather.at == datetime(2026, 1, 1, 1, tzinfo=UTC), 2),
        (lambda: Weather.celsius < Weather.ozone, 1),
        (lambda: Weather.city == "' OR 1=1 --", 0),
        (lambda: None, 6),
    ],
)
async def test_conditions(do, world, measured, where, found):
    rows = Weather.rows(where())
    assert len(await world.list(rows)) == found
    assert await do(rows, "count") == found


async def test_order_limit_first_and_count(do, world, measured):
    warmest = Weather.rows(order_by=Weather.celsius.desc(), limit=2)
    assert [row.celsius for row in await world.list(warmest)] == [16.5, 14.5]
    assert await do(warmest, "count") == 2
    assert (await do(Weather.rows(order_by=Weather.celsius), "first")).celsius == -4.0
    assert await do(Weather.rows(Weather.celsius > 99), "first") is None
    assert await do(Weather.rows(limit=0), "all") == []
    ozone = await do(Weather.rows(order_by=[Weather.ozone.desc(), Weather.at.asc()]), "all")
    assert [row.ozone for row in ozone] == [55, None, None, None, None, None]
    ozone = await do(Weather.rows(order_by=Weather.ozone.asc()), "all")
    assert [row.ozone for row in ozone] == [55, None, None, None, None, None]


def test_values_are_bound_and_never_text(measured, emulator, monkeypatch):
    asked = []
    sql = emulator.sql
    monkeypatch.setattr(emulator, "sql", lambda *given: asked.append(given) or sql(*given))
    evil = "x'; DROP TABLE ts_1_weather; --"
    assert Weather.rows(Weather.city == evil).all() == []
    [(text, *parameters)] = asked
    assert evil not in text
    assert parameters == [evil]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Weather.celsius > "hot", ValidationError, "expects float | None"),
        (lambda: Weather.city > None, TypeError, r"write is_null\(\)"),
        (lambda: Weather.city.in_(["a", None]), TypeError, "None"),
        (lambda: Weather.city.startswith(5), TypeError, "expected text"),
        (lambda: Weather.celsius.startswith("5"), TypeError, "only texts begin"),
        (lambda: bool(Weather.city == "a"), TypeError, "combine conditions with"),
        (lambda: (Weather.city == "a") & True, TypeError, "expected a condition"),
        (lambda: Weather.rows("city = 1"), TypeError, "expected a condition"),
        (lambda: Weather.rows(order_by="city"), TypeError, "expected a column"),
        (lambda: Weather.rows(limit=-1), ValidationError, "expected 0 or more"),
        (lambda: Weather.at > datetime(2026, 1, 1), ValidationError, "time zone"),  # noqa: DTZ001 # it is refused
    ],
)
def test_wrong_questions_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_conditions_on_other_tables_are_refused(connection):
    class Other(TimeseriesTable):
        city: Column[str] = dimension()
        facts: Column[dict[str, int]] = measurement()

    with pytest.raises(ValidationError, match="speaks of the timeseries table 'other'"):
        Weather.rows(Other.city == "Oslo")
    with pytest.raises(ValidationError, match="speaks of the timeseries table 'other'"):
        Weather.rows(order_by=Other.city)
    with pytest.raises(TypeError, match="values are not compared"):
        Other.facts == {}  # noqa: B015 # it raises


async def test_rows_of_a_table_that_is_not_there(do, connection):
    with pytest.raises(NotFoundError, match="no timeseries table 'weather'"):
        await do(Weather.rows(), "all")


async def test_a_column_that_is_not_there_yet(do, connection, measured):
    class Newer(Weather):
        rain: Column[float | None] = measurement()

        class Meta:
            name = "weather"

    with pytest.raises(StateError, match=r"no column rain: .* migrate\(\)"):
        await do(Newer.rows(), "all")
    with pytest.raises(StateError, match="rain"):
        await do(Newer.rows(Newer.rain > 1), "count")
    await do(Newer, "migrate")
    assert [row.rain for row in await do(Newer.rows(limit=1), "all")] == [None]


async def test_a_missing_value_of_a_type_without_none(do, connection, measured):
    class Strict(Weather):
        ozone: Column[int] = measurement()

        class Meta:
            name = "weather"

    [row] = await do(Strict.rows(Strict.city == "Rome", limit=1), "all")
    with pytest.raises(ValidationError, match=r"ozone: Column\[... | None\]"):
        row.ozone  # noqa: B018 # it raises
    assert row.to_dict()["ozone"] is None
    assert row.city == "Rome"


async def test_rows_of_untyped_tables(do, world, measured):
    table = await do(TimeseriesTable, "get", "weather")
    city, at = table.columns["city"], table.columns["_timestamp"]
    rows = await world.list(table.rows(city == "Oslo", order_by=at.desc(), limit=1))
    assert [row.to_dict() for row in rows] == [
        {
            "_timestamp": datetime(2026, 1, 1, 2, tzinfo=UTC),
            "city": "Oslo",
            "celsius": -2.0,
            "ozone": None,
        }
    ]
    # Without the conditions nobody need have looked at the table before.
    assert await do(Weather.stored().rows(), "count") == 6


def test_rows_copy_pickle_and_compare(measured):
    one, other = Weather.rows(order_by=Weather.at, limit=2)
    assert copy.deepcopy(one) == one != other
    assert pickle.loads(pickle.dumps(one)) == one
    untyped = Weather.stored().rows().first()
    assert pickle.loads(pickle.dumps(untyped)) == untyped
    assert pickle.loads(pickle.dumps(untyped))["city"] == untyped["city"]
    assert repr(one).startswith("Weather(at=")
    assert "city" in one._repr_html_()
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


async def test_a_data_frame(do, measured):
    pytest.importorskip("polars")
    frame = await do(Weather.rows(Weather.city == "Rome"), "to_frame", backend="polars")
    assert frame.columns == ["at", "city", "celsius", "ozone"]
    assert frame["celsius"].to_list() == [12.5, 14.5, 16.5]
    empty = await do(Weather.rows(limit=0), "to_frame", backend="polars")
    assert empty.columns == ["at", "city", "celsius", "ozone"]


class Everything(TimeseriesTable):
    a_text: Column[str] = measurement(type="text")
    an_int: Column[int] = measurement(type="int")
    a_real: Column[float] = measurement(type="real")
    a_bool: Column[bool] = measurement()
    a_moment: Column[datetime] = measurement()
    a_day: Column[date] = measurement()
    a_time: Column[time] = measurement()
    a_span: Column[timedelta] = measurement()
    a_number: Column[Decimal] = measurement()
    a_uuid: Column[UUID] = measurement()
    facts: Column[dict[str, list[int]]] = measurement()


VALUES = {
    "a_text": "häh?",
    "an_int": 5,
    "a_real": 2.5,
    "a_bool": True,
    "a_moment": datetime(2026, 5, 1, 12, 30, tzinfo=UTC),
    "a_day": date(2026, 5, 1),
    "a_time": time(12, 30),
    "a_span": timedelta(hours=36),
    "a_number": Decimal("12.5"),
    "a_uuid": UUID("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"),
    "facts": {"a": [1, 2]},
}


async def test_every_type_comes_back(do, connection):
    class All(Twin):
        a_text: Field[str] = entry()
        an_int: Field[int] = entry()
        a_real: Field[float] = entry()
        a_bool: Field[bool] = entry()
        a_moment: Field[datetime] = entry()
        a_day: Field[date] = entry()
        a_time: Field[time] = entry()
        a_span: Field[timedelta] = entry()
        a_number: Field[Decimal] = entry()
        a_uuid: Field[UUID] = entry()
        facts: Field[dict[str, list[int]]] = entry()

        class Meta:
            timeseries = Everything

    await do(Everything, "create")
    await do(All, "create", **VALUES)
    found = await do(Everything.rows(), "first")
    assert {name: found[name] for name in VALUES} == VALUES
    for name, value in VALUES.items():
        if name != "facts":
            assert await do(Everything.rows(getattr(Everything, name) == value), "count") == 1, name
    table = Everything.stored()
    untyped = await do(table.rows(), "first")
    assert untyped["facts"] == VALUES["facts"]
    assert untyped["a_moment"] == VALUES["a_moment"]


def test_looking_at_tables_asks_nothing(connection, sent):
    table = Weather.stored()
    sent.clear()
    table.retention = "3M"
    shown = [repr(table), repr(Weather.rows()), table._repr_html_(), repr(Weather.city)]
    assert shown[0] == "<StoredTimeseries weather>"
    assert shown[1] == "<Rows of weather: all>"
    assert shown[3] == "<column weather.city: varchar>"
    for copied in (copy.copy(table), pickle.loads(pickle.dumps(table))):
        assert copied == table
        assert [*ttorm.inspect(copied).changes] == ["retention"]
    assert [request.body for request in table.plan()] == [{"retention": "3M"}]
    assert sent == []


# Readers of one's own


class Database:
    """What a database library would do."""

    def __init__(self, rows):
        self.rows = rows
        self.asked = []

    def execute(self, query, parameters):
        self.asked.append((query, parameters))
        return self.rows

    async def aexecute(self, query, parameters):
        return self.execute(query, parameters)


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_reader_of_ones_own(do, connection, sent):
    database = Database([(MOMENT, "Oslo", Decimal("2.5"), None)])
    connection.reader = SQLReader(database.execute, database.aexecute)
    where = (Weather.city == "Oslo") & (Weather.at >= MOMENT)
    [row] = await do(Weather.rows(where, order_by=Weather.celsius.desc(), limit=3), "all")
    assert (row.at, row.city, row.celsius, row.ozone) == (MOMENT, "Oslo", 2.5, None)
    [(query, parameters)] = database.asked
    assert query == (
        'SELECT "_timestamp", "city", "celsius", "ozone" FROM "weather" '
        'WHERE ("city" = %s) AND ("_timestamp" >= %s) '
        'ORDER BY CASE WHEN "celsius" IS NULL THEN 1 ELSE 0 END, "celsius" DESC LIMIT 3'
    )
    assert parameters == ["Oslo", MOMENT]
    assert sent == []


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (timedelta(hours=-36), timedelta(hours=-36)),
        ("P1DT12H", timedelta(hours=36)),
    ],
)
def test_spans_of_database_libraries(connection, raw, value):
    class Spans(TimeseriesTable):
        span: Column[timedelta] = measurement()

    connection.reader = SQLReader(lambda query, parameters: [(MOMENT, raw)])
    assert Spans.rows().first().span == value


async def test_a_reader_counts_and_names_tables(do, connection):
    database = Database([(7,)])
    connection.reader = SQLReader(
        database.execute, database.aexecute, mark="?", table=lambda kind, name: f"{kind}.{name}"
    )
    assert await do(Weather.rows(Weather.ozone > 5), "count") == 7
    assert await do(Weather.rows(Weather.ozone > 5, limit=9), "count") == 7
    few = (
        'SELECT "_timestamp", "city", "celsius", "ozone" FROM timeseries.weather '
        'WHERE "ozone" > ? LIMIT 9'
    )
    assert [query for query, _ in database.asked] == [
        'SELECT COUNT(*) AS number FROM timeseries.weather WHERE "ozone" > ?',
        f"SELECT COUNT(*) AS number FROM ({few}) AS counted",
    ]


async def test_a_reader_without_a_form_for_loops(connection):
    connection.reader = SQLReader(Database([(7,)]).execute)
    with pytest.raises(ConfigurationError, match="aexecute"):
        await connection.reader.aread(None)


async def test_a_connection_without_reader(do, connection, monkeypatch):
    monkeypatch.setattr(connection, "emulator", None)
    with pytest.raises(ConfigurationError, match=r"connection\.reader = ttorm\.SQLReader"):
        await do(Weather.rows(), "all")
