"""Changing a value by what it was: `Entry.update`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import ttorm
from ttorm import Entry, Field, Twin, entry


class Counter(Twin):
    count: Field[int] = entry(default=0)
    label: Field[str] = entry(default="")


@pytest.fixture
def write(others):
    """Write values elsewhere: ``write(record, count=9)``."""

    def write(record, **values):
        body = {"entries": {name: {"value": value} for name, value in values.items()}}
        others.call("update_twin_ledger_entry_value", record.uuid, body=body)

    return write


def add_one(value):
    return value + 1


async def test_a_condition_goes_with_the_value(do, connection, emulator, sent):
    emulator.clock.freeze(1_718_000_000.5)
    counter = await do(Counter, "create", count=5)
    sent.clear()
    assert await do(counter.ledger["count"], "update", add_one) == 6
    assert sent.take() == [
        (
            "PATCH",
            f"/twins/{counter.uuid}/ledgers/personal/value",
            (),
            {
                "entries": {"count": {"value": 6}},
                "conditions": {"count": "value_changed_ts == 1718000000.5"},
            },
        )
    ]
    assert counter.count == 6
    assert not ttorm.inspect(counter).is_modified


async def test_what_was_not_read_is_read_alone(do, connection, others, sent):
    uuid = (await do(Counter, "create", count=5)).uuid
    async with do.block(ttorm.session()):
        counter = Counter.at(uuid)
        sent.clear()
        assert await do(counter.ledger["count"], "update", add_one) == 6
        read, write = sent.take()
    assert (read.method, read.query) == ("GET", (("entries", "count"),))
    assert (write.method, write.body["entries"]) == ("PATCH", {"count": {"value": 6}})


async def test_somebody_was_faster(do, connection, write, sent):
    counter = await do(Counter, "create", count=5)
    write(counter, count=50)
    sent.clear()
    seen = []
    assert await do(counter.ledger["count"], "update", lambda v: seen.append(v) or v + 1) == 51
    assert seen == [5, 50]
    assert [request.method for request in sent] == ["PATCH", "GET", "PATCH"]


async def test_somebody_is_always_faster(do, connection, wire, write):
    counter = await do(Counter, "create", count=5)

    def race(request):
        if request.method == "PATCH":
            write(counter, count=counter.count + 100)

    wire.meddle = race
    with pytest.raises(ttorm.ConflictError):
        await do(counter.ledger["count"], "update", add_one, attempts=3)
    assert not ttorm.inspect(counter).is_modified
    assert counter.count == 308


async def test_equal_values_send_nothing(do, connection, sent):
    counter = await do(Counter, "create", count=5)
    sent.clear()
    assert await do(counter.ledger["count"], "update", lambda value: value) == 5
    assert sent == []


async def test_containers_are_the_functions_own(do, connection, others):
    twin = await do(Twin, "create", entries={"tags": ["a"]})

    def add(tags):
        tags.append("b")
        return tags

    assert await do(twin.ledger["tags"], "update", add) == ["a", "b"]
    entries = others.call("get_twin_ledger_entry", twin.uuid)["entries"]
    assert entries["tags"]["value"] == twin.ledger["tags"].value == ["a", "b"]


async def test_an_entry_that_is_not_there(do, connection, sent):
    twin = await do(Twin, "create")
    sent.clear()
    with pytest.raises(ttorm.MissingEntryError, match="or give default="):
        await do(twin.ledger["count"], "update", add_one)
    assert sent == []
    assert await do(twin.ledger["count"], "update", add_one, default=10) == 11
    assert [request.method for request in sent] == ["POST"]
    assert await do(twin.ledger["count"], "update", add_one, default=10) == 12


async def test_an_entry_that_somebody_makes_first(do, connection, others):
    twin = await do(Twin, "create")
    others.call("add_twin_ledger_entry", twin.uuid, body={"entries": {"count": {"value": 5}}})
    assert await do(twin.ledger["count"], "update", add_one, default=0) == 6


async def test_unsaved_changes_are_not_sent_along(do, connection, sent):
    counter = await do(Counter, "create", count=5)
    counter.count, counter.label = 7, "x"
    sent.clear()
    with pytest.raises(ttorm.StateError, match=r"save\(\) or discard\(\) them first"):
        await do(counter.ledger["count"], "update", add_one)
    assert sent == []
    counter.count = 5
    assert await do(counter.ledger["count"], "update", add_one) == 6
    assert ttorm.inspect(counter).changes == {"label": ("", "x")}


async def test_a_function_that_fails_changes_nothing(do, connection, sent):
    counter = await do(Counter, "create", count=5)
    sent.clear()
    for change, error in ((lambda value: value / 0, ZeroDivisionError), (set, TypeError)):
        with pytest.raises(error):
            await do(counter.ledger["count"], "update", change)
    with pytest.raises(ttorm.ValidationError):
        await do(counter.ledger["count"], "update", lambda value: {value})
    assert not ttorm.inspect(counter).is_modified
    assert sent == []


async def test_an_update_that_is_refused_leaves_nothing(do, connection, wire):
    counter = await do(Counter, "create", count=5)
    source = await do(Counter, "create", count=1)
    await do(connection, "whoami")
    counter.ledger["copy"] = Entry(ref=source.ledger["count"])
    await do(counter, "save")
    await do(counter.ledger, "refresh")
    with pytest.raises(ttorm.SaveError):
        await do(counter.ledger["copy"], "update", add_one)
    assert not ttorm.inspect(counter).is_modified


async def test_ledgers_of_others_are_read_only(do, connection, sent):
    counter = await do(Counter, "create", count=5)
    sent.clear()
    with pytest.raises(ttorm.StateError, match="read-only here"):
        await do(counter.ledgers.owner["count"], "update", add_one)
    assert sent == []


async def test_senseless_attempts(do, connection):
    counter = await do(Counter, "create", count=5)
    with pytest.raises(ttorm.ValidationError, match="at least 1"):
        await do(counter.ledger["count"], "update", add_one, attempts=0)


async def test_receivers_are_told_once(do, connection, write):
    counter = await do(Counter, "create", count=5)
    write(counter, count=50)
    told = []

    def receiver(sender, *, changes, **extra):
        told.append(changes)

    with ttorm.signals.entry_changed.connected_to(receiver, sender=Counter):
        await do(counter.ledger["count"], "update", add_one)
    assert told == [{"count": (50, 51)}]


def test_threads_lose_nothing(connection):
    uuid = Counter.create().uuid

    def work(number):
        with ttorm.session():
            counter = Counter.at(uuid)
            for _ in range(50):
                counter.ledger["count"].update(add_one, attempts=100)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert Counter.get(uuid, fresh=True).refresh().ledger.refresh()["count"].value == 400


def test_tasks_that_share_a_record_lose_nothing(connection, sent):
    async def work():
        counter = await Counter.acreate()
        sent.clear()
        await asyncio.gather(
            *(counter.ledger["count"].aupdate(add_one) for _ in range(25)),
        )
        return counter.count

    assert asyncio.run(work()) == 25
    # They take turns, so that nobody is refused.
    assert [request.method for request in sent] == ["PATCH"] * 25


class Brew(Twin):
    due: Field[datetime] = entry()
    tags: Field[set[str]] = entry(default_factory=set)
    tastes: Field[list[str]] = entry(default_factory=list)
    strength: Field[Decimal] = entry(default=Decimal("5.0"))


async def test_the_function_works_with_the_fields_value(do, connection, others):
    brew = await do(Brew, "create", due=datetime(2024, 6, 10, tzinfo=UTC), tags={"pale"})
    written = await do(brew.ledger["due"], "update", lambda due: due + timedelta(days=1))
    assert written == brew.due == datetime(2024, 6, 11, tzinfo=UTC)
    assert await do(brew.ledger["tags"], "update", lambda tags: tags | {"dry"}) == {"pale", "dry"}
    entries = others.call("get_twin_ledger_entry", brew.uuid)["entries"]
    assert entries["due"]["value"] == "2024-06-11T00:00:00.000000Z"
    assert sorted(entries["tags"]["value"]) == ["dry", "pale"]
    assert brew.tags == {"pale", "dry"}
    assert not ttorm.inspect(brew).is_modified


@pytest.mark.parametrize("made", ["many", None, 5.5, [1]])
async def test_what_the_field_refuses_is_not_written(do, connection, sent, made):
    counter = await do(Counter, "create", count=5)
    sent.clear()
    with pytest.raises(ttorm.ValidationError, match="expects int, found"):
        await do(counter.ledger["count"], "update", lambda _: made)
    assert sent == []
    assert counter.count == 5
    assert not ttorm.inspect(counter).is_modified


async def test_a_field_begins_with_its_default(do, connection, sent):
    brew = await do(Twin, "create")
    brew = brew.as_(Brew)
    assert await do(brew.ledger["strength"], "update", lambda by: by + 1) == Decimal("6.0")
    with pytest.raises(ttorm.MissingEntryError, match="or give default="):
        await do(brew.ledger["due"], "update", lambda due: due)
    sent.clear()
    refused = r"Brew\.due expects datetime, found 'soon': .* \(default\)"
    with pytest.raises(ttorm.ValidationError, match=refused):
        await do(brew.ledger["due"], "update", lambda due: due, default="soon")
    assert [request.method for request in sent if request.method != "GET"] == []


async def test_the_default_is_not_the_functions_to_change(do, connection):
    twin = await do(Twin, "create")
    begin = ["a"]

    def add(tastes):
        tastes.append("b")
        return tastes

    assert await do(twin.ledger["tastes"], "update", add, default=begin) == ["a", "b"]
    assert begin == ["a"]


async def test_what_cannot_be_called_is_refused_before_anything(do, connection, sent):
    counter = await do(Counter, "create", count=5)
    sent.clear()
    with pytest.raises(TypeError, match=r"expected a function of the value.*value \+ 1"):
        await do(counter.ledger["count"], "update", 6)
    assert sent == []


def add_in_place(tags):
    tags.append("new")


async def add_later(tags):
    return [*tags, "new"]


@pytest.mark.parametrize(
    ("change", "message"),
    [(add_in_place, "changed the value in place and returned None"), (add_later, "a coroutine")],
)
@pytest.mark.parametrize("model", [Twin, Brew])
async def test_functions_that_return_nothing_of_use_are_refused(
    do, connection, sent, model, change, message
):
    twin = await do(Twin, "create", entries={"tastes": ["old"]})
    twin = twin.as_(model)
    sent.clear()
    with pytest.raises(TypeError, match=message):
        await do(twin.ledger["tastes"], "update", change)
    assert sent == []
    assert twin.ledger["tastes"].value == ["old"]
    assert not ttorm.inspect(twin).is_modified


async def test_none_takes_the_place_of_a_container_that_is_left_alone(do, connection):
    twin = await do(Twin, "create", entries={"tastes": ["old"]})
    assert await do(twin.ledger["tastes"], "update", lambda _: None) is None
