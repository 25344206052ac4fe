"""Writes in the order of what they speak of, also over many Twins."""

from __future__ import annotations

import re

import pytest

import ttorm
from ttorm import Entry, Field, Link, Reference, Twin, description, entry, reference


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
