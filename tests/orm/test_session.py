"""Sessions: one state for each Twin, changes sent at the end of a block or not at all."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

import ttorm
from ttorm import Field, StateError, Twin, description, entry
from ttorm.api.http import HttpResponse
from ttorm.sessions import current_session


class Truck(Twin):
    plate: Field[str] = description(default="")
    load_kg: Field[float] = entry(default=0.0)
    cargo: Field[list[str]] = entry(default_factory=list)


@pytest.fixture
def make(others):
    """Make a Twin elsewhere: ``make(load_kg=5) -> uuid``."""

    def make(**entries):
        uuid = others.call("create_twin", body={"description": {"plate": "A"}})
        uuid = uuid["creation_certificate"]["uuid"]
        if entries:
            body = {"entries": {name: {"value": value} for name, value in entries.items()}}
            others.call("add_twin_ledger_entry", uuid, body=body)
        return uuid

    return make


# Blocks


async def test_the_end_of_a_block_sends_the_changes(do, make, others, sent):
    one, two = make(load_kg=1), make(load_kg=2)
    async with do.block(ttorm.session()):
        Truck.at(one).load_kg = 10
        Truck.at(two).load_kg = 20
        assert sent == []
    assert sorted(sent.lines()) == sorted(
        f"PATCH /twins/{uuid}/ledgers/personal/value" for uuid in (one, two)
    )
    assert others.call("get_twin_ledger_entry", one)["entries"]["load_kg"]["value"] == 10.0


async def test_new_records_are_created_at_the_end(do, connection, sent):
    async with do.block(ttorm.session()):
        truck = Truck(plate="B")
        Truck(plate="C")
        assert sent == []
    assert sent.lines().count("POST /twins") == 2
    assert truck.uuid
    assert not ttorm.inspect(truck).is_modified


async def test_new_records_that_were_discarded_are_not_created(do, connection, sent):
    async with do.block(ttorm.session()) as block:
        Truck(plate="B").discard()
        assert block.dirty == []
        Truck(plate="C")
        block.rollback()
        assert (block.dirty, len(block.plan())) == ([], 0)
        again = Truck(plate="D")
        again.discard()
        again.plate = "E"
    assert [request.body for request in sent if request.path.endswith("/twins")] == [
        {"description": {"plate": "E"}}
    ]


async def test_a_new_record_of_a_failed_block_can_be_saved_later(do, connection, sent):
    with suppress(ZeroDivisionError):
        async with do.block(ttorm.session()):
            truck = Truck(plate="B")
            truck.cargo.append("sand")
            raise ZeroDivisionError
    assert sent == []
    assert (truck.plate, truck.cargo) == ("B", ["sand"])
    await do(truck, "save")
    assert [request.body for request in sent] == [
        {"description": {"plate": "B"}},
        {"entries": {"load_kg": {"value": 0.0}, "cargo": {"value": ["sand"]}}},
    ]


async def test_records_are_held_until_they_are_saved(do, make, sent):
    uuid = make(load_kg=1)
    async with do.block(ttorm.session()):
        Truck.at(uuid).load_kg = 10
        gc.collect()
        assert Truck.at(uuid).load_kg == 10.0
    assert len(sent) == 1


async def test_a_container_handed_out_is_held_too(do, make, sent):
    uuid = make(cargo=["a"])
    async with do.block(ttorm.session()):
        cargo = (await do(Truck.at(uuid), "load", "ledger")).cargo
        gc.collect()
        cargo.append("b")
    assert sent[-1].body == {"entries": {"cargo": {"value": ["a", "b"]}}}


async def test_flushing_in_between(do, make, sent):
    async with do.block(ttorm.session()) as session:
        truck = Truck.at(make(load_kg=1))
        truck.load_kg = 10
        assert session.dirty == [truck]
        result = await do(session, "flush")
        assert result == ((), ("load_kg",), (), 1)
        assert session.dirty == []
        sent.clear()
    assert sent == []


async def test_a_container_changed_after_a_flush_is_sent_at_the_end(do, make, sent):
    async with do.block(ttorm.session()) as session:
        cargo = (await do(Truck.at(make(cargo=[])), "load", "ledger")).cargo
        cargo.append("a")
        await do(session, "flush")
        cargo.append("b")
    assert sent[-1].body == {"entries": {"cargo": {"value": ["a", "b"]}}}


async def test_an_exception_sends_nothing_and_restores(do, make, sent):
    uuid = make(load_kg=1, cargo=["a"])
    truck = None

    async def work():
        nonlocal truck
        async with do.block(ttorm.session()):
            truck = await do(Truck.at(uuid), "load")
            truck.load_kg, truck.plate = 10, "Z"
            truck.cargo.append("b")
            Truck(plate="new")
            sent.clear()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert sent == []
    assert (truck.load_kg, truck.plate, truck.cargo) == (1.0, "A", ["a"])
    assert not ttorm.inspect(truck).is_modified


async def test_rollback(do, make, sent):
    async with do.block(ttorm.session()) as session:
        truck = await do(Truck.at(make(load_kg=1)), "load")
        truck.load_kg = 5
        await do(truck, "save")
        truck.load_kg = 10
        session.rollback()
        # What was answered stays done.
        assert truck.load_kg == 5.0
        sent.clear()
    assert sent == []


async def test_a_failing_flush_still_ends_the_block(do, make, wire):
    uuid = make(load_kg=1)
    session = ttorm.session()
    truck = None

    async def work():
        nonlocal truck
        async with do.block(session):
            truck = Truck.at(uuid)
            truck.load_kg = 10
            wire.meddle = lambda request: HttpResponse(403)

    with pytest.raises(ttorm.ForbiddenError):
        await work()
    assert current_session() is not session
    wire.meddle = lambda request: None
    assert ttorm.inspect(truck).changes == {"load_kg": (None, 10.0)}
    assert (await do(truck, "save")).updated == ("load_kg",)


async def test_all_errors_of_a_flush_are_told(do, make, wire):
    async with do.block(ttorm.session()) as session:
        trucks = [Truck.at(make(load_kg=1)) for _ in range(3)]
        for truck in trucks:
            truck.load_kg = 10
        wire.meddle = lambda request: HttpResponse(403)
        with pytest.raises(ttorm.ForbiddenError) as caught:
            await do(session, "flush")
        own, *others = caught.value.__notes__
        assert own == f"in the save of {trucks[0]!r}"
        for truck, note in zip(trucks[1:], others, strict=True):
            assert note.startswith("also, at the same time: ")
            assert note.endswith(f"; in the save of {truck!r}")
        assert session.dirty == trucks
        session.rollback()


async def test_records_stay_usable_after_their_block(do, make, sent):
    uuid = make(load_kg=1)
    async with do.block(ttorm.session()):
        truck = Truck.at(uuid)
    await do(truck, "load", "ledger")
    assert truck.load_kg == 1.0
    truck.load_kg = 5
    assert (await do(truck, "save")).updated == ("load_kg",)


async def test_a_session_is_a_block_once_at_a_time(do, connection):
    session = ttorm.session()
    async with do.block(session):
        with pytest.raises(ttorm.StateError, match="open already"):
            async with do.block(session):
                pass
    async with do.block(session):
        pass


async def test_without_a_block_nothing_is_sent_by_itself(do, make, sent):
    truck = Truck.at(make(load_kg=1))
    truck.load_kg = 5
    del truck
    gc.collect()
    assert sent == []


# Identity


async def test_one_record_for_each_twin_and_class(do, make):
    uuid = make()
    async with do.block(ttorm.session()):
        truck = Truck.at(uuid)
        assert Truck.at(uuid) is truck
        assert (await do(Truck, "get", uuid)) is truck
        assert (await do.list(Truck.scan())) == [truck]
        assert (await do.list(Truck.scan()))[0] is truck
        assert Twin.at(uuid) is not truck
        assert Twin.at(uuid) == truck


async def test_a_created_record_is_in_the_map(do, connection):
    truck = await do(Truck, "create")
    assert Truck.at(truck.uuid) is truck


async def test_every_block_has_its_own_map(do, make, sent):
    uuid = make(load_kg=1)
    outside = Truck.at(uuid)
    outside.load_kg = 2
    async with do.block(ttorm.session()):
        inside = Truck.at(uuid)
        assert inside is not outside
        assert inside == outside
        inside.load_kg = 3
        async with do.block(ttorm.session()):
            innermost = Truck.at(uuid)
            assert innermost is not inside
            innermost.load_kg = 4
        assert [request.body["entries"]["load_kg"]["value"] for request in sent] == [4.0]
        assert (inside.load_kg, outside.load_kg) == (3.0, 2.0)
        assert Truck.at(uuid) is inside
    assert [request.body["entries"]["load_kg"]["value"] for request in sent] == [4.0, 3.0]
    assert Truck.at(uuid) is outside


async def test_clean_records_are_let_go(do, make):
    async with do.block(ttorm.session()):
        for uuid in [make() for _ in range(3)]:
            await do(Truck, "get", uuid)
        gc.collect()
        assert dict(current_session().known) == {}
        truck = Truck.at(uuid)
        state = weakref.ref(truck._state)
        del truck
        gc.collect()
        assert state() is None


async def test_a_scan_holds_constant_memory(do, make):
    for _ in range(20):
        make()
    if do.asynchronous:
        known = [len(current_session().known) async for _ in Truck.scan(page=5)]
    else:
        known = [len(current_session().known) for _ in Truck.scan(page=5)]
    assert len(known) == 20
    assert max(known) <= 6


# Connections


async def test_two_connections_side_by_side(do, connection, connect, stranger):
    mine = await do(Truck, "create", plate="mine")
    async with do.block(ttorm.session(stranger)):
        theirs = await do(Truck, "create", plate="theirs")
    async with do.block(ttorm.session()):
        ours = await do(Truck, "create", plate="ours")
    assert mine.owner == ours.owner != theirs.owner
    connection.transport.sent.clear()
    stranger.transport.sent.clear()
    # Each record knows its connection, wherever it is used.
    mine.plate, theirs.plate = "m", "t"
    await do(mine, "save")
    await do(theirs, "save")
    assert [request.path for request in connection.transport.sent] == [f"/twins/{mine.uuid}"]
    assert [request.path for request in stranger.transport.sent] == [f"/twins/{theirs.uuid}"]
    assert [truck.uuid for truck in await do.list(Truck.scan())] == [mine.uuid, ours.uuid]
    async with do.block(ttorm.session(stranger)):
        assert [truck.uuid for truck in await do.list(Truck.scan())] == [theirs.uuid]


async def test_records_outlive_a_change_of_the_default_connection(do, connection, connect, sent):
    truck = await do(Truck, "create")
    other = connect(default=True)
    sent.clear()
    truck.load_kg = 5
    await do(truck, "save")
    assert len(sent) == 1
    assert other.transport.sent == []
    await do(Truck, "create")
    assert len(other.transport.sent) > 0


async def test_blocks_of_two_connections_inside_each_other(do, connection, stranger):
    async with do.block(ttorm.session()):
        mine = await do(Truck, "create")
        async with do.block(ttorm.session(stranger)):
            theirs = await do(Truck, "create")
            assert current_session(connection) is mine._state.session
            theirs.load_kg, mine.load_kg = 1, 2
            stranger.transport.sent.clear()
            connection.transport.sent.clear()
        assert len(stranger.transport.sent) == 1
        assert connection.transport.sent == []
    assert len(connection.transport.sent) == 1


def test_there_is_no_connection_yet(connect, monkeypatch):
    monkeypatch.delenv("TTORM_URL", raising=False)
    with pytest.raises(ttorm.ConfigurationError, match=r"call ttorm\.connect\(\.\.\.\) first"):
        ttorm.session()
    with pytest.raises(ttorm.ConfigurationError):
        Twin.at("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")


def test_a_block_keeps_its_connection():
    session = ttorm.session(ttorm.connect("memory:", default=False))
    gc.collect()
    with session.connection, session:
        assert Truck.create()._state.session is session


def test_a_default_session_keeps_no_connection():
    session = current_session(ttorm.connect("memory:", default=False))
    gc.collect()
    with pytest.raises(ttorm.StateError, match=r"gone: call ttorm\.connect\(\) again"):
        _ = session.connection


async def test_a_closed_connection_says_so(do, connect):
    closed = ttorm.connect("memory:", default=False)
    async with do.block(ttorm.session(closed)):
        truck = await do(Truck, "create")
    await do(closed, "close")
    await do(closed, "close")
    with pytest.raises(ttorm.TtormError, match="closed"):
        await do(truck, "refresh")


async def test_a_connection_is_a_context_manager(do, connect):
    async with do.block(ttorm.connect("memory:", default=False)) as temporary:
        assert (await do(temporary, "whoami"))["account"]
    with pytest.raises(ttorm.TtormError, match="closed"):
        await do(temporary, "call", "get_account")


# Contexts


def test_threads_have_sessions_of_their_own(connection, make):
    uuid = make(load_kg=1)
    truck = Truck.at(uuid)
    truck.load_kg = 9
    seen = []

    def look():
        seen.append(Truck.at(uuid))
        seen.append(seen[0].load_kg)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen[0] is not truck
    assert seen[1] == 1.0


def test_tasks_have_sessions_of_their_own(connection, make):
    uuid = make(load_kg=1)
    # Also when the program that starts the loop has one already.
    mine = Truck.at(uuid)

    async def look():
        return Truck.at(uuid)

    async def both():
        return await asyncio.gather(look(), look())

    one, two = asyncio.run(both())
    assert len({id(mine), id(one), id(two)}) == 3


def test_blocks_of_tasks_do_not_meet(connection, make, sent):
    uuid = make(load_kg=1)

    async def work(value, mine, other):
        async with ttorm.session():
            truck = Truck.at(uuid)
            truck.load_kg = value
            mine.set()
            await other.wait()
            assert truck.load_kg == value
            assert Truck.at(uuid) is truck

    async def both():
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(work(2.0, one, two), work(3.0, two, one))

    asyncio.run(both())
    assert len(sent) == 2


# Plans


async def test_the_plan_of_a_session_sends_nothing(do, connection, sent):
    async with do.block(ttorm.session()) as s:
        assert str(s.plan()) == "(nothing to send)"
        Twin(description={"kind": "pump"})
        Twin(description={"kind": "valve"})
        plan = s.plan()
        assert [request.method for request in plan] == ["POST", "POST"]
        assert '{"description": {"kind": "valve"}}' in str(plan)
        assert sent.lines() == []
    assert sent.lines() == ["POST /twins", "POST /twins"]


# Whose block it is


def test_another_thread_cannot_write_into_a_block(connection):
    with ttorm.session():
        pump = Twin.create()
        with (
            ThreadPoolExecutor(1) as threads,
            pytest.raises(StateError, match="opened by another thread"),
        ):
            threads.submit(pump.ledger.__setitem__, "x", 1).result()
        pump.discard()


WRITES = {
    "field": lambda truck: setattr(truck, "load_kg", 9.0),
    "description": lambda truck: setattr(truck, "plate", "Z"),
    "key": lambda truck: truck.description.update(colour="red"),
    "whole": lambda truck: setattr(truck, "description", {"plate": "Z"}),
    "entry": lambda truck: truck.ledger.update(load_kg=9.0),
    "property": lambda truck: setattr(truck.ledger["load_kg"], "visibility", "true"),
    "touch": lambda truck: truck.touch("load_kg"),
    "removal": lambda truck: truck.ledger.__delitem__("load_kg"),
    "deletion": lambda truck: delattr(truck, "load_kg"),
    "identity": lambda truck: truck.identities.add("SN#1"),
    "doc": lambda truck: truck.docs.__delitem__("a.txt"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("assigned", [False, True])
def test_what_another_thread_may_not_write_is_not_written(make, sent, write, assigned):
    uuid = make(load_kg=1.0)
    with ttorm.session() as session, ThreadPoolExecutor(1) as threads:
        truck = Truck.get(uuid).load("ledger")
        if assigned:
            truck.load_kg = 2.0
        truck.cargo.append("sand")
        before = ttorm.inspect(truck).changes
        with pytest.raises(StateError, match="opened by another thread"):
            threads.submit(write, truck).result()
        assert ttorm.inspect(truck).changes == before
        session.rollback()


def test_another_thread_cannot_flush_a_block(connection):
    with (
        ttorm.session() as s,
        ThreadPoolExecutor(1) as threads,
        pytest.raises(StateError, match="opened by another thread"),
    ):
        threads.submit(s.flush).result()


@pytest.mark.parametrize("verb", ["save", "refresh", "load"])
def test_another_thread_cannot_save_or_read_records_of_a_block(make, sent, verb):
    uuid = make()
    with ttorm.session() as session, ThreadPoolExecutor(1) as threads:
        pump = Twin.at(uuid)
        pump.ledger["x"] = 1
        for use in (getattr(pump, verb), lambda: len(pump.identities)):
            with pytest.raises(StateError, match="opened by another thread"):
                threads.submit(use).result()
        assert sent == []
        session.rollback()
    # After the block it is anybody's.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(getattr(pump, verb)).result()


def test_another_loop_cannot_write_into_a_block(connection):
    async def begin():
        block = ttorm.session()
        await block.__aenter__()
        return block, await Twin.acreate()

    async def write(pump):
        pump.ledger["x"] = 1

    block, pump = asyncio.run(begin())
    with pytest.raises(StateError, match="another event loop"):
        asyncio.run(write(pump))
    pump.discard()
    block.end()


def test_tasks_of_one_loop_share_a_block(connection, sent):
    async def write(pump, name):
        pump.ledger[name] = 1

    async def main():
        async with ttorm.session():
            pump = await Twin.acreate()
            await asyncio.gather(write(pump, "x"), write(pump, "y"))
            sent.take()

    asyncio.run(main())
    [request] = sent.take()
    assert set(request.body["entries"]) == {"x", "y"}


def test_a_session_is_of_a_connection():
    with pytest.raises(TypeError, match=r"found 'memory:': write ttorm\.session\(ttorm\.connect"):
        ttorm.session("memory:")
