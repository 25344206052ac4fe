"""The exact requests of each row of the table of minimal writes."""

from __future__ import annotations

from urllib.parse import quote

import pytest

import ttorm
from ttorm import (
    AlreadyDoneError,
    ConflictError,
    Entry,
    Field,
    Link,
    Reference,
    SaveError,
    Twin,
    description,
    entry,
    identity,
    reference,
)

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]


class Moped(Twin):
    model: Field[str] = description()
    battery: Field[float] = entry(history="3M")
    zone: Field[str | None] = entry(visibility="USER.team == 'ops'", default=None)
    serial: Field[str | None] = identity("SN", key=True, default=None)

    class Meta:
        kind = "moped"


# Creation


async def test_create_with_fields(connection, do, tape):
    moped = await do(Moped.create, model="X1", battery=99.0, zone="north", serial="A17")
    twin = f"/twins/{moped.uuid}"
    entries = {
        "battery": {"value": 99.0, "history": "3M"},
        "zone": {"value": "north", "visibility": "USER.team == 'ops'"},
    }
    tape.shows(
        ("POST", "/twins", {"description": {"kind": "moped", "model": "X1"}}),
        ("POST", f"{twin}/identities", {"identities": {"SN#A17": {}}}),
        ("POST", f"{twin}/ledgers/personal", {"entries": entries}),
    )


async def test_create_without_fields(connection, do, tape):
    await do(Twin.create)
    tape.shows(("POST", "/twins", None))


# Entries


async def test_changed_values(connection, do, tape):
    twin = await do(Twin.create, entries={"battery": 99.0, "trip": {"stops": ["a"]}, "on": True})
    twin.ledger["battery"].value -= 3
    await do(twin.save)
    twin.ledger["battery"].value = 95
    twin.ledger["trip"].value["stops"].append("b")
    result = await do(twin.save)
    assert result.requests == 1
    ledger = f"/twins/{twin.uuid}/ledgers/personal"
    first = {
        "battery": {"value": 99.0},
        "trip": {"value": {"stops": ["a"]}},
        "on": {"value": True},
    }
    second = {"battery": {"value": 95}, "trip": {"value": {"stops": ["a", "b"]}}}
    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": first}),
        ("PATCH", f"{ledger}/value", {"entries": {"battery": {"value": 96.0}}}),
        ("PATCH", f"{ledger}/value", {"entries": second}),
    )


async def test_nothing_changed(connection, do, tape):
    twin = await do(Twin.create, entries={"battery": 99.0, "trip": {"stops": ["a"]}})
    twin.ledger["battery"].value = 99.0
    twin.ledger["trip"].value["stops"].append("b")
    twin.ledger["trip"].value["stops"].pop()
    assert (await do(twin.save)).requests == 0
    entries = {"battery": {"value": 99.0}, "trip": {"value": {"stops": ["a"]}}}
    tape.shows(
        ("POST", "/twins", None),
        ("POST", f"/twins/{twin.uuid}/ledgers/personal", {"entries": entries}),
    )


async def test_changed_properties(connection, do, tape):
    moped = await do(Moped.create, model="X1", battery=99.0, zone="north")
    moped.ledger["battery"].visibility = "true"
    await do(moped.save)
    moped.ledger["battery"].history_period = None
    moped.zone = "south"
    assert (await do(moped.save)).requests == 1
    ledger = f"/twins/{moped.uuid}/ledgers/personal"
    entries = {
        "battery": {"value": 99.0, "history": "3M"},
        "zone": {"value": "north", "visibility": "USER.team == 'ops'"},
    }
    both = {"battery": {"history": None}, "zone": {"value": "south"}}
    tape.shows(
        ("POST", "/twins", {"description": {"kind": "moped", "model": "X1"}}),
        ("POST", ledger, {"entries": entries}),
        ("PATCH", ledger, {"entries": {"battery": {"visibility": "true"}}}),
        ("PATCH", ledger, {"entries": both}),
    )


async def test_new_entries(connection, do, tape):
    twin = await do(Twin.create)
    twin.ledger["pressure"] = 2.5
    twin.ledger["temperature"] = Entry(21, visibility="true", history="1Y")
    assert (await do(twin.save)).requests == 1
    entries = {
        "pressure": {"value": 2.5},
        "temperature": {"value": 21, "visibility": "true", "history": "1Y"},
    }
    tape.shows(
        ("POST", "/twins", None),
        ("POST", f"/twins/{twin.uuid}/ledgers/personal", {"entries": entries}),
    )


async def test_removed_entries(connection, do, tape):
    twin = await do(Twin.create, entries={"a": 1, "b": 2, "c": 3})
    del twin.ledger["a"]
    del twin.ledger["c"]
    assert (await do(twin.save)).requests == 1
    assert list(twin.ledger) == ["b"]
    ledger = f"/twins/{twin.uuid}/ledgers/personal"
    entries = {"a": {"value": 1}, "b": {"value": 2}, "c": {"value": 3}}
    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": entries}),
        ("DELETE", f"{ledger}?entries=a&entries=c", None),
    )


