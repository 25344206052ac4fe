"""Rows read through a database library: native types of PostgreSQL, parameters, orders."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from ttorm import (
    Column,
    Field,
    IndexTable,
    SQLReader,
    TimeseriesTable,
    Twin,
    column,
    dimension,
    entry,
    measurement,
)

pytestmark = pytest.mark.postgres

SERVER = os.environ.get("TTORM_TEST_POSTGRES", "postgresql://127.0.0.1/test")
SCHEMA = f"ttorm_readers_{os.getpid()}"
UUIDS = [f"0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a1{n}" for n in range(3)]


class Log(TimeseriesTable):
    city: Column[str | None] = dimension()
    count: Column[int | None] = measurement()
    size: Column[float | None] = measurement(type="real")
    price: Column[Decimal | None] = measurement()
    ok: Column[bool | None] = measurement()
    day: Column[date | None] = measurement()
    hour: Column[time | None] = measurement()
    span: Column[timedelta | None] = measurement()
    who: Column[UUID | None] = measurement()
    facts: Column[dict[str, list[int]] | None] = measurement()


VALUES = {
    "city": "Oslo",
    "count": 5,
    "size": 2.5,
    "price": Decimal("12.50"),
    "ok": True,
    "day": date(2026, 5, 1),
    "hour": time(12, 30),
    "span": timedelta(days=1, hours=12),
    "who": UUID(UUIDS[0]),
    "facts": {"a": [1, 2]},
}


class Scooter(Twin):
    battery: Field[float] = entry()


class LowBattery(IndexTable[Scooter]):
    battery: Column[float] = column()

    class Meta:
        rule = Scooter.battery < 20


@pytest.fixture(scope="module")
def database():
    """A schema with tables as the service's database might have them."""
    try:
        import psycopg

        database = psycopg.connect(SERVER, autocommit=True, connect_timeout=5)
    except (ImportError, psycopg.OperationalError) as error:
        if os.environ.get("TTORM_REQUIRE_SERVICES"):
            pytest.fail(f"a PostgreSQL server is required: {error}")
        pytest.skip(f"there is no PostgreSQL server: {error}")
    with database:
        database.execute(f"CREATE SCHEMA {SCHEMA}")
        database.execute(f"SET search_path TO {SCHEMA}")
        columns = {one.name: one.type for one in [*Log.__columns__.values()]}
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        database.execute(f"CREATE TABLE log ({listed})")
        whole = [datetime(2026, 1, 1, tzinfo=UTC), *VALUES.values()]
        whole[-1] = psycopg.types.json.Jsonb(whole[-1])
        empty = [datetime(2026, 1, 2, tzinfo=UTC), *[None] * len(VALUES)]
        marks = ", ".join(["%s"] * len(whole))
        for values in (whole, empty):
            database.execute(f"INSERT INTO log VALUES ({marks})", values)
        database.execute("CREATE TABLE low_battery (twin uuid, battery double precision)")
        for battery, uuid in enumerate(UUIDS):
            database.execute("INSERT INTO low_battery VALUES (%s, %s)", [uuid, battery])
        yield database
        database.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.fixture(autouse=True)
def reader(connection, database):
    def execute(query, parameters):
        return database.execute(query, parameters).fetchall()

    async def aexecute(query, parameters):
        return execute(query, parameters)

    connection.reader = SQLReader(execute, aexecute, index_key="twin")


async def test_every_type_comes_back(do, connection, sent):
    whole, empty = await do(Log.rows(order_by=Log.at), "all")
    assert whole.at == datetime(2026, 1, 1, tzinfo=UTC)
    assert {name: whole[name] for name in VALUES} == VALUES
    assert {type(whole[name]) for name in VALUES} == {type(value) for value in VALUES.values()}
    assert empty.to_dict() == {"at": datetime(2026, 1, 2, tzinfo=UTC), **dict.fromkeys(VALUES)}
    assert sent == []


@pytest.mark.parametrize("name", [name for name in VALUES if name != "facts"])
async def test_every_type_is_compared(do, connection, name):
    compared = getattr(Log, name)
    assert await do(Log.rows(compared == VALUES[name]), "count") == 1
    assert await do(Log.rows(compared != VALUES[name]), "count") == 1
    assert await do(Log.rows(~(compared == VALUES[name])), "count") == 1
    assert await do(Log.rows(compared.in_([VALUES[name]])), "count") == 1
    assert await do(Log.rows(compared.is_null()), "count") == 1
    assert await do(Log.rows(compared >= VALUES[name]), "count") == 1


async def test_moments_texts_orders_and_limits(do, connection):
    assert await do(Log.rows(Log.at > datetime(2026, 1, 1, 12, tzinfo=UTC)), "count") == 1
    assert await do(Log.rows(Log.city.startswith("Os")), "count") == 1
    assert await do(Log.rows(Log.city.startswith("%")), "count") == 0
    assert await do(Log.rows(Log.city == "'; DROP TABLE log; --"), "count") == 0
    for order in (Log.city, Log.city.desc()):
        assert [row.city for row in await do(Log.rows(order_by=order), "all")] == ["Oslo", None]
    assert await do(Log.rows(limit=1), "count") == 1
    assert await do(Log.rows(Log.city.in_([])), "all") == []


async def test_rows_of_index_tables_are_twins(do, world, connection, sent):
    twins = await world.list(LowBattery.twins(order_by=LowBattery.battery.desc(), limit=2))
    assert [twin.uuid for twin in twins] == [UUIDS[2], UUIDS[1]]
    [row] = await world.list(LowBattery.rows(LowBattery.uuid == UUIDS[1]))
    assert (row.uuid, row.battery) == (UUIDS[1], 1.0)
    assert sent == []
