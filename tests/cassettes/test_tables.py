"""The exact requests of databases, Timeseries and index tables."""

from __future__ import annotations

import pytest

from ttorm import (
    Column,
    Database,
    Field,
    IndexTable,
    SaveError,
    TimeseriesTable,
    Twin,
    column,
    dimension,
    entry,
    measurement,
)

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]


class Weather(TimeseriesTable):
    city: Column[str] = dimension("{LEDGER.city}")
    celsius: Column[float] = measurement()

    class Meta:
        retention = "1Y"


class Station(Twin):
    city: Field[str] = entry()
    celsius: Field[float] = entry()

    class Meta:
        timeseries = Weather


class Frosty(IndexTable[Station]):
    city: Column[str] = column()

    class Meta:
        rule = Station.celsius < 0


SERIES = {
    "dimensions": {"names": ["city"], "types": ["varchar"]},
    "measurements": {"names": ["celsius"], "types": ["double precision"]},
    "defaults": {"measurement": "{entry_name}", "dimensions": {"city": "{LEDGER.city}"}},
    "retention": "1Y",
}
INDEX = {
    "rule": "LEDGER.celsius < 0.0",
    "properties": {"names": ["city"], "types": ["varchar"]},
    "templates": {"properties": {"city": "{LEDGER.city}"}},
}


async def test_timeseries_table(connection, do, tape):
    path = "/account/services/timeseries"
    await do(Weather.migrate)
    with pytest.raises(SaveError):
        await do(Weather.create)
    station = await do(Station.create, city="Oslo", celsius=-4.0)
    station.celsius = -3.0
    await do(station.save)
    table = Weather.stored()
    await do(table.alter, rename={"city": "town"}, measurements={"ozone": "real"})
    assert table.defaults["dimensions"] == {"town": "{LEDGER.city}"}
    table.retention = "2Y"
    await do(table.save)
    [listed] = await do.each(TimeseriesTable.list())
    assert listed == table
    await do(table.truncate)
    await do(table.delete)
    ledger = f"/twins/{station.uuid}/ledgers/personal"
    tape.shows(
        ("GET", f"{path}/weather", None),
        ("POST", path, {"timeseries": {"weather": SERIES}}),
        ("POST", path, {"timeseries": {"weather": SERIES}}),
        ("POST", "/twins", None),
        (
            "POST",
            ledger,
            {
                "entries": {
                    "city": {"value": "Oslo"},
                    "celsius": {"value": -4.0, "timeseries": {"weather": {}}},
                }
            },
        ),
        ("PATCH", f"{ledger}/value", {"entries": {"celsius": {"value": -3.0}}}),
        ("GET", f"{path}/weather", None),
        (
            "PATCH",
            f"{path}/weather",
            {
                "dimensions": {"names": [["city", "town"]], "types": ["varchar"]},
                "measurements": {
                    "names": ["celsius", "ozone"],
                    "types": ["double precision", "real"],
                },
                "defaults": {
                    "measurement": "{entry_name}",
                    "dimensions": {"town": "{LEDGER.city}"},
                },
            },
        ),
        ("PATCH", f"{path}/weather", {"retention": "2Y"}),
        ("GET", path, None),
        ("DELETE", f"{path}/weather/data", None),
        ("DELETE", f"{path}/weather", None),
    )


async def test_index_table(connection, do, tape):
    path = "/account/services/indexes"
    table = await do(Frosty.create)
    table.properties["celsius"] = "real"
    table.templates["celsius"] = "{LEDGER.celsius}"
    await do(table.save)
    assert await do.each(IndexTable.list()) == [table]
    await do(table.truncate)
    await do(table.delete)
    tape.shows(
        ("POST", path, {"indexes": {"frosty": INDEX}}),
        (
            "PATCH",
            f"{path}/frosty",
            {
                "properties": {"names": ["city", "celsius"], "types": ["varchar", "real"]},
                "templates": {
                    "properties": {"city": "{LEDGER.city}", "celsius": "{LEDGER.celsius}"}
                },
            },
        ),
        ("GET", path, None),
        ("DELETE", f"{path}/frosty/data", None),
        ("DELETE", f"{path}/frosty", None),
    )


async def test_database_and_its_access(connection, do, tape):
    path = "/account/services/databases"
    user = (await do(connection.whoami))["user"]
    [database] = await do.each(Database.list())
    database.note = "Tables of the fleet"
    database.users[user] = {"timeseries": ["read"], "indexes": ["read"]}
    database.networks["192.0.2.10"] = "office"
    await do(database.save)
    await do(database.load_access)
    database.users[user]["customer_data"] = ["read", "write"]
    del database.networks["192.0.2.10"]
    await do(database.save)
    at = f"{path}/{database.uuid}"
    tape.shows(
        ("GET", "/whoami", None),
        ("GET", path, None),
        (
            "PATCH",
            f"{at}/access/users/{user}",
            {"timeseries": ["read"], "indexes": ["read"], "customer_data": []},
        ),
        ("PATCH", f"{at}/access/ips", {"192.0.2.10/32": "office"}),
        ("PATCH", at, {"note": "Tables of the fleet"}),
        ("GET", f"{at}/access", None),
        ("PATCH", f"{at}/access/users/{user}", {"customer_data": ["read", "write"]}),
        ("PATCH", f"{at}/access/ips", {"192.0.2.10/32": None}),
    )