async def test_cleared_ledger(connection, do, tape):
    """The only request without names that deletes everything."""
    twin = await do(Twin.create, entries={"a": 1, "b": 2})
    await do(twin.ledger.clear)
    assert list(twin.ledger) == []
    assert (await do(twin.save)).requests == 0
    ledger = f"/twins/{twin.uuid}/ledgers/personal"
    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": {"a": {"value": 1}, "b": {"value": 2}}}),
        ("DELETE", ledger, None),
    )


async def test_reference_and_include(connection, do, tape):
    account = (await do(connection.whoami))["account"]
    source = await do(Twin.create, entries={"x": 1})
    twin = await do(Twin.create)
    twin.ledger["copy"] = Entry(ref=source.ledger["x"], history="1Y")
    twin.ledger["view"] = Entry(include=source.ledger["x"])
    assert (await do(twin.save)).requests == 1
    entries = {
        "copy": {"ref": {"source": f"twin://{source.uuid}/{account}/x"}, "history": "1Y"},
        "view": {"include": {"source": f"twin://{source.uuid}/x"}},
    }
    tape.shows(
        ("GET", "/whoami", None),
        ("POST", "/twins", None),
        ("POST", f"/twins/{source.uuid}/ledgers/personal", {"entries": {"x": {"value": 1}}}),
        ("POST", "/twins", None),
        ("POST", f"/twins/{twin.uuid}/ledgers/personal", {"entries": entries}),
    )


async def test_entries_of_unknown_presence(connect, do, tape):
    connect()
    uuid = (await do(Twin.create, entries={"known": 1})).uuid
    connect()
    twin = Twin.at(uuid)
    twin.ledger["known"] = 2
    twin.ledger["other"] = 3
    assert (await do(twin.save)).requests == 2
    ledger = f"/twins/{uuid}/ledgers/personal"
    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": {"known": {"value": 1}}}),
        ("PATCH", f"{ledger}/value", {"entries": {"known": {"value": 2}, "other": {"value": 3}}}),
        ("POST", ledger, {"entries": {"other": {"value": 3}}}),
    )


async def test_partial_failure(connect, do, tape):
    connect()
    mine = await do(Twin.create)
    connect()
    theirs = Twin.at(mine.uuid)
    theirs.ledger["x"] = "theirs"
    await do(theirs.save)
    mine.ledger["x"] = "mine"
    mine.ledger["y"] = "mine, too"
    with pytest.raises(SaveError) as refusal:
        await do(mine.save)
    assert list(refusal.value.errors) == ["ledger['x']"]
    assert list(ttorm.inspect(mine).changes) == ["ledger['x']"]
    ledger = f"/twins/{mine.uuid}/ledgers/personal"
    tape.shows(
        ("POST", "/twins", None),
        ("PATCH", f"{ledger}/value", {"entries": {"x": {"value": "theirs"}}}),
        ("POST", ledger, {"entries": {"x": {"value": "theirs"}}}),
        ("POST", ledger, {"entries": {"x": {"value": "mine"}, "y": {"value": "mine, too"}}}),
    )


async def test_checked_save(connect, do, tape):
    connect()
    mine = await do(Twin.create, entries={"x": 1})
    seen = mine.ledger["x"].value_changed_at.timestamp()
    mine.ledger["x"] = 2
    await do(mine.save, check=True)
    saved = mine.ledger["x"].value_changed_at.timestamp()
    connect()
    theirs = Twin.at(mine.uuid)
    theirs.ledger["x"] = 3
    await do(theirs.save)
    mine.ledger["x"] = 4
    with pytest.raises(ConflictError) as lost:
        await do(mine.save, check=True)
    name = "ledger['x']"
    conflict = lost.value
    assert (conflict.base[name], conflict.mine[name], conflict.theirs[name]) == (2, 4, 3)
    ledger = f"/twins/{mine.uuid}/ledgers/personal"

    def change(value, stamp):
        condition = {"x": f"value_changed_ts == {stamp!r}"}
        return {"entries": {"x": {"value": value}}, "conditions": condition}

    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": {"x": {"value": 1}}}),
        ("PATCH", f"{ledger}/value", change(2, seen)),
        ("PATCH", f"{ledger}/value", {"entries": {"x": {"value": 3}}}),
        ("PATCH", f"{ledger}/value", change(4, saved)),
        ("GET", ledger, None),
    )


# Description


