"""Several tables brought up to date together."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import (
    Column,
    Field,
    IndexTable,
    SaveError,
    StateError,
    TimeseriesTable,
    Twin,
    column,
    dimension,
    entry,
    measurement,
)

SERVICES = "/account/services"


class Air(TimeseriesTable):
    site: Column[str] = dimension("{LEDGER.site}")
    celsius: Column[float | None] = measurement()


class Noise(TimeseriesTable):
    decibel: Column[float | None] = measurement()


class Frosty(IndexTable):
    celsius: Column[float] = column()

    class Meta:
        rule = "LEDGER.celsius < 0"


class Station(Twin):
    site: Field[str] = entry()
    celsius: Field[float] = entry()
    decibel: Field[float] = entry(default=0.0)

    class Meta:
        timeseries = (Air, Noise)
        indexes = Frosty


class Loud(IndexTable[Station]):
    decibel: Column[float] = column()

    class Meta:
        rule = Station.decibel > 80


@pytest.fixture(params=["declared", "model"])
def classes(request):
    """All tables of the model, named one by one or by the model."""
    return (Air, Noise, Frosty, Loud) if request.param == "declared" else (Station,)


async def migrate_all(do, *classes):
    return await do(ttorm, "migrate_all", *classes)


async def test_what_is_missing_is_made_by_one_request_a_kind(do, connection, sent, classes):
    result = await migrate_all(do, *classes)
    assert result == (("air", "noise", "frosty", "loud"), (), (), 2)
    posts = [request for request in sent.take() if request.method == "POST"]
    assert [(request.path, next(iter(request.body.values())).keys()) for request in posts] == [
        (f"{SERVICES}/timeseries", {"air": 0, "noise": 0}.keys()),
        (f"{SERVICES}/indexes", {"frosty": 0, "loud": 0}.keys()),
    ]
    assert await migrate_all(do, *classes, Air) == ((), (), (), 0)
    assert {request.method for request in sent} == {"GET"}
    assert len(sent) == 4


async def test_some_are_made_and_others_altered(do, connection, sent):
    await do(Air, "create")
    await do(Frosty, "create")

    class Newer(Air):
        ozone: Column[float | None] = measurement()

        class Meta:
            name = "air"

    sent.clear()
    result = await migrate_all(do, Newer, Noise, Frosty)
    assert result == (("noise",), ("air",), (), 2)
    assert [str(request) for request in sent if request.method != "GET"] == [
        f"POST {SERVICES}/timeseries",
        f"PATCH {SERVICES}/timeseries/air",
    ]


async def test_nothing_is_sent_when_one_cannot_be_done(do, connection, sent):
    await do(Air, "create")

    class Dropped(TimeseriesTable):
        site: Column[str] = dimension("{LEDGER.site}")

        class Meta:
            name = "air"

    sent.clear()
    with pytest.raises(StateError, match="'celsius', which the class does not declare"):
        await migrate_all(do, Noise, Dropped)
    assert {request.method for request in sent} == {"GET"}


async def test_those_that_are_refused_are_told_and_the_others_done(do, connection):
    class Elsewhere(TimeseriesTable):
        n: Column[int] = measurement()

        class Meta:
            database = "00000000-0000-4000-8000-000000000001"

    with pytest.raises(SaveError) as caught:
        await migrate_all(do, Elsewhere, Noise)
    assert [*caught.value.errors] == ["elsewhere"]
    assert caught.value.errors["elsewhere"].operation == "create_timeseries_table"
    assert caught.value.result == (("noise",), (), (), 1)
    assert (await do(Noise, "get")).name == "noise"


def test_what_declares_no_table_is_refused(connection, sent):
    for wrong in ("air", int, TimeseriesTable):
        with pytest.raises(TypeError):
            ttorm.migrate_all(wrong)
    assert sent == []


def test_a_model_without_tables_needs_nothing(connection, sent):
    assert ttorm.migrate_all(Twin).requests == 0
    assert sent == []
