"""Writes in the order of what they speak of, also over many Twins."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ttorm
from ttorm import Entry, Field, Link, Reference, Twin, description, entry, reference
from ttorm.emulator import Emulator
from ttorm.emulator.transport import EmulatorTransport


class Station(Twin):
    celsius: Field[float] = entry()


class Node(Twin):
    next: Field[Link[Node] | None] = description(default=None)
    peer: Field[Link[Node] | None] = entry(default=None)
    station: Reference[float | None] = reference(Station.celsius, default=None)
    weight: Field[int | None] = entry(default=None)


async def test_a_chain_of_new_twins(do, connection, sent, emulator):
    await do(connection, "whoami")
    sent.clear()
    async with do.block(ttorm.session()):
        station = Station(celsius=5.0)
        last = Node(station=station, weight=1)
        first = Node(next=last, peer=last)
        assert first.next is last
    posts = [request for request in sent if request.method == "POST"]
    order = [str(request) for request in posts]
    assert order.index(f"POST /twins/{station.uuid}/ledgers/personal") < order.index(
        f"POST /twins/{last.uuid}/ledgers/personal"
    )
    assert order.index(f"POST /twins/{last.uuid}/ledgers/personal") < order.index(
        f"POST /twins/{first.uuid}/ledgers/personal"
    )
    assert len(sent) == 6
    assert posts[-2].body == {"description": {"next": last.uuid}}
    assert posts[-1].body == {"entries": {"peer": {"value": last.uuid}}}
    assert not any(ttorm.inspect(record).is_modified for record in (station, last, first))


async def test_a_circle_is_saved_in_two_steps(do, connection, sent):
    async with do.block(ttorm.session()):
        one, two = Node(weight=1), Node(weight=2)
        one.next, two.next = two, one
        one.peer, two.peer = two, one
    for node, other in ((one, two), (two, one)):
        again = await do(Node.at(node.uuid), "refresh")
        await do(again, "load")
        assert (again.next, again.peer) == (other, other)
        assert not ttorm.inspect(node).is_modified
    assert "(new Node)" not in str(sent)


async def test_a_twin_that_speaks_of_itself(do, connection, sent):
    node = Node(weight=1)
    node.next = node.peer = node
    await do(node, "save")
    assert [request.method for request in sent if "Node" not in str(request)] == [
        "POST",
        "PATCH",
        "POST",
    ]
    again = await do(Node.at(node.uuid), "refresh")
    await do(again, "load")
    assert (again.next, again.peer) == (again, again)


async def test_a_circle_of_saved_twins_needs_no_second_step(do, connection, sent):
    one, two = await do(Node, "create", weight=1), await do(Node, "create", weight=2)
    sent.clear()
    async with do.block(ttorm.session()):
        first, second = Node.at(one.uuid), Node.at(two.uuid)
        first.peer, second.peer = second, first
    assert sorted(sent.lines()) == sorted(
        line
        for node in (one, two)
        for line in (
            f"PATCH /twins/{node.uuid}/ledgers/personal/value",
            f"POST /twins/{node.uuid}/ledgers/personal",
        )
    )


async def test_new_entries_come_before_references_to_them(do, connection, sent):
    source, copy = await do(Twin, "create"), await do(Twin, "create")
    await do(connection, "whoami")
    sent.clear()
    async with do.block(ttorm.session()):
        other, mine = Twin.at(copy.uuid), Twin.at(source.uuid)
        await do(other, "load", "ledger")
        await do(mine, "load", "ledger")
        other.ledger["b"] = Entry(ref=mine.ledger["a"])
        mine.ledger["a"] = 5
        with pytest.raises(ttorm.StateError, match="speaks of the new Entry 'a' of <Twin"):
            await do(other.ledger["b"], "save")
        assert other._state.session.dirty == [other, mine]
        sent.clear()
    assert sent.lines() == [
        f"POST /twins/{source.uuid}/ledgers/personal",
        f"POST /twins/{copy.uuid}/ledgers/personal",
    ]
    await do(other, "load", "ledger")
    assert other.ledger["b"].value == 5


async def test_outside_of_a_unit_of_work_the_source_comes_first(do, connection, sent):
    node = Node(peer=Node())
    message = r"peer.*speaks of \(new Node\).*save\(\) that first"
    with pytest.raises(ttorm.StateError, match=message):
        await do(node, "save")
    assert sent == []
    await do(node.peer, "save")
    await do(node, "save")
    assert node.ledger["peer"].value == node.peer.uuid


async def test_plans_name_what_has_no_uuid_yet(do, connection):
    node = Node(peer=Node(), station=Station(celsius=1.0))
    text = str(node.plan())
    assert '"peer": {"value": "(new Node)"}' in text
    assert re.search(r'"source": "twin://\(new Station\)/[\w-]+/celsius"', text)


def bodies(plan, *records):
    """Give what a plan sends, as it reads once its new records have UUIDs."""
    text = json.dumps([[one.method, one.body] for one in plan])
    for record in records:
        text = text.replace(f"(new {type(record).__name__})", record.uuid)
    return json.loads(text)


async def test_a_session_plans_in_the_order_of_its_saves(do, connection, sent):
    await do(connection, "whoami")
    sent.clear()
    async with do.block(ttorm.session()) as session:
        first = Node(weight=2)
        first.station = station = Station(celsius=5.0)
        plan = session.plan()
    assert bodies(plan, first, station) == [[one.method, one.body] for one in sent]
    assert sent[0].path == "/twins"
    assert "celsius" in sent[1].body["entries"]


async def test_a_plan_shows_both_saves_of_a_circle(do, connection, sent):
    await do(connection, "whoami")
    sent.clear()
    async with do.block(ttorm.session()) as session:
        node, station = Node(weight=1), Station(celsius=1.0)
        node.next, node.peer, node.station = node, node, station
        station.description["at"] = 5
        station.ledger["back"] = Entry(ref=node.ledger["weight"])
        plan = session.plan()
    assert [(one.method, names(one.body)) for one in plan] == [
        ("POST", []),
        ("PATCH", ["next"]),
        ("POST", ["peer", "weight"]),
        ("POST", ["at"]),
        ("POST", ["celsius"]),
        ("POST", ["station"]),
        ("POST", ["back"]),
    ]
    wanted = bodies(plan, node, station)
    assert sorted(map(str, wanted)) == sorted(str([one.method, one.body]) for one in sent)


def names(body):
    return sorted(name for part in (body or {}).values() for name in part)


async def test_a_plan_says_when_the_account_has_to_be_asked_for(do, connection, sent):
    station = await do(Station, "create", celsius=1.0)
    sent.clear()
    async with do.block(ttorm.session()) as session:
        for _ in range(2):
            Twin().ledger["copy"] = Entry(ref=station.ledger["celsius"])
        plan = session.plan()
    assert [str(one) for one in sent].count("GET /whoami") == 1
    assert [one.operation for one in plan].count("who_am_i") == 1
    assert sorted(one.method for one in plan) == sorted(one.method for one in sent)


async def test_two_new_twins_in_one_list_stay_apart(do, connection):
    class Train(Twin):
        cars: Field[list[Link[Node]]] = entry(default_factory=list)

    async with do.block(ttorm.session()):
        cars = [Node(weight=1), Node(weight=2)]
        train = Train(cars=[*cars, cars[0]])
        assert "(new Node 2)" in str(train.plan())
    assert train.ledger["cars"].value == [cars[0].uuid, cars[1].uuid, cars[0].uuid]


async def test_who_depends_on_what_failed_says_so(do, connection, wire):
    def refuse(request):
        raise ttorm.TransportError("no network", sent=False)

    async with do.block(ttorm.session()) as session:
        node = Node(peer=Node())
        wire.meddle = refuse
        with pytest.raises(ttorm.TransportError) as failed:
            await do(session, "flush")
        wire.meddle = lambda request: None
        assert "speaks of (new Node)" in "".join(failed.value.__notes__)
        assert node._state.uuid is None
        await do(node.peer, "save")
    assert node.ledger["peer"].value == node.peer.uuid


# Any net of records

MOST = 5
nets = st.sets(st.tuples(st.integers(0, MOST - 1), st.integers(0, MOST - 1)), max_size=7)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
REFERENCE = re.compile(r"twin://([0-9a-f-]{36})/[0-9a-f-]{36}/(\w+)")


class Knot(Twin):
    seen: Field[list[Link[Knot]] | None] = description(default=None)
    near: Field[list[Link[Knot]] | None] = entry(default=None)


class Watchman:
    """A transport that lets no request speak of what is not there yet."""

    def __init__(self, transport):
        self.transport = transport
        self.emulator, self.user = transport.emulator, transport.user
        self.methods = []
        self.there = set()

    def send(self, request):
        body = (request.body or b"").decode()
        links = set(UUID.findall(REFERENCE.sub("", body)))
        assert links | set(REFERENCE.findall(body)) <= self.there, body
        answer = self.transport.send(request)
        if request.method != "GET":
            self.methods.append(request.method)
        told = json.loads(answer.body)
        if request.url.endswith("/twins"):
            self.there.add(told["creation_certificate"]["uuid"])
        [uuid] = UUID.findall(request.url) or [""]
        self.there |= {(uuid, name) for name in told.get("entries", ())}
        return answer

    async def asend(self, request):
        raise NotImplementedError

    def close(self):
        self.transport.close()

    async def aclose(self):
        self.close()


def lead(knots, net, number):
    return [knots[other] for one, other in sorted(net) if one == number] or None


@settings(max_examples=100, deadline=None, database=None)
@given(
    old=st.sets(st.integers(0, MOST - 1)), seen=nets, near=nets, copies=nets, by_end=st.booleans()
)
def test_nothing_is_spoken_of_before_it_is_there(old, seen, near, copies, by_end):
    with Emulator("memory:", seed=1) as emulator:
        transport = Watchman(EmulatorTransport(emulator, emulator.first_user()))
        with (
            ttorm.connect(transport=transport, default=False) as connection,
            ttorm.session(connection) as session,
        ):
            connection.whoami()
            knots = [Knot.create() if number in old else Knot() for number in range(MOST)]
            transport.methods.clear()
            for number, knot in enumerate(knots):
                knot.seen, knot.near = lead(knots, seen, number), lead(knots, near, number)
                knot.ledger["base"] = number
                for one, other in copies:
                    if one == number != other:
                        knot.ledger[f"copy_{other}"] = Entry(ref=knots[other].ledger["base"])
            planned = session.plan()
            if by_end:
                session.flush()
            else:
                ttorm.save_all(knots)
            assert session.dirty == []
            assert sorted(one.method for one in planned) == sorted(transport.methods), (
                f"{old=} {seen=} {near=} {copies=}\n{planned}\n{transport.methods}"
            )
            ttorm.refresh_all(knots)
            for number, knot in enumerate(knots):
                assert knot.seen == lead(knots, seen, number)
                assert knot.near == lead(knots, near, number)
                copied = {other for one, other in copies if one == number != other}
                assert {b: knot.ledger[f"copy_{b}"].value for b in copied} == {b: b for b in copied}
