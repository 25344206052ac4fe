"""All-or-nothing writes of several Entries."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Conflict, Field, Twin, description, entry


class Tank(Twin):
    label: Field[str] = description(default="")
    level: Field[float] = entry(default=0.0)
    flow: Field[float] = entry(default=0.0)


@pytest.fixture
def write(others):
    """Write values elsewhere: ``write(record, level=9)``."""

    def write(record, **values):
        body = {"entries": {name: {"value": value} for name, value in values.items()}}
        others.call("update_twin_ledger_entry_value", record.uuid, body=body)

    return write


async def test_values(do, connection, sent):
    tank = await do(Tank, "create")
    tank.level, tank.flow = 1, 2
    sent.clear()
    result = await do(tank, "save", atomic=True)
    assert sent.take() == [
        (
            "PATCH",
            f"/twins/{tank.uuid}/ledgers/personal/value",
            (),
            {"entries": {"level": {"value": 1.0}, "flow": {"value": 2.0}}, "transaction": True},
        )
    ]
    assert (result.updated, result.requests) == (("level", "flow"), 1)


async def test_values_and_properties(do, connection, sent):
    tank = await do(Tank, "create")
    tank.level = 1
    tank.ledger["flow"].visibility = "true"
    sent.clear()
    await do(tank, "save", atomic=True)
    entries = {"level": {"value": 1.0}, "flow": {"visibility": "true"}}
    assert [request.body for request in sent] == [{"entries": entries, "transaction": True}]


async def test_new_ones(do, connection, sent):
    tank = await do(Tank, "create")
    tank.ledger["a"], tank.ledger["b"] = 1, 2
    sent.clear()
    assert (await do(tank, "save", atomic=True)).created == ("ledger['a']", "ledger['b']")
    entries = {"a": {"value": 1}, "b": {"value": 2}}
    assert sent.take() == [
        (
            "POST",
            f"/twins/{tank.uuid}/ledgers/personal",
            (),
            {"entries": entries, "transaction": True},
        )
    ]


async def test_removed_ones(do, connection, emulator, sent):
    emulator.clock.freeze(1_718_000_000.5)
    tank = await do(Tank, "create")
    del tank.level, tank.flow
    sent.clear()
    assert (await do(tank, "save", check=True, atomic=True)).deleted == ("level", "flow")
    moment = "value_changed_ts == 1718000000.5"
    assert sent.take() == [
        (
            "DELETE",
            f"/twins/{tank.uuid}/ledgers/personal",
            (("entries", "level"), ("entries", "flow")),
            {"conditions": {"level": moment, "flow": moment}, "transaction": True},
        )
    ]


async def test_one_lost_race_stops_all(do, connection, emulator, write, others, sent):
    emulator.clock.freeze(1_718_000_000.5)
    tank = await do(Tank, "create")
    write(tank, level=9)
    tank.level, tank.flow = 1, 2
    sent.clear()
    with pytest.raises(ttorm.ConflictError) as caught:
        await do(tank, "save", check=True, atomic=True)
    moment = "value_changed_ts == 1718000000.5"
    assert sent[0].body == {
        "entries": {"level": {"value": 1.0}, "flow": {"value": 2.0}},
        "conditions": {"level": moment, "flow": moment},
        "transaction": True,
    }
    assert caught.value.conflicts == (Conflict("level", 0.0, 1.0, 9.0),)
    assert ttorm.inspect(tank).changes == {"level": (9.0, 1.0), "flow": (0.0, 2.0)}
    entries = others.call("get_twin_ledger_entry", tank.uuid)["entries"]
    assert (entries["level"]["value"], entries["flow"]["value"]) == (9, 0.0)
    caught.value.resolve("mine")
    assert (await do(tank, "save", check=True, atomic=True)).updated == ("level", "flow")


async def test_an_equal_value_written_anew_stops_nothing(do, connection, write, sent):
    tank = await do(Tank, "create")
    write(tank, level=0.0)
    tank.level, tank.flow = 1, 2
    sent.clear()
    assert (await do(tank, "save", check=True, atomic=True)).updated == ("level", "flow")
    assert [request.method for request in sent] == ["PATCH", "GET", "PATCH"]


async def test_one_refusal_stops_all(do, connection, others):
    tank = await do(Tank, "create")
    others.call("delete_twin_ledger_entry", tank.uuid, entries=["level"])
    tank.level, tank.flow = 1, 2
    with pytest.raises(ttorm.SaveError, match="nothing was saved") as caught:
        await do(tank, "save", atomic=True)
    assert set(caught.value.errors) == {"level", "flow"}
    assert caught.value.result.updated == ()
    assert set(ttorm.inspect(tank).changes) == {"level", "flow"}
    entries = others.call("get_twin_ledger_entry", tank.uuid)["entries"]
    assert entries["flow"]["value"] == 0.0


async def test_entries_of_unknown_presence_are_read_first(do, connection, others, sent):
    made = await do(Tank, "create")
    others.call("delete_twin_ledger_entry", made.uuid, entries=["level"])
    async with do.block(ttorm.session()):
        tank = Tank.at(made.uuid)
        tank.flow = 2
        sent.clear()
        assert (await do(tank, "save", atomic=True)).requests == 2
        assert [request.method for request in sent.take()] == ["GET", "PATCH"]
        tank.level, tank.flow = 1, 3
        with pytest.raises(ttorm.StateError, match="add_twin_ledger_entry"):
            await do(tank, "save", atomic=True)
        assert sent == []
        tank.discard()


@pytest.mark.parametrize(
    ("change", "needs"),
    [
        (lambda tank: setattr(tank, "label", "x"), "update_twin"),
        (lambda tank: tank.identities.add("SN#1"), "create_twin_identity"),
        (lambda tank: tank.ledger.__setitem__("new", 1), "add_twin_ledger_entry"),
        (lambda tank: tank.ledger.__delitem__("flow"), "delete_twin_ledger_entry"),
    ],
)
async def test_what_needs_more_requests_is_refused(do, connection, sent, change, needs):
    tank = await do(Tank, "create")
    tank.level = 1
    change(tank)
    sent.clear()
    with pytest.raises(ttorm.StateError, match=rf"{needs}.*\[not-atomic\]"):
        await do(tank, "save", atomic=True)
    assert sent == []
    # Without it, all of it can be saved.
    await do(tank, "save")


async def test_a_new_twin_is_refused(do, connection, sent):
    tank = Tank(level=1.0)
    with pytest.raises(ttorm.StateError, match="needs the Twin itself"):
        await do(tank, "save", atomic=True)
    assert sent == []


async def test_what_is_too_large_for_one_request_is_refused(do, connection, sent):
    twin = await do(Twin, "create", entries={"a": "", "b": ""})
    twin.ledger["a"] = twin.ledger["b"] = "x" * 40_000
    sent.clear()
    with pytest.raises(ttorm.QuotaError, match="one request of at most 65,536 bytes"):
        await do(twin, "save", atomic=True)
    assert sent == []


async def test_what_is_too_large_with_its_conditions_is_refused(do, connection, sent):
    twin = await do(Twin, "create", entries={"a": ""})
    twin.ledger["a"] = "x" * 65_490
    sent.clear()
    with pytest.raises(ttorm.QuotaError):
        await do(twin, "save", check=True, atomic=True)
    assert sent == []


async def test_nothing_to_save(do, connection, sent):
    tank = await do(Tank, "create")
    sent.clear()
    assert (await do(tank, "save", atomic=True)).requests == 0
    assert sent == []
