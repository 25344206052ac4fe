"""The values an Entry had."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import ttorm
from ttorm import Entry, Field, Twin, entry

T0 = 1_718_000_000


class Meter(Twin):
    reading: Field[float] = entry(history="INF", default=0.0)


@pytest.fixture
def meter(connection, others, emulator):
    """A Twin whose Entry had 250 values, one a second."""
    emulator.clock.freeze(T0)
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    entry_ = {"reading": {"value": 0, "history": "INF"}}
    others.call("add_twin_ledger_entry", uuid, body={"entries": entry_})
    for number in range(1, 250):
        emulator.clock.advance(1)
        body = {"entries": {"reading": {"value": number}}}
        others.call("update_twin_ledger_entry_value", uuid, body=body)
    return Meter.at(uuid)


async def test_newest_first_over_pages_of_100(do, meter, sent):
    records = await do.list(meter.ledger["reading"].history())
    assert [record.value for record in records] == list(range(249, -1, -1))
    assert records[0].at == datetime.fromtimestamp(T0 + 249, UTC)
    assert records[-1].at == datetime.fromtimestamp(T0, UTC)
    requests = sent.take()
    assert [request.path for request in requests] == [
        f"/twins/{meter.uuid}/ledgers/personal/history"
    ] * 3
    assert [dict(request.query)["limit"] for request in requests] == ["100"] * 3
    assert [dict(request.query).get("le") for request in requests] == [
        None,
        repr(T0 + 150 - 0.001),
        repr(T0 + 50 - 0.001),
    ]


async def test_a_period(do, meter, sent):
    since = datetime.fromtimestamp(T0 + 10, UTC)
    history = meter.ledger["reading"].history(since=since, until=T0 + 12.5)
    assert [record.value for record in await do.list(history)] == [12, 11, 10]
    [request] = sent.take()
    assert dict(request.query) == {
        "ge": f"{T0 + 10}.0",
        "le": f"{T0 + 12.5}",
        "limit": "100",
        "entries": "reading",
    }
    # Again, afresh.
    assert len(await do.list(history)) == 3
    assert len(sent) == 1


async def test_pages_are_read_as_they_are_needed(do, meter, sent):
    history = meter.ledger["reading"].history()
    assert sent == []
    if do.asynchronous:
        async for record in history:
            assert record.value == 249
            break
    else:
        assert next(iter(history)).value == 249
    assert len(sent) == 1


async def test_exactly_one_page(do, meter, sent):
    history = meter.ledger["reading"].history(since=T0 + 150)
    assert len(await do.list(history)) == 100
    # Only the next one tells that there are no more.
    assert len(sent) == 2


async def test_an_empty_period(do, meter):
    assert await do.list(meter.ledger["reading"].history(until=T0 - 1)) == []


async def test_an_entry_without_history(do, connection):
    twin = await do(Twin, "create", entries={"a": 1})
    assert await do.list(twin.ledger["a"].history()) == []


async def test_an_entry_that_is_not_there(do, connection):
    twin = await do(Twin, "create")
    with pytest.raises(ttorm.ForbiddenError, match=r"the history of 'a'.*cannot be read"):
        await do.list(twin.ledger["a"].history())


async def test_saves_write_history(do, connection, emulator):
    emulator.clock.freeze(T0)
    meter = await do(Meter, "create", reading=1)
    for number in (2, 3):
        emulator.clock.advance(60)
        meter.reading = number
        await do(meter, "save")
    records = await do.list(meter.ledger["reading"].history())
    assert [(record.value, record.at.timestamp()) for record in records] == [
        (3.0, T0 + 120),
        (2.0, T0 + 60),
        (1.0, T0),
    ]
    meter.ledger["reading"].history_period = None
    await do(meter, "save")
    assert await do.list(meter.ledger["reading"].history()) == []


async def test_values_of_all_kinds(do, connection, emulator):
    emulator.clock.freeze(T0)
    values = [{"a": [1]}, "text", None, True, 1.5]
    twin = await do(Twin, "create", entries={"a": Entry(values[0], history="INF")})
    for value in values[1:]:
        emulator.clock.advance(1)
        twin.ledger["a"] = value
        await do(twin, "save")
    records = await do.list(twin.ledger["a"].history())
    assert [record.value for record in records] == values[::-1]


@pytest.mark.parametrize("moment", [datetime(2024, 1, 1), "yesterday", timedelta(1)])  # noqa: DTZ001 # naive
async def test_what_is_no_moment_is_refused_at_once(do, connection, sent, moment):
    twin = await do(Twin, "create", entries={"a": 1})
    sent.clear()
    with pytest.raises(ttorm.ValidationError):
        twin.ledger["a"].history(since=moment)
    with pytest.raises(ttorm.ValidationError):
        twin.ledger["a"].history(until=moment)
    assert sent == []


async def test_a_history_is_not_cached(do, meter, others, emulator, sent):
    history = meter.ledger["reading"].history(since=T0 + 249)
    assert len(await do.list(history)) == 1
    emulator.clock.advance(1)
    body = {"entries": {"reading": {"value": 250}}}
    others.call("update_twin_ledger_entry_value", meter.uuid, body=body)
    assert len(await do.list(history)) == 2


def test_a_history_shows_what_it_is(meter):
    assert repr(meter.ledger["reading"].history()) == f"<History of 'reading' of {meter.uuid}>"
