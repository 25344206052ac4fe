"""Saves of which only a part succeeds: what did is clean, what did not is still changed."""

from __future__ import annotations

import asyncio

import pytest

import ttorm
from ttorm import Entry, Field, Twin, description, entry, identity
from ttorm.api.http import HttpResponse


class Gate(Twin):
    label: Field[str] = description(default="")
    height: Field[float] = entry(default=1.0)
    width: Field[float] = entry(default=1.0)
    serial: Field[str | None] = identity("SN", default=None)


def changed(record):
    return set(ttorm.inspect(record).changes)


async def test_an_entry_that_somebody_else_made(do, connection, others, sent):
    twin = await do(Twin, "create")
    others.call("add_twin_ledger_entry", twin.uuid, body={"entries": {"a": {"value": 9}}})
    twin.ledger["a"], twin.ledger["b"] = 1, 2
    sent.clear()
    with pytest.raises(ttorm.SaveError) as caught:
        await do(twin, "save")
    error = caught.value
    assert list(error.errors) == ["ledger['a']"]
    assert error.errors["ledger['a']"].operation == "add_twin_ledger_entry"
    assert error.errors["ledger['a']"].message
    assert error.result == (("ledger['b']",), (), (), 1)
    assert "refused 1 of the changes" in str(error)
    assert "ledger['a']" in str(error)
    # POST never overwrites; nothing was tried behind the user's back.
    assert sent.lines() == [f"POST /twins/{twin.uuid}/ledgers/personal"]
    assert others.call("get_twin_ledger_entry", twin.uuid)["entries"]["a"]["value"] == 9
    assert changed(twin) == {"ledger['a']"}
    assert twin.ledger.to_dict() == {"a": 1, "b": 2}


async def test_after_a_refresh_the_refused_change_goes_through(do, connection, others):
    twin = await do(Twin, "create")
    others.call("add_twin_ledger_entry", twin.uuid, body={"entries": {"a": {"value": 9}}})
    twin.ledger["a"] = 1
    with pytest.raises(ttorm.SaveError):
        await do(twin, "save")
    await do(twin.ledger, "refresh")
    assert ttorm.inspect(twin).changes == {"ledger['a']": (9, 1)}
    assert (await do(twin, "save")).updated == ("ledger['a']",)


async def test_an_entry_that_somebody_else_deleted(do, connection, others):
    gate = await do(Gate, "create")
    others.call("delete_twin_ledger_entry", gate.uuid, entries=["height"])
    gate.height, gate.width = 2, 3
    with pytest.raises(ttorm.SaveError) as caught:
        await do(gate, "save")
    assert list(caught.value.errors) == ["height"]
    assert caught.value.result.updated == ("width",)
    assert changed(gate) == {"height"}
    assert (gate.height, gate.width) == (2.0, 3.0)
    await do(gate.ledger, "refresh")
    assert (await do(gate, "save")).created == ("height",)


async def test_deleting_what_somebody_else_deleted(do, connection, others):
    twin = await do(Twin, "create", entries={"a": 1, "b": 2})
    others.call("delete_twin_ledger_entry", twin.uuid, entries=["a"])
    del twin.ledger["a"], twin.ledger["b"]
    with pytest.raises(ttorm.SaveError) as caught:
        await do(twin, "save")
    assert list(caught.value.errors) == ["ledger['a']"]
    assert caught.value.result.deleted == ("ledger['b']",)
    assert changed(twin) == {"ledger['a']"}
    await do(twin.ledger, "refresh")
    assert (changed(twin), len(twin.ledger)) == (set(), 0)