async def test_description(connection, do, tape):
    twin = await do(Twin.create, description={"model": "X1", "tags": ["new"]})
    twin.description["colour"] = "red"
    twin.description["tags"].append("fast")
    await do(twin.save)
    del twin.description["model"]
    await do(twin.save)
    before = {"model": "X1", "tags": ["new"]}
    after = {"tags": ["new", "fast"], "colour": "red"}
    tape.shows(
        ("POST", "/twins", {"description": before}),
        ("PATCH", f"/twins/{twin.uuid}", {"description": {"model": "X1", **after}}),
        ("PATCH", f"/twins/{twin.uuid}", {"description": after}),
    )


async def test_description_of_a_listing(connect, do, tape):
    connect()
    theirs = await do(Twin.create, description={"model": "X1", "colour": "red"})
    connect()
    mine = await do(Twin.scan().first)
    theirs.description["colour"] = "blue"
    await do(theirs.save)
    mine.description["model"] = "X2"
    assert (await do(mine.save)).requests == 2
    assert mine.description == {"model": "X2", "colour": "blue"}
    twin = f"/twins/{mine.uuid}"
    alive = "match=twin_status%20%3D%3D%20%22alive%22"
    tape.shows(
        ("POST", "/twins", {"description": {"model": "X1", "colour": "red"}}),
        ("GET", f"/twins?count=1000&{alive}&details=true", None),
        ("PATCH", twin, {"description": {"model": "X1", "colour": "blue"}}),
        ("GET", twin, None),
        ("PATCH", twin, {"description": {"model": "X2", "colour": "blue"}}),
    )


async def test_description_replaced(connect, do, tape):
    connect()
    uuid = (await do(Twin.create, description={"model": "X1"})).uuid
    connect()
    twin = Twin.at(uuid)
    twin.description = {"colour": "red"}
    assert (await do(twin.save)).requests == 1
    tape.shows(
        ("POST", "/twins", {"description": {"model": "X1"}}),
        ("PATCH", f"/twins/{uuid}", {"description": {"colour": "red"}}),
    )


# Identities


async def test_identities(connection, do, tape):
    twin = await do(Twin.create)
    twin.identities.add("RFID#a+b=")
    twin.identities.add("SN#A17", visibility="true", valid_until=4_000_000_000)
    assert (await do(twin.save)).requests == 1
    twin.identities["SN#A17"].visibility = None
    assert (await do(twin.save)).requests == 1
    del twin.identities["RFID#a+b="]
    assert (await do(twin.save)).requests == 1
    assert list(twin.identities) == ["SN#A17"]
    identities = f"/twins/{twin.uuid}/identities"
    new = {"RFID#a+b=": {}, "SN#A17": {"visibility": "true", "validity_ts": 4_000_000_000.0}}
    tape.shows(
        ("POST", "/twins", None),
        ("POST", identities, {"identities": new}),
        ("PATCH", f"{identities}/SN%23A17", {"visibility": None}),
        ("DELETE", f"{identities}/RFID%23a%2Bb%3D", None),
    )


async def test_identity_field(connection, do, tape):
    moped = await do(Moped.create, model="X1", battery=99.0, serial="A17")
    moped.serial = "B18"
    await do(moped.save)
    twin = f"/twins/{moped.uuid}"
    entries = {"battery": {"value": 99.0, "history": "3M"}}
    tape.shows(
        ("POST", "/twins", {"description": {"kind": "moped", "model": "X1"}}),
        ("POST", f"{twin}/identities", {"identities": {"SN#A17": {}}}),
        ("POST", f"{twin}/ledgers/personal", {"entries": entries}),
        ("POST", f"{twin}/identities", {"identities": {"SN#B18": {}}}),
        ("DELETE", f"{twin}/identities/SN%23A17", None),
    )


async def test_identity_field_of_unknown_presence(connect, do, tape):
    """What the new Identity replaces has to be read first."""
    connect()
    uuid = (await do(Moped.create, model="X1", battery=99.0, serial="A17")).uuid
    connect()
    moped = Moped.at(uuid)
    moped.serial = "B18"
    assert (await do(moped.save)).requests == 3
    twin = f"/twins/{uuid}"
    entries = {"battery": {"value": 99.0, "history": "3M"}}
    tape.shows(
        ("POST", "/twins", {"description": {"kind": "moped", "model": "X1"}}),
        ("POST", f"{twin}/identities", {"identities": {"SN#A17": {}}}),
        ("POST", f"{twin}/ledgers/personal", {"entries": entries}),
        ("GET", f"{twin}/identities?show_expired=true", None),
        ("POST", f"{twin}/identities", {"identities": {"SN#B18": {}}}),
        ("DELETE", f"{twin}/identities/SN%23A17", None),
    )


# Together


