"""The exact requests of reading: which look asks the service, and for what."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from ttorm import (
    Change,
    Entry,
    Field,
    NotFoundError,
    Twin,
    WrongKindError,
    description,
    entry,
    identity,
)

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

ALIVE = 'twin_status == "alive"'


class Canoe(Twin):
    model: Field[str] = description()
    depth: Field[float | None] = entry(default=None)
    tag: Field[str] = identity("RFID", key=True)

    class Meta:
        kind = "canoe"


async def test_lazy_load(connect, do, tape):
    """A look brings a whole part; a second look, or one at a part read before, brings nothing."""
    connect()
    uuid = (await do(Twin.create, description={"model": "X1"}, entries={"a": 1, "b": [2]})).uuid
    connect()
    twin = Twin.at(uuid)
    assert repr(twin) == f"<Twin {uuid}>"
    before = len(tape)
    await do.load(twin, "ledger")
    assert twin.ledger["a"].value == 1
    assert twin.ledger["b"].value == [2]
    assert len(tape) == before + 1
    await do.load(twin, "description")
    assert twin.description["model"] == "X1"
    assert twin.status == "alive"
    await do.load(twin, "identities")
    assert list(twin.identities) == []
    await do.load(twin, "docs")
    assert list(twin.docs) == []
    entries = {"a": {"value": 1}, "b": {"value": [2]}}
    tape.shows(
        ("POST", "/twins", {"description": {"model": "X1"}}),
        ("POST", f"/twins/{uuid}/ledgers/personal", {"entries": entries}),
        ("GET", f"/twins/{uuid}/ledgers/personal", None),
        ("GET", f"/twins/{uuid}", None),
        ("GET", f"/twins/{uuid}/identities?show_expired=true", None),
        ("GET", f"/twins/{uuid}/docs", None),
    )


async def test_cached_reads(connect, do, tape):
    """The second `get` is answered by the cache, a fresh one by the service."""
    connect()
    uuid = (await do(Twin.create, description={"model": "X1"})).uuid
    reader = connect()
    await do(Twin.get, uuid)
    await do(Twin.get, uuid)
    await do(Twin.get, uuid, fresh=True)
    twin = await do(Twin.get, uuid)
    await do(twin.refresh)
    assert reader.requests == 3
    tape.shows(
        ("POST", "/twins", {"description": {"model": "X1"}}),
        ("GET", f"/twins/{uuid}", None),
        ("GET", f"/twins/{uuid}", None),
        ("GET", f"/twins/{uuid}", None),
    )


async def test_find_by_identity(connect, do, tape):
    connect()
    made = await do(Canoe.create, model="X1", depth=0.5, tag="a+b=")
    connect()
    found = await do(Canoe.find, tag="a+b=")
    assert found == made
    assert (found.model, found.tag) == ("X1", "a+b=")
    assert (await do(Twin.find, "RFID#a+b=", context="system")) == made
    with pytest.raises(NotFoundError):
        await do(Canoe.find, tag="nothing")
    twin = f"/twins/{made.uuid}"
    tape.shows(
        ("POST", "/twins", {"description": {"kind": "canoe", "model": "X1"}}),
        ("POST", f"{twin}/identities", {"identities": {"RFID#a+b=": {}}}),
        ("POST", f"{twin}/ledgers/personal", {"entries": {"depth": {"value": 0.5}}}),
        ("GET", "/resolve/RFID%23a%2Bb%3D?details=true", None),
        ("GET", "/resolve/RFID%23a%2Bb%3D?context=system&details=true", None),
        ("GET", "/resolve/RFID%23nothing?details=true", None),
    )


async def test_scan_of_several_pages(connect, do, tape):
    connect()
    uuids = [(await do(Twin.create, description={"number": n})).uuid for n in range(5)]
    connect()
    found = await do.each(Twin.scan(page=2))
    assert [twin.uuid for twin in found] == uuids
    assert [twin.description["number"] for twin in found] == [0, 1, 2, 3, 4]
    rest = f"count=2&match={quote(ALIVE)}&details=true"
    tape.shows(
        *(("POST", "/twins", {"description": {"number": n}}) for n in range(5)),
        ("GET", f"/twins?{rest}", None),
        ("GET", f"/twins?cursor=CURSOR-0001&{rest}", None),
        ("GET", f"/twins?cursor=CURSOR-0002&{rest}", None),
    )


async def test_scan_by_rule(connect, do, tape):
    """The service decides: an expression of the class becomes rule text."""
    connect()
    deep = await do(Canoe.create, model="X1", depth=2.5, tag="1")
    shallow = await do(Canoe.create, model="X1", depth=0.5, tag="2")
    connect()
    assert await do(Canoe.scan(Canoe.depth < 1).all) == [shallow]
    described = {"description": {"kind": "canoe", "model": "X1"}}
    rule = f'{ALIVE} and TWIN.kind == "canoe" and LEDGER.depth < 1.0'
    tape.shows(
        ("POST", "/twins", described),
        ("POST", f"/twins/{deep.uuid}/identities", {"identities": {"RFID#1": {}}}),
        ("POST", f"/twins/{deep.uuid}/ledgers/personal", {"entries": {"depth": {"value": 2.5}}}),
        ("POST", "/twins", described),
        ("POST", f"/twins/{shallow.uuid}/identities", {"identities": {"RFID#2": {}}}),
        ("POST", f"/twins/{shallow.uuid}/ledgers/personal", {"entries": {"depth": {"value": 0.5}}}),
        ("GET", f"/twins?count=1000&match={quote(rule, safe='')}&details=true", None),
    )


async def test_another_kind(connect, do, tape):
    connect()
    uuid = (await do(Twin.create, description={"kind": "raft"})).uuid
    connect()
    with pytest.raises(WrongKindError):
        await do(Canoe.get, uuid)
    tape.shows(
        ("POST", "/twins", {"description": {"kind": "raft"}}), ("GET", f"/twins/{uuid}", None)
    )


async def test_history(connection, do, tape):
    twin = await do(Twin.create)
    twin.ledger["x"] = 1
    twin.ledger["x"].history_period = "3M"
    await do(twin.save)
    twin.ledger["x"] = 2
    await do(twin.save)
    changes = await do.each(twin.ledger["x"].history(since=1_500_000_000))
    assert [change.value for change in changes] == [2, 1]
    assert changes[0].at == twin.ledger["x"].value_changed_at
    ledger = f"/twins/{twin.uuid}/ledgers/personal"
    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": {"x": {"value": 1, "history": "3M"}}}),
        ("PATCH", f"{ledger}/value", {"entries": {"x": {"value": 2}}}),
        ("GET", f"{ledger}/history?ge=1500000000.0&limit=100&entries=x", None),
    )


async def test_twin_that_is_not_there(connection, do, tape):
    nobody = "00000000-0000-4000-8000-000000000001"
    with pytest.raises(NotFoundError) as error:
        await do(Twin.get, nobody)
    assert error.value.status == 404
    tape.shows(("GET", f"/twins/{nobody}", None))


async def test_values_at_moments(connection, do, tape):
    """One request for a moment, however many Entries there are; two for a difference."""
    twin = await do(Twin.create)
    twin.ledger["x"] = Entry(1, history="3M")
    twin.ledger["y"] = Entry("a", history="3M")
    await do(twin.save)
    before = twin.ledger["y"].value_changed_at
    twin.ledger["x"] = 2
    await do(twin.save)
    after = twin.ledger["x"].value_changed_at
    assert await do(twin.ledger["x"].at, before) == 1
    assert await do(twin.ledger.as_of, before) == {"x": 1, "y": "a"}
    assert await do(twin.ledger.diff, before, after) == {"x": Change(1, 2)}
    rows = await do.each(twin.history("x", "y", since=before))
    assert [row.values for row in rows] == [{"x": 2}, {"x": 1, "y": "a"}]
    ledger = f"/twins/{twin.uuid}/ledgers/personal"
    entries = {"x": {"value": 1, "history": "3M"}, "y": {"value": "a", "history": "3M"}}
    early, late = before.timestamp(), after.timestamp()
    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": entries}),
        ("PATCH", f"{ledger}/value", {"entries": {"x": {"value": 2}}}),
        ("GET", f"{ledger}/history?le={early}&limit=1&entries=x", None),
        ("GET", f"{ledger}/history?le={early}&limit=1", None),
        ("GET", f"{ledger}/history?le={early}&limit=1", None),
        ("GET", f"{ledger}/history?le={late}&limit=1", None),
        ("GET", f"{ledger}/history?ge={early}&limit=100&entries=x&entries=y", None),
    )


async def test_dictionary(connect, do, tape):
    """A dictionary needs the parts its fields are in, each once; what is known is not read."""
    connect()
    uuid = (await do(Canoe.create, model="C1", depth=1.5, tag="T1")).uuid
    connect()
    canoe = Canoe.at(uuid)
    assert canoe.to_dict(loaded_only=True) == {"uuid": uuid}
    before = len(tape)
    assert await do(canoe.to_dict, include={"depth"}) == {"depth": 1.5}
    assert len(tape) == before + 1
    assert await do(canoe.to_dict, exclude={"uuid", "tag"}) == {"model": "C1", "depth": 1.5}
    assert len(tape) == before + 2
    shown = {"uuid": uuid, "model": "C1", "depth": 1.5, "tag": "T1"}
    assert await do(canoe.to_dict) == shown
    assert await do(canoe.to_dict, mode="json") == shown
    description = {"kind": "canoe", "model": "C1"}
    tape.shows(
        ("POST", "/twins", {"description": description}),
        ("POST", f"/twins/{uuid}/identities", {"identities": {"RFID#T1": {}}}),
        ("POST", f"/twins/{uuid}/ledgers/personal", {"entries": {"depth": {"value": 1.5}}}),
        ("GET", f"/twins/{uuid}/ledgers/personal", None),
        ("GET", f"/twins/{uuid}", None),
        ("GET", f"/twins/{uuid}/identities?show_expired=true", None),
    )
