"""Kept answers: who may have them, how long, and what our own writes do to them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import ttorm
from ttorm import Cache, Field, Twin, description, entry, identity
from ttorm.api.http import HttpResponse
from ttorm.connection.cache import MemoryBackend


class Lamp(Twin):
    room: Field[str] = description(default="")
    on: Field[bool] = entry(default=False)
    hours: Field[float] = entry(default=0.0)
    serial: Field[str | None] = identity("SN", default=None)


class Clock:
    """Seconds that a test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def uuid(others):
    """A Twin that another program made."""
    twin = others.call("create_twin", body={"description": {"room": "hall"}})
    uuid = twin["creation_certificate"]["uuid"]
    body = {"entries": {"on": {"value": True}, "hours": {"value": 5}}}
    others.call("add_twin_ledger_entry", uuid, body=body)
    others.call("create_twin_identity", uuid, body={"identities": {"SN#1": {}}})
    return uuid


PARTS = ("description", "ledger", "identities", "docs")


async def look(do, uuid):
    """Load all parts as somebody does who knows nothing of the Twin."""
    async with do.block(ttorm.session()):
        lamp = await do(Lamp.at(uuid), "load", *PARTS)
        return lamp.room, lamp.on, lamp.hours, lamp.serial, sorted(lamp.docs)


# Hits


async def test_the_second_look_asks_for_nothing(do, connection, uuid, sent):
    first = await look(do, uuid)
    assert len(sent.take()) == 4
    assert await look(do, uuid) == first == ("hall", True, 5.0, "1", [])
    assert sent == []
    assert connection.cache.statistics == (4, 4, 4, 0)
    assert connection.cache.statistics.hits == 4


async def test_without_a_cache_every_look_asks(do, connect, uuid):
    connection = connect(cache=None, default=True)
    await look(do, uuid)
    await look(do, uuid)
    assert connection.cache is None
    assert len(connection.transport.sent) == 8


async def test_whoami_is_kept(do, connection, sent):
    assert await do(connection, "whoami") == await do(connection, "whoami")
    assert sent.lines() == ["GET /whoami"]


async def test_finding_is_not_kept(do, connection, uuid, sent):
    for _ in range(2):
        await do(Lamp, "find", serial="1")
    assert len(sent) == 2


async def test_scans_and_history_are_not_kept(do, connection, uuid, sent):
    lamp = Lamp.at(uuid)
    for _ in range(2):
        await do.list(Lamp.scan())
        await do.list(lamp.ledger["on"].history())
    assert len(sent) == 4


async def test_downloads_are_not_kept(do, connection, sent):
    lamp = await do(Lamp, "create")
    doc = await do(lamp.docs, "upload", "a.txt", b"a")
    sent.clear()
    for _ in range(2):
        await do(doc, "download")
    assert [request.method for request in sent] == ["GET"] * 4


async def test_what_is_kept_belongs_to_nobody(do, connection, uuid):
    async with do.block(ttorm.session()):
        lamp = await do(Lamp.at(uuid), "load", *PARTS)
        lamp.description["room"] = "x"
        lamp.on = False
        lamp.discard()
    assert await look(do, uuid) == ("hall", True, 5.0, "1", [])


# Time


async def test_answers_are_kept_for_a_while(do, connect, uuid, clock):
    connection = connect(default=True, cache=Cache(ttl=30, backend=MemoryBackend(clock=clock)))
    sent = connection.transport.sent
    await look(do, uuid)
    sent.clear()
    clock.now += 29.9
    await look(do, uuid)
    assert sent == []
    clock.now += 0.2
    await look(do, uuid)
    assert len(sent) == 4


