"""What programs do most calls nearly nothing: counted in calls and requests, never by the clock."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ttorm
from ttorm import Field, StateError, Twin, ValidationError, description, entry
from ttorm.connection import opening
from ttorm.sessions import current_session

HERE = str(Path(ttorm.__file__).parent)


class Tram(Twin):
    class Meta:
        kind = "tram"

    line: Field[str] = description(default="")
    depot: Field[str] = description(default="")
    doors: Field[float | None] = description(default=None)
    speed: Field[float] = entry(default=0.0)
    label: Field[str] = entry(default="")
    stops: Field[list[str]] = entry(default_factory=list)


class Moving(Twin):
    speed: Field[float] = entry(default=0.0)


def calls(action):
    """Name the functions of ttorm that an action calls, in order."""
    found = []

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(HERE):
            found.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return found


def assign(record, **values):
    for name, value in values.items():
        setattr(record, name, value)


@pytest.fixture
def make(others):
    def make(number, **keys):
        uuids = []
        for index in range(number):
            body = {"description": {"kind": "tram", "line": str(index), "depot": "north", **keys}}
            twin = others.call("create_twin", body=body)
            uuids.append(twin["creation_certificate"]["uuid"])
        return uuids

    return make


@pytest.fixture
def tram(connection):
    return Tram.create(line="1", speed=1.0)


# Reading


def test_reading_what_is_loaded_calls_nothing(tram):
    tram.load()
    _ = tram.line, tram.speed
    assert calls(lambda: (tram.line, tram.speed)) == []


def test_reading_entries_makes_nothing_of_them(connection, others):
    uuid = Twin.create(entries={f"e{number}": number for number in range(10)}).uuid
    twin = Twin.get(uuid)
    twin.ledger.load()
    assert [twin.ledger[f"e{number}"].value for number in range(10)] == list(range(10))
    assert twin.ledger["e1"].visibility is None
    assert [name for name, _ in twin._state.ledger] == ["e1"]  # null may stand for much: looked at


# Writing


def test_assigning_again_is_one_call(tram):
    tram.speed, tram.label = 2.0, "a"
    again = calls(lambda: assign(tram, speed=3.0, label="b"))
    assert again == ["Record.__setattr__", "Record.__setattr__"]
    assert (tram.speed, tram.label) == (3.0, "b")
    assert calls(lambda: assign(tram, speed=4)) == ["Record.__setattr__"]
    assert (tram.speed, type(tram.speed)) == (4.0, float)


async def test_what_is_assigned_again_is_saved(do, connection, sent):
    tram = await do(Tram, "create", line="1", speed=1.0)
    for speed in (2, 3.0, 4):
        tram.speed = speed
    sent.clear()
    await do(tram, "save")
    assert [request.body for request in sent.take()] == [{"entries": {"speed": {"value": 4.0}}}]
    for speed in (5.0, 6.0, 4.0):
        tram.speed = speed
    assert not ttorm.inspect(tram).is_modified
    await do(tram, "save")
    assert sent == []


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "fast", None, [1.0], "nan"])
def test_what_is_assigned_again_is_validated(tram, wrong):
    tram.speed = 2.0
    with pytest.raises(ValidationError, match="speed"):
        tram.speed = wrong
    assert (tram.speed, ttorm.inspect(tram).changes["speed"].new) == (2.0, 2.0)


def test_text_that_json_cannot_hold_is_refused_again(tram):
    tram.label = "a"
    tram.label = "é"
    with pytest.raises(ValidationError, match="lone surrogate"):
        tram.label = "\ud800"
    assert tram.label == "é"


def test_another_type_is_assigned_again(connection):
    tram = Tram(line="1", doors=1.0)
    seen = []
    for doors in (2.0, None, 3, None, None, 4.0):
        tram.doors = doors
        described = tram.plan()[0].body["description"]
        seen.append((tram.doors, described.get("doors", "nothing")))
    nothing = (None, "nothing")  # a new Twin is created with every default but None
    assert seen == [(2.0, 2.0), nothing, (3.0, 3.0), nothing, nothing, (4.0, 4.0)]


def test_assigning_again_after_it_was_removed(tram):
    tram.speed = 2.0
    del tram.ledger["speed"]
    tram.speed = 3.0
    assert (tram.speed, tram.ledger["speed"].value) == (3.0, 3.0)
    tram.discard()
    assert tram.speed == 1.0
    tram.speed = 1.0
    assert not ttorm.inspect(tram).is_modified


def test_assigning_again_what_a_second_class_shows(tram):
    tram.speed = 2.0
    moving = tram.as_(Moving)
    assert moving.speed == 2.0
    tram.speed = 3.0
    assert moving.speed == 3.0
    moving.speed = 4.0
    tram.speed = 5.0
    assert (moving.speed, tram.ledger["speed"].value) == (5.0, 5.0)


async def test_assigning_again_after_the_end_of_the_twin(do, connection):
    tram = await do(Tram, "create", line="1")
    tram.line = "2"
    tram.line = "3"
    await do(tram, "terminate")
    with pytest.raises(StateError, match="terminated"):
        tram.line = "4"


def test_assigning_again_what_came_from_a_pickle_needs_no_connection(tram, monkeypatch):
    known = pickle.loads(pickle.dumps(tram))
    monkeypatch.setattr(opening, "_default", None)
    for speed in (2.0, 3.0):
        known.speed = speed
    assert str(ttorm.inspect(known).changes) == "speed: 1.0 -> 3.0"


async def test_a_block_saves_what_was_assigned_again_after_it_let_go(do, connection, make):
    [uuid] = make(1)
    async with do.block(ttorm.session()) as session:
        tram = await do(Tram, "get", uuid)
        tram.speed = 2.0
        await do(session, "flush")
        session.let_go()
        assert session._held == {}
        tram.speed = 3.0
        assert session.dirty == [tram]
    assert (await do(tram.ledger, "refresh"))["speed"].value == 3.0


def test_what_other_threads_assign_again_is_refused(connection, make):
    [uuid] = make(1)
    with ttorm.session() as session, ThreadPoolExecutor(1) as pool:
        tram = Tram.at(uuid)
        tram.speed = 2.0
        with pytest.raises(StateError, match="opened by another thread"):
            pool.submit(assign, tram, speed=3.0).result()
        session.rollback()


# Asking for changes


def test_where_nothing_was_handed_out_no_value_is_looked_at(connection, make):
    [uuid] = make(1)
    known = Tram.get(uuid)
    known.load("ledger")
    assert (known.line, known.speed) == ("0", 0.0)
    assert calls(known._state.is_modified) == ["TwinState.is_modified"]


def test_what_was_handed_out_is_compared_all_at_once(connection):
    twin = Twin.create(entries={f"e{number}": {"a": [number]} for number in range(100)})
    held = [twin.ledger[f"e{number}"].value for number in range(100)]
    assert [twin._state.is_modified() for _ in range(2)] == [False, False]
    asked = calls(twin._state.is_modified)
    assert len(asked) < 15
    assert not any(name.startswith(("Cell.", "Item.")) for name in asked)
    held[7]["a"][0] = 7.0
    assert list(ttorm.inspect(twin).changes) == ["ledger['e7']"]
    held[7]["a"][0] = 7
    assert not twin._state.is_modified()


def test_the_records_without_changes_are_not_asked(connection, make):
    make(50)
    with ttorm.session() as session:
        trams = Tram.scan().all()
        for tram in trams[:3]:
            tram.speed = 5.0
        asked = calls(lambda: session.dirty)
        assert asked.count("TwinState.is_modified") == 3
        assert session.dirty == trams[:3]
        session.rollback()


# Listings


def test_what_is_listed_sleeps_until_somebody_looks_closer(connection, make):
    make(20)
    made = calls(lambda: [tram.line for tram in Tram.scan()])
    assert "TwinState.__init__" not in made
    trams = Tram.scan().all()
    assert not any("_state" in vars(tram) for tram in trams)
    assert [tram.line for tram in trams] == [str(number) for number in range(20)]
    assert not any("_state" in vars(tram) for tram in trams)
    assert calls(lambda: trams[3].uuid).count("TwinState.__init__") == 1


def test_what_one_record_was_asked_for_the_next_have_ready(connection, make, connect):
    make(70)
    seen = []
    asked = [
        calls(lambda: seen.append((tram.line, tram.depot)))  # noqa: B023 # called at once
        for tram in Tram.scan()
    ]
    assert [found for found in asked[64:] if "first_look" in found] == []
    assert all("first_look" in found for found in asked[:64])
    assert seen == [(str(number), "north") for number in range(70)]


def test_a_bad_value_is_told_of_where_it_is_looked_at(connection, make):
    make(65)
    make(1, line=5)
    seen = []
    for tram in Tram.scan():
        if len(seen) < 65:
            seen.append(tram.line)
    with pytest.raises(ValidationError, match="expects str, the service has 5"):
        _ = tram.line
    assert len(seen) == 65


async def test_the_one_that_sleeps_is_the_one_that_is_found(do, connection, make, sent):
    uuids = make(3)
    trams = await do.list(Tram.scan())
    assert [Tram.at(uuid) for uuid in uuids] == trams
    assert all(Tram.at(uuid) is tram for uuid, tram in zip(uuids, trams, strict=True))
    again = await do.list(Tram.scan())
    assert all(one is other for one, other in zip(trams, again, strict=True))
    assert len(sent.take()) == 2


async def test_it_takes_what_a_newer_listing_says(do, connection, others, make):
    [uuid] = make(1)
    [tram] = await do.list(Tram.scan())
    assert (tram.line, tram.depot) == ("0", "north")
    others.call("update_twin", uuid, body={"description": {"kind": "tram", "line": "9"}})
    assert await do.list(Tram.scan()) == [tram]
    assert (tram.line, tram.depot) == ("9", "")


async def test_it_wakes_with_what_it_was_listed_with(do, connection, make, sent):
    make(4)
    changed, pickled, shown, changed_deep = await do.list(Tram.scan())
    sent.clear()
    changed.line = "x"
    assert str(ttorm.inspect(changed).changes) == "line: '0' -> 'x'"
    assert pickle.loads(pickle.dumps(pickled)).line == "1"
    assert shown.description["depot"] == "north"
    assert repr(shown).startswith(f"<Tram {shown.uuid}: line='2', depot='north'")
    assert shown.status == "alive"
    changed_deep.description["depot"] = "south"
    assert changed_deep.depot == "south"
    assert sent == []
    await do(changed, "save")
    assert changed.line == "x"


async def test_one_twin_in_two_rows_of_a_page_is_one_record(do, connection, make, wire):
    make(2)
    forward = wire.transport.send

    def doubled(request):
        answer = forward(request)
        body = ttorm.api.codec.decode(answer.body)
        return answer._replace(body=ttorm.api.codec.encode({**body, "twins": body["twins"] * 2}))

    wire.meddle = doubled
    trams = await do.list(Tram.scan())
    assert len(trams) == 4
    assert trams[0] is trams[2]
    assert trams[1] is trams[3]


def test_threads_wake_a_record_once(connection, make):
    make(50)
    trams = Tram.scan().all()
    gate = threading.Barrier(8)

    def look():
        gate.wait()
        return [tram._state for tram in trams]

    with ThreadPoolExecutor(8) as pool:
        several = [done.result() for done in [pool.submit(look) for _ in range(8)]]
    assert all(states == several[0] for states in several)
    assert [current_session().known[tram.uuid] for tram in trams] == several[0]


# Many at once


def test_a_hundred_threads_that_miss_one_answer_send_one_request(connection, wire, make):
    [uuid] = make(1)
    gate = threading.Barrier(100)

    def slowly(request):
        threading.Event().wait(0.1)

    def get():
        gate.wait()
        return Tram.get(uuid).line

    wire.meddle = slowly
    with ThreadPoolExecutor(100) as pool:
        lines = {done.result() for done in [pool.submit(get) for _ in range(100)]}
    assert (lines, len(wire.sent)) == ({"0"}, 1)


def test_a_thousand_tasks_that_miss_one_answer_send_one_request(connection, wire, make):
    [uuid] = make(1)
    forward = wire.transport.asend

    async def slowly(request):
        await asyncio.sleep(0)
        return await forward(request)

    async def gather():
        return await asyncio.gather(*(Tram.aget(uuid) for _ in range(1_000)))

    wire.transport.asend = slowly
    assert {tram.line for tram in asyncio.run(gather())} == {"0"}
    assert len(wire.sent) == 1