async def test_what_fails_twice_is_in_the_error(do, connection, others, wire, sent):
    uuid = others.call("create_twin")["creation_certificate"]["uuid"]
    twin = Twin.at(uuid)
    twin.ledger["a"], twin.ledger["b"] = 1, 2

    def meddle(request):
        # Somebody makes the Entry between our PATCH and our POST.
        if request.method == "POST":
            others.call("add_twin_ledger_entry", uuid, body={"entries": {"a": {"value": 9}}})

    wire.meddle = meddle
    with pytest.raises(ttorm.SaveError) as caught:
        await do(twin, "save")
    assert [request.method for request in sent] == ["PATCH", "POST"]
    assert list(caught.value.errors) == ["ledger['a']"]
    assert caught.value.errors["ledger['a']"].operation == "add_twin_ledger_entry"
    assert caught.value.result.created == ("ledger['b']",)
    assert others.call("get_twin_ledger_entry", uuid)["entries"]["a"]["value"] == 9
    assert changed(twin) == {"ledger['a']"}


async def test_properties_that_are_refused_with_their_entry(do, connection):
    twin = await do(Twin, "create", entries={"a": 1})
    twin.ledger["link"] = Entry(ref="twin://0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11/owner/x")
    twin.ledger["a"] = 2
    with pytest.raises(ttorm.TtormError):
        await do(twin, "save")
    assert "ledger['link'].ref" in changed(twin)


async def test_a_failed_request_stops_the_rest(do, connection, wire, sent):
    gate = await do(Gate, "create")
    gate.label, gate.height = "b", 2
    gate.ledger["new"] = 1
    sent.clear()

    def meddle(request):
        if request.method == "POST":
            return HttpResponse(403, {}, b'{"subcode": 403535, "description": "No."}')
        return None

    wire.meddle = meddle
    with pytest.raises(ttorm.ForbiddenError):
        await do(gate, "save")
    assert [request.method for request in sent.take()] == ["PATCH", "POST"]
    # The description was written before.
    assert changed(gate) == {"height", "ledger['new']"}
    wire.meddle = lambda request: None
    await do(gate, "save")
    assert [request.method for request in sent.take()] == ["POST", "PATCH"]
    assert changed(gate) == set()


async def test_an_unknown_outcome_keeps_the_changes(do, connection, wire, others):
    gate = await do(Gate, "create")
    gate.height = 2

    def lose(request):
        # It arrives, but its answer does not.
        wire.transport.send(request)
        raise ttorm.TransportError("the answer was lost", sent=True)

    wire.meddle = lose
    with pytest.raises(ttorm.OutcomeUnknownError, match="may or may not have happened"):
        await do(gate, "save")
    wire.meddle = lambda request: None
    assert changed(gate) == {"height"}
    assert (gate.height, ttorm.inspect(gate).state) == (2.0, "modified")
    await do(gate, "refresh")
    assert changed(gate) == set()


async def test_a_lost_creation_stays_new(do, connection, wire):
    gate = Gate(height=5)

    def lose(request):
        raise ttorm.TransportError("lost", sent=True)

    wire.meddle = lose
    with pytest.raises(ttorm.OutcomeUnknownError) as caught:
        await do(gate, "save")
    assert caught.value.operation == "create_twin"
    assert (ttorm.inspect(gate).state, gate.height) == ("new", 5.0)


async def test_a_request_that_was_not_sent_is_sent_again(do, connect, emulator):
    patient = connect(default=True, retry=ttorm.RetryPolicy(base=0.0))
    gate = await do(Gate, "create")
    gate.height = 2
    failures = iter([True, True])

    def meddle(request):
        if next(failures, False):
            raise ttorm.TransportError("refused", sent=False)

    patient.transport.meddle = meddle
    patient.transport.sent.clear()
    assert (await do(gate, "save")).requests == 1
    assert len(patient.transport.sent) == 3


