"""The exact requests of all-or-nothing saves, resolved conflicts, and creating once."""

from __future__ import annotations

import pytest

from ttorm import ConflictError, Field, Twin, description, entry, identity

pytestmark = [pytest.mark.vcr, pytest.mark.block_network]

MARK = "5eed" * 8


class Sluice(Twin):
    gate: Field[str] = description(default="north")
    level: Field[float] = entry(default=0.0)
    flow: Field[float] = entry(default=0.0)
    number: Field[str] = identity("SLUICE", key=True)

    class Meta:
        kind = "sluice"


def seen(record, name):
    return f"value_changed_ts == {record.ledger[name].value_changed_at.timestamp()!r}"


async def test_atomic_save(connection, do, tape):
    twin = await do(Twin.create, entries={"a": 1, "b": 2, "c": 3})
    conditions = {name: seen(twin, name) for name in ("a", "b", "c")}
    twin.ledger["a"], twin.ledger["b"] = 10, 20
    await do(twin.save, check=True, atomic=True)
    del twin.ledger["c"]
    await do(twin.save, check=True, atomic=True)
    twin.ledger["d"], twin.ledger["e"] = 4, 5
    await do(twin.save, atomic=True)
    ledger = f"/twins/{twin.uuid}/ledgers/personal"
    made = {"entries": {"a": {"value": 1}, "b": {"value": 2}, "c": {"value": 3}}}
    changed = {
        "entries": {"a": {"value": 10}, "b": {"value": 20}},
        "conditions": {name: conditions[name] for name in ("a", "b")},
        "transaction": True,
    }
    removed = {"conditions": {"c": conditions["c"]}, "transaction": True}
    added = {"entries": {"d": {"value": 4}, "e": {"value": 5}}, "transaction": True}
    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, made),
        ("PATCH", f"{ledger}/value", changed),
        ("DELETE", f"{ledger}?entries=c", removed),
        ("POST", ledger, added),
    )


async def test_resolved_conflict(connect, do, tape):
    connect()
    mine = await do(Twin.create, entries={"x": {"a": 1, "b": 1}, "y": 1})
    first = {name: seen(mine, name) for name in ("x", "y")}
    connect()
    theirs = Twin.at(mine.uuid)
    theirs.ledger["x"] = {"a": 1, "b": 2}
    await do(theirs.save)
    second = seen(theirs, "x")
    mine.ledger["x"] = {"a": 2, "b": 1}
    mine.ledger["y"] = 2
    with pytest.raises(ConflictError) as lost:
        await do(mine.save, check=True, atomic=True)
    lost.value.resolve("merge")
    await do(mine.save, check=True, atomic=True)
    ledger = f"/twins/{mine.uuid}/ledgers/personal"

    def change(value, moment):
        return {
            "entries": {"x": {"value": value}, "y": {"value": 2}},
            "conditions": {"x": moment, "y": first["y"]},
            "transaction": True,
        }

    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": {"x": {"value": {"a": 1, "b": 1}}, "y": {"value": 1}}}),
        ("PATCH", f"{ledger}/value", {"entries": {"x": {"value": {"a": 1, "b": 2}}}}),
        ("PATCH", f"{ledger}/value", change({"a": 2, "b": 1}, first["x"])),
        ("GET", ledger, None),
        ("PATCH", f"{ledger}/value", change({"a": 2, "b": 2}, second)),
    )


async def test_update_of_a_value(connect, do, tape):
    connect()
    made = await do(Twin.create, entries={"count": 5})
    created = seen(made, "count")
    connect()
    twin = Twin.at(made.uuid)
    assert await do(twin.ledger["count"].update, lambda count: count + 1) == 6
    moment = seen(twin, "count")
    assert await do(twin.ledger["count"].update, lambda count: count + 1) == 7
    ledger = f"/twins/{made.uuid}/ledgers/personal"

    def change(value, moment):
        return {"entries": {"count": {"value": value}}, "conditions": {"count": moment}}

    tape.shows(
        ("POST", "/twins", None),
        ("POST", ledger, {"entries": {"count": {"value": 5}}}),
        ("GET", f"{ledger}?entries=count", None),
        ("PATCH", f"{ledger}/value", change(6, created)),
        ("PATCH", f"{ledger}/value", change(7, moment)),
    )


async def test_find_or_create(connection, do, tape, monkeypatch):
    monkeypatch.setattr("uuid.uuid4", type("UUID", (), {"hex": MARK}))
    sluice, created = await do(Sluice.find_or_create, number="7", level=1.5)
    assert created
    again, created = await do(Sluice.find_or_create, number="7", level=9.0)
    assert (again, created) == (sluice, False)
    twin = f"/twins/{sluice.uuid}"
    described = {"kind": "sluice", "gate": "north", "_ttorm_key": f"SLUICE#7 {MARK}"}
    entries = {"level": {"value": 1.5}, "flow": {"value": 0.0}}
    tape.shows(
        ("GET", "/resolve/SLUICE%237?details=true", None),
        ("POST", "/twins", {"description": described}),
        ("POST", f"{twin}/identities", {"identities": {"SLUICE#7": {}}}),
        ("POST", f"{twin}/ledgers/personal", {"entries": entries}),
        ("GET", "/resolve/SLUICE%237?details=true", None),
        ("GET", "/resolve/SLUICE%237?details=true", None),
    )


async def test_find_all(connection, do, tape):
    first = await do(Twin.create, identities=["CRATE#7"])
    second = await do(Twin.create, identities=["CRATE#7"])
    assert {twin.uuid for twin in await do(Twin.find_all, "CRATE#7")} == {first.uuid, second.uuid}
    identities = {"identities": {"CRATE#7": {}}}
    tape.shows(
        ("POST", "/twins", None),
        ("POST", f"/twins/{first.uuid}/identities", identities),
        ("POST", "/twins", None),
        ("POST", f"/twins/{second.uuid}/identities", identities),
        ("GET", "/resolve/CRATE%237?details=true", None),
    )
