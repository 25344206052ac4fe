"""Rules evaluated on records: what is asked of the service, and that it agrees."""

from __future__ import annotations

import pytest

import ttorm
from ttorm import Entry, Field, Twin, description, entry, rules
from ttorm.rules import DICT, LEDGER, TWIN, USER, now, twin_status

UUID = "0f6a3a52-9c1e-4b7d-8f20-3b9f4d5c6a11"


class Pump(Twin):
    model: Field[str] = description()
    pressure: Field[float | None] = entry(default=None)
    tags: Field[list[str]] = entry(default_factory=list)


async def test_a_rule_holds_for_those_that_the_service_finds(do, connection):
    for number, pressure in enumerate([1, 2.5, None, 30]):
        await do(Pump, "create", model=f"X{number}", pressure=pressure, tags=["a"] * number)
    for rule in (
        Pump.pressure < 3,
        ~(Pump.pressure < 3),
        Pump.model.startswith("X") & (rules.length(Pump.tags) > 1),
        Pump.tags.all(lambda tag: tag == "b") | (Pump.pressure * 2 == 2),
        Pump.model.re_match("X[12]") & (twin_status == "alive"),
    ):
        found = await do(Pump.scan(rule), "all")
        records = await do(Pump.scan(), "all")
        here = [record for record in records if await do(rule, "matches", record)]
        assert here == found, str(rule)
        assert 0 < len(found) < 4, str(rule)


@pytest.fixture
def uuid(others):
    """A Twin of which this program has not heard."""
    made = others.call("create_twin", body={"description": {"model": "X1"}})
    uuid = made["creation_certificate"]["uuid"]
    others.call("add_twin_ledger_entry", uuid, body={"entries": {"pressure": {"value": 2}}})
    return uuid


async def test_only_the_parts_that_a_rule_speaks_of_are_loaded(do, uuid, sent):
    pump = Pump.at(uuid)
    assert await do(Pump.pressure < 3, "matches", pump)
    assert sent.lines() == [f"GET /twins/{uuid}/ledgers/personal"]
    assert await do(Pump.model == "X1", "matches", pump)
    assert sent.lines() == [f"GET /twins/{uuid}"]
    assert await do(Pump.pressure < 3, "matches", pump)
    assert await do(rules.twin == uuid, "matches", Pump.at(uuid))
    assert await do(now > 1, "matches", pump)
    assert await do(LEDGER.pressure > 3, "matches", Pump.at(uuid), LEDGER={"pressure": 5})
    assert sent.lines() == []


async def test_unsaved_changes_count(do, connection, sent):
    pump = await do(Pump, "create", model="X1", pressure=2)
    pump.pressure = 5
    pump.tags.append("new")
    pump.description["site"] = {"hall": 4}
    rule = (LEDGER.pressure == 5) & LEDGER.tags.contains("new") & (TWIN.site.hall == 4)
    assert await do(rule, "matches", pump)
    del pump.ledger["pressure"]
    del pump.description["site"]
    assert await do(LEDGER.pressure.is_null() & TWIN.site.is_null(), "matches", pump)
    pump.discard()
    assert await do(LEDGER.pressure == 2, "matches", pump)


async def test_an_unsaved_twin_asks_nothing(do, connection, sent):
    pump = Pump(model="X1", pressure=2)
    pump.ledger["copy"] = Entry(ref=f"twin://{UUID}/{UUID}/z")
    rule = (Pump.pressure == 2) & (Pump.model == "X1") & LEDGER.copy.is_null()
    assert await do(rule, "matches", pump)
    assert await do(rules.twin.is_null(), "matches", pump)
    assert sent == []


async def test_the_caller(do, connect, emulator, sent, connection):
    who = connection.whoami()
    others = connect(cache=None)
    others.call("update_user", who["user"], body={"description": {"team": "ops"}})
    with_dictionary = connect(default=True, dictionary={"pin": 7})
    pump = await do(Pump, "create", model="X1")
    with_dictionary.transport.sent.clear()
    rule = (USER.team == "ops") & (rules.account == who["account"]) & (DICT.pin == 7)
    assert await do(rule, "matches", pump)
    assert await do(rules.account == rules.ledger, "matches", pump)
    lines = with_dictionary.transport.sent.lines()
    assert lines == ["GET /whoami", f"GET /users/{who['user']}"]


async def test_under_an_event_loop_matches_does_not_wait(do, uuid, sent):
    pump = Pump.at(uuid)
    if not do.asynchronous:
        assert (Pump.pressure < 3).matches(pump)
        return
    with pytest.raises(ttorm.NotLoadedError, match=r"aload\('ledger'\)"):
        (Pump.pressure < 3).matches(pump)
    with pytest.raises(ttorm.NotLoadedError, match="amatches"):
        (USER.team == "ops").matches(pump)
    assert sent == []
    await pump.aload("ledger")
    assert (Pump.pressure < 3).matches(pump)