async def test_times_of_operations(do, connect, uuid, clock):
    cache = Cache(
        ttl=10,
        ttls={"get_twin": 100, "get_twin_docs": 0},
        backend=MemoryBackend(clock=clock),
    )
    connection = connect(default=True, cache=cache)
    sent = connection.transport.sent
    await look(do, uuid)
    sent.clear()
    await look(do, uuid)
    assert sent.lines() == [f"GET /twins/{uuid}/docs"]
    clock.now += 50
    await look(do, uuid)
    assert sorted(sent.lines()) == [
        f"GET /twins/{uuid}/docs",
        f"GET /twins/{uuid}/identities",
        f"GET /twins/{uuid}/ledgers/personal",
    ]


async def test_the_least_recently_used_go_first(do, connect, others):
    connection = connect(default=True, cache=Cache(size=2))
    uuids = [others.call("create_twin")["creation_certificate"]["uuid"] for _ in range(3)]
    for uuid in uuids:
        await do(Twin, "get", uuid)
    connection.transport.sent.clear()
    for uuid in reversed(uuids):
        await do(Twin, "get", uuid)
    assert connection.transport.sent.lines() == [f"GET /twins/{uuids[0]}"]


async def test_fresh_asks_and_keeps(do, connection, others, uuid, sent):
    await do(Lamp, "get", uuid)
    others.call("update_twin", uuid, body={"description": {"room": "attic"}})
    sent.clear()
    assert (await do(Lamp, "get", uuid)).room == "hall"
    assert (await do(Lamp, "get", uuid, fresh=True)).room == "attic"
    assert len(sent.take()) == 1
    async with do.block(ttorm.session()):
        assert (await do(Lamp, "get", uuid)).room == "attic"
    assert sent == []


# Our own writes


async def test_writes_refresh_what_their_answer_shows(do, connection, uuid, sent):
    await look(do, uuid)
    async with do.block(ttorm.session()):
        lamp = await do(Lamp, "get", uuid, fresh=True)
        lamp.room, lamp.on = "attic", False
    sent.clear()
    assert await look(do, uuid) == ("attic", False, 5.0, "1", [])
    assert sent == []


async def test_new_and_removed_entries_are_known_afterwards(do, connection, uuid, sent):
    await look(do, uuid)
    async with do.block(ttorm.session()):
        lamp = await do(Lamp.at(uuid), "load", "ledger")
        lamp.ledger["new"] = 1
        del lamp.ledger["on"]
    sent.clear()
    async with do.block(ttorm.session()):
        again = await do(Lamp.at(uuid), "load", "ledger")
        assert again.ledger.to_dict() == {"hours": 5, "new": 1}
    assert sent == []


async def test_writes_drop_only_what_they_touch(do, connection, uuid, sent):
    other = await do(Lamp, "create")
    await look(do, other.uuid)
    await look(do, uuid)
    lamp = await do(Lamp.at(uuid), "load", *PARTS)
    lamp.identities.add("SN#2")
    await do(lamp, "save")
    sent.clear()
    await look(do, uuid)
    await look(do, other.uuid)
    assert sent.lines() == [f"GET /twins/{uuid}/identities"]
    await do(lamp.docs, "upload", "a.txt", b"a")
    sent.clear()
    assert (await look(do, uuid))[-1] == ["a.txt"]
    assert sent.lines() == [f"GET /twins/{uuid}/docs"]


async def test_a_created_twin_can_be_got_at_once(do, connection, sent):
    lamp = await do(Lamp, "create", room="hall")
    sent.clear()
    async with do.block(ttorm.session()):
        assert (await do(Lamp, "get", lamp.uuid)).room == "hall"
    assert sent == []


async def test_a_terminated_twin_is_known_as_such(do, connection, uuid, sent):
    lamp = await do(Lamp, "get", uuid)
    await do(lamp, "terminate")
    sent.clear()
    async with do.block(ttorm.session()):
        assert (await do(Lamp, "get", uuid)).status == "terminated"
    assert sent == []