async def test_everything_at_once(connection, do, tape):
    """Of each kind one request, the ones that the plan has told."""
    twin = await do(
        Twin.create, description={"model": "X1"}, entries={"a": 1, "b": 2}, identities=["SN#A17"]
    )
    twin.description["model"] = "X2"
    twin.identities.add("SN#B18")
    del twin.identities["SN#A17"]
    twin.ledger["new"] = "entry"
    twin.ledger["a"] = 10
    del twin.ledger["b"]
    planned = [(request.method, request.path, request.body) for request in twin.plan()]
    assert (await do(twin.save)).requests == len(planned) == 6
    path = f"/twins/{twin.uuid}"
    entries = {"a": {"value": 1}, "b": {"value": 2}}
    written = [
        ("PATCH", path, {"description": {"model": "X2"}}),
        ("POST", f"{path}/identities", {"identities": {"SN#B18": {}}}),
        ("DELETE", f"{path}/identities/SN%23A17", None),
        ("POST", f"{path}/ledgers/personal", {"entries": {"new": {"value": "entry"}}}),
        ("PATCH", f"{path}/ledgers/personal/value", {"entries": {"a": {"value": 10}}}),
        ("DELETE", f"{path}/ledgers/personal?entries=b", None),
    ]
    assert planned == written
    tape.shows(
        ("POST", "/twins", {"description": {"model": "X1"}}),
        ("POST", f"{path}/identities", {"identities": {"SN#A17": {}}}),
        ("POST", f"{path}/ledgers/personal", {"entries": entries}),
        *written,
    )


async def test_session_flush(connection, do, tape):
    session = ttorm.session()
    with session:
        first = await do(Twin.create, entries={"x": 1})
        second = await do(Twin.create, entries={"x": 2})
        first.ledger["x"] = 10
        second.ledger["x"] = 20
        assert session.dirty == [first, second]
        assert (await do(session.flush)).requests == 2
        assert session.dirty == []
    ledgers = [f"/twins/{twin.uuid}/ledgers/personal" for twin in (first, second)]
    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledgers[0], {"entries": {"x": {"value": 1}}}),
        ("POST", "/twins", None),
        ("POST", ledgers[1], {"entries": {"x": {"value": 2}}}),
        ("PATCH", f"{ledgers[0]}/value", {"entries": {"x": {"value": 10}}}),
        ("PATCH", f"{ledgers[1]}/value", {"entries": {"x": {"value": 20}}}),
    )


async def test_terminate(connection, do, tape):
    twin = await do(Twin.create)
    await do(twin.terminate)
    assert twin.status == "terminated"
    with pytest.raises(AlreadyDoneError):
        await do(twin.terminate)
    tape.shows(
        ("POST", "/twins", None),
        ("DELETE", f"/twins/{twin.uuid}", None),
        ("DELETE", f"/twins/{twin.uuid}", None),
    )


# What speaks of other records


class Shed(Twin):
    keeper: Field[Link[Twin] | None] = entry(default=None)
    beside: Field[Link[Twin] | None] = description(default=None)
    warmth: Reference[float | None] = reference(Moped.battery, default=None)


async def test_new_records_that_speak_of_new_records(connection, do, tape):
    account = (await do(connection.whoami))["account"]
    with ttorm.session() as session:
        keeper = Twin(description={"name": "Ada"})
        moped = Moped(model="X1", battery=99.0)
        shed = Shed(keeper=keeper, beside=keeper, warmth=moped)
        assert (await do(session.flush)).requests == 5
    entries = {
        "keeper": {"value": keeper.uuid},
        "warmth": {"ref": {"source": f"twin://{moped.uuid}/{account}/battery"}},
    }
    battery = {"value": 99.0, "history": "3M"}
    tape.shows(
        ("GET", "/whoami", None),
        ("POST", "/twins", {"description": {"name": "Ada"}}),
        ("POST", "/twins", {"description": {"kind": "moped", "model": "X1"}}),
        ("POST", f"/twins/{moped.uuid}/ledgers/personal", {"entries": {"battery": battery}}),
        ("POST", "/twins", {"description": {"beside": keeper.uuid}}),
        ("POST", f"/twins/{shed.uuid}/ledgers/personal", {"entries": entries}),
    )


async def test_reconciled_declarations(connect, do, tape):
    connect()
    old = await do(Twin.create, description={"kind": "moped"}, entries={"battery": 9.0})
    connect()
    report = await do(Moped.reconcile, dry_run=False)
    assert [twin.done for twin in report] == [True]
    match = 'twin_status == "alive" and TWIN.kind == "moped"'
    query = f"count=1000&match={quote(match, safe='')}&details=true"
    ledger = f"/twins/{old.uuid}/ledgers/personal"
    tape.shows(
        ("POST", "/twins", {"description": {"kind": "moped"}}),
        ("POST", ledger, {"entries": {"battery": {"value": 9.0}}}),
        ("GET", f"/twins?{query}", None),
        ("GET", ledger, None),
        ("PATCH", ledger, {"entries": {"battery": {"history": "3M"}}}),
    )
