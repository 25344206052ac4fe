"""The values an Entry had."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

import ttorm
from ttorm import Entry, Field, Twin, description, entry

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


# Ends, order, counts


async def test_in_the_order_of_time(do, meter, sent):
    history = meter.ledger["reading"].history(reverse=True)
    records = await do.list(history)
    assert [record.value for record in records] == list(range(250))
    assert await do(history, "all") == records
    assert (await do(history, "last")).value == 249
    sent.clear()
    assert (await do(history, "first")).value == 0
    assert len(sent) == 3


async def test_ends_and_count(do, meter, sent):
    history = meter.ledger["reading"].history()
    assert (await do(history, "first")).value == 249
    assert len(sent.take()) == 1
    assert (await do(history, "last")).value == 0
    assert await do(history, "count") == 250
    empty = meter.ledger["reading"].history(until=T0 - 1)
    assert (await do(empty, "first"), await do(empty, "last")) == (None, None)
    assert (await do(empty, "all"), await do(empty, "count")) == ([], 0)
    with pytest.raises(TypeError):
        len(history)


# Moments


async def test_the_value_at_a_moment(do, meter, sent):
    entry_ = meter.ledger["reading"]
    assert await do(entry_, "at", T0 + 10) == 10
    assert await do(entry_, "at", datetime.fromtimestamp(T0 + 10.9, UTC)) == 10
    assert await do(entry_, "at", T0 + 10_000) == 249
    requests = sent.take()
    assert dict(requests[0].query) == {"le": f"{T0 + 10}.0", "limit": "1", "entries": "reading"}
    assert len(requests) == 3


async def test_before_the_first_record_there_is_no_value(do, meter):
    with pytest.raises(ttorm.MissingEntryError, match="no record of 2024-06-10 06:13:19"):
        await do(meter.ledger["reading"], "at", T0 - 1)


async def test_null_is_a_value(do, connection):
    twin = await do(Twin, "create")
    twin.ledger["a"] = Entry(None, history="INF")
    await do(twin, "save")
    changed = twin.ledger["a"].value_changed_at
    assert await do(twin.ledger["a"], "at", changed) is None
    assert await do(twin.ledger, "as_of", changed) == {"a": None}


async def test_an_entry_that_cannot_be_read_at_a_moment(do, connection):
    twin = await do(Twin, "create")
    with pytest.raises(ttorm.ForbiddenError, match="cannot be read"):
        await do(twin.ledger["a"], "at", T0)


async def test_a_twin_that_was_not_saved_has_none(do, connection):
    twin = Twin(entries={"a": 1})
    for verb in (twin.ledger["a"].history, lambda: twin.history("a")):
        with pytest.raises(ttorm.StateError, match="was not saved yet"):
            verb()
    with pytest.raises(ttorm.StateError, match="was not saved yet"):
        await do(twin.ledger, "as_of", T0)


@pytest.fixture
def weather(emulator, others, connection):
    """Celsius each minute from T0, wind from the third minute on, and a place without history."""
    emulator.clock.freeze(T0)
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    first = {"celsius": {"value": "20", "history": "INF"}, "place": {"value": "A"}}
    others.call("add_twin_ledger_entry", uuid, body={"entries": first})
    for minute in range(1, 5):
        emulator.clock.advance(60)
        new = {"celsius": {"value": str(20 + minute)}}
        others.call("update_twin_ledger_entry_value", uuid, body={"entries": new})
        if minute == 2:
            wind = {"wind": {"value": 5, "history": "INF"}}
            others.call("add_twin_ledger_entry", uuid, body={"entries": wind})
    return uuid


async def test_a_ledger_at_a_moment_takes_one_request(do, weather, sent):
    ledger = Twin.at(weather).ledger
    assert await do(ledger, "as_of", T0 + 60) == {"celsius": "21"}
    assert await do(ledger, "as_of", T0 + 150) == {"celsius": "22", "wind": 5}
    assert await do(ledger, "as_of", T0 + 150, "wind", "place", "ghost") == {"wind": 5}
    assert await do(ledger, "as_of", T0 - 1) == {}
    requests = sent.take()
    assert len(requests) == 4
    assert requests[0].query == (("le", f"{T0 + 60}.0"), ("limit", "1"))


async def test_what_changed_between_two_moments(do, weather, sent):
    ledger = Twin.at(weather).ledger
    assert await do(ledger, "diff", T0 + 60, T0 + 150) == {
        "celsius": ttorm.Change("21", "22"),
        "wind": ttorm.Change(None, 5),
    }
    assert await do(ledger, "diff", T0 + 130, T0 + 170) == {}
    assert await do(ledger, "diff", T0 + 150, T0 + 60, "wind") == {"wind": ttorm.Change(5, None)}
    assert len(sent.take()) == 6


async def test_the_ledger_of_somebody_else_at_a_moment(do, weather, others, stranger, emulator):
    body = {"entries": {"celsius": {"visibility": "true"}}}
    others.call("update_twin_ledger_entry", weather, body=body)
    with ttorm.session(stranger):
        ledger = Twin.at(weather).ledgers.owner
    assert await do(ledger, "as_of", T0 + 150) == {"celsius": "22"}
    assert await do(ledger["celsius"], "at", T0) == "20"


# Several Entries


class Weather(Twin):
    temperature: Field[int] = entry(name="celsius", history="INF", default=0)
    wind: Field[float | None] = entry(history="INF", default=None)
    gusts: Field[float | None] = entry(history="INF", default=None)


def values(rows):
    return [(int(row.at.timestamp()) - T0, row.values) for row in rows]


async def test_rows_of_a_class(do, weather, sent):
    rows = await do.list(Weather.at(weather).history())
    assert values(rows) == [
        (240, {"temperature": 24}),
        (180, {"temperature": 23}),
        (120, {"temperature": 22, "wind": 5.0}),
        (60, {"temperature": 21}),
        (0, {"temperature": 20}),
    ]
    [request] = sent.take()
    assert [value for name, value in request.query if name == "entries"] == [
        *("celsius", "wind", "gusts")
    ]


async def test_rows_of_chosen_entries_in_the_order_of_time(do, weather):
    history = Weather.at(weather).history("wind", since=T0 + 60, reverse=True)
    assert values(await do(history, "all")) == [(120, {"wind": 5.0})]
    history = Twin.at(weather).history("celsius", until=T0 + 60, reverse=True)
    assert values(await do.list(history)) == [(0, {"celsius": "20"}), (60, {"celsius": "21"})]


async def test_rows_of_all_entries_with_a_history(do, weather):
    rows = await do(Twin.at(weather).history(since=T0 + 100, until=T0 + 130), "all")
    assert values(rows) == [(120, {"celsius": "22", "wind": 5})]


async def test_filled_rows_tell_all_that_held(do, weather, sent):
    history = Weather.at(weather).history(since=T0 + 60, fill=True)
    assert values(await do.list(history)) == [
        (240, {"temperature": 24, "wind": 5.0}),
        (180, {"temperature": 23, "wind": 5.0}),
        (120, {"temperature": 22, "wind": 5.0}),
        (60, {"temperature": 21}),
    ]
    later = Weather.at(weather).history("wind", "temperature", since=T0 + 170, fill=True)
    assert values(await do(later, "all"))[-1] == (180, {"temperature": 23, "wind": 5.0})
    assert len(sent.take()) == 4


async def test_rows_over_many_pages(do, meter, others, emulator, sent):
    """A sparse Entry beside one of 250 records: nothing is lost, nothing comes twice."""
    uuid = meter.uuid
    others.call(
        "add_twin_ledger_entry", uuid, body={"entries": {"rare": {"value": 0, "history": "INF"}}}
    )
    for number in range(1, 121):
        emulator.clock.advance(1)
        fast = {"reading": {"value": 1000 + number}}
        slow = {"rare": {"value": number}} if number % 30 == 0 else {}
        others.call("update_twin_ledger_entry_value", uuid, body={"entries": fast | slow})
    sent.clear()
    rows = await do.list(Twin.at(uuid).history("reading", "rare"))
    assert len(sent) == 4
    moments = [row.at for row in rows]
    assert moments == sorted(set(moments), reverse=True)
    readings = [row.values["reading"] for row in rows if "reading" in row.values]
    assert readings == [*range(1120, 1000, -1), *range(249, -1, -1)]
    assert [row.values["rare"] for row in rows if "rare" in row.values] == [120, 90, 60, 30, 0]


async def test_a_limit_that_is_meant_for_the_whole_answer(do, weather, wire, emulator):
    """How the platform counts is not documented: rows come all the same."""

    def cut(request):
        answer = wire.transport.send(request)
        if "/history" not in request.url:
            return answer
        slots = json.loads(answer.body)["entries"]
        newest = sorted(
            ((float(t), name, t) for name, found in slots.items() for t in found), reverse=True
        )[:100]
        kept = {name: {} for name in slots}
        for _, name, stamp in newest:
            kept[name][stamp] = slots[name][stamp]
        return answer._replace(body=json.dumps({"entries": kept}).encode())

    for number in range(150):
        emulator.clock.advance(1)
        new = {"celsius": {"value": number}, "wind": {"value": number}}
        body = {"entries": new if number % 2 else {"celsius": new["celsius"]}}
        ttorm.default_connection().call("update_twin_ledger_entry_value", weather, body=body)
    whole = values(await do(Twin.at(weather).history("celsius", "wind"), "all"))
    wire.meddle = cut
    assert values(await do(Twin.at(weather).history("celsius", "wind"), "all")) == whole
    assert len(whole) == 155


async def test_a_value_that_the_field_refuses_is_shown_as_it_was_stored(do, weather, others):
    body = {"entries": {"celsius": {"value": "warm"}}}
    others.call("update_twin_ledger_entry_value", weather, body=body)
    row = await do(Weather.at(weather).history("temperature"), "all")
    assert row[0].values == {"temperature": "warm"}


async def test_what_has_no_history(do, connection):
    class Named(Twin):
        model: Field[str] = description()

    twin = await do(Named, "create", model="X1")
    with pytest.raises(TypeError, match=r"Named.model has no history"):
        twin.history("model")
    with pytest.raises(ttorm.ValidationError, match="no Entry name"):
        twin.history("Not a name")
    assert await do(twin.history("nothing"), "all") == []
    assert "nothing" in repr(twin.history("nothing"))


# Data frames


@pytest.mark.parametrize("backend", ["pandas", "polars"])
async def test_frames_of_one_entry(do, weather, backend):
    frame = await do(Twin.at(weather).ledger["celsius"].history(), "to_frame", backend)
    assert type(frame).__module__.startswith(backend)
    assert list(frame.columns) == ["at", "value"]
    assert frame["value"].to_list() == ["24", "23", "22", "21", "20"]
    assert frame["at"].to_list()[0].timestamp() == T0 + 240


@pytest.mark.parametrize("backend", ["pandas", "polars"])
async def test_frames_of_several_entries(do, weather, backend):
    history = Weather.at(weather).history(fill=True, reverse=True)
    frame = await do(history, "to_frame", backend)
    assert list(frame.columns) == ["at", "temperature", "wind", "gusts"]
    assert frame["temperature"].to_list() == [20, 21, 22, 23, 24]
    assert frame["wind"].to_list()[2:] == [5.0, 5.0, 5.0]
    assert len(frame) == 5


@pytest.mark.parametrize("backend", ["pandas", "polars"])
async def test_frames_of_values_that_have_no_type_in_common(do, connection, emulator, backend):
    twin = await do(Twin, "create")
    for value in (1, 2.5, None, "x", [1], {"a": 1}):
        twin.ledger["a"] = Entry(value, history="INF")
        await do(twin, "save")
    frame = await do(twin.ledger["a"].history(reverse=True), "to_frame", backend)
    assert [str(value) for value in frame["value"].to_list() if isinstance(value, str)] == [
        *("1", "2.5", "x", "[1]", "{'a': 1}")
    ]
    await do(twin, "save")
    numbers = await do(twin.ledger["a"].history(until=0), "to_frame", backend)
    assert len(numbers) == 0


@pytest.mark.parametrize(
    ("missing", "message"),
    [("narwhals", r"pip install 'ttorm\[frames\]'"), ("pyarrow", "'pyarrow' is not installed")],
)
async def test_a_library_that_is_not_installed(do, weather, monkeypatch, missing, message):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ttorm.ConfigurationError, match=message):
        await do(Twin.at(weather).history("celsius"), "to_frame", "pyarrow")