async def test_the_raw_door_keeps_the_cache_right(do, connection, uuid, sent):
    await look(do, uuid)
    body = {"entries": {"hours": {"value": 9}}}
    await do(connection, "call", "update_twin_ledger_entry_value", uuid, body=body)
    await do(connection, "call", "update_twin", uuid, body={"description": {"room": "attic"}})
    assert (await look(do, uuid))[:3] == ("attic", True, 9.0)


async def test_clearing_a_ledger_clears_what_is_kept(do, connection, uuid, sent):
    await look(do, uuid)
    await do(Lamp.at(uuid).ledger, "clear")
    assert (await look(do, uuid))[:3] == ("hall", False, 0.0)


async def test_a_refusal_drops_the_twins_answers(do, connection, others, uuid, sent):
    await look(do, uuid)
    others.call("delete_twin_ledger_entry", uuid, entries=["on"])
    lamp = Lamp.at(uuid)
    await do(lamp, "load", "ledger")
    lamp.on = False
    with pytest.raises(ttorm.SaveError):
        await do(lamp, "save")
    sent.clear()
    await look(do, uuid)
    assert f"GET /twins/{uuid}/ledgers/personal" in sent.lines()


async def test_an_unknown_outcome_drops_the_twins_answers(do, connection, wire, uuid, sent):
    await look(do, uuid)
    lamp = Lamp.at(uuid)
    lamp.on = False

    def lose(request):
        raise ttorm.TransportError("lost", sent=True)

    wire.meddle = lose
    with pytest.raises(ttorm.OutcomeUnknownError):
        await do(lamp, "save")
    wire.meddle = lambda request: None
    sent.clear()
    await look(do, uuid)
    assert len(sent) == 4


async def test_a_401_drops_the_scope(do, connection, wire, uuid, sent):
    await look(do, uuid)
    wire.meddle = lambda request: HttpResponse(401)
    with pytest.raises(ttorm.UnauthorizedError):
        await do(connection, "call", "get_account")
    wire.meddle = lambda request: None
    sent.clear()
    await look(do, uuid)
    assert len(sent) == 4


async def test_a_403_drops_the_twins_answers(do, connection, wire, uuid, sent):
    other = await do(Lamp, "create")
    await look(do, other.uuid)
    await look(do, uuid)
    wire.meddle = lambda request: HttpResponse(403)
    with pytest.raises(ttorm.ForbiddenError):
        await do(Lamp, "get", uuid, fresh=True)
    wire.meddle = lambda request: None
    sent.clear()
    await look(do, uuid)
    await look(do, other.uuid)
    assert len(sent) == 4


async def test_statistics_count_what_was_dropped(do, connection, uuid):
    await look(do, uuid)
    connection.cache.drop(uuid)
    assert connection.cache.statistics == (0, 4, 4, 4)
    await look(do, uuid)
    assert connection.cache.statistics == (0, 8, 8, 4)


# Credentials


async def test_two_credentials_never_share(do, connect, connection, emulator, uuid, stranger):
    shared = Cache()
    one = connect(cache=shared)
    two = connect(stranger.transport.user, cache=shared)
    for reader in (one, two):
        async with do.block(ttorm.session(reader)):
            lamp = await do(Lamp.at(uuid), "load", "ledger")
            assert len(lamp.ledger) == (2 if reader is one else 0)
    assert len(two.transport.sent) == 1
    # The same credential does share.
    three = connect(cache=shared)
    async with do.block(ttorm.session(three)):
        await do(Lamp.at(uuid), "load", "ledger")
    assert three.transport.sent == []


async def test_secrets_and_dictionaries_make_scopes(do, connect, connection, emulator):
    shared = Cache()
    made = [
        connect(cache=shared),
        connect(cache=shared, secret="one"),
        connect(cache=shared, secret="two"),
        connect(cache=shared, token="two"),
        connect(cache=shared, dictionary={"team": "ops"}),
        connect(cache=shared, dictionary={"team": "dev"}),
        connect(cache=shared, dictionary={}),
    ]
    scopes = [connection.scope() for connection in made]
    # A secret and a token of one text cannot both be valid.
    assert len(set(scopes)) == len(scopes) - 1
    assert not any("one" in scope or "ops" in scope for scope in scopes)
    assert made[0].scope({"team": "ops"}) == scopes[4]
    assert made[4].scope({}) == scopes[6]