async def test_an_identity_that_is_there_already(do, connection, others):
    gate = await do(Gate, "create")
    others.call("create_twin_identity", gate.uuid, body={"identities": {"SN#1": {}}})
    gate.identities.add("SN#1")
    gate.identities.add("RFID#2")
    with pytest.raises(ttorm.SaveError) as caught:
        await do(gate, "save")
    assert list(caught.value.errors) == ["serial"]
    assert caught.value.errors["serial"].operation == "create_twin_identity"
    assert caught.value.result.created == ("identities['RFID#2']",)
    assert changed(gate) == {"serial"}
    await do(gate, "refresh")
    assert (changed(gate), gate.serial) == (set(), "1")


async def test_other_twins_of_a_flush_are_saved(do, connection, others):
    good, bad = await do(Gate, "create"), await do(Twin, "create")
    others.call("add_twin_ledger_entry", bad.uuid, body={"entries": {"a": {"value": 9}}})
    async with do.block(ttorm.session()) as session:
        first = Gate.at(good.uuid)
        second = await do(Twin.at(bad.uuid), "load", "ledger")
        others.call("delete_twin_ledger_entry", bad.uuid, entries=["a"])
        first.height, second.ledger["a"] = 7, 1
        with pytest.raises(ttorm.SaveError):
            await do(session, "flush")
        assert session.dirty == [second]
        second.discard()
    entries = others.call("get_twin_ledger_entry", good.uuid)["entries"]
    assert entries["height"]["value"] == 7.0


async def test_removing_what_somebody_else_removed_holds_up_nothing(do, connection, others):
    gate = await do(Gate, "create", serial="1")
    await do(gate.docs, "upload", "a.txt", b"a")
    others.call("delete_twin_identity", gate.uuid, "SN#1")
    others.call("delete_twin_doc", gate.uuid, "a.txt")
    del gate.serial, gate.docs["a.txt"]
    gate.height = 2
    result = await do(gate, "save")
    assert (result.updated, result.deleted) == (("height",), ("serial", "docs['a.txt']"))
    assert changed(gate) == set()


async def test_removing_it_alone_tells_that_it_is_gone(do, connection, others):
    gate = await do(Gate, "create", serial="1")
    doc = await do(gate.docs, "upload", "a.txt", b"a")
    others.call("delete_twin_identity", gate.uuid, "SN#1")
    others.call("delete_twin_doc", gate.uuid, "a.txt")
    for part in (gate.identities["SN#1"], doc):
        with pytest.raises(ttorm.NotFoundError):
            await do(part, "delete")


async def test_a_twin_that_is_not_there_cannot_be_saved(do, connection):
    twin = Twin.at("0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11")
    del twin.ledger["a"]
    with pytest.raises(ttorm.NotFoundError):
        await do(twin, "save")
    assert changed(twin) == {"ledger['a']"}


def test_a_cancelled_save_keeps_the_changes(connection, wire, others):
    forward = wire.transport.asend

    async def cancel():
        gate = await Gate.acreate()
        gate.height = 2
        started = asyncio.Event()

        async def stall(request):
            started.set()
            await asyncio.sleep(60)

        wire.transport.asend = stall
        saving = asyncio.create_task(gate.asave())
        await started.wait()
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        wire.transport.asend = forward
        assert changed(gate) == {"height"}
        assert (await gate.asave()).updated == ("height",)
        return gate.uuid

    uuid = asyncio.run(cancel())
    assert others.call("get_twin_ledger_entry", uuid)["entries"]["height"]["value"] == 2.0


async def test_a_save_in_several_bodies_sends_all_of_them(do, connection, wire, sent):
    twin = await do(Twin, "create", entries={f"e{number}": 0 for number in range(4)})
    for number in range(4):
        twin.ledger[f"e{number}"] = str(number) * 20_000
    # The emulator's Ledger holds 64 kB; this is about what is sent.
    wire.meddle = lambda request: HttpResponse(200, {}, b'{"entries": {}}')
    sent.clear()
    assert (await do(twin, "save")).requests == 2
    assert [list(request.body["entries"]) for request in sent] == [["e0", "e1", "e2"], ["e3"]]
    assert changed(twin) == set()