async def test_a_write_of_one_scope_is_seen_by_all(do, connect, connection, uuid):
    shared = Cache()
    one = connect(cache=shared)
    two = connect(cache=shared, dictionary={"team": "ops"})
    for reader in (one, two):
        async with do.block(ttorm.session(reader)):
            await do(Lamp.at(uuid), "load", "description", "ledger")
    async with do.block(ttorm.session(one)):
        lamp = await do(Lamp.at(uuid), "load", "description", "ledger")
        lamp.on, lamp.room = False, "attic"
    async with do.block(ttorm.session(two)):
        lamp = await do(Lamp.at(uuid), "load", "description", "ledger")
        assert (lamp.on, lamp.room) == (False, "attic")


# Single flight


def test_threads_share_one_request(connection, wire, uuid, sent):
    entered, go = threading.Event(), threading.Event()

    def slow(request):
        entered.set()
        go.wait(10)

    wire.meddle = slow
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(Lamp.get, uuid)
        entered.wait(10)
        rest = [pool.submit(Lamp.get, uuid) for _ in range(7)]
        go.set()
        rooms = {lamp.result().room for lamp in [first, *rest]}
    assert rooms == {"hall"}
    assert len(sent) == 1


def test_tasks_share_one_request(connection, uuid, sent, wire):
    async def gather():
        return await asyncio.gather(*(Lamp.aget(uuid) for _ in range(8)))

    forward = wire.transport.asend

    async def slowly(request):
        await asyncio.sleep(0)
        return await forward(request)

    wire.transport.asend = slowly
    assert {lamp.room for lamp in asyncio.run(gather())} == {"hall"}
    assert len(sent) == 1


def test_a_failed_leader_hands_over(connection, wire, uuid, sent):
    entered, go = threading.Event(), threading.Event()
    failures = iter([True])

    def fail_once(request):
        if next(failures, False):
            entered.set()
            go.wait(10)
            return HttpResponse(403)
        return None

    wire.meddle = fail_once
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(Lamp.get, uuid)
        entered.wait(10)
        second = pool.submit(Lamp.get, uuid)
        go.set()
        with pytest.raises(ttorm.ForbiddenError):
            first.result()
        assert second.result().room == "hall"
    assert len(sent) == 2


def test_a_cancelled_leader_hands_over(connection, wire, uuid, sent):
    forward = wire.transport.asend

    async def race():
        started, first = asyncio.Event(), True

        async def slowly(request):
            nonlocal first
            if first:
                first = False
                started.set()
                await asyncio.sleep(60)
            return await forward(request)

        wire.transport.asend = slowly
        leader = asyncio.create_task(Lamp.aget(uuid))
        await started.wait()
        follower = asyncio.create_task(Lamp.aget(uuid))
        await asyncio.sleep(0)
        leader.cancel()
        lamp = await follower
        with pytest.raises(asyncio.CancelledError):
            await leader
        return lamp.room

    assert asyncio.run(race()) == "hall"
    assert len(sent) == 2


def test_a_read_that_a_write_overtakes_is_not_kept(connection, wire, uuid, sent):
    answered, go = threading.Event(), threading.Event()

    def answer_early(request):
        if request.method != "GET":
            return None
        answer = wire.transport.send(request)
        answered.set()
        go.wait(10)
        return answer

    wire.meddle = answer_early
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(Lamp.get, uuid)
        answered.wait(10)
        wire.meddle = lambda request: None
        connection.call("update_twin", uuid, body={"description": {"room": "attic"}})
        go.set()
        assert reading.result().room == "hall"
    assert Lamp.get(uuid).room == "attic"
